#!/usr/bin/env bash
# venv.sh PROJECT ROOT: in the root, make /venv over the system's packages and install the hash-pinned locks into it.
# pip inside the root uses this machine's pip configuration: its settings go in as environment, its files as mounts.
set -euo pipefail
project=$1 root=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

python=$project/.venv/bin/python
if ! "$python" -m pip --version >/dev/null 2>&1; then python=python3; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
("$python" -m pip config list 2>/dev/null || true) >"$work/config"
python3 "$here/pip_environment.py" --config "$work/config" --environment "$work/environment" --paths "$work/paths"
for path in /etc/resolv.conf /etc/hosts; do
    if [ -e "$path" ]; then printf '%s\0' "$(readlink -f "$path")" >>"$work/paths"; fi
done
while IFS= read -r -d '' setting; do export "${setting?}"; done <"$work/environment"

rm -rf "$root/venv" "$root/locks"
mkdir -p "$root/locks"
# Without lgpio: for this Python it is published as source only, and Debian's trixie lacks the library it links to.
python3 "$here/lock_subset.py" --without "$project/requirements/device.lock" lgpio >"$root/locks/device.lock"
python3 "$here/lock_subset.py" "$project/requirements/dev.lock" \
    iniconfig packaging pluggy pygments pytest pytest-timeout >"$root/locks/test.lock"
python3 "$here/lock_subset.py" "$project/requirements/device.lock" setuptools >"$root/locks/build.lock"

# Without build isolation, so that what is built from source is built with the pinned setuptools and nothing else.
export BIND=$work/paths
"$here/inside.sh" "$project" "$root" /bin/sh -euc '
    python3 -m venv --system-site-packages /venv
    pip="/venv/bin/python -m pip -qq install --no-cache-dir --root-user-action=ignore --no-deps --require-hashes"
    $pip -r /locks/build.lock
    $pip --no-build-isolation -r /locks/device.lock -r /locks/test.lock
'
