/* SPDX-License-Identifier: MIT
 *
 * drive.c - what drives a client: picks registries, connects, sends, receives, and goes elsewhere
 * when one fails.
 *
 * Of a call that is under way either its request is on the connection that is up, or it waits for
 * one. Its turn is how long it has with the current registry: half of the time that it has left
 * while there is another one to go to.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"
#include "client/watch.h"
#include "core/text.h"

/*
 * When the connection is lost because of something that is watched, or of a heartbeat, the calls on
 * it are just lost: they are asked again elsewhere.
 */

enum {
    RECEIVES_MAX = 16, /* in a row, before deadlines are looked at */
};

static const uint64_t ns_per_ms = 1000000;
static const uint64_t idle_ns = 1000000; /* a connection that was silent for so long may be gone */

void rf_calls_append(struct rf_calls *calls, struct rf_call *call)
{
    call->previous = calls->last;
    call->next = NULL;
    if (calls->last != NULL) {
        calls->last->next = call;
    } else {
        calls->first = call;
    }
    calls->last = call;
    calls->count++;
}

void rf_calls_remove(struct rf_calls *calls, struct rf_call *call)
{
    if (call->previous != NULL) {
        call->previous->next = call->next;
    } else {
        calls->first = call->next;
    }
    if (call->next != NULL) {
        call->next->previous = call->previous;
    } else {
        calls->last = call->previous;
    }
    calls->count--;
}

/* ---- the end of a call ---- */

/* Names the group in a text that says that it was not found. */
static void name_group(const struct rf_call *call, struct rf_error *err)
{
    char group[RF_NAME_SIZE_MAX + 1];
    char quoted[RF_QUOTE_SIZE];
    switch ((enum rf_wire_op)rf_wire_header_load(call->frame).op) {
    case RF_WIRE_MATCH:
    case RF_WIRE_MATCH_MANY:
    case RF_WIRE_OWNERS:
    case RF_WIRE_MEMBERS: {
        size_t size = call->frame[RF_WIRE_HEADER_SIZE];
        memcpy(group, call->frame + RF_WIRE_HEADER_SIZE + 1, size);
        group[size] = '\0';
        (void)rf_error_prefix(err, RF_ENOTFOUND, "group %s", rf_text_quote(group, quoted));
        break;
    }
    case RF_WIRE_NONE:
    case RF_WIRE_GROUPS:
    case RF_WIRE_INFO:
    case RF_WIRE_PING:
    case RF_WIRE_WATCH:
        break; /* they name none */
    }
}

static void finish(struct regfast_client *client, struct rf_call *call, int code,
                   const struct rf_error *err)
{
    rf_calls_remove(&client->calls, call);
    call->code = code;
    if (code < 0) {
        call->err = *err;
        call->err.code = code;
    }
    if (code == RF_ENOTFOUND) {
        name_group(call, &call->err);
    }
    call->is_done = true;
    if (call->waiter != NULL) {
        pthread_cond_signal(call->waiter);
    }
    if (call->is_submitted) {
        rf_calls_append(&client->done, call);
    }
}

/* The registry is gone, or wants to be: another one can help, or the same once more. */
static bool is_lost(int code)
{
    return code == RF_EUNAVAILABLE ||
           (code > RF_EMALFORMED && code != -EREMOTEIO && !rf_link_is_local(code));
}

/* The connection that had its request is lost. */
static void call_lost(struct regfast_client *client, struct rf_call *call, int code,
                      uint64_t now_ns, const struct rf_error *err)
{
    call->is_sent = false;
    call->attempts++;
    call->misses = 0;
    if (!is_lost(code)) {
        finish(client, call, code, err);
    } else if (call->attempts == RF_CALL_ATTEMPTS_MAX || now_ns >= call->deadline_ns) {
        /* Somebody else's time may have been up, and not its own. */
        bool is_late = code == -ETIMEDOUT && now_ns >= call->deadline_ns;
        finish(client, call, is_late ? code : RF_EUNAVAILABLE, err);
    }
}

