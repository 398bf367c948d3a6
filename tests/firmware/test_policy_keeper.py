"""The unit's policy on the device: what is taken, what is refused, and what a crash or a clock does to it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from capture.profiles import PROFILES
from firmware.policy_keeper import Kept, PolicyKeeper
from station.keys import StationKey
from storage.errors import PolicyError
from storage.keyfiles import load_signing_key
from storage.policy import sign_policy
from storage.policy_fields import Policy
from storage.policy_file import MARK, sign_text
from storage.signer import MemorySigner
from tests.firmware.policies import UNIT, make_policy, policy_text

SECOND = 1_000_000_000
DAY = 24 * 3600 * SECOND
YEAR = 365 * DAY
NOW = 1_780_000_000 * SECOND
"""In May 2026: between `ISSUED` and `EXPIRES` of the policies made here."""
RECIPIENT = StationKey.generate(hybrid=False).recipient
OTHER = MemorySigner.generate()


def signed(serial: int = 1, by: MemorySigner = UNIT, **changes: str) -> bytes:
    return sign_policy(policy_text([RECIPIENT], serial=str(serial), **changes), by)


class Device:
    """A state folder, and the keepers of one boot after the other."""

    def __init__(self, state: Path) -> None:
        self.state = state
        state.mkdir()
        self.keeper.trust(UNIT.public)

    @property
    def keeper(self) -> PolicyKeeper:
        """As after a boot."""
        return PolicyKeeper(self.state)

    def offer(self, data: bytes, utc_ns: int = NOW, *, clock_known: bool = True) -> Policy:
        return self.keeper.offer(data, utc_ns, clock_known=clock_known)

    def refuses(self, data: bytes, utc_ns: int = NOW, *, clock_known: bool = True) -> str:
        """Return why; nothing on flash has changed."""
        before = self.files
        with pytest.raises(PolicyError) as raised:
            self.offer(data, utc_ns, clock_known=clock_known)
        assert self.files == before
        assert "\n" not in str(raised.value)
        return str(raised.value)

    @property
    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.state.iterdir()}

    @property
    def policy(self) -> Policy:
        kept = self.keeper.load()
        assert kept.trouble == ""
        assert kept.policy is not None
        return kept.policy

    @property
    def trouble(self) -> str:
        kept = self.keeper.load()
        assert kept.policy is None
        return kept.trouble


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path / "state")


# --------------------------------------------------------------------------------------------------- the anchor


def test_a_new_device_belongs_to_nobody(tmp_path: Path) -> None:
    keeper = PolicyKeeper(tmp_path)
    assert not keeper.enrolled
    says = f"this device belongs to no unit: there is no {tmp_path / 'unit.pub'}; enrol it first"
    assert keeper.load() == Kept(None, says)
    with pytest.raises(PolicyError) as raised:
        keeper.offer(signed(), NOW, clock_known=True)
    assert str(raised.value) == says
    assert list(tmp_path.iterdir()) == []


def test_trust_comes_once(tmp_path: Path) -> None:
    keeper = PolicyKeeper(tmp_path)
    keeper.trust(UNIT.public)
    assert keeper.enrolled
    assert load_signing_key(tmp_path / "unit.pub", "key") == UNIT.public
    assert (tmp_path / "unit.pub").stat().st_mode & 0o777 == 0o644
    before = (tmp_path / "unit.pub").stat()
    PolicyKeeper(tmp_path).trust(UNIT.public)
    with pytest.raises(PolicyError, match="this device belongs to another unit, whose key is "):
        PolicyKeeper(tmp_path).trust(OTHER.public)
    assert (tmp_path / "unit.pub").stat() == before
    assert [path.name for path in tmp_path.iterdir()] == ["unit.pub"]


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(33)])
def test_what_is_no_key_is_not_trusted(tmp_path: Path, key: bytes) -> None:
    with pytest.raises(PolicyError, match="not an Ed25519 public key of 32 bytes"):
        PolicyKeeper(tmp_path).trust(key)
    assert not PolicyKeeper(tmp_path).enrolled


@pytest.mark.parametrize("damage", [b"", b"garbage", None])
def test_a_damaged_anchor_is_never_replaced(device: Device, damage: bytes | None) -> None:
    device.offer(signed())
    anchor = device.state / "unit.pub"
    anchor.unlink()
    if damage is None:
        anchor.mkdir()
    else:
        anchor.write_bytes(damage)
    assert not device.keeper.enrolled
    assert device.trouble.endswith("; enrol the device anew")
    for key in (UNIT.public, OTHER.public):
        with pytest.raises(PolicyError, match="; enrol the device anew"):
            device.keeper.trust(key)


def test_where_no_anchor_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"cannot write the unit's key .*: No such file or directory"):
        PolicyKeeper(tmp_path / "nowhere").trust(UNIT.public)


def test_a_state_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    keeper = PolicyKeeper(tmp_path / "file")
    assert not keeper.enrolled
    assert "cannot read the unit's key" in keeper.load().trouble


# ------------------------------------------------------------------------------------- what is taken and refused


def test_enrolled_without_a_policy(device: Device) -> None:
    assert (
        device.trouble == f"this device has no policy: there is no {device.state / 'policy.toml'}; give it the unit's"
    )


def test_a_policy_is_taken_and_stays(device: Device) -> None:
    data = signed(7, reminder_min="5")
    policy = device.offer(data)
    assert (policy.serial, policy.recording.reminder_min) == (7, 5)
    assert device.policy == policy
    assert device.files["policy.toml"] == data
    assert device.files["policy.serial"] == f"7 {policy.digest.hex()}\n".encode()
    assert sorted(device.files) == ["policy.serial", "policy.toml", "unit.pub"]


def test_a_newer_one_replaces_it(device: Device) -> None:
    device.offer(signed(1))
    device.offer(signed(2, live='"on"'))
    assert (device.policy.serial, device.policy.recording.live.value) == (2, "on")
    device.offer(signed(4294967295))
    assert device.policy.serial == 4294967295


def test_the_same_bytes_again(device: Device) -> None:
    data = signed(3)
    first = device.offer(data)
    before = {path.name: path.stat().st_ino for path in device.state.iterdir()}
    assert device.offer(data) == first
    assert {path.name: path.stat().st_ino for path in device.state.iterdir()} == before
    # Though it has expired meanwhile, or the clock has gone astray.
    for time_ns in (-(10**18), 0, NOW + 100 * YEAR):
        assert device.offer(data, time_ns) == first


def test_replay(device: Device) -> None:
    old, new = signed(1), signed(2)
    device.offer(old)
    device.offer(new)
    says = "the policy is refused: serial 1 is older than serial 2, which this device took before"
    assert device.refuses(old) == says
    assert device.refuses(old, clock_known=False) == says
    assert device.policy.serial == 2


def test_the_same_serial_with_other_content(device: Device) -> None:
    device.offer(signed(5))
    assert device.refuses(signed(5, live='"on"')) == (
        "the policy is refused: another policy with serial 5 was taken before: a change needs a higher serial"
    )
    assert device.policy.recording.live.value == "off"


@pytest.mark.parametrize("lost", ["deleted", "damaged", "cut", "foreign", "a folder"])
def test_replay_after_the_policy_was_lost(device: Device, lost: str) -> None:
    """What was in force is taken again, and a newer one; nothing older."""
    older, data, newer = signed(4), signed(5), signed(6)
    device.offer(older)
    device.offer(data)
    path = device.state / "policy.toml"
    if lost == "damaged":
        path.write_bytes(data.replace(b"Test", b"Best"))
    elif lost == "cut":
        path.write_bytes(data[:100])
    elif lost == "foreign":
        path.write_bytes(signed(9, OTHER))
    else:
        path.unlink()
    if lost == "a folder":
        path.mkdir()
        assert "cannot read the policy" in device.trouble
        path.rmdir()
    assert device.trouble != ""
    assert str(path) in device.trouble
    for replayed in (older, signed(5, live='"on"')):
        device.refuses(replayed)
    if lost == "deleted":
        assert device.offer(newer).serial == 6
    else:
        assert device.offer(data).serial == 5
    assert device.policy.serial in (5, 6)


def test_an_old_policy_put_back_behind_our_back(device: Device) -> None:
    old, new = signed(1), signed(2)
    device.offer(old)
    device.offer(new)
    (device.state / "policy.toml").write_bytes(old)
    assert "serial 1 is older than serial 2" in device.trouble
    assert device.trouble.endswith("give the device the newest policy")
    device.refuses(old)
    assert device.offer(new).serial == 2
    assert device.policy.serial == 2


@pytest.mark.parametrize(
    "note", [None, b"", b"x", b"1", b"x y", b"9 00", b"0 " + b"00" * 32, b"-1 " + b"00" * 32, b"\xff " * 9, b"9" * 200]
)
def test_a_lost_note_is_made_anew_from_the_policy_in_force(device: Device, note: bytes | None) -> None:
    device.offer(signed(3))
    path = device.state / "policy.serial"
    good = path.read_bytes()
    path.unlink()
    if note is not None:
        path.write_bytes(note)
    with pytest.raises(PolicyError, match="serial 2 is older than serial 3"):
        device.offer(signed(2))
    with pytest.raises(PolicyError, match="another policy with serial 3"):
        device.offer(signed(3, live='"on"'))
    assert device.policy.serial == 3
    assert path.read_bytes() == good


def test_a_note_that_cannot_be_written_leaves_the_policy_in_force(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = signed(1), signed(2)
    device.offer(old)
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.name == "policy.serial":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    says = f"cannot note the policy's serial in {device.state / 'policy.serial'}: No space left on device"
    with pytest.raises(PolicyError) as raised:
        device.offer(new)
    assert str(raised.value) == says
    kept = device.keeper.load()
    assert kept.policy is not None
    assert (kept.policy.serial, kept.trouble) == (2, says)
    # The medium recovers: offering again completes it.
    monkeypatch.undo()
    assert device.offer(new).serial == 2
    assert device.files["policy.serial"].startswith(b"2 ")


def test_a_policy_that_cannot_be_written(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    device.offer(signed(1))

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PolicyError, match=r"cannot write the policy .*: No space left on device"):
        device.offer(signed(2))
    monkeypatch.undo()
    assert device.policy.serial == 1
    assert device.offer(signed(2)).serial == 2


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the policy is not signed"),
        (policy_text([RECIPIENT], serial="2"), "the policy is not signed"),
        (signed(2, OTHER), "the policy is not signed by this unit"),
        (signed(2).replace(b"Test unit", b"Best unit"), "the policy is not signed by this unit"),
        (signed(2)[:-3], "the policy's signature is not"),
        (MARK, "the signature must be one line, the last"),
        (b"x" * 70_000, "the policy is longer than"),
        (sign_text(b"serial = ", UNIT), "the policy is not TOML"),
        (sign_text(b"a = " + b"[" * 50_000, UNIT), "nested too deep"),
        (sign_text(policy_text([RECIPIENT], serial="2", pre_event_s="31"), UNIT), "policy key recording.pre_event_s: "),
        (signed(2, video_profile='"8k"'), "policy key recording.video_profile: '8k' is none of 1080p30, "),
    ],
    ids=[
        "empty", "unsigned", "foreign", "changed", "cut", "mark", "long", "no TOML", "deep", "range",
        "profile",
    ],
)  # fmt: skip
def test_the_last_good_one_stays_whatever_is_offered(device: Device, data: bytes, says: str) -> None:
    assert says in device.refuses(data)
    policy = device.offer(signed(1))
    assert says in device.refuses(data)
    assert device.policy == policy


def test_every_profile_of_this_device(device: Device) -> None:
    for serial, name in enumerate(PROFILES, 1):
        assert device.offer(signed(serial, video_profile=f'"{name}"')).recording.video_profile == name


def test_the_helper_of_other_tests(tmp_path: Path) -> None:
    station = StationKey.generate(hybrid=False)
    data = make_policy(tmp_path / "a" / "state", station, serial="3", languages='["en"]')
    kept = PolicyKeeper(tmp_path / "a" / "state").load()
    assert kept.policy is not None
    assert (kept.policy.signals.languages, kept.trouble) == (("en",), "")
    assert [item.raw for item in kept.policy.evidence.recipients] == [station.recipient.raw]
    assert (tmp_path / "a" / "state" / "policy.toml").read_bytes() == data


# ------------------------------------------------------------------------------------------------------ the clock


def test_an_expired_policy_is_not_taken(device: Device) -> None:
    data = signed(2, expires="2026-02-01T00:00:00Z")
    device.offer(signed(1))
    says = device.refuses(data)
    assert says == (
        "the policy is refused: it expired 2026-02-01T00:00+00:00; the device's clock says 2026-05-28T20:26+00:00"
    )
    assert device.policy.serial == 1
    last_ns = 1_769_904_000 * SECOND
    device.refuses(data, last_ns)
    assert device.offer(data, last_ns - 1).serial == 2


def test_a_policy_of_the_future_is_not_taken(device: Device) -> None:
    device.offer(signed(1))
    issued_ns = 1_767_225_600 * SECOND
    says = device.refuses(signed(2), issued_ns - DAY - 1)
    assert says == (
        "the policy is refused: it is of the future, issued 2026-01-01T00:00+00:00; "
        "the device's clock says 2025-12-30T23:59+00:00"
    )
    assert device.offer(signed(2), issued_ns - DAY).serial == 2


@pytest.mark.parametrize("utc_ns", [-(2**63), 0, NOW, NOW + 50 * YEAR, 2**63 - 1])
def test_a_clock_that_nothing_has_set_judges_nothing(device: Device, utc_ns: int) -> None:
    """A device from a drawer, its battery long empty, takes the policy it needs."""
    assert device.offer(signed(1), utc_ns, clock_known=False).serial == 1
    assert device.offer(signed(2, expires="2026-01-02T00:00:00Z"), utc_ns, clock_known=False).serial == 2
    device.refuses(signed(1), utc_ns, clock_known=False)


@pytest.mark.parametrize("years", [-56, -1, 11, 60, 234, 10_000])
def test_a_clock_that_jumps_by_years_refuses_clearly_and_harms_nothing(device: Device, years: int) -> None:
    policy = device.offer(signed(1))
    astray_ns = NOW + years * YEAR
    assert "the device's clock says " in device.refuses(signed(2), astray_ns)
    assert device.policy == policy
    assert device.policy.expired_at(astray_ns) == (years > 0)
    assert device.offer(signed(2), NOW).serial == 2


def test_a_policy_that_expires_in_the_field_stays_in_force(device: Device) -> None:
    data = signed(1, expires="2026-05-28T20:26:40Z")
    device.offer(data, NOW - 1)
    kept = device.keeper.load()
    assert kept.policy is not None
    assert (kept.trouble, kept.policy.expired_at(NOW - 1), kept.policy.expired_at(NOW)) == ("", False, True)
    # It is warned about, not dropped; and gives way to a newer one only.
    device.refuses(signed(2, expires="2026-05-28T20:26:41Z"), NOW + SECOND)
    assert device.policy.serial == 1
    assert device.offer(signed(2), NOW).serial == 2


# ----------------------------------------------------------------------------------------------- power that goes


class PowerGone(BaseException):
    """Nothing after this reaches the disk, no tidying up either."""


STEPS: list[tuple[object, str]] = [
    (os, "open"), (os, "writev"), (os, "fsync"), (os, "close"), (Path, "unlink"), (Path, "replace"),
]  # fmt: skip


def without_power_after(step: int, action: Callable[[], object]) -> bool:
    """Run `action` with the power going at its `step`-th call to the medium; whether it came to its end before."""
    calls = itertools.count(1)

    def until(call: Callable[..., object], calls: Iterator[int] = calls) -> Callable[..., object]:
        def stand_in(*args: object, **more: object) -> object:
            if next(calls) >= step:
                raise PowerGone
            return call(*args, **more)

        return stand_in

    opened = {int(link.name) for link in Path("/proc/self/fd").iterdir()}
    done = False
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(PowerGone):
        for owner, name in STEPS:
            patch.setattr(owner, name, until(getattr(owner, name)))
        action()
        done = True
    for fd in {int(link.name) for link in Path("/proc/self/fd").iterdir()} - opened:
        with contextlib.suppress(OSError):  # the one that listed them
            os.close(fd)
    return done


@pytest.mark.parametrize("left", [None, b"of a crash before"], ids=["none", "some"])
def test_the_old_or_the_new_policy_whole(tmp_path: Path, left: bytes | None) -> None:
    """The power goes at each call in turn; after the next boot one of the two is in force, and nothing older."""
    old, new = signed(1), signed(2, live='"on"')
    found = []
    for step in itertools.count(1):
        device = Device(tmp_path / str(step))
        device.offer(old)
        if left is not None:
            for name in ("policy.toml.new", "policy.serial.new"):
                (device.state / name).write_bytes(left)
        done = without_power_after(step, lambda keeper=device.keeper: keeper.offer(new, NOW, clock_known=True))  # type: ignore[misc]
        serial = device.policy.serial
        found.append(serial)
        assert device.files["policy.serial"].startswith(f"{serial} ".encode())
        if serial == 2:
            (device.state / "policy.toml").unlink()
            device.refuses(old)
        assert device.offer(new).serial == 2
        if done:
            break
        assert sorted(set(device.files) - {"policy.serial.new"}) == ["policy.serial", "policy.toml", "unit.pub"]
    changed = found.index(2)
    assert 3 < changed < len(found) - 3
    assert found == [1] * changed + [2] * (len(found) - changed)


def test_power_that_goes_while_a_serial_is_noted_at_boot(tmp_path: Path) -> None:
    """The crash after the crash: the new policy stays, and is noted at the first boot that comes to it."""
    for step in itertools.count(1):
        device = Device(tmp_path / str(step))
        device.offer(signed(1))
        note = (device.state / "policy.serial").read_bytes()
        device.offer(signed(2))
        (device.state / "policy.serial").write_bytes(note)
        done = without_power_after(step, device.keeper.load)
        assert device.policy.serial == 2
        device.refuses(signed(1))
        if done:
            break
    assert step > 5


def test_power_that_goes_at_enrolment(tmp_path: Path) -> None:
    for step in itertools.count(1):
        state = tmp_path / str(step)
        state.mkdir()
        done = without_power_after(step, lambda state=state: PolicyKeeper(state).trust(UNIT.public))  # type: ignore[misc]
        PolicyKeeper(state).trust(UNIT.public)
        assert PolicyKeeper(state).enrolled
        assert [path.name for path in state.iterdir()] == ["unit.pub"]
        if done:
            break
    assert step > 4


# ------------------------------------------------------------------------------------------------ any order at all

POOL = {
    (serial, live): signed(serial, live=f'"{live}"', expires="2026-06-30T00:00:00Z")
    for serial in range(1, 7)
    for live in ("off", "on")
}
EXPIRED_NS = 1_782_777_600 * SECOND


class AnyOrder(RuleBasedStateMachine):
    """Offers, losses, boots and crashes in any order: what is in force only ever becomes newer."""

    folder: Path
    count = itertools.count()

    @initialize()
    def enrol(self) -> None:
        self.device = Device(self.folder / str(next(self.count)))
        self.highest: tuple[int, str] | None = None
        self.lost = False

    @rule(
        which=st.sampled_from(sorted(POOL)), utc_ns=st.sampled_from([0, NOW, EXPIRED_NS]), known=st.booleans(),
        power=st.none() | st.integers(1, 20),
    )  # fmt: skip
    def offer(self, which: tuple[int, str], utc_ns: int, known: bool, power: int | None) -> None:
        def offered() -> None:
            self.device.offer(POOL[which], utc_ns, clock_known=known)

        in_date = not known or utc_ns == NOW
        again = which == self.highest and not self.lost
        good = again or ((self.highest is None or which[0] > self.highest[0] or which == self.highest) and in_date)
        if not good:
            with pytest.raises(PolicyError):
                offered()
        elif power is None or without_power_after(power, offered):
            if power is None:
                offered()
            self.highest, self.lost = which, False
        else:
            kept = self.device.keeper.load().policy
            if kept is not None and kept.digest == self.digest(which):
                self.highest, self.lost = which, False

    @rule()
    def lose(self) -> None:
        (self.device.state / "policy.toml").unlink(missing_ok=True)
        self.lost = True

    @rule(data=st.binary(max_size=30) | st.sampled_from([signed(9, OTHER), signed(9)[:-2]]))
    def offer_nonsense(self, data: bytes) -> None:
        self.device.refuses(data)

    @staticmethod
    def digest(which: tuple[int, str]) -> bytes:
        return hashlib.sha256(POOL[which]).digest()

    @invariant()
    def in_force(self) -> None:
        kept = self.device.keeper.load()
        if self.highest is None or self.lost:
            assert kept.policy is None
            assert kept.trouble
        else:
            assert kept.policy is not None
            assert (kept.policy.digest, kept.trouble) == (self.digest(self.highest), "")


def test_any_order(tmp_path: Path) -> None:
    machine = type("Here", (AnyOrder,), {"folder": tmp_path})
    few = settings(max_examples=40, stateful_step_count=12, derandomize=True, deadline=None, database=None)
    run_state_machine_as_test(machine, settings=few)


def test_what_is_kept_cannot_be_changed(device: Device) -> None:
    device.offer(signed())
    with pytest.raises(dataclasses.FrozenInstanceError):
        device.keeper.load().policy = None  # type: ignore[misc]
