"""The parts of the image's builder: texts, tables, accounts, locks, wheels, packages and how they are fetched."""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.image import debs, packages, wheels
from hardware.image.accounts import Accounts, harden
from hardware.image.boot_text import BEGIN, cmdline_txt, config_txt
from hardware.image.disk import SECTOR_BYTES, Partition, parse_table, with_table
from hardware.image.entries import Overlay, file, folder, link
from hardware.image.errors import ImageError
from hardware.image.ext4 import Ext4
from hardware.image.programs import last_line, run
from tests.hardware.image_kit import EPOCH_S, NATIVE, Bench, root_files

ROOT = Path(__file__).resolve().parents[2]
quick = settings(max_examples=200, derandomize=True, deadline=None, database=None)
ROOT_WORD = "root=PARTUUID=9a8b7c6d-02"


@quick
@given(
    st.text(st.characters(exclude_characters="\r"), max_size=300),
    st.lists(st.from_regex(r"[a-z]{1,9}=[a-z0-9]{1,9}", fullmatch=True)),
)
def test_config_txt_twice_is_config_txt_once(base: str, lines: list[str]) -> None:
    once = config_txt(base, lines)
    assert config_txt(once, lines) == once
    assert once.split(BEGIN)[-1].splitlines()[1 : 2 + len(lines)] == ["[all]", *lines]


def test_config_txt_keeps_what_is_the_bases() -> None:
    base = "# first\ndtparam=audio=on\n[pi5]\narm_boost=1"
    made = config_txt(config_txt(base, ["old=1"]), ["new=1"])
    assert made.startswith(base + "\n")
    assert "old=1" not in made
    assert made.count(BEGIN) == 1


@quick
@given(st.lists(st.from_regex(r"[a-zA-Z0-9_.,=:/-]{1,20}", fullmatch=True), max_size=12))
def test_of_the_command_line_only_what_is_known_is_kept(words: list[str]) -> None:
    line = cmdline_txt(" ".join([*words, ROOT_WORD]), "base")
    assert line.endswith("\n")
    assert line.count("\n") == 1
    made = line.split()
    assert {"ro", "rfkill.default_state=0", ROOT_WORD} <= set(made)
    assert not [word for word in made if word.startswith(("init=", "systemd.run", "console=ttyAMA", "console=serial"))]


@quick
@given(st.binary(min_size=0, max_size=600), st.integers(0, 2**40))
def test_garbage_is_no_partition_table(sector: bytes, size: int) -> None:
    signed = sector[:510].ljust(510, b"\0") + b"\x55\xaa"
    for data in (sector, signed):
        try:
            parts = parse_table(data, size, "base")
        except ImageError as error:
            assert "\n" not in str(error)  # noqa: PT017 - most garbage is refused, not all of it
        else:
            assert parts[1].end * SECTOR_BYTES <= size


def test_a_table_comes_back() -> None:
    code, signature = b"\x33" * 440, struct.pack("<I", 7)
    parts = [Partition(0x0C, 8192, 1000, 0x80), Partition(0x83, 10000, 5000)]
    sector = with_table(code + signature + bytes(68), parts)
    assert sector[:444] == code + signature
    assert parse_table(sector, 15000 * 512, "base") == parts


def test_accounts_that_are_there_stay_and_ours_come() -> None:
    base = Accounts("root:x:0:0::/root:/bin/bash\nsync:x:4:65534:sync:/bin:/bin/sync\n", "root::1:0:99999:7:::\n",
                    "root:x:0:\ngpio:x:986:pi\nadm:x:999:pi\n", "adm:!:root:pi\n")  # fmt: skip
    made = harden(base, users=("tss",))
    assert "root:!*:1:0:99999:7:::" in made.shadow.splitlines()
    assert "adm:!::pi" in made.gshadow.splitlines(), "no administrators of groups"
    assert "sync:x:4:65534:sync:/bin:/bin/sync" in made.passwd.splitlines()
    assert "gpio:x:986:pi" in made.group.splitlines()
    uid, gid = made.ids()
    assert f"getuige:x:{gid}:" in made.group.splitlines()
    assert uid < 999
    with pytest.raises(ImageError, match="there is no user"):
        base.ids()
    for spoilt, why in (
        (made, "has a user or group getuige already"),
        (replace(base, passwd=base.passwd + "getuige:x:0:0::/:/bin/sh\n"), "has a user or group getuige already"),
        (replace(base, group=base.group + "".join(f"g{n}:x:{n}:\n" for n in range(200, 1000))), "no number left"),
        (
            replace(base, passwd=base.passwd + "tss:x:abc:7::/:/bin/sh\n"),
            "/etc/passwd of the base has no number for tss",
        ),
        (replace(base, passwd=base.passwd + "old:x:0999:7::/:/bin/sh\n"), "has no number for old"),
        (replace(base, passwd=base.passwd + "old:x:7:²::/:/bin/sh\n"), "has no number for old"),
        (replace(base, group=base.group + "i2c:x::pi\n"), "/etc/group of the base has no number for i2c"),
        (replace(base, passwd=base.passwd + "tss:x:0:7::/:/bin/sh\n"), "has root's number for tss"),
        (replace(base, group=base.group + "video:x:0:pi\n"), "/etc/group of the base has root's number for video"),
    ):
        with pytest.raises(ImageError, match=why):
            harden(spoilt)