/* A registry that it waited for could not be reached. */
static void call_missed(struct regfast_client *client, struct rf_call *call, int code,
                        uint64_t now_ns, const struct rf_error *err)
{
    struct rf_error all = *err;
    call->misses++;
    if (rf_link_is_local(code)) {
        finish(client, call, code, err);
        return;
    }
    if (now_ns < call->deadline_ns && call->misses < client->registries.count) {
        return;
    }
    code = now_ns >= call->deadline_ns ? -ETIMEDOUT : RF_EUNAVAILABLE;
    if (client->registries.count > 1) {
        (void)rf_error_prefix(&all, code, "no registry answers; the last");
    }
    finish(client, call, code, &all);
}

/* The connection, or the attempt to have one, has failed for this reason. */
static void lose(struct regfast_client *client, int code, struct rf_error *err)
{
    uint64_t now_ns = rf_client_now_ns();
    bool was_up = client->up_ns != 0;
    (void)rf_error_prefix(err, code, "%s", client->registry->text);
    rf_link_close(&client->link);
    rf_registries_failed(&client->registries, client->registry, client->up_ns, now_ns);
    client->registry = NULL;
    client->up_ns = 0;
    client->failure = *err;
    client->failure.code = code;
    rf_client_watches_lost(client);
    struct rf_call *next;
    for (struct rf_call *call = client->calls.first; call != NULL; call = next) {
        next = call->next;
        if (was_up) {
            call_lost(client, call, code, now_ns, err);
        } else {
            call_missed(client, call, code, now_ns, err);
        }
    }
}

/* ---- turns ---- */

static void set_turn(struct regfast_client *client, struct rf_call *call, bool has_another,
                     uint64_t now_ns)
{
    call->turn_ns = call->deadline_ns;
    if (has_another && now_ns < call->deadline_ns) {
        call->turn_ns = now_ns + (call->deadline_ns - now_ns) / 2;
    }
    if (call->turn_ns < client->calls_turn_ns) {
        client->calls_turn_ns = call->turn_ns;
    }
}

/* It waits for a connection to this registry. */
static void set_turn_waiting(struct regfast_client *client, struct rf_call *call, uint64_t now_ns)
{
    set_turn(client, call, call->misses + 1 < client->registries.count, now_ns);
}

static void send_call(struct regfast_client *client, struct rf_call *call, uint64_t now_ns)
{
    struct rf_error err;
    int code = rf_session_request(&client->session, call->frame, call->frame_size, call, &err);
    if (code < 0) {
        finish(client, call, code, &err);
        return;
    }
    call->is_sent = true;
    call->sent_ns = now_ns;
    set_turn(client, call,
             call->attempts + 1 < RF_CALL_ATTEMPTS_MAX && client->registries.count > 1, now_ns);
}

/* The first of the calls whose turn is over; NULL: none. Sets when to look again. */
static struct rf_call *find_late(struct regfast_client *client, uint64_t now_ns)
{
    uint64_t turn_ns = UINT64_MAX;
    for (struct rf_call *call = client->calls.first; call != NULL; call = call->next) {
        if (call->turn_ns <= now_ns) {
            return call;
        }
        turn_ns = call->turn_ns < turn_ns ? call->turn_ns : turn_ns;
    }
    client->calls_turn_ns = turn_ns;
    return NULL;
}

/*
 * Ends calls whose time is up, but whose registry others have to judge: such as were asked for the
 * second time, and had here what another had left them. If each of them took the connection
 * along, one pause of a registry would be the end of all that were asked in the meantime, one by
 * one, within moments. Returns whether the turn of one that is left is over.
 */
static bool end_late(struct regfast_client *client, uint64_t now_ns)
{
    struct rf_call *late = find_late(client, now_ns);
    while (client->up_ns != 0 && client->calls.count > 1 && late != NULL && late->attempts > 0 &&
           now_ns >= late->deadline_ns) {
        struct rf_error err;
        (void)rf_error_set(&err, -ETIMEDOUT, "%s: no reply in time", client->registry->text);
        rf_session_forget(&client->session, late);
        finish(client, late, -ETIMEDOUT, &err);
        late = find_late(client, now_ns);
    }
    return late != NULL;
}

