"""The Python packages of `requirements/device.lock`, as wheels for the target: fetched, checked, unpacked.

A wheel is a ZIP archive with a list of its files and their SHA-256 (PyPA's "Binary distribution format"). Nothing of
it is run.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packaging.markers import InvalidMarker, Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from hardware.image.entries import Entry, file, link
from hardware.image.errors import ImageError
from hardware.image.firmware_files import HOME

FROM_THE_SYSTEM = frozenset({"lgpio", "pidng", "pyaudio", "python-prctl"})
"""Published as source only, for some or all of the target's Pythons: they come as the system's own packages."""
_GLIBC = {"3.11": 36, "3.13": 41}
"""The minor version of the C library that goes with each Python (Debian 12 and 13)."""
_MAX_WHEEL_BYTES = 200 * 1024 * 1024
_MAX_UNPACKED_BYTES = 1024 * 1024 * 1024
_LIMIT_S = 1800
_REQUIREMENT = re.compile(
    r"([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*((?:\\\s*--hash=sha256:[0-9a-f]{64}\s*)+)"
)


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of the lock: the release, and the digests of all its files."""

    name: str
    version: str
    digests: frozenset[str]


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file that goes into the image."""

    name: str
    version: str
    filename: str
    digest: str
    """SHA-256, hexadecimal."""
    data: bytes


def pins(lock: str, python: str) -> list[Pin]:
    """Return what the lock holds for a 64-bit Pi with that Python, but for what comes from the system.

    Raises:
        ImageError: it is not a lock with digests.
    """
    environment = {
        "python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux", "os_name": "posix",
        "platform_system": "Linux", "platform_machine": "aarch64", "implementation_name": "cpython",
        "platform_python_implementation": "CPython", "implementation_version": f"{python}.0", "platform_release": "",
        "platform_version": "", "extra": "",
    }  # fmt: skip
    found: list[Pin] = []
    rest = re.sub(r"^\s*#.*$", "", lock, flags=re.MULTILINE).strip()
    while rest:
        match = _REQUIREMENT.match(rest)
        if match is None:
            raise ImageError(f"the lock of the device's packages is not understood at {rest[:60]!r}")
        rest = rest[match.end() :].lstrip()
        name, version, marker, hashes = match.groups()
        try:
            wanted = marker is None or Marker(marker).evaluate(environment)
        except InvalidMarker:
            raise ImageError(f"the lock of the device's packages: {marker!r} of {name} is no marker") from None
        if wanted and canonicalize_name(name) not in FROM_THE_SYSTEM:
            found.append(Pin(canonicalize_name(name), version, frozenset(re.findall(r"sha256:([0-9a-f]{64})", hashes))))
    if not found:
        raise ImageError("the lock of the device's packages is empty")
    return found


def fetch(wanted: list[Pin], python: str, folder: Path) -> None:
    """Fetch what is not in the folder yet, by pip, for the target; digests are checked.

    Raises:
        ImageError: there is no such wheel, no network, or pip fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [pin for pin in wanted if _find(pin, folder, python) is None]
    if not missing:
        return
    lines = [
        f"{pin.name}=={pin.version} " + " ".join(f"--hash=sha256:{digest}" for digest in sorted(pin.digests))
        for pin in missing
    ]
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(_GLIBC[python], 16, -1)]
    platforms += ["manylinux2014_aarch64", "linux_aarch64", "any"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir",
               "--no-deps", "--require-hashes", "--only-binary", ":all:", "--python-version", python,
               "--implementation", "cp",
               *(f"--abi={abi}" for abi in (f"cp{python.replace('.', '')}", "abi3", "none")),
               *(f"--platform={name}" for name in platforms)]  # fmt: skip
    with tempfile.TemporaryDirectory(dir=folder) as held:
        listed = Path(held) / "requirements.txt"
        listed.write_text("\n".join(lines) + "\n", "ascii")
        try:
            done = subprocess.run(
                [*command, "--dest", held, "--requirement", str(listed)],
                capture_output=True, text=True, timeout=_LIMIT_S, stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ImageError(f"the wheels could not be fetched: {error}") from None
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
            raise ImageError(f"the wheels could not be fetched: {lines[-1][:300] if lines else 'pip said nothing'}")
        for path in Path(held).glob("*.whl"):
            path.replace(folder / path.name)


def load(wanted: list[Pin], python: str, folder: Path) -> list[Wheel]:
    """Return the wheel of each package from the folder.

    Raises:
        ImageError: one is missing, is not for the target, or has another digest than the lock says.
    """
    wheels = []
    for pin in wanted:
        path = _find(pin, folder, python)
        if path is None:
            raise ImageError(f"{folder} has no wheel of {pin.name} {pin.version} for Python {python} on 64-bit ARM")
        if path.stat().st_size > _MAX_WHEEL_BYTES:
            raise ImageError(f"{path} is too large to be a wheel of ours")
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if digest not in pin.digests:
            raise ImageError(f"{path} is not the file of requirements/device.lock (SHA-256 {digest}): remove it")
        wheels.append(Wheel(pin.name, pin.version, path.name, digest, data))
    return wheels


def _find(pin: Pin, folder: Path, python: str) -> Path | None:
    tags = _tags(python)
    ranked = []
    for path in sorted(folder.glob("*.whl")):
        try:
            name, version, _, its = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        ranks = [tags[tag] for tag in its if tag in tags]
        if name == pin.name and str(version) == pin.version and ranks:
            ranked.append((min(ranks), path))
    return min(ranked)[1] if ranked else None


def _tags(python: str) -> dict[Tag, int]:
    version = tuple(map(int, python.split(".")))
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(_GLIBC[python], 16, -1)]
    platforms += ["manylinux2014_aarch64", "linux_aarch64"]
    tags = [
        *cpython_tags(version, platforms=platforms),
        *compatible_tags(version, f"cp{version[0]}{version[1]}", platforms),
    ]
    return {tag: rank for rank, tag in reversed(list(enumerate(tags)))}


