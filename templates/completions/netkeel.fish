# Completion of netkeel for fish. Words come from netkeel itself, so that names of this host are among them.
function __netkeel_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] complete -- $words[2..-1] 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c netkeel -f -a '(__netkeel_complete)'