/* Gives up the registry whose turn is over. */
static void expire(struct regfast_client *client, uint64_t now_ns)
{
    struct rf_error err;
    int code = 0;
    if (client->registry == NULL) {
        return;
    }
    bool is_late = now_ns >= client->calls_turn_ns && end_late(client, now_ns);
    if (client->up_ns != 0) {
        if (is_late) {
            code = rf_error_set(&err, -ETIMEDOUT, "no reply in time");
        } else if (client->watches.is_incomplete) {
            code = rf_error_set(&err, -ECONNRESET, "no more watches on this connection");
        } else {
            code = rf_session_tick(&client->session, now_ns, &err);
        }
    } else if (is_late || (client->calls.count == 0 && now_ns >= client->turn_ns)) {
        code = rf_error_set(&err, -ETIMEDOUT,
                            client->link.state == RF_LINK_RESOLVING ? "name not resolved in time"
                                                                    : "no connection in time");
    }
    if (code < 0) {
        lose(client, code, &err);
    }
}

/* ---- connecting ---- */

/* From when on a connection is wanted; UINT64_MAX: not. A call does not wait until the registry has
 * rested. */
static uint64_t wanted_ns(const struct regfast_client *client)
{
    if (client->calls.count > 0) {
        return 0;
    }
    return client->watches.count > 0 ? rf_registries_next_const(&client->registries)->rest_ns
                                     : UINT64_MAX;
}

/* Calls go first: what they are answered then depends on nothing that is watched. */
static void begin_session(struct regfast_client *client, uint64_t now_ns)
{
    struct rf_error err;
    client->up_ns = now_ns;
    client->serial++;
    client->failure.code = 0;
    client->watches.is_incomplete = false;
    int code = rf_session_begin(&client->session, now_ns, &err);
    if (code == 0) {
        struct rf_call *next;
        for (struct rf_call *call = client->calls.first; call != NULL; call = next) {
            next = call->next;
            send_call(client, call, now_ns);
        }
        code = rf_client_watches_begin(client, now_ns, &err);
    }
    if (code < 0) {
        lose(client, code, &err);
    }
}

static void begin_connecting(struct regfast_client *client, uint64_t now_ns)
{
    struct rf_error err;
    client->registry = rf_registries_next(&client->registries);
    client->turn_ns = now_ns + client->call_timeout_ns;
    for (struct rf_call *call = client->calls.first; call != NULL; call = call->next) {
        set_turn_waiting(client, call, now_ns);
    }
    int code = rf_link_start(&client->link, &client->registry->host_port, &err);
    if (code < 0) {
        lose(client, code, &err);
    }
}

/* Goes on until it is connected, or has to wait for something. Each failure is a miss for every
 * call, and a rest for the registry, so this ends. */
static void connect_registry(struct regfast_client *client)
{
    struct rf_error err;
    while (client->up_ns == 0) {
        uint64_t now_ns = rf_client_now_ns();
        if (client->registry == NULL) {
            if (wanted_ns(client) > now_ns) {
                return;
            }
            begin_connecting(client, now_ns);
            continue;
        }
        int code = rf_link_step(&client->link, now_ns, &err);
        if (code < 0) {
            lose(client, code, &err);
        } else if (code == 0) {
            return;
        } else {
            begin_session(client, now_ns);
        }
    }
}

void rf_client_forget(struct regfast_client *client)
{
    client->registry = NULL;
    client->up_ns = 0;
    rf_client_watches_lost(client);
    for (struct rf_call *call = client->calls.first; call != NULL; call = call->next) {
        call->is_sent = false;
    }
}

int rf_client_adopt(struct regfast_client *client, int fd, struct rf_error *err)
{
    int code = rf_link_adopt(&client->link, fd, err);
    if (code == 0) {
        client->registry = rf_registries_next(&client->registries);
        begin_session(client, rf_client_now_ns());
    }
    return code;
}

/* ---- sending and receiving ---- */

static void flush(struct regfast_client *client)
{
    while (client->up_ns != 0) {
        size_t size;
        const uint8_t *data = rf_session_output(&client->session, &size);
        ssize_t sent = size > 0 ? rf_link_send(&client->link, data, size) : 0;
        if (sent == 0) {
            return;
        }
        if (sent < 0) {
            struct rf_error err;
            int code = rf_error_set(&err, (int)sent, "cannot send: %s", rf_strerror((int)sent));
            lose(client, code, &err);
            return;
        }
        rf_session_sent(&client->session, (size_t)sent);
    }
}

