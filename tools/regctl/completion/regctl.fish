# SPDX-License-Identifier: MIT
#
# Completion of regctl in fish: regctl itself says what may stand there.

function __regctl_complete
    set -l words (commandline -opc)
    set -l word (commandline -ct)
    for line in ($words[1] complete -- $words[2..-1] "$word" 2>/dev/null)
        if test "$line" = \tfiles
            __fish_complete_path "$word"
        else
            echo $line
        end
    end
end

complete -c regctl -f -a '(__regctl_complete)'
