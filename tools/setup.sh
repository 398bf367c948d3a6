#!/usr/bin/env bash
# Installs what Getuige needs to be built and tested: a few system packages, and a virtual environment with pinned wheels.
# Usage: setup.sh PYTHON VENV
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 venv=$2

say() { printf 'setup: %s\n' "$*"; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else
    say "cannot install packages without root: run as root, or install sudo" >&2
    exit 1
  fi
}

PATH=$PATH:/usr/sbin:/sbin # where Debian keeps mosquitto; a user's own PATH has neither
missing=()
need() { # need COMMAND PACKAGE
  command -v "$1" >/dev/null || missing+=("$2")
}
need "$python" python3
need ffprobe ffmpeg
need age age
need chromium chromium
need git git
need mosquitto mosquitto
need softhsm2-util softhsm2
need swtpm swtpm
# What an image is made with and checked by.
need debugfs e2fsprogs
need mcopy mtools
need mkfs.vfat dosfstools
need nft nftables
need ip iproute2
# NetworkManager's reader of profiles, without NetworkManager.
ldconfig -p 2>/dev/null | grep -q 'libnm\.so\.0' || missing+=(libnm0)
need duk duktape
need strace strace
need systemd-analyze systemd
need xz xz-utils
# What tpm2-pytss, which is published as source only, is built with and against.
need gcc gcc
need pkg-config pkg-config
# It brings the line to swtpm along, whatever that package is called in this release of Debian.
pkg-config --exists tss2-esys tss2-tctildr tss2-tcti-swtpm 2>/dev/null || missing+=(libtss2-dev)
header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null)/Python.h
[ -e "$header" ] || missing+=(python3-dev)
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)

if [ "${#missing[@]}" -gt 0 ]; then
  say "installing system packages: ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -q update
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -q install -y --no-install-recommends "${missing[@]}" >/dev/null
fi

"$python" - <<'EOF' || { say "Python 3.11 or newer is needed" >&2; exit 1; }
import sys
raise SystemExit(sys.version_info < (3, 11))
EOF

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
  say "making $venv"
  "$python" -m venv --clear "$venv"
fi
say "installing the pinned packages of requirements/dev.lock and tpm.lock into $venv"
# The lock names every package, so nothing is left to resolve; an older pip that resolves all the same takes a release
# that is newer than the lock for a package with extras, and then refuses it for having no hash.
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.lock
"$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --require-hashes -r requirements/tpm.lock
"$venv/bin/python" -m pip check --disable-pip-version-check >/dev/null || {
  "$venv/bin/python" -m pip check --disable-pip-version-check >&2 || true
  say "requirements/dev.lock does not hold all that its packages need" >&2
  exit 1
}
say "done"
