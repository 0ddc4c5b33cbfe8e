# Completion of netkeel for bash. Words come from netkeel itself, so that names of this host are among them.
_netkeel() {
    local line word
    COMPREPLY=()
    while IFS= read -r line; do
        # The name of an interface can have characters that the shell would act on.
        printf -v word %q "${line%%$'\t'*}"
        COMPREPLY+=("$word")
    done < <("$1" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
# Without a word of netkeel, bash completes files.
complete -o default -F _netkeel netkeel
