"""The unit's policy on the device: taken when good and newer, kept whatever happens (docs/POLICY.md, "Replacement").

In the state folder:

- ``unit.pub``: the unit's public key, installed once at enrolment. It says which policies are this unit's.
- ``policy.toml``: the policy in force, the very bytes that were offered.
- ``policy.serial``: the highest serial ever taken and that policy's digest. It outlives ``policy.toml``, so that what
  was replaced is refused although the policy itself was lost.

A policy is put in place first and its serial noted second. Power that goes in between leaves the new policy, and the
next `load` notes its serial. So a ``policy.toml`` with a lower serial than the noted one was never left by a crash.
Who can write to the state folder can put both back: that is for the image to prevent, not for these files.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from capture.profiles import PROFILES
from storage.durable import replace_file
from storage.errors import KeyFileError, PolicyError
from storage.keyfiles import encode_device_key, load_signing_key
from storage.policy import parse_policy
from storage.policy_fields import Policy
from storage.policy_file import MAX_POLICY_BYTES, require_key

_EARLIEST_NS = 24 * 3600 * 1_000_000_000
"""So long before its `issued` a policy is taken: a clock may be off, or in another time zone, by that much."""
_MAX_NOTE_BYTES = 100
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Kept:
    """What the state folder holds."""

    policy: Policy | None
    """The policy in force; None means that the device must not record."""
    trouble: str = ""
    """One line: why there is none, or what is wrong beside it. Empty when all is well."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """The note of the highest serial."""

    serial: int = 0
    digest: bytes = bytes(_DIGEST_BYTES)

    def refuses(self, policy: Policy) -> str:
        """Return why that policy is a replay; an empty text if it is not."""
        if policy.serial < self.serial:
            return f"serial {policy.serial} is older than serial {self.serial}, which this device took before"
        if policy.serial == self.serial and policy.digest != self.digest:
            return f"another policy with serial {policy.serial} was taken before: a change needs a higher serial"
        return ""


class PolicyKeeper:
    """Keeps the unit's key and policy in a device's state folder. For one thread."""

    def __init__(self, state: Path) -> None:
        self._anchor = state / "unit.pub"
        self._policy = state / "policy.toml"
        self._note = state / "policy.serial"

    @property
    def enrolled(self) -> bool:
        """Whether the device knows its unit."""
        try:
            self._unit()
        except PolicyError:
            return False
        return True

    def trust(self, unit: bytes) -> None:
        """Install the unit's raw 32-byte public key, once in a device's life. The same key again changes nothing.

        Raises:
            PolicyError: the device belongs to another unit, the key is none, or it cannot be written.
        """
        require_key(unit)
        if _there(self._anchor):
            if self._unit() != unit:
                raise PolicyError(f"this device belongs to another unit, whose key is {self._anchor}")
            return
        try:
            replace_file(self._anchor, encode_device_key(unit), mode=0o644)
        except OSError as error:
            raise PolicyError(f"cannot write the unit's key {self._anchor}: {error.strerror}") from error

    def forget(self) -> None:
        """Let go of unit and policy: for a device without an identity, which belongs to nobody.

        Raises:
            OSError: the medium refused.
        """
        for path in (self._note, self._policy, self._anchor):
            path.unlink(missing_ok=True)

    def load(self) -> Kept:
        """Return the policy in force. Its expiry is not judged: `Policy.expired_at` says when to warn.

        A device in the field does not stop recording because a date has passed, or because its clock jumped: an
        officer would stand without a witness, and nothing that the policy protects would be safer.
        """
        try:
            policy, _data = self._stored(self._unit())
        except PolicyError as error:
            return Kept(None, str(error))
        try:
            self._remember(policy)
        except PolicyError as error:
            return Kept(policy, str(error))
        return Kept(policy)

    def replays(self, data: bytes) -> str:
        """Return why a policy of this unit would be refused as older than what was taken before, or an empty text.

        Raises:
            PolicyError: it is not this unit's, or malformed.
        """
        return self._taken().refuses(parse_policy(data, self._unit()))

    def offer(self, data: bytes, utc_ns: int, *, clock_known: bool) -> Policy:
        """Take a policy if it is this unit's, well-formed, in date and newer; return the policy then in force.

        The very bytes that are in force already are taken again, expired or not, and change nothing. Dates are judged
        by `utc_ns` (wall clock, ns since 1970) only if `clock_known` says that something has set that clock: a device
        fresh from a drawer believes it is 1970, and must take the policy it needs all the same.

        Raises:
            PolicyError: refused, with the reason, and the last good policy stays; or the medium refused to write, and
                then `load` says which of the two is in force. It is safe to offer the policy again.
        """
        unit = self._unit()
        policy = _checked(parse_policy(data, unit))
        taken = self._taken()
        try:
            in_force, kept = self._stored(unit)
        except PolicyError:
            in_force, kept = None, b""
        if in_force is None or kept != data:
            # A policy in force whose serial was never noted, by a crash, counts as noted.
            if in_force is not None and in_force.serial > taken.serial:
                taken = _Taken(in_force.serial, in_force.digest)
            if replay := taken.refuses(policy):
                raise PolicyError(f"the policy is refused: {replay}")
            if clock_known:
                _judge_dates(policy, utc_ns)
            try:
                replace_file(self._policy, data)
            except OSError as error:
                raise PolicyError(f"cannot write the policy {self._policy}: {error.strerror}") from error
        self._remember(policy)
        return policy

    def _unit(self) -> bytes:
        if not _there(self._anchor):
            raise PolicyError(f"this device belongs to no unit: there is no {self._anchor}; enrol it first")
        try:
            return load_signing_key(self._anchor, "unit's key")
        except KeyFileError as error:
            raise PolicyError(f"{error}; enrol the device anew") from None

    def _stored(self, unit: bytes) -> tuple[Policy, bytes]:
        """Return the stored policy and its bytes.

        Raises:
            PolicyError: none, unreadable, damaged, or replaced by an older one behind our back.
        """
        try:
            with self._policy.open("rb") as file:
                data = file.read(MAX_POLICY_BYTES + 1)
        except FileNotFoundError:
            raise PolicyError(f"this device has no policy: there is no {self._policy}; give it the unit's") from None
        except OSError as error:
            raise PolicyError(f"cannot read the policy {self._policy}: {error.strerror}") from None
        try:
            policy = _checked(parse_policy(data, unit))
        except PolicyError as error:
            raise PolicyError(f"{self._policy}: {error}; give the device the unit's policy again") from None
        if replay := self._taken().refuses(policy):
            raise PolicyError(f"{self._policy}: {replay}; give the device the newest policy")
        return policy, data

    def _taken(self) -> _Taken:
        """Read the note. One that is missing or damaged counts as none: refusing all would gain nothing."""
        try:
            with self._note.open("rb") as file:
                serial, digest = file.read(_MAX_NOTE_BYTES).decode("ascii").split()
            taken = _Taken(int(serial), bytes.fromhex(digest))
        except (OSError, ValueError):
            return _Taken()
        return taken if taken.serial > 0 and len(taken.digest) == _DIGEST_BYTES else _Taken()

    def _remember(self, policy: Policy) -> None:
        """Note the serial of the policy in force, if it is not noted yet."""
        taken = _Taken(policy.serial, policy.digest)
        if self._taken() == taken:
            return
        try:
            replace_file(self._note, f"{taken.serial} {taken.digest.hex()}\n".encode("ascii"))
        except OSError as error:
            raise PolicyError(f"cannot note the policy's serial in {self._note}: {error.strerror}") from error


def judge(data: bytes, unit: bytes, utc_ns: int) -> Policy:
    """Return a policy that a device of that unit may take at that time (wall clock, ns since 1970); keep nothing.

    Raises:
        PolicyError: it may not, with the reason.
    """
    policy = _checked(parse_policy(data, unit))
    _judge_dates(policy, utc_ns)
    return policy


def _there(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True  # reading it says what is the matter
    return True


def _checked(policy: Policy) -> Policy:
    """Refuse what the format allows and this device cannot do."""
    profile = policy.recording.video_profile
    if profile not in PROFILES:
        raise PolicyError(f"policy key recording.video_profile: {profile!r} is none of {', '.join(PROFILES)}")
    return policy


def _judge_dates(policy: Policy, utc_ns: int) -> None:
    if policy.expired_at(utc_ns):
        raise PolicyError(
            f"the policy is refused: it expired {_day(policy.expires)}; the device's clock says {_now(utc_ns)}"
        )
    if policy.issued_utc_ns - utc_ns > _EARLIEST_NS:
        raise PolicyError(
            f"the policy is refused: it is of the future, issued {_day(policy.issued)}; "
            f"the device's clock says {_now(utc_ns)}"
        )


def _day(time: datetime) -> str:
    return time.isoformat(timespec="minutes")


def _now(utc_ns: int) -> str:
    """Return a wall-clock time in words; a clock that went astray may say what no calendar has."""
    try:
        return _day(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=utc_ns // 1000))
    except OverflowError:
        return f"{utc_ns} ns since 1970"
