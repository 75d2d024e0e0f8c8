# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# common.sh - sourced by the tests of programs: starts them, and stops by process id what it started.

work=$(mktemp -d)
started=()

stop_all()
{
    if ((${#started[@]} > 0)); then
        kill -KILL "${started[@]}" 2>/dev/null
        wait "${started[@]}" 2>/dev/null
    fi
    rm -rf "$work"
}
trap stop_all EXIT

# fail TEXT: with all that was printed.
fail()
{
    local file
    echo "failed: $*"
    for file in "$work"/*; do
        if [[ -f $file ]]; then
            echo "---- ${file##*/}"
            cat "$file"
        fi
    done
    exit 1
}

# start NAME COMMAND...: in the background; standard error goes to $work/NAME.log, the id to $pid.
start()
{
    local name=$1
    shift
    : >"$work/$name.log" # here, not in the background: else the log of an earlier start may be read
    "$@" >"$work/$name.out" 2>>"$work/$name.log" </dev/null &
    pid=$!
    started+=("$pid")
}

# eventually SECONDS COMMAND...: whether the command succeeds within that time.
eventually()
{
    local deadline_s=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline_s)) || return 1
        sleep 0.05
    done
}

log_has()
{
    grep -qsF -- "$2" "$work/$1.log"
}

# start_registry NAME OPTION...: on free ports, and waits until it serves. Sets $pid, $addr (for
# clients) and $bind (gossip).
start_registry()
{
    local name=$1
    shift
    start "$name" "$bin/registry" -id "$name" -addr 127.0.0.1:0 -bind 127.0.0.1:0 "$@"
    eventually 30 log_has "$name" ' started ' || fail "$name did not start"
    addr=127.0.0.1:$(started_value "$name" port)
    bind=$(started_value "$name" bind)
}

# start_on_stuck_disk NAME OPTION...: as start_registry, where no fsync returns.
start_on_stuck_disk()
{
    local name=$1
    shift
    if ! "${bin%/bin}/tests/stuck_disk" /bin/true; then
        exit 77
    fi
    start "$name" "${bin%/bin}/tests/stuck_disk" "$bin/registry" -id "$name" -addr 127.0.0.1:0 \
        -bind 127.0.0.1:0 "$@"
    eventually 30 log_has "$name" ' started ' || fail "$name did not start"
    addr=127.0.0.1:$(started_value "$name" port)
    bind=$(started_value "$name" bind)
}

# started_value NAME KEY: of the line that says that it has started.
started_value()
{
    sed -n "s/.* started .*\b$2=\([^ ]*\).*/\1/p" "$work/$1.log"
}

# ends_with CODE PID: waits for its end.
ends_with()
{
    wait "$2"
    local code=$?
    ((code == $1)) || fail "exit code $code, expected $1"
}

# refuses CODE WORD COMMAND...: ends with that code and one line on standard error that has the word.
refuses()
{
    local expected=$1 word=$2 code
    shift 2
    timeout 20 "$@" >"$work/refused.out" 2>"$work/refused.log" </dev/null
    code=$?
    ((code == expected)) || fail "$*: exit code $code, expected $expected"
    [[ ! -s $work/refused.out ]] || fail "$*: wrote to standard output"
    [[ $(wc -l <"$work/refused.log") == 1 ]] || fail "$*: not one line"
    log_has refused "$word" || fail "$*: the line lacks '$word'"
}