static void take_reply(struct regfast_client *client, const struct rf_session_event *event)
{
    struct rf_call *call = event->token;
    struct rf_error err;
    RF_ASSERT(call->is_sent);
    memcpy(client->server, client->registry->text, sizeof(client->server));
    if (event->header.status == RF_WIRE_OK) {
        int code = call->take(call, event->payload, event->header.payload_size, &err);
        if (code >= 0) {
            finish(client, call, code, NULL);
        } else if (rf_link_is_local(code)) {
            (void)rf_error_prefix(&err, code, "%s", client->server);
            finish(client, call, code, &err);
        } else {
            lose(client, code, &err); /* nothing that comes after it can be trusted */
        }
        return;
    }
    int code = rf_session_read_error(&event->header, event->payload, &err);
    if (code == RF_EUNAVAILABLE) {
        lose(client, code, &err);
        return;
    }
    struct rf_error own = err;
    (void)rf_error_prefix(&own, code, "%s", client->server);
    finish(client, call, code, &own);
    if (code == RF_EMALFORMED) { /* the registry closes; for others it is just lost */
        lose(client, -ECONNRESET, &err);
    }
}

/* Takes all that the session has. */
static void take_events(struct regfast_client *client)
{
    uint64_t now_ns = rf_client_now_ns();
    while (client->up_ns != 0) {
        struct rf_session_event event;
        struct rf_error err;
        int code = rf_session_next(&client->session, now_ns, &event, &err);
        if (code == 0) {
            return;
        }
        if (code < 0) {
            lose(client, event.type == RF_SESSION_REPLY ? code : -ECONNRESET, &err);
            return;
        }
        switch (event.type) {
        case RF_SESSION_REPLY:
            take_reply(client, &event);
            break;
        case RF_SESSION_TOLD:
        case RF_SESSION_PLACEMENT:
        case RF_SESSION_HEARD:
            code = rf_client_watches_event(client, &event, now_ns, &err);
            if (code < 0) {
                lose(client, -ECONNRESET, &err); /* which is nothing against calls */
            }
            break;
        }
    }
}

static void lose_received(struct regfast_client *client, int code)
{
    struct rf_error err;
    const char *reason = rf_strerror(code);
    /* Gossip's port hangs up on who speaks something else. */
    const char *hint =
        client->session.has_heard ? "" : "; is that the port for clients, and not that for gossip?";
    if (rf_session_is_within_reply(&client->session)) {
        (void)rf_error_set(&err, code, "connection lost within a reply: %s", reason);
    } else if (client->calls.count > 0) {
        (void)rf_error_set(&err, code, "connection lost before the reply: %s%s", reason, hint);
    } else {
        (void)rf_error_set(&err, code, "connection lost: %s%s", reason, hint);
    }
    lose(client, code, &err);
}

void rf_client_receive(struct regfast_client *client)
{
    for (int i = 0; i < RECEIVES_MAX && client->up_ns != 0 && client->link.is_readable; i++) {
        size_t size;
        uint8_t *room = rf_session_room(&client->session, &size);
        ssize_t count = rf_link_receive(&client->link, room, size);
        if (count < 0) {
            lose_received(client, (int)count);
            return;
        }
        rf_session_received(&client->session, (size_t)count);
        take_events(client);
    }
}

/* ---- driving ---- */

/* Something should have come by now. If nobody has looked for some time, it may be there. */
static bool is_overdue(const struct regfast_client *client, uint64_t now_ns)
{
    return client->registry != NULL &&
           ((client->calls.count > 0 && now_ns >= client->calls_turn_ns) ||
            now_ns >=
                (client->up_ns != 0 ? rf_session_deadline_ns(&client->session) : client->turn_ns));
}

void rf_client_turn(struct regfast_client *client)
{
    uint64_t now_ns = rf_client_now_ns();
    if (is_overdue(client, now_ns)) {
        connect_registry(client);
        rf_link_wait(&client->link, 0);
        rf_client_receive(client);
    }
    expire(client, now_ns);
    connect_registry(client);
    flush(client);
}

