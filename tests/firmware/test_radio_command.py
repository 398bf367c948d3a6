"""``radio``, as the system runs it, in a folder that stands for the root: what the policy and the unit allow."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware.cli import main
from firmware.errors import EnrolError
from firmware.networks import NetworksFile, with_broker
from firmware.settings import LiveOptions
from storage.keyfiles import device_id, load_device_key
from tests.firmware.device import Kit
from wire.networks import NONE, Networks, Security, Wifi

PHRASE = "a passphrase of nobody"
NETWORKS = Networks(
    "broker.unit.example", 8883,
    (Wifi(b"Unit", Security.WPA, PHRASE), Wifi(b"Police", Security.EAP_TLS, server="radius.unit.example")),
)  # fmt: skip


@dataclass
class System:
    """A device's folder, and the folders in memory that the system has."""

    kit: Kit
    run: Path

    @property
    def state(self) -> Path:
        return self.kit.base / "state"

    @property
    def flag(self) -> Path:
        return self.run / "getuige-radio" / "wifi"

    @property
    def profiles(self) -> Path:
        return self.run / "NetworkManager" / "system-connections"

    @property
    def is_on(self) -> bool:
        """Whether NetworkManager starts; it is to have networks then, and none otherwise."""
        names = sorted(path.name for path in self.profiles.iterdir())
        assert bool([name for name in names if name.startswith("getuige-")]) is self.flag.exists()
        return self.flag.exists()

    def start(self, status: int = 0) -> None:
        """What getuige-radio.service does at a start."""
        arguments = ["--settings", str(self.kit.settings), "--flag", str(self.flag), "--profiles", str(self.profiles)]
        assert main(["radio", *arguments]) == status


def system(base: Path, live: str = "on", networks: Networks = NETWORKS) -> System:
    made = System(Kit.make(base / "kit", live=f'"{live}"'), base / "run")
    made.flag.parent.mkdir(parents=True)
    NetworksFile(made.state).save(networks)
    return made


@pytest.mark.parametrize(("live", "allowed"), [("off", False), ("ask", True), ("on", True)])
def test_the_policy_decides_about_the_radio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], live: str, allowed: bool
) -> None:
    made = system(tmp_path, live)
    capsys.readouterr()
    made.start()
    assert made.is_on is allowed
    said = capsys.readouterr()
    assert said.out.startswith(f"radio {'allowed' if allowed else 'off'}: the policy says live = {live}")
    assert PHRASE not in said.out + said.err


def test_networks_are_roots_alone_and_go_when_the_policy_turns_live_off(tmp_path: Path) -> None:
    made = system(tmp_path)
    old = os.umask(0)
    try:
        made.start()
    finally:
        os.umask(old)
    first, second = sorted(made.profiles.iterdir())
    for path in (first, second):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"psk={PHRASE.replace(' ', chr(92) + 's')}\n" in first.read_text()
    device = device_id(load_device_key(made.state / "device.pub")).hex()
    assert f"identity={device}\n" in second.read_text()
    assert f"ca-cert={made.kit.base}/tls/ca.crt\n" in second.read_text()
    foreign = made.profiles / "somebody-elses.nmconnection"
    foreign.touch()
    off = Kit.make(tmp_path / "off", live='"off"')
    for name in ("unit.pub", "policy.toml", "policy.serial"):
        (off.base / "state" / name).replace(made.state / name)
    made.start()
    assert not made.is_on
    assert list(made.profiles.iterdir()) == [foreign]


def test_a_new_set_of_networks_takes_the_place_of_the_old(tmp_path: Path) -> None:
    made = system(tmp_path)
    made.start()
    NetworksFile(made.state).save(Networks("other", 1, (Wifi(b"Other", Security.WPA3, "another phrase"),)))
    made.start()
    (only,) = made.profiles.iterdir()
    assert "key-mgmt=sae\n" in only.read_text()
    NetworksFile(made.state).save(NONE)
    made.start()
    assert not made.is_on
    assert PHRASE.encode() not in b"".join(path.read_bytes() for path in made.state.iterdir() if path.is_file())


