#!/usr/bin/env bash
# inside.sh PROJECT ROOT COMMAND...: run a command in the root, the project mounted read-only at /project.
# BIND (NUL-separated paths in the file it names) are mounted read-only at the same place.
#
# Everything is mounted in a mount namespace of its own, and runs in a process namespace of its own: whatever ends
# this command, even SIGKILL, leaves no mount and no process behind.
set -euo pipefail

if [ "${1:-}" != "--namespaced" ]; then
    exec unshare --mount --propagation private --pid --fork --kill-child -- "$0" --namespaced "$@"
fi
shift
project=$1 root=$2
shift 2

read_only() {  # read_only SOURCE TARGET
    if [ -d "$1" ]; then mkdir -p "$2"; else mkdir -p "$(dirname "$2")"; [ -e "$2" ] || : >"$2"; fi
    mount --bind "$1" "$2"
    mount -o remount,bind,ro "$2"
}

mount --bind "$root" "$root"
cd "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
# A /dev without the machine's own cameras, sound cards and GPIO chips: the tests bring theirs.
mount -t tmpfs -o mode=755 dev "$root/dev"
for node in null zero full random urandom tty; do
    : >"$root/dev/$node"
    mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir -p "$root/dev/shm"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
read_only "$project" "$root/project"
if [ -n "${BIND:-}" ]; then
    while IFS= read -r -d '' path; do read_only "$path" "$root$path"; done <"$BIND"
fi
mkdir -p "$root/run/user/0"

export PATH=/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/tmp LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 GETUIGE_RIG=1
unset BIND PYTHONPATH PYTHONHOME VIRTUAL_ENV
exec 9>&-
exec chroot "$root" /bin/sh -c 'cd /project && exec "$@"' sh "$@"
