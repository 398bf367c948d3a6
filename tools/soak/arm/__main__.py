"""``python -m tools.soak.arm``: make a device's image of real arm64 packages, and run its root by emulation.

The base is Debian's own packages, unpacked (as near to Raspberry Pi OS as an archive that everybody has can be); the
image is built twice and must be the same; its Python runs the firmware's self-test and the tests of `storage/`, which
lie beside it. Writes ``build/soak/arm.json``. What is fetched is kept in ``.cache/arm/``.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from firmware.board import BOARDS
from hardware.image.build import Made, Order, build
from hardware.image.errors import ImageError
from tools.prepare import TroubleError, prepare
from tools.soak.arm.base import ArmError, make_base, require_tools
from tools.soak.arm.guest import HOME, Guest, put_beside, take_root
from tools.soak.arm.machine import start

_PYTHON = "3.13"
_BOARD = "zero2w"
_NOT_DEBIANS = frozenset({"python3-lgpio", "python3-pidng"})
"""Only Raspberry Pi's own archive has them."""
_EPOCH_S = 1_780_000_000
_TEST_S = 1800
_SUITE_S = 3 * 3600.0
_RUN_TESTS = """\
import sys
sys.executable = {program!r}
import pytest, storage
assert storage.__file__ == {storage!r}, storage.__file__
sys.exit(pytest.main(sys.argv[1:]))
"""
_VALIDATE = """\
import json, pathlib, sys
import jsonschema, referencing
folder = pathlib.Path(sys.argv[2])
texts = {name: json.loads((folder / name).read_text()) for name in
         ("bom-1.6.SNAPSHOT.schema.json", "spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")}
registry = referencing.Registry().with_resources(
    [(uri, referencing.Resource.from_contents(text)) for name, text in texts.items()
     for uri in (text["$id"], "http://cyclonedx.org/schema/" + name)])
schema = texts["bom-1.6.SNAPSHOT.schema.json"]
jsonschema.validators.validator_for(schema)(schema, registry=registry).validate(json.loads(open(sys.argv[1]).read()))
"""
_IMPORTS = (
    "import av, cbor2, cheroot, cryptography, gpiozero, libcamera, numpy, paho.mqtt, prctl, pyaudio, serial, smbus2, "
)
_IMPORTS += (
    "tpm2_pytss, zeroconf; import firmware.board, os; assert os.path.exists(firmware.board.__cached__), 'not compiled'"
)


@dataclass(slots=True)
class Findings:
    """What was found."""

    seconds: dict[str, float] = field(default_factory=dict)
    image_bytes: int = 0
    digest: str = ""
    wheels: int = 0
    debs: int = 0
    self_test: list[str] = field(default_factory=list)
    tests: str = ""
    broken: list[str] = field(default_factory=list)


def main() -> int:
    """Run it; exit status 1 if anything is not as it must be, 2 if it cannot be run here."""
    parser = argparse.ArgumentParser(prog="arm", description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/arm"))
    parser.add_argument("--tests", default="tests/storage", help="which of the tests that lie beside")
    options = parser.parse_args()
    found = Findings()
    try:
        require_tools()
        cache = options.cache.resolve()
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="getuige-arm-") as held:
            _run(cache, Path(held), options.tests, found)
    except (ArmError, ImageError, TroubleError, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"arm: {error}\n")
        return 2
    out = Path("build/soak/arm.json")
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(asdict(found), indent=2) + "\n", "utf-8")
    for line in found.broken:
        sys.stderr.write(f"arm: {line}\n")
    sys.stdout.write(
        f"arm: storage/ on arm64: {found.tests}; {'BROKEN' if found.broken else 'all as it must be'}; {out}\n"
    )
    return 1 if found.broken else 0


def _run(cache: Path, held: Path, tests: str, found: Findings) -> None:
    def step(name: str, work: Callable[[], None]) -> None:
        _say(name)
        begun_s = time.monotonic()
        work()
        found.seconds[name] = round(time.monotonic() - begun_s, 1)

    root, work, beside = held / "root", held / "work", held / "beside"
    work.mkdir()
    bases: list[Path] = []
    step("the base", lambda: bases.append(make_base(cache)))
    image = held / "bodycam.img"
    step("the image", lambda: _build(cache, bases[0], image, held, found))
    step("its root", lambda: take_root(image, root))
    guest = Guest(root, work, _PYTHON)
    step("its units", lambda: _units(root, guest, found))
    step("its packages", lambda: _packages(guest, image, work, found))
    step("the self-test", lambda: _self_test(guest, work, found))
    step("a whole machine", lambda: found.broken.extend(start(image, cache, held)))
    put_beside(Path.cwd(), beside, root, _PYTHON, cache / "wheels")
    step("the tests of storage/", lambda: _tests(guest, beside, tests, found))