void rf_client_process(struct regfast_client *client)
{
    rf_client_turn(client);
    rf_link_wait(&client->link, 0);
    rf_client_receive(client);
    rf_client_turn(client);
}

uint64_t rf_client_next_ns(const struct regfast_client *client)
{
    size_t size;
    (void)rf_session_output(&client->session, &size);
    if (client->registry == NULL) {
        return wanted_ns(client);
    }
    if (client->up_ns != 0 && (client->link.is_readable || client->watches.is_incomplete ||
                               (size > 0 && !client->link.is_waiting_to_send))) {
        return 0;
    }
    uint64_t next_ns = client->calls.count > 0 ? client->calls_turn_ns : UINT64_MAX;
    uint64_t other_ns = rf_link_deadline_ns(&client->link);
    if (client->up_ns != 0) {
        other_ns = rf_session_deadline_ns(&client->session);
    } else if (client->calls.count == 0) {
        next_ns = client->turn_ns;
    }
    return other_ns < next_ns ? other_ns : next_ns;
}

/* As poll takes it. Rounded up: not to spin through the last millisecond. */
int rf_client_timeout_ms(uint64_t deadline_ns)
{
    if (deadline_ns == UINT64_MAX) {
        return -1;
    }
    uint64_t now_ns = deadline_ns == 0 ? 0 : rf_client_now_ns();
    if (deadline_ns <= now_ns) {
        return 0;
    }
    uint64_t left_ms = (deadline_ns - now_ns + ns_per_ms - 1) / ns_per_ms;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

void rf_client_wait(struct regfast_client *client, uint64_t until_ns)
{
    uint64_t next_ns = rf_client_next_ns(client);
    rf_link_wait(&client->link, rf_client_timeout_ms(next_ns < until_ns ? next_ns : until_ns));
}

void rf_client_start(struct regfast_client *client, struct rf_call *call)
{
    uint64_t now_ns = rf_client_now_ns();
    rf_calls_append(&client->calls, call);
    if (client->up_ns != 0) {
        send_call(client, call, now_ns);
    } else {
        set_turn_waiting(client, call, now_ns);
    }
}

/* Until it is worth a look. With a thread of the library's, that one waits for the socket. */
static void wait_for(struct regfast_client *client, const struct rf_call *call)
{
    if (call->waiter == NULL) {
        rf_client_wait(client, UINT64_MAX);
    } else {
        rf_background_wait(client->background, call->waiter, rf_client_next_ns(client));
    }
}

static void drive(struct regfast_client *client, struct rf_call *call)
{
    if (client->up_ns != 0 && rf_client_now_ns() - client->session.heard_ns > idle_ns) {
        rf_link_wait(&client->link, 0); /* an end that has come already costs no attempt */
        rf_client_receive(client);
    }
    rf_client_start(client, call);
    while (!call->is_done) {
        rf_client_turn(client);
        if (!call->is_done) {
            wait_for(client, call);
            rf_client_receive(client);
        }
    }
}

/* Others have the client while this call waits, and client->out for their requests. */
static int drive_beside_others(struct regfast_client *client, struct rf_call *call,
                               struct rf_error *err)
{
    pthread_cond_t waiter;
    uint8_t *frame = malloc(call->frame_size);
    if (frame == NULL) {
        return rf_error_set(err, -ENOMEM, "no memory for a request of %zu bytes", call->frame_size);
    }
    memcpy(frame, call->frame, call->frame_size);
    rf_background_condition_init(&waiter);
    call->frame = frame;
    call->waiter = &waiter;
    drive(client, call);
    pthread_cond_destroy(&waiter);
    free(frame);
    return 0;
}

int rf_client_call(struct regfast_client *client, struct rf_call *call, struct rf_error *err)
{
    RF_ASSERT(!call->is_submitted);
    if (client->background == NULL) {
        drive(client, call);
    } else {
        int code = drive_beside_others(client, call, err);
        if (code < 0) {
            return code;
        }
    }
    if (call->code < 0 && err != NULL) {
        *err = call->err;
    }
    return call->code;
}
