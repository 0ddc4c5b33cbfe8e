#compdef netkeel
# Completion of netkeel for zsh. Words come from netkeel itself, so that names of this host are among them.
_netkeel() {
    local -a found
    local line name
    for line in ${(f)"$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)"}; do
        name=${line%%$'\t'*}
        found+=("${name//:/\\:}:${line#*$'\t'}")
    done
    if (( $#found )); then
        _describe netkeel found
    else
        _files
    fi
}
if [[ $funcstack[1] == _netkeel ]]; then
    _netkeel "$@"
else
    compdef _netkeel netkeel
fi