def environment_entries(wheels: list[Wheel], python: str) -> Iterator[Entry]:
    """Return a virtual environment with the wheels in it, laid out as ``python3 -m venv`` and pip would.

    Raises:
        ImageError: a wheel is damaged, or wants a file outside of its place.
    """
    venv = f"{HOME}/.venv"
    yield file(f"{venv}/pyvenv.cfg", f"home = /usr/bin\ninclude-system-site-packages = true\nversion = {python}\n")
    yield link(f"{venv}/bin/python", "python3")
    yield link(f"{venv}/bin/python3", "/usr/bin/python3")
    size = 0
    for wheel in wheels:
        for path, data, executable in unpacked(wheel):
            size += len(data)
            if size > _MAX_UNPACKED_BYTES:
                raise ImageError(f"{wheel.filename} unpacks to more than there is room for")
            yield file(f"{venv}/lib/python{python}/site-packages/{path}", data, 0o755 if executable else 0o644)


def unpacked(wheel: Wheel) -> Iterator[tuple[str, bytes, bool]]:
    """Yield path below site-packages, content, and whether it is a program."""
    try:
        with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
            names = [info for info in archive.infolist() if not info.is_dir()]
            (record,) = [info for info in names if re.fullmatch(r"[^/]+\.dist-info/RECORD", info.filename)]
            told = {row[0]: row[1] for row in csv.reader(io.StringIO(archive.read(record).decode("utf-8"))) if row}
            for info in names:
                data = archive.read(info)
                if info is not record and told.get(info.filename) not in _digests(data):
                    if info.filename.endswith((".dist-info/RECORD.jws", ".dist-info/RECORD.p7s")):
                        continue
                    raise ImageError(f"{wheel.filename} is damaged: {info.filename} is not as its own list says")
                where = _place(info.filename)
                if where is not None:
                    yield where, data, bool(info.external_attr >> 16 & 0o111)
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, NotImplementedError, EOFError, csv.Error) as error:
        raise ImageError(f"{wheel.filename} is damaged: {error}") from None


def _digests(data: bytes) -> set[str]:
    return {
        f"{kind}={base64.urlsafe_b64encode(hashlib.new(kind, data).digest()).rstrip(b'=').decode()}"
        for kind in ("sha256", "sha512")
    }


def _place(name: str) -> str | None:
    """Return where below site-packages a member goes; None for what a device has no use for."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        raise ImageError(f"a wheel wants a file outside of its place: {name!r}")
    if path.parts[0].endswith(".data"):
        # purelib and platlib belong where the package is; commands, headers and manuals are not for a device.
        return "/".join(path.parts[2:]) if len(path.parts) > 2 and path.parts[1] in ("purelib", "platlib") else None
    return name
