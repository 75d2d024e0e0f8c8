/* SPDX-License-Identifier: MIT */
#include "gossip/driver.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/text.h"

#define WINDOW_NS UINT64_C(60000000000)

/* Lines a minute. Members come and go in numbers; of the others one tells it. */
static uint32_t lines_max(enum rf_driver_topic topic)
{
    switch (topic) {
    case RF_TOPIC_MEMBER:
        return 200;
    case RF_TOPIC_KEYS:
        return 60;
    case RF_TOPIC_SUSPECT:
    case RF_TOPIC_REFUTE:
    case RF_TOPIC_PUSH_PULL:
    case RF_TOPIC_LATE:
    case RF_TOPIC_CONFLICT:
        return 10;
    case RF_TOPIC_PACKET_REJECTED:
    case RF_TOPIC_SEND_FAILED:
    case RF_TOPIC_RECEIVE_FAILED:
    case RF_TOPIC_STREAM_REJECTED:
    case RF_TOPIC_ACCEPT_FAILED:
    case RF_TOPIC_RESYNC:
    case RF_TOPIC_NAME_CONTEST:
    case RF_TOPIC_UDP_BROKEN:
    case RF_TOPIC_LIMIT:
    case RF_TOPICS_COUNT:
        return 1;
    }
    return 1;
}

/* Whether a line may be written; *ret_suppressed_count is how many were not, before it. */
static bool gate_opens(struct rf_driver_gate *gate, enum rf_driver_topic topic,
                       uint32_t *ret_suppressed_count)
{
    uint64_t now_ns = rf_driver_now_ns();
    if (now_ns >= gate->window_end_ns) {
        gate->window_end_ns = now_ns + WINDOW_NS;
        gate->count = 0;
    }
    if (gate->count >= lines_max(topic)) {
        gate->suppressed_count++;
        return false;
    }
    gate->count++;
    *ret_suppressed_count = gate->suppressed_count;
    gate->suppressed_count = 0;
    return true;
}

void rf_driver_log(struct rf_gossip *gossip, enum rf_driver_topic topic, enum rf_log_level level,
                   const char *format, ...)
{
    uint32_t suppressed_count = 0;
    if (gossip->log.write == NULL || level > gossip->log.level_max ||
        !gate_opens(&gossip->gates[topic], topic, &suppressed_count)) {
        return;
    }
    char line[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args); /* a cut line is still a line */
    va_end(args);
    if (suppressed_count > 0) {
        rf_log(&gossip->log, level, "%s suppressed=%u", line, suppressed_count);
    } else {
        rf_log(&gossip->log, level, "%s", line);
    }
}

static const char *change_name(enum rf_member_change change)
{
    switch (change) {
    case RF_MEMBER_CHANGE_JOIN:
        return "joined";
    case RF_MEMBER_CHANGE_STATUS:
        return "changed";
    case RF_MEMBER_CHANGE_UPDATE:
        return "updated";
    case RF_MEMBER_CHANGE_LEAVE:
        return "left";
    case RF_MEMBER_CHANGE_FAILED:
        return "failed";
    case RF_MEMBER_CHANGE_REAP:
        return "forgotten";
    }
    return "changed";
}

void rf_driver_log_member(struct rf_gossip *gossip, const struct rf_output *output)
{
    char name[RF_QUOTE_SIZE];
    char address[RF_ADDRESS_TEXT_SIZE];
    rf_driver_log(gossip, RF_TOPIC_MEMBER, RF_LOG_INFO, "member_%s name=%s address=%s status=%s",
                  change_name(output->change), rf_text_quote(output->name, name),
                  rf_address_format(&output->address, address),
                  rf_serf_status_name((enum rf_serf_status)output->status));
}

void rf_driver_log_notice(struct rf_gossip *gossip, const struct rf_output *output)
{
    char name[RF_QUOTE_SIZE];
    char address[RF_ADDRESS_TEXT_SIZE];
    rf_text_quote(output->name, name);
    rf_address_format(&output->address, address);
    const char *text = output->text == NULL ? "" : output->text;
    switch (output->notice) {
    case RF_NOTICE_CONFLICT:
        rf_driver_log(gossip, RF_TOPIC_CONFLICT, RF_LOG_WARN,
                      "name_conflict name=%s address=%s text=\"another node has this name: give "
                      "one of them another\"",
                      name, address);
        break;
    case RF_NOTICE_NAME_CONTEST:
        rf_driver_log(gossip, RF_TOPIC_NAME_CONTEST, RF_LOG_WARN,
                      "name_contested name=%s address=%s text=\"another node claims our name: "
                      "asking the others whose it is\"",
                      name, address);
        break;
    case RF_NOTICE_NAME_KEPT:
        rf_driver_log(
            gossip, RF_TOPIC_NAME_CONTEST, RF_LOG_INFO,
            "name_kept name=%s text=\"the others know this name at another address, where "
            "nobody is any more: this node goes on\"",
            name);
        break;
    case RF_NOTICE_MOVED:
        rf_driver_log(gossip, RF_TOPIC_MEMBER, RF_LOG_INFO,
                      "member_moved name=%s address=%s text=\"nobody is left where it was\"", name,
                      address);
        break;
    case RF_NOTICE_UDP_BROKEN:
        rf_driver_log(gossip, RF_TOPIC_UDP_BROKEN, RF_LOG_WARN,
                      "udp_broken name=%s address=%s text=\"answers by TCP only: let UDP through "
                      "the firewalls between\"",
                      name, address);
        break;
    case RF_NOTICE_REFUTE:
        rf_driver_log(
            gossip, RF_TOPIC_REFUTE, RF_LOG_INFO,
            "refuted name=%s text=\"others suspected this node, or took it for dead: it has "
            "answered\"",
            name);
        break;
    case RF_NOTICE_SUSPECT:
        rf_driver_log(gossip, RF_TOPIC_SUSPECT, RF_LOG_INFO, "suspect name=%s address=%s", name,
                      address);
        break;
    case RF_NOTICE_DEAD: {
        char by[RF_QUOTE_SIZE];
        rf_driver_log(gossip, RF_TOPIC_MEMBER, RF_LOG_INFO, "member_dead name=%s by=%s", name,
                      rf_text_quote(text, by));
        break;
    }
    case RF_NOTICE_PUSH_PULL_FAIL:
        rf_driver_log(gossip, RF_TOPIC_PUSH_PULL, RF_LOG_INFO,
                      "push_pull_failed name=%s address=%s error=\"%s\"", name, address, text);
        break;
    case RF_NOTICE_LATE:
        rf_driver_log(gossip, RF_TOPIC_LATE, RF_LOG_WARN,
                      "paused text=\"%s: this process was stopped or starved; suspects get that "
                      "much longer\"",
                      text);
        break;
    case RF_NOTICE_LIMIT:
        rf_driver_log(gossip, RF_TOPIC_LIMIT, RF_LOG_WARN, "limit_reached text=\"%s\"", text);
        break;
    }
}
