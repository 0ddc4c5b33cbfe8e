#!/bin/sh
# release.sh: the static binaries as they are released. Builds both, and holds them to their size, to being static, and
# the one of the other architecture to running (under qemu-user). The last line is `N passed, M failed`.
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."
. testinfra/toolchain
testinfra/install-packages qemu-user-static file
largest=16000000
passed=0 failed=0
target=$(target_directory)

# check NAME COMMAND...
check() {
    name=$1
    shift
    if "$@"; then
        echo "PASS $name"
        passed=$((passed + 1))
    else
        echo "FAIL $name"
        failed=$((failed + 1))
    fi
}
small() { [ "$(wc -c <"$1")" -lt "$largest" ]; }
static() { file -b "$1" | grep -Eq 'static(ally|-pie) linked' && file -b "$1" | grep -q stripped; }
# A document against a saved snapshot needs no kernel of its own: what it plans is compared word for word.
plans() {
    "$@" plan -f examples/wikimedia-worker.yaml --snapshot examples/host.json --output json
}
same_plan() { [ "$(plans qemu-aarch64-static "$1")" = "$(plans "$2")" ] && plans "$2" | grep -q '"format": "netkeel/plan"'; }

for architecture in x86_64 aarch64; do
    triple=$architecture-unknown-linux-musl
    rustup target add "$triple" >/dev/null 2>&1 || rustup target add "$triple"
    cargo build --locked --release --target "$triple"
    binary=$target/$triple/release/netkeel
    printf '%s: %s bytes, %s\n' "$triple" "$(wc -c <"$binary")" "$(file -b "$binary")"
    check "$architecture is smaller than $largest bytes" small "$binary"
    check "$architecture is static and stripped" static "$binary"
done
x86_64=$target/x86_64-unknown-linux-musl/release/netkeel
aarch64=$target/aarch64-unknown-linux-musl/release/netkeel
check 'x86_64 tells its version' "$x86_64" --version
check 'aarch64 tells its version' qemu-aarch64-static "$aarch64" --version
check 'aarch64 plans what x86_64 plans' same_plan "$aarch64" "$x86_64"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