@pytest.mark.parametrize("path", ["relative", "/a/../b", "/", "//a", "/a/", "/" + "x" * 256, "/line\nbreak"])
def test_a_path_that_leaves_the_root_is_refused(path: str) -> None:
    with pytest.raises(ImageError, match="is no path"):
        Overlay().add([file(path, "")])
    with pytest.raises(ImageError, match="is no path"):
        Overlay().remove([path])


def test_the_projects_own_lock_is_read_for_both_pythons() -> None:
    text = (ROOT / "requirements" / "device.lock").read_text()
    for python, version in (("3.11", "18"), ("3.13", "19")):
        found = {pin.name: pin for pin in wheels.pins(text, python)}
        assert found["av"].version.startswith(version)
        assert {"cryptography", "cbor2", "picamera2", "numpy", "zeroconf"} <= found.keys()
        assert not found.keys() & {"colorama", *wheels.FROM_THE_SYSTEM}
        assert all(pin.digests for pin in found.values())
    names = {pin.name for pin in wheels.pins(text, "3.11")} | set(wheels.FROM_THE_SYSTEM)
    assert {"typing-extensions"} <= names


@quick
@given(st.text(max_size=200))
def test_a_lock_without_digests_is_refused(text: str) -> None:
    with pytest.raises(ImageError):
        wheels.pins(text, "3.13")


@pytest.mark.parametrize(
    "line",
    [
        "plain==1",
        "plain>=1 --hash=sha256:" + "0" * 64,
        "-r other.txt",
        "a==1 ; nonsense \\\n  --hash=sha256:" + "0" * 64,
    ],
)
def test_a_line_that_pins_nothing_is_refused(line: str) -> None:
    with pytest.raises(ImageError, match="the lock of the device's packages"):
        wheels.pins(line, "3.13")


def a_pin(path: Path) -> wheels.Pin:
    return wheels.Pin(path.name.split("-")[0], "1.0", frozenset({hashlib.sha256(path.read_bytes()).hexdigest()}))


@pytest.mark.parametrize("name", ["../evil.py", "/etc/passwd", "plain/../../evil.py", "a\\b"])
def test_a_wheel_that_wants_a_file_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    path = Bench(tmp_path).wheel("plain", "1.0", "py3-none-any", {name: b"evil"})
    found = wheels.load([a_pin(path)], "3.13", path.parent)
    with pytest.raises(ImageError, match=r"outside of its place|is damaged"):
        list(wheels.environment_entries(found, "3.13"))


def _truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flip(data: bytes) -> bytes:
    at = data.index(b"METADATA") + len(b"METADATA") + 5
    return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]


def _not_a_zip(data: bytes) -> bytes:
    return b"no zip"


@pytest.mark.parametrize("spoil", [_truncate, _flip, _not_a_zip])
def test_a_damaged_wheel_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = Bench(tmp_path).wheel("plain", "1.0", "py3-none-any")
    path.write_bytes(spoil(path.read_bytes()))
    found = wheels.load([a_pin(path)], "3.13", path.parent)
    with pytest.raises(ImageError, match="is damaged"):
        list(wheels.environment_entries(found, "3.13"))


def test_a_wheel_whose_list_lies_is_refused(tmp_path: Path) -> None:
    path = Bench(tmp_path).wheel("plain", "1.0", "py3-none-any")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("plain/more.py", "not in the list")
    found = wheels.load([a_pin(path)], "3.13", path.parent)
    with pytest.raises(ImageError, match=r"plain/more\.py is not as its own list says"):
        list(wheels.environment_entries(found, "3.13"))


@pytest.mark.parametrize(
    "tag",
    [
        "cp313-cp313-manylinux_2_28_x86_64",
        "cp311-cp311-manylinux_2_28_aarch64",
        "cp313-cp313-musllinux_1_2_aarch64",
        "cp313-cp313-manylinux_2_99_aarch64",
    ],
)
def test_a_wheel_for_another_machine_is_none(tmp_path: Path, tag: str) -> None:
    path = Bench(tmp_path).wheel("plain", "1.0", tag)
    with pytest.raises(ImageError, match="has no wheel of plain"):
        wheels.load([a_pin(path)], "3.13", path.parent)


