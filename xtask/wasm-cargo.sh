#!/usr/bin/env bash
# cargo with a wasm32-unknown-unknown target, for machines where rustup cannot add one: Debian's rustc, in a folder of its own.
#
#   wasm-cargo.sh install        once, as root: the folder, with Debian testing's rustc, cargo, wasm32 libraries and lld (about 1.3 GB)
#   wasm-cargo.sh ARGUMENTS...   that cargo with ARGUMENTS, in this workspace, without network; builds into target/wasm
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
root=${WASM_ROOT:-$here/target/wasm-root}
cargo_home=${CARGO_HOME:-$HOME/.cargo}

die() {
  echo "wasm-cargo.sh: $1" >&2
  exit 1
}

install_root() {
  [ ! -e "$root/usr/bin/rustc" ] || return 0
  [ "$(id -u)" = 0 ] || die "Debian's toolchain can be installed by root only"
  command -v apt-get >/dev/null || die "this system has no apt-get"
  if ! command -v mmdebstrap >/dev/null; then
    apt-get update -q </dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends mmdebstrap </dev/null
  fi
  # The mirror that this system itself uses.
  mirror=$(apt-get indextargets --format '$(SITE)' | sort -u | grep -v security | head -n 1)
  rm -rf --one-file-system "$root.partial"
  mmdebstrap --quiet --variant=apt --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
    --include=cargo,rustc,libstd-rust-dev-wasm32,lld,ca-certificates testing "$root.partial" "$mirror" </dev/null
  mv "$root.partial" "$root"
}

# In a mount namespace of its own, so that nothing stays mounted below the build folder, however this ends:
# a later `cargo clean` must not find the sources there.
enter_root() {
  [ -x "$root/usr/bin/rustc" ] || die "run 'wasm-cargo.sh install' first"
  (cd "$here" && cargo fetch --locked </dev/null)
  mkdir -p "$root$here" "$root$cargo_home"
  exec unshare --mount --propagation private bash -c '
    set -eu
    root=$1 here=$2 cargo_home=$3
    shift 3
    for folder in "$here" "$cargo_home" /proc /dev; do mount --bind "$folder" "$root$folder"; done
    exec chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/bin:/bin CARGO_HOME="$cargo_home" CARGO_NET_OFFLINE=true \
      CARGO_TARGET_DIR="$here/target/wasm" CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=/usr/bin/wasm-ld \
      CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="${CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS-}" \
      sh -c "cd \"\$0\" && exec cargo \"\$@\"" "$here" "$@"
  ' wasm-cargo "$root" "$here" "$cargo_home" "$@"
}

case ${1:-} in
  install) install_root ;;
  '') die "usage: wasm-cargo.sh install | ARGUMENTS..." ;;
  *) enter_root "$@" ;;
esac
