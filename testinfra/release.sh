#!/bin/sh
# release.sh [ARCHITECTURE...]: the static binaries as they are released, by default those of x86_64 and aarch64. Builds them,
# and holds each to its size, to being static and to running (aarch64 under qemu-user), and all to one plan; then what is
# made of them, the image and the extension. The last line is `N passed, M failed`.
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."
[ "$#" != 0 ] || set -- x86_64 aarch64
for architecture; do
    case $architecture in
    x86_64 | aarch64) ;;
    *)
        echo "release.sh: no release has a binary for $architecture; x86_64 and aarch64 are released" >&2
        exit 1
        ;;
    esac
done
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
binary() { printf '%s\n' "$target/$1-unknown-linux-musl/release/netkeel"; }
# The architecture, as images name it.
image_name() {
    case $1 in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    esac
}
# run ARCHITECTURE ARGUMENT...
run() {
    emulator=
    [ "$1" = x86_64 ] || emulator=qemu-$1-static
    program=$(binary "$1")
    shift
    $emulator "$program" "$@"
}
small() { [ "$(wc -c <"$1")" -lt "$largest" ]; }
static() { file -b "$1" | grep -Eq 'static(ally|-pie) linked' && file -b "$1" | grep -q ', stripped'; }
# A document against a saved snapshot needs no kernel of its own: what it plans is compared word for word.
plans() { run "$1" plan -f examples/wikimedia-worker.yaml --snapshot examples/host.json --output json; }
plan() { plans "$1" | grep -q '"format": "netkeel/plan"'; }
same_plan() { [ "$(plans "$1")" = "$(plans "$2")" ]; }

for architecture; do
    triple=$architecture-unknown-linux-musl
    rustup target add "$triple" >/dev/null 2>&1 || rustup target add "$triple"
    cargo build --locked --release --target "$triple"
    program=$(binary "$architecture")
    printf '%s: %s bytes, %s\n' "$triple" "$(wc -c <"$program")" "$(file -b "$program")"
    check "$architecture is smaller than $largest bytes" small "$program"
    check "$architecture is static and stripped" static "$program"
    check "$architecture tells its version" run "$architecture" --version
    check "$architecture plans" plan "$architecture"
    if [ "$architecture" != "$1" ]; then check "$architecture plans what $1 plans" same_plan "$architecture" "$1"; fi
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
SOURCE_DATE_EPOCH=1767225600
LICENSES=$scratch/licenses.gz
export SOURCE_DATE_EPOCH LICENSES
release/licenses x86_64-unknown-linux-musl >"$scratch/licenses"
gzip -9n "$scratch/licenses"
architectures=$*

# pack NAME KIND [OPTION]: an archive of the roots of this kind, of all architectures.
pack() {
    archive=$scratch/$1 kind=$2
    shift 2
    set -- "$@" "$archive"
    for architecture in $architectures; do
        set -- "$@" "$(image_name "$architecture")=$scratch/$architecture/netkeel-$kind.tar"
    done
    release/image "$@"
}
# image NAME: makes the image from scratch.
image() {
    for architecture in $architectures; do
        talos/extension/build "$(binary "$architecture")" "$scratch/$architecture" >/dev/null || return 1
    done
    pack "$1" image
}
extension() { pack "$1" extension --extension; }
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
    skopeo inspect --override-arch "$(image_name "$1")" "oci-archive:$scratch/one.tar" |
        jq --exit-status --arg architecture "$(image_name "$1")" --arg version "$(run "$1" --version | cut -d ' ' -f 2)" \
            '.Architecture == $architecture and .Os == "linux" and .Labels["org.opencontainers.image.version"] == $version and (.Layers | length) == 1' &&
        skopeo inspect --config --override-arch "$(image_name "$1")" "oci-archive:$scratch/one.tar" |
        jq --exit-status '.config.Entrypoint == ["/usr/bin/netkeel"] and .config.Cmd == ["run"]'
}
# The file system of the image of one architecture holds a netkeel that runs in it, the licences of its libraries, and no other program.
runs() {
    emulator=
    [ "$1" = x86_64 ] || emulator=/qemu-$1-static
    skopeo copy --quiet --override-arch "$(image_name "$1")" "oci-archive:$scratch/one.tar" "oci:$scratch/layout-$1:image" &&
        umoci unpack --image "$scratch/layout-$1:image" "$scratch/root-$1" >/dev/null &&
        [ "$(cd "$scratch/root-$1/rootfs" && find . -type f -perm -1)" = ./usr/bin/netkeel ] &&
        cmp "$LICENSES" "$scratch/root-$1/rootfs/usr/share/doc/netkeel/THIRD-PARTY-LICENSES.gz" &&
        { [ -z "$emulator" ] || cp "$(command -v "${emulator#/}")" "$scratch/root-$1/rootfs/"; } &&
        chroot "$scratch/root-$1/rootfs" $emulator /usr/bin/netkeel --version
}
check 'two builds of the image are the same' same_image
for architecture; do
    check "the image of $architecture is described" described "$architecture"
    check "the image of $architecture runs" runs "$architecture"
done
check 'two builds of the extension are the same' same_extension
for architecture; do
    check "the extension of $architecture has its files" extends "$(image_name "$architecture")"
done
check 'a dynamic program is no extension' refuses_dynamic

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
