#!/bin/sh
# release.sh: the static binaries as they are released. Builds both, and holds them to their size, to being static, and
# the one of the other architecture to running (under qemu-user); and the image of both. The last line is `N passed, M failed`.
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."
. testinfra/toolchain
testinfra/install-packages binutils file jq qemu-user-static skopeo umoci
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
static() { file -b "$1" | grep -Eq 'static(ally|-pie) linked' && file -b "$1" | grep -q ', stripped'; }
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

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
SOURCE_DATE_EPOCH=1767225600
LICENSES=$scratch/licenses.gz
export SOURCE_DATE_EPOCH LICENSES
release/licenses x86_64-unknown-linux-musl >"$scratch/licenses"
gzip -9n "$scratch/licenses"

# image NAME: makes the image from scratch.
image() {
    talos/extension/build "$x86_64" "$scratch/amd64" >/dev/null &&
        talos/extension/build "$aarch64" "$scratch/arm64" >/dev/null &&
        release/image "$scratch/$1" "amd64=$scratch/amd64/netkeel-image.tar" "arm64=$scratch/arm64/netkeel-image.tar"
}
extension() {
    release/image --extension "$scratch/$1" "amd64=$scratch/amd64/netkeel-extension.tar" "arm64=$scratch/arm64/netkeel-extension.tar"
}
same_extension() { extension three.tar && extension four.tar && cmp "$scratch/three.tar" "$scratch/four.tar"; }
# Talos's imager takes the file of the service and the manifest from the image of the architecture.
extends() {
    skopeo copy --quiet --override-arch "$1" "oci-archive:$scratch/three.tar" "oci:$scratch/extension-$1:image" &&
        umoci unpack --image "$scratch/extension-$1:image" "$scratch/files-$1" >/dev/null &&
        grep -q '^  name: netkeel$' "$scratch/files-$1/rootfs/manifest.yaml" &&
        cmp talos/extension/netkeel.yaml "$scratch/files-$1/rootfs/rootfs/usr/local/etc/containers/netkeel.yaml"
}
refuses_dynamic() { ! talos/extension/build "$(command -v ls)" "$scratch/dynamic"; }
same_image() { image one.tar && image two.tar && cmp "$scratch/one.tar" "$scratch/two.tar"; }
# What a registry and a runtime read of the image of one architecture.
described() {
    skopeo inspect --override-arch "$1" "oci-archive:$scratch/one.tar" |
        jq --exit-status --arg architecture "$1" --arg version "$("$x86_64" --version | cut -d ' ' -f 2)" \
            '.Architecture == $architecture and .Os == "linux" and .Labels["org.opencontainers.image.version"] == $version and (.Layers | length) == 1'
    skopeo inspect --config --override-arch "$1" "oci-archive:$scratch/one.tar" |
        jq --exit-status '.config.Entrypoint == ["/usr/bin/netkeel"] and .config.Cmd == ["run"]'
}
# The file system of the image of one architecture holds a netkeel that runs in it, the licences of its libraries, and no other program.
runs() {
    skopeo copy --quiet --override-arch "$1" "oci-archive:$scratch/one.tar" "oci:$scratch/layout-$1:image" &&
        umoci unpack --image "$scratch/layout-$1:image" "$scratch/root-$1" >/dev/null &&
        [ "$(cd "$scratch/root-$1/rootfs" && find . -type f -perm -1)" = ./usr/bin/netkeel ] &&
        cmp "$LICENSES" "$scratch/root-$1/rootfs/usr/share/doc/netkeel/THIRD-PARTY-LICENSES.gz" &&
        cp "$(command -v qemu-aarch64-static)" "$scratch/root-$1/rootfs/" &&
        chroot "$scratch/root-$1/rootfs" ${2+"$2"} /usr/bin/netkeel --version
}
check 'two builds of the image are the same' same_image
check 'the image of amd64 is described' described amd64
check 'the image of arm64 is described' described arm64
check 'the image of amd64 runs' runs amd64
check 'the image of arm64 runs' runs arm64 /qemu-aarch64-static
check 'two builds of the extension are the same' same_extension
check 'the extension of amd64 has its files' extends amd64
check 'the extension of arm64 has its files' extends arm64
check 'a dynamic program is no extension' refuses_dynamic

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
