# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Completion of regctl in bash: regctl itself says what may stand there.

_regctl()
{
    local line=${COMP_LINE:0:COMP_POINT} candidate
    local -a words
    COMPREPLY=()
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=('')
    # Bash replaces what follows the last '=' or ':' only.
    local word=${words[${#words[@]} - 1]}
    local head=${word%"${word##*[=:]}"}
    while IFS= read -r candidate; do
        if [[ $candidate == $'\tfiles' ]]; then
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "${word#"$head"}")
        else
            candidate=${candidate%%$'\t'*}
            COMPREPLY+=("$(printf '%q' "${candidate#"$head"}")")
        fi
    done < <("${words[0]/#\~/$HOME}" complete -- "${words[@]:1}" 2>/dev/null)
}

complete -F _regctl regctl