def test_wheels_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By pip itself, from a folder in place of an index."""
    bench = Bench(tmp_path)
    pins = wheels.pins((bench.project() / "requirements" / "device.lock").read_text(), "3.13")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    cache = tmp_path / "cache"
    wheels.fetch(pins, "3.13", cache)
    assert sorted(path.name for path in cache.iterdir()) == [f"native-2.1-{NATIVE}.whl", "plain-1.0-py3-none-any.whl"]
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "none"))
    wheels.fetch(pins, "3.13", cache)
    assert {wheel.name for wheel in wheels.load(pins, "3.13", cache)} == {"plain", "native"}
    next(cache.glob("plain-*")).unlink()
    with pytest.raises(ImageError, match=r"^the wheels could not be fetched: ERROR: [^\n]*plain"):
        wheels.fetch(pins, "3.13", cache)


@pytest.fixture
def root(tmp_path: Path) -> Ext4:
    path = tmp_path / "root.ext4"
    path.write_bytes(b"")
    with path.open("r+b") as image:
        image.truncate(16 * 1024 * 1024)
    run(["mkfs.ext4", "-q", "-F", path], EPOCH_S)
    return Ext4(path, EPOCH_S)


def lay(root: Ext4, *entries: object) -> None:
    overlay = Overlay()
    overlay.add(entries)  # type: ignore[arg-type]
    settled = root.settle(overlay)
    root.apply(settled)
    root.verify(settled)


def test_packages_are_fetched_as_the_base_would(tmp_path: Path, root: Ext4) -> None:
    """By apt itself, from an archive in a folder: with what they need, and without what the base has."""
    bench = Bench(tmp_path)
    repository = tmp_path / "debs"
    for name in ("wanted", "needed", "there"):
        bench.deb(name)
    control = run(["dpkg-deb", "--field", repository / "wanted_2.0-1_arm64.deb"], EPOCH_S).stdout.decode()
    assert "Package: wanted" in control
    index = ""
    for path in sorted(repository.glob("*.deb")):
        fields = run(["dpkg-deb", "--field", path], EPOCH_S).stdout.decode()
        depends = "Depends: needed, there\n" if path.name.startswith("wanted") else ""
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        index += f"{fields}{depends}Filename: ./{path.name}\nSize: {path.stat().st_size}\nSHA256: {digest}\n\n"
    (repository / "Packages").write_text(index)
    status = "Package: there\nStatus: install ok installed\nArchitecture: arm64\nMaintainer: A\nVersion: 1:2.0-1\n"
    sources = file("/etc/apt/sources.list", f"deb [trusted=yes] copy:{repository} ./\n")
    lay(root, sources, file("/var/lib/dpkg/status", f"{status}Description: x\n\n"))
    assert packages.lacking(debs.packages_of(status), ["wanted", "there"]) == ["wanted"]
    target = tmp_path / "fetched" / "set"
    packages.fetch(root, ["wanted"], target)
    found = {debs.load_deb(path).name for path in target.glob("*.deb")}
    assert found == {"wanted", "needed"}
    with pytest.raises(ImageError, match=r"^the packages could not be fetched: Unable to locate package nothing"):
        packages.fetch(root, ["nothing"], tmp_path / "fetched" / "other")
    assert sorted(path.name for path in (tmp_path / "fetched").iterdir()) == ["set"]


def test_an_archive_that_is_not_signed_by_the_bases_keys_is_refused(tmp_path: Path, root: Ext4) -> None:
    (tmp_path / "debs").mkdir()
    (tmp_path / "debs" / "Packages").write_text("")
    (tmp_path / "debs" / "Release").write_text("Origin: nobody\n")
    lay(root, file("/etc/apt/sources.list", f"deb copy:{tmp_path / 'debs'} ./\n"))
    with pytest.raises(ImageError, match="package lists could not be fetched"):
        packages.fetch(root, ["wanted"], tmp_path / "fetched" / "set")


def test_a_base_without_an_archive_says_what_to_do(tmp_path: Path, root: Ext4) -> None:
    with pytest.raises(ImageError, match=r"names no package archive .* give --debs"):
        packages.fetch(root, ["wanted"], tmp_path / "fetched" / "set")


def test_a_new_version_takes_the_place_of_the_old_one_on_record(tmp_path: Path) -> None:
    deb = debs.load_deb(Bench(tmp_path).deb("thing"))
    old = "Package: thing\nStatus: install ok installed\nVersion: 1\n\n"
    status = f"Package: a\nStatus: install ok installed\n\n{old}Package: z\nStatus: x\n\n"
    record = next(entry for entry in debs.package_entries([deb], status) if entry.path == "/var/lib/dpkg/status")
    names = re.findall(r"^Package: (.*)$", record.data.decode(), re.MULTILINE)
    assert names == ["a", "z", "thing"]
    assert {package.name for package in debs.packages_of(record.data.decode())} == {"a", "thing"}


def test_what_is_laid_over_a_root(root: Ext4) -> None:
    lay(root, folder("/usr/lib", 0o755), link("/lib", "usr/lib"), file("/usr/lib/old", "old", 0o600, 5, 6))
    lay(root, file("/lib/new", b"\0" * 5000 + b"x"), file("/usr/lib/old", "new"), folder("/var/x", 0o700, 7, 8),
        link("/etc/l", "/lib/new"))  # fmt: skip
    assert root.read("/etc/l") == b"\0" * 5000 + b"x"
    assert root.read("/usr/lib/old") == b"new"
    assert root.names("/lib") == ["new", "old"]
    status = root.look(["/var/x", "/usr/lib/old", "/nothing"])
    assert (status["/var/x"].uid, status["/var/x"].gid, oct(status["/var/x"].mode)) == (7, 8, "0o40700")
    assert status["/usr/lib/old"].uid == 0
    assert "/nothing" not in status
    assert root.read("/var/x") is None
    root.check("it")


def test_a_link_that_leads_far_is_followed(root: Ext4) -> None:
    far = "/usr/share/" + "long/" * 15 + "place"
    lay(root, file(f"{far}/it", "it"), link("/near", far))
    assert root.look(["/near"])["/near"].target == far
    assert root.read("/near/it") == b"it"
    assert root.names("/near") == ["it"]
    elsewhere = Overlay()
    elsewhere.add([link("/near", f"{far}s")])
    with pytest.raises(ImageError, match="/near did not come into the image as it should"):
        root.verify(elsewhere)


@pytest.mark.parametrize("name", ["a\nb", "a/b"])
def test_a_name_that_is_not_what_it_seems_is_refused(root: Ext4, name: str) -> None:
    """A listing goes by lines and slashes; what a file system says must not let a file slip through."""
    lay(root, file("/etc/sudoers.d/plain", ""), file("/etc/sudoers.d/qqq", ""))
    image = root.path.read_bytes()
    assert image.count(b"qqq") == 1
    root.path.write_bytes(image.replace(b"qqq", name.encode()))
    with pytest.raises(ImageError, match=r"/etc/sudoers\.d of the base has a file of an impossible name"):
        root.names("/etc/sudoers.d")


def test_a_name_like_debugfs_own_words_is_no_traceback(root: Ext4) -> None:
    lay(root, file("/etc/x", ""), file("/etc/q: stat yyyyyyy", ""))
    root.path.write_bytes(root.path.read_bytes().replace(b"q: stat yyyyyyy", b"debugfs: stat y"))
    assert root.names("/etc") == ["debugfs: stat y", "x"]
    with pytest.raises(ImageError, match="cannot be told from what debugfs says"):
        root.look(["/etc/debugfs: stat y", "/etc/x"])


def test_a_folder_is_never_replaced_by_a_file(root: Ext4) -> None:
    lay(root, folder("/etc/thing"))
    replacing, removing = Overlay(), Overlay()
    replacing.add([file("/etc/thing", "")])
    removing.remove(["/etc/thing"])
    for overlay in (replacing, removing):
        with pytest.raises(ImageError, match="/etc/thing of the base is a folder"):
            root.apply(overlay)


def test_a_full_root_is_one_clear_line(root: Ext4) -> None:
    overlay = Overlay()
    overlay.add([file("/big", bytes(range(256)) * 4096 * 20)])
    with pytest.raises(ImageError, match=r"^[^\n]*full[^\n]*$"):
        root.apply(overlay)
    assert root.room_for(overlay) > 20 * 1024 * 1024


def test_a_program_that_fails_says_its_last_line() -> None:
    with pytest.raises(ImageError, match=r"^debugfs failed \(status \d+\): "):
        run(["debugfs", "--nonsense"], EPOCH_S)
    with pytest.raises(ImageError, match=r"^nothing-of-this-name is missing on this machine: apt install"):
        run(["nothing-of-this-name"], EPOCH_S)
    assert last_line(b"\n one \n two\n\n") == "two"
    assert last_line(b"") == "it said nothing"


def test_the_kit_is_of_the_shape_of_a_base() -> None:
    assert root_files("bookworm", "3.11")["usr/bin/python3"] == "->python3.11"