def _build(cache: Path, base: Path, image: Path, held: Path, found: Findings) -> None:
    """Build it twice."""

    def once(output: Path) -> Made:
        return build(
            Order(
                base=base, board=_BOARD, output=output, project=Path.cwd(), cache=cache / "fetched",
                leave_out=_NOT_DEBIANS, identity="tpm", epoch_s=_EPOCH_S,
            ),
            _say,
        )  # fmt: skip

    made = once(image)
    (held / "again").mkdir()
    again = once(held / "again" / image.name)
    shutil.rmtree(held / "again")
    found.image_bytes, found.digest, found.wheels, found.debs = made.size_bytes, made.digest, made.wheels, made.debs
    if again.digest != made.digest:
        found.broken.append(f"built twice, the image is another: {made.digest} and {again.digest}")


def _units(root: Path, guest: Guest, found: Findings) -> None:
    """Let the root's own systemd read our units; what it says about others is the base's."""
    units = sorted(path.name for path in (root / "etc/systemd/system").glob("getuige*.service"))
    done = guest.command(
        "usr/bin/systemd-analyze", ["verify", "--man=no", f"--root={root}", *units], cwd=root, limit_s=600
    )
    said = [line for line in done.stderr.splitlines() if "getuige" in line and not _ABOUT_OTHERS.search(line)]
    found.broken += [f"systemd says: {line}" for line in said]
    if not units:
        found.broken.append("the root has no unit of ours")


_ABOUT_OTHERS = re.compile(r"cannot be|not executable")
"""Programs are looked for in this machine, and not in that root."""


def _packages(guest: Guest, image: Path, work: Path, found: Findings) -> None:
    """Import what the device needs, and hold the bill of materials against its schema with the root's own validator."""
    done = guest.run(["-W", "ignore", "-c", _IMPORTS], cwd=work, more={"PYTHONPATH": HOME})
    if done.returncode:
        found.broken.append(f"a package does not import: {done.stderr.splitlines()[-1]}")
    import cyclonedx.schema

    schemas = Path(cyclonedx.schema.__file__).parent / "_res"
    bill = work / "bill.json"
    shutil.copyfile(image.with_name(f"{image.name}.cdx.json"), bill)
    done = guest.run(["-c", _VALIDATE, str(bill), str(schemas)], cwd=work)
    if done.returncode:
        found.broken.append(f"the bill of materials is none: {done.stderr.splitlines()[-1]}")


def _self_test(guest: Guest, work: Path, found: Findings) -> None:
    device = work / "device"
    prepare(device, "480p30", 60, board=(BOARDS / "simulated.toml").read_text("utf-8"))
    command = ["-m", "firmware", "self-test", "--settings", str(device / "device.toml")]
    done = guest.run(command, cwd=work, more={"PYTHONPATH": HOME}, limit_s=900)
    found.self_test = done.stdout.splitlines()
    _say("\n  ".join(found.self_test))
    if done.returncode or not found.self_test or found.self_test[-1] != "self-test passed":
        found.broken.append(f"the self-test did not pass (status {done.returncode}): {done.stderr[-300:]}")


def _tests(guest: Guest, beside: Path, tests: str, found: Findings) -> None:
    code = _RUN_TESTS.format(program=str(guest.program), storage=f"{HOME}/storage/__init__.py")
    arguments = ["-c", code, tests, "-o", f"timeout={_TEST_S}", "--durations=15", "-rs"]
    path = f"{HOME}:{beside / 'site'}"
    done = guest.run(arguments, cwd=beside, more={"PYTHONPATH": path}, limit_s=_SUITE_S)
    lines = done.stdout.strip().splitlines()
    sys.stdout.write("\n".join(lines[-40:]) + "\n")
    found.tests = lines[-1] if lines else "no test ran"
    if done.returncode:
        found.broken.append(f"the tests of storage/ fail there: {found.tests} {done.stderr[-300:]}".strip())


def _say(text: str) -> None:
    sys.stderr.write(f"arm: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