def test_without_a_network_there_is_nothing_to_turn_a_radio_on_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = system(tmp_path, networks=NONE)
    made.start()
    assert not made.is_on
    assert "and the unit gave this device no network (station enrol --networks)\n" in capsys.readouterr().out


@pytest.mark.parametrize("broken", ["unenrolled", "forged", "none"])
def test_without_a_good_policy_there_is_no_radio(tmp_path: Path, broken: str) -> None:
    made = system(tmp_path)
    made.start()
    assert made.is_on
    if broken == "unenrolled":
        (made.state / "keyring").unlink()
    elif broken == "none":
        (made.state / "policy.toml").unlink()
    else:
        text = (made.state / "policy.toml").read_bytes()
        (made.state / "policy.toml").write_bytes(text.replace(b"Test unit", b"Nest unit"))
    made.start()
    assert not made.is_on


def test_a_radio_that_nobody_can_be_told_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = system(tmp_path)
    made.flag.parent.rmdir()
    made.start(status=2)
    assert capsys.readouterr().err.startswith("firmware: cannot tell the system about the radio at ")


def test_profiles_that_cannot_be_written_leave_the_radio_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = system(tmp_path)
    made.start()
    for path in made.profiles.iterdir():
        path.unlink()
    made.profiles.rmdir()
    made.profiles.write_text("")
    made.start(status=2)
    assert not made.flag.exists()
    said = capsys.readouterr().err
    assert said.startswith("firmware: cannot tell the system about the radio at ")
    assert PHRASE not in said


@pytest.mark.parametrize("spoil", ["garbage", "link", "pipe", "folder", "huge", "empty"])
def test_a_spoilt_file_is_told_and_leads_nobody_astray(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: str
) -> None:
    """Root reads a folder that is not root's: what lies there may be anything."""
    made = system(tmp_path)
    path = made.state / "networks"
    elsewhere = path.rename(tmp_path / "elsewhere")
    match spoil:
        case "garbage":
            path.write_bytes(elsewhere.read_bytes()[:-9] + b"\xff")
        case "link":
            path.symlink_to(elsewhere)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "huge":
            path.write_bytes(elsewhere.read_bytes() + b" " * 100_000)
        case _:
            path.touch()
    capsys.readouterr()
    made.start()
    assert not made.is_on
    said = capsys.readouterr().out
    assert said.startswith(f"radio off: cannot read {path}: " if spoil == "link" else f"radio off: {path} is damaged; ")
    assert said.count("\n") == 1
    assert PHRASE not in said


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_are_networks_or_one_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "networks").write_bytes(data)
    with pytest.raises(EnrolError):
        NetworksFile(tmp_path).load()


def test_the_file_is_the_devices_alone_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = NetworksFile(tmp_path)
    assert file.load() == NONE
    file.save(NONE)
    assert list(tmp_path.iterdir()) == [], "where there was nothing, nothing is made"
    path = tmp_path / "networks"
    (tmp_path / "networks.new").write_bytes(NETWORKS.encode())
    file.save(NONE)
    assert [item.read_bytes() for item in tmp_path.iterdir()] == [NONE.encode()]
    file.save(NETWORKS)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert file.load() == NETWORKS
    held = path.open("rb")
    file.save(NONE)
    assert file.load() == NONE
    with held:
        assert PHRASE.encode() not in held.read(), "what was there is overwritten"
    assert PHRASE not in repr(NETWORKS)


def test_the_settings_win_over_what_the_unit_gave() -> None:
    assert with_broker(LiveOptions(), NETWORKS) == LiveOptions("broker.unit.example", 8883)
    assert with_broker(LiveOptions(previews=False), NETWORKS).previews is False
    assert with_broker(LiveOptions("bench", 1), NETWORKS) == LiveOptions("bench", 1)
    assert with_broker(LiveOptions(), NONE) == LiveOptions()
