# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# test-count.sh - sourced by tools/test: adds up the results of several ctest runs.
#
# ctest's own summary counts a skipped test as passed, so the JUnit file that it writes is read, whose
# test output is escaped and cannot pass for a result.

passed=0
failed=0
skipped=0
failures=()
skips=()

count_pass()
{
    passed=$((passed + 1))
}

# count_failure NAME
count_failure()
{
    failed=$((failed + 1))
    failures+=("$1")
}

# count_results PRESET JUNIT_FILE CTEST_EXIT_CODE
count_results()
{
    local preset=$1 file=$2 code=$3
    if [[ ! -s $file ]]; then
        if ((code != 0)); then
            count_failure "$preset: ctest, exit code $code"
        fi
        return
    fi
    local line name='' failed_before=$failed
    local testcase=$'^\t<testcase name="([^"]*)" .* status="([a-z]+)">'
    local reason=$'^\t\t<skipped message="([^"]*)"'
    while IFS= read -r line; do
        if [[ $line =~ $testcase ]]; then
            name="$preset: ${BASH_REMATCH[1]}"
            case ${BASH_REMATCH[2]} in
            run) count_pass ;;
            notrun) ;; # the next line says why
            *) count_failure "$name" ;;
            esac
        elif [[ $line =~ $reason ]]; then
            if [[ ${BASH_REMATCH[1]} == SKIP_RETURN_CODE=* ]]; then
                skipped=$((skipped + 1))
                skips+=("$name")
            else # its program is not there
                count_failure "$name (${BASH_REMATCH[1]})"
            fi
        fi
    done <"$file"
    if ((code != 0 && failed == failed_before)); then
        count_failure "$preset: ctest, exit code $code"
    fi
}

# Names what failed and what was skipped, prints the line of totals, and returns 0 if all that ran
# passed and something ran.
report()
{
    local name
    for name in "${skips[@]}"; do
        echo "skipped: $name"
    done
    for name in "${failures[@]}"; do
        echo "failed: $name"
    done
    if ((skipped > 0)); then
        echo "$passed passed, $failed failed, $skipped skipped"
    else
        echo "$passed passed, $failed failed"
    fi
    ((failed == 0 && passed > 0))
}
