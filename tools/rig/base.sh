#!/usr/bin/env bash
# base.sh ROOT: make a Debian trixie root with libcamera's Python, and what PyAudio needs to be built and to run.
set -euo pipefail
root=$1

say() { printf 'rig: %s\n' "$*" >&2; }

if ! command -v mmdebstrap >/dev/null; then
    say "mmdebstrap is missing: installing it with apt"
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends mmdebstrap >/dev/null
fi

# The archive is the one this machine's apt uses for its own release, so that nothing here names a host.
archive() {
    local codename
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    apt-get indextargets --format '$(COMPONENT) $(RELEASE) $(REPO_URI)' |
        awk -v release="$codename" '$1 == "main" && $2 == release { print $3; exit }'
}
mirror=${GETUIGE_RIG_MIRROR:-$(archive)}
if [ -z "$mirror" ]; then
    apt-get -qq update
    mirror=$(archive)
fi
if [ -z "$mirror" ]; then
    say "this machine's apt names no Debian archive: set GETUIGE_RIG_MIRROR to one"
    exit 2
fi

# A root made with this machine's own rules for fetching (proxies, clock checks, retries), not with its other rules.
settings=()
while IFS= read -r line; do
    settings+=("--aptopt=${line%;}")
done < <(apt-config dump | grep -E '^Acquire::(http|https|Check-Valid-Until|Check-Date|Retries)')

keyring=()
for file in /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/debian-archive-keyring.pgp; do
    if [ -e "$file" ]; then keyring=("--keyring=$file"); break; fi
done

# libcamera comes from backports: trixie's own 0.4 leaves the status of a virtual camera's frames unset and hangs.
# gcc and the -dev packages are there because PyAudio, python-prctl and PiDNG are published as sources only.
packages=(
    ca-certificates
    python3-venv python3-dev gcc g++ libc6-dev
    python3-libcamera/trixie-backports libcamera-ipa/trixie-backports
    libcap-dev
    portaudio19-dev libasound2-data
)
mmdebstrap --quiet --variant=minbase --format=directory --architectures="$(dpkg --print-architecture)" \
    "${settings[@]}" "${keyring[@]}" --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --include="$(IFS=,; echo "${packages[*]}")" \
    trixie "$root" "deb $mirror trixie main" "deb $mirror trixie-backports main"

libcamera=$(chroot "$root" dpkg-query --show --showformat='${Version}' python3-libcamera)
if chroot "$root" dpkg --compare-versions "$libcamera" lt 0.7.1; then
    say "the archive's trixie-backports has python3-libcamera $libcamera, and 0.7.1 is needed"
    exit 2
fi
