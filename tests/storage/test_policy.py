"""The unit policy: its signature, byte for byte, and every key of it."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from station.keys import StationKey, encode_station_key
from storage.envelope import Cipher, Kem, Recipient
from storage.errors import KeyFileError, PolicyError
from storage.keyfiles import encode_recipient, parse_recipient
from storage.policy import parse_draft, parse_policy, sign_policy
from storage.policy_fields import SECTIONS, DarkLight, Live, Policy, keys_of
from storage.policy_file import MARK, MAX_POLICY_BYTES, require_key, sign_text, signed_text
from storage.policy_rules import shown
from storage.signer import MemorySigner
from tests.firmware.policies import ISSUED, UNIT, policy_text

quick = settings(max_examples=150, derandomize=True, deadline=None, database=None)
SMALL = StationKey.generate(hybrid=False).recipient
HYBRID = StationKey.generate().recipient
SEED = bytes(range(32))
"""Of `UNIT`."""


def text(**changes: str) -> bytes:
    return policy_text([SMALL], **changes)


def signed(**changes: str) -> bytes:
    return sign_policy(text(**changes), UNIT)


def pems(*items: str) -> str:
    return "[" + ", ".join(f"'''{item}'''" for item in items) + "]"


def pem(recipient: Recipient) -> str:
    return encode_recipient(recipient).decode()


def refusal(data: bytes, unit: bytes = UNIT.public) -> str:
    with pytest.raises(PolicyError) as raised:
        parse_policy(data, unit)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def draft_refusal(data: bytes) -> str:
    """What is not a policy is refused before and after it is signed, and is never signed by `sign_policy`."""
    with pytest.raises(PolicyError) as raised:
        parse_draft(data)
    why = str(raised.value)
    assert "\n" not in why
    assert len(why) < 400
    assert refusal(sign_text(data, UNIT)) == why
    with pytest.raises(PolicyError):
        sign_policy(data, UNIT)
    return why


# ------------------------------------------------------------------------------------------------ the signature


def test_the_signature_byte_for_byte() -> None:
    """As docs/POLICY.md says, made without our code."""
    data = signed()
    content, line = text(), data[len(text()) :]
    assert data.startswith(content)
    assert line.startswith(b"# getuige-policy-signature: ")
    assert line.endswith(b"\n")
    assert len(line) == 28 + 88 + 1
    key = Ed25519PrivateKey.from_private_bytes(SEED)
    assert base64.b64decode(line[28:]) == key.sign(b"getuige/1 policy\0" + content)
    assert parse_policy(data, key.public_key().public_bytes_raw()).digest == hashlib.sha256(data).digest()


def test_a_text_that_does_not_end_its_last_line() -> None:
    assert sign_policy(text().rstrip(b"\n"), UNIT) == signed()


def test_lines_may_end_as_on_other_systems() -> None:
    assert parse_policy(sign_policy(text().replace(b"\n", b"\r\n"), UNIT), UNIT.public).serial == 1


def test_every_flipped_bit_of_every_byte() -> None:
    data = signed()
    for offset in range(len(data)):
        for bit in {offset % 8, 0, 5}:
            broken = bytearray(data)
            broken[offset] ^= 1 << bit
            with pytest.raises(PolicyError, match="the policy"):
                parse_policy(bytes(broken), UNIT.public)


def test_every_shorter_file_and_some_longer_ones() -> None:
    data = signed()
    for length in range(len(data)):
        with pytest.raises(PolicyError):
            parse_policy(data[:length], UNIT.public)
    for more in (b"\n", b" ", b"\0", b"serial = 9\n", data, data[data.index(MARK) :]):
        with pytest.raises(PolicyError):
            parse_policy(data + more, UNIT.public)
        with pytest.raises(PolicyError):
            parse_policy(more + data, UNIT.public)


@quick
@given(st.data())
def test_any_byte_changed_put_in_or_left_out(data: st.DataObject) -> None:
    good = signed()
    at = data.draw(st.integers(0, len(good) - 1))
    cut = data.draw(st.integers(0, 3))
    put = data.draw(st.binary(max_size=3))
    changed = good[:at] + put + good[at + cut :]
    if changed != good:
        refusal(changed)


@pytest.mark.parametrize("unsigned", [b"", b"\n", text(), MARK.strip() + b"\n"])
def test_not_signed(unsigned: bytes) -> None:
    assert refusal(unsigned) == "the policy is not signed: its last line is no signature"


def test_of_another_unit() -> None:
    other = MemorySigner.generate()
    assert refusal(signed(), other.public) == (
        "the policy is not signed by this unit, or was changed after it was signed"
    )
    assert parse_policy(sign_policy(text(), other), other.public).serial == 1


def test_signed_for_another_purpose() -> None:
    for context in (b"", b"getuige/1 key\0", b"getuige/2 policy\0", b"getuige/1 policy"):
        line = MARK + base64.b64encode(UNIT.sign(context + text())) + b"\n"
        assert "not signed by this unit" in refusal(text() + line)


def test_a_key_that_is_one() -> None:
    assert require_key(UNIT.public) == UNIT.public


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_key_that_is_none(size: int) -> None:
    assert refusal(signed(), bytes(size)) == "the unit's key is not an Ed25519 public key of 32 bytes"
    with pytest.raises(PolicyError, match="is not an Ed25519 public key"):
        require_key(bytes(size))


def test_one_signature_in_one_form() -> None:
    """No second file says the same: no base64 in another form, no other end of the line."""
    data = signed()
    last = data[: data.index(b"==\n")]
    second = bytes([last[-1] + 1])
    assert base64.b64decode(data[data.index(MARK) + 28 : -1]) == base64.b64decode(
        last[data.index(MARK) + 28 : -1] + second + b"=="
    ), "the same 64 bytes, written otherwise"
    for other in (
        last[:-1] + second + b"==\n",
        data[:-1],
        data[:-1] + b"\r\n",
        data[:-1] + b" \n",
        data + b"\n",
        data.replace(b"==\n", b"\n"),
        data.replace(b"==\n", b"==\n=="),
        data[: data.index(MARK)] + MARK + b"AAAA\n",
        data[: data.index(MARK)] + MARK + b"\xff" * 88 + b"\n",
        data[: data.index(MARK)] + MARK + b"\n",
    ):
        assert refusal(other) == "the policy's signature is not the base64 of 64 bytes and a line's end"


def test_the_signature_stands_alone_on_the_last_line() -> None:
    data = signed()
    content, line = data[: data.index(MARK)], data[data.index(MARK) :]
    says = "the policy is not signed as it should be: the signature must be one line, the last"
    assert refusal(content[:-1] + b" " + line) == says
    assert refusal(content + line + line) == says
    assert refusal(line) == says
    # A text that has such a line cannot be signed, and if it was all the same, is not taken.
    with pytest.raises(PolicyError, match="has a signature line already"):
        sign_policy(data, UNIT)
    twice = data + MARK + base64.b64encode(UNIT.sign(b"getuige/1 policy\0" + data)) + b"\n"
    assert refusal(twice) == says


def test_the_longest_file() -> None:
    room = MAX_POLICY_BYTES - len(signed())
    full = text() + b"#" * (room - 1) + b"\n"
    assert len(sign_policy(full, UNIT)) == MAX_POLICY_BYTES
    assert parse_policy(sign_policy(full, UNIT), UNIT.public).serial == 1
    with pytest.raises(PolicyError, match="longer than 65536 bytes"):
        sign_policy(b"#" + full, UNIT)
    line = MARK + base64.b64encode(UNIT.sign(b"getuige/1 policy\0#" + full)) + b"\n"
    assert refusal(b"#" + full + line) == "the policy is longer than 65536 bytes"


def test_nothing_is_parsed_before_the_signature_is_good() -> None:
    assert "not signed by this unit" in refusal(sign_text(b"[" * 30_000, MemorySigner.generate()))


# ---------------------------------------------------------------------------------------------------- the keys


def test_what_is_left_out_has_its_default() -> None:
    policy = parse_policy(signed(), UNIT.public)
    assert dataclasses.asdict(policy.evidence) | {"recipients": None} == {
        "recipients": None, "cipher": Cipher.CHACHA20_POLY1305, "retention_days": 28, "receipt_keys": (),
    }  # fmt: skip
    assert [recipient.raw for recipient in policy.evidence.recipients] == [SMALL.raw]
    assert dataclasses.asdict(policy.recording) == {
        "video_profile": "1080p30", "pre_event_s": 0, "on_dark_light": DarkLight.STOP, "live": Live.OFF,
        "reminder_min": 30, "resume_after_reboot": False,
    }  # fmt: skip
    assert dataclasses.asdict(policy.signals) == {
        "languages": ("nl", "en"), "night_allowed": True, "night_from_h": 22, "night_until_h": 6,
        "night_floor_percent": 25
    }  # fmt: skip
    assert dataclasses.asdict(policy.limits) == {
        "low_storage_percent": 10, "low_storage_min": 30, "low_battery_percent": 20, "critical_battery_percent": 5
    }  # fmt: skip
    assert dataclasses.asdict(policy.button) == {"debounce_ms": 30, "hold_ms": 2000, "double_ms": 400}
    assert (policy.unit, policy.serial) == ("Test unit", 1)


def test_every_default_is_allowed_when_it_is_written() -> None:
    for kind in SECTIONS.values():
        for name, (key, default) in keys_of(kind).items():
            if name != "recipients":
                written = list(default) if isinstance(default, tuple) else getattr(default, "value", default)
                assert key.rule.read(written) == default, name


WHOLE = {
    "serial": (1, 4294967295),
    "retention_days": (1, 28),
    "pre_event_s": (0, 30),
    "reminder_min": (0, 60),
    "night_floor_percent": (20, 100),
    "night_from_h": (0, 23),
    "night_until_h": (0, 23),
    "low_storage_percent": (1, 50),
    "low_storage_min": (0, 240),
    "low_battery_percent": (5, 50),
    "critical_battery_percent": (1, 20),
    "debounce_ms": (10, 100),
    "hold_ms": (1000, 5000),
    "double_ms": (200, 800),
}
KINDS: list[type[Any]] = [Policy, *SECTIONS.values()]
TABLE_OF = {key: name for name, kind in SECTIONS.items() for key in keys_of(kind)}
CHOICES: dict[str, dict[str, Enum]] = {
    "cipher": {item.value: item for item in Cipher},
    "on_dark_light": {"stop": DarkLight.STOP, "announce": DarkLight.ANNOUNCE},
    "live": {"off": Live.OFF, "on": Live.ON},
}
NOT_WHOLE = ["true", "1.0", "nan", '"1"', "[1]", "{}", "2026-01-01", "2026-01-01T00:00:00Z", "-1", "0x" + "f" * 9000]


def full_name(key: str) -> str:
    return f"{TABLE_OF[key]}.{key}" if key in TABLE_OF else key


def value_of(policy: Policy, key: str) -> Any:
    return getattr(getattr(policy, TABLE_OF[key]) if key in TABLE_OF else policy, key)


def test_this_table_of_whole_numbers_is_the_whole_one() -> None:
    named = {key for kind in KINDS for key in keys_of(kind)}
    rest = {
        "unit", "issued", "expires", "recipients", "video_profile", "languages", "night_allowed", "receipt_keys",
        "resume_after_reboot", *CHOICES,
    }  # fmt: skip
    assert named == rest | WHOLE.keys()


@pytest.mark.parametrize("key", WHOLE)
def test_whole_numbers_at_their_bounds_and_beyond(key: str) -> None:
    low, high = WHOLE[key]
    # The one pair that must be apart.
    beside = {"low_battery_percent": "50"} if key == "critical_battery_percent" else {"critical_battery_percent": "1"}
    for good in (low, high):
        assert value_of(parse_draft(text(**(beside | {key: str(good)}))), key) == good
    for bad in [str(low - 1), str(high + 1), *NOT_WHOLE]:
        why = draft_refusal(text(**(beside | {key: bad})))
        assert why.startswith(f"policy key {full_name(key)}: ")
        assert f"is not a whole number from {low} to {high}" in why


@quick
@given(st.sampled_from(sorted(WHOLE)), st.integers())
@example("serial", 10**5000)
def test_any_whole_number(key: str, value: int) -> None:
    low, high = WHOLE[key]
    beside = {"critical_battery_percent": "1", "low_battery_percent": "50"}
    content = text(**(beside | {key: str(value) if abs(value) < 10**4000 else hex(value)}))
    if low <= value <= high:
        assert value_of(parse_draft(content), key) == value
    else:
        assert draft_refusal(content).startswith(f"policy key {full_name(key)}: ")


@pytest.mark.parametrize("key", CHOICES)
def test_choices(key: str) -> None:
    for name, value in CHOICES[key].items():
        assert value_of(parse_draft(text(**{key: f'"{name}"'})), key) is value
        assert draft_refusal(text(**{key: f'"{name} "'})).startswith(f"policy key {full_name(key)}: '{name} ' is not ")
    for bad in ('""', "true", "0", '["on"]', "{}", '"STOP"'):
        assert draft_refusal(text(**{key: bad})).startswith(f"policy key {full_name(key)}: ")


@pytest.mark.parametrize("key", ["night_allowed", "resume_after_reboot"])
def test_yes_and_no(key: str) -> None:
    for word, value in (("true", True), ("false", False)):
        assert value_of(parse_draft(text(**{key: word})), key) is value
    for bad in ("0", "1", '"true"', "[]"):
        assert draft_refusal(text(**{key: bad})).endswith(" is not true or false")
        assert draft_refusal(text(**{key: bad})).startswith(f"policy key {full_name(key)}: ")


@pytest.mark.parametrize(("key", "most"), [("unit", 80), ("video_profile", 40)])
def test_texts(key: str, most: int) -> None:
    for good in ("x", "é" * most, "Eenheid Oost, team 7 (Arnhem)"):
        assert value_of(parse_draft(text(**{key: f'"{good}"'})), key) == good
    for bad in ('""', f'"{"x" * (most + 1)}"', "7", '"a\\u001b[31m"', '"a\\nb"', '"\\u202e"', "[]"):
        why = draft_refusal(text(**{key: bad}))
        assert why.startswith(f"policy key {full_name(key)}: ")
        assert why.endswith(f" is not a text of 1 to {most} printable characters")
        assert why.isprintable()


def test_languages() -> None:
    for good in (["nl"], ["en"], ["nl", "en"], ["en", "nl"]):
        assert parse_draft(text(languages=str(good))).signals.languages == tuple(good)
    for bad in ("[]", '["de"]', '["nl", "nl"]', '"nl"', "[1]", "[[]]", '["nl", ["en"]]', "true", "{nl = 1}"):
        why = draft_refusal(text(languages=bad))
        assert why.startswith("policy key signals.languages: ")
        assert why.endswith(" is not a list of one or more of nl, en, none twice")


@pytest.mark.parametrize("key", ["issued", "expires"])
def test_times_that_are_none(key: str) -> None:
    for bad in (
        "2026-01-01T00:00:00", "2026-01-01 00:00:00", "2026-01-01", "00:00:00", '"2026-01-01T00:00:00Z"', "1767225600",
        "2019-12-31T23:59:59Z", "2201-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59",
    ):  # fmt: skip
        why = draft_refusal(text(**{key: bad}))
        assert why.startswith(f"policy key {key}: ")
        assert "is not a date-time of RFC 3339 with an offset" in why
    assert draft_refusal(text(**{key: "2026-02-30T00:00:00Z"})).startswith("the policy is not TOML: ")


@quick
@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(-23 * 60, 23 * 60),
)
def test_an_instant_is_the_same_with_any_offset(time: datetime, minutes: int) -> None:
    there = time.astimezone(timezone(timedelta(minutes=minutes)))
    if not 2020 <= there.year <= 2200:
        return
    policy = parse_draft(text(issued="2020-01-01T00:00:00+23:00", expires=there.isoformat()))
    expires_ns = round((time - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)) * 1000
    assert abs(policy.expires_utc_ns - expires_ns) < 1_000_000
    assert not policy.expired_at(policy.expires_utc_ns - 1)
    assert policy.expired_at(policy.expires_utc_ns)


def test_when_it_expires() -> None:
    policy = parse_draft(text(issued="2026-01-01T00:00:00+01:00", expires="2026-06-01T02:00:00+02:00"))
    assert policy.issued_utc_ns == 1_767_222_000_000_000_000
    assert policy.expires_utc_ns == 1_780_272_000_000_000_000
    for time_ns in (-(2**63), 0, policy.expires_utc_ns - 1):
        assert not policy.expired_at(time_ns)
    assert policy.expired_at(2**63)


def test_it_must_expire_after_it_was_issued() -> None:
    for expires in (ISSUED, "2026-01-01T00:30:00+01:00"):
        assert draft_refusal(text(expires=expires)) == "policy key expires: not later than issued"
    assert parse_draft(text(expires="2026-01-01T00:00:01Z")).serial == 1


def test_a_battery_is_low_before_it_is_critical() -> None:
    assert parse_draft(text(low_battery_percent="6", critical_battery_percent="5")).limits.low_battery_percent == 6
    for low, critical in (("5", "5"), ("5", "6")):
        assert draft_refusal(text(low_battery_percent=low, critical_battery_percent=critical)) == (
            "policy key limits.critical_battery_percent: not below low_battery_percent"
        )


@pytest.mark.parametrize("key", ["unit", "serial", "issued", "expires", "recipients"])
def test_what_must_be_there(key: str) -> None:
    assert draft_refusal(text(**{key: ""})).startswith(f"policy key {full_name(key)}: missing; it is ")


def test_another_version() -> None:
    for version in ("0", "2", "true", '"1"', "{}", "[1]"):
        assert "is unknown to this program, which reads 1" in draft_refusal(text(format=version, later="1"))
    assert draft_refusal(text(format="")).startswith("policy key format: a missing value is unknown")


def test_unknown_keys() -> None:
    assert draft_refusal(text(stall_ms="2000")) == (
        "policy key 'stall_ms': unknown; there are unit, serial, issued, expires"
    )
    for name, kind in SECTIONS.items():
        content = text().replace(f"[{name}]\n".encode(), f"[{name}]\nserial = 1\n".encode())
        assert draft_refusal(content) == f"policy key {name}.'serial': unknown; there are {', '.join(keys_of(kind))}"
    assert "policy key 'extra': unknown" in draft_refusal(text() + b"[extra]\n")
    assert "policy key a long text: unknown" in draft_refusal(text() + b"[" + b"x" * 1000 + b"]\n")
    assert "policy key '\\x1b': unknown" in draft_refusal(text() + b'["\\u001b"]\n')


def test_a_table_that_is_none() -> None:
    for value in ("1", "[]", '"x"', "[{}]"):
        content = text(evidence=value).split(b"[evidence]")[0]
        assert draft_refusal(content).startswith("policy key evidence: ")
        assert draft_refusal(content).endswith(" is not a table")


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 30_000,
        b"a = " + b"[" * 20_000 + b"]" * 20_000,
        b"a = " + b"{a=" * 10_000,
        b".".join([b"a"] * 2_000) + b" = 1",
        b"[" + b".".join([b"a"] * 2_000) + b"]",
        b"a = " + b"9" * 20_000,
        b"a = 1e999999",
        b"a = 1\na = 2",
        b"\xef\xbb\xbfa = 1",
        b"a = '\xe9'",
        b"a = '\0'",
        b"\0",
        b"# \x07",
        b'a = "\\ud800"',
        b"= 1",
        b"<xml/>",
    ],
)
def test_hostile_toml(content: bytes) -> None:
    """Signed by a unit whose key was stolen: refused all the same, in one line."""
    draft_refusal(content + b"\n")


def test_nesting_without_end_is_named() -> None:
    assert draft_refusal(b"a = " + b"[" * 20_000) == "the policy is not TOML that can be read: nested too deep"


@quick
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes(content: bytes) -> None:
    with contextlib.suppress(PolicyError):
        parse_policy(content, UNIT.public)
        pytest.fail("that was signed by nobody")
    with contextlib.suppress(PolicyError):
        parse_policy(sign_text(content, UNIT), UNIT.public)
        pytest.fail("that has no recipients")


toml_values = st.recursive(
    st.booleans().map(lambda value: str(value).lower())
    | st.integers().map(str)
    | st.floats().map(str)
    | st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="'"), max_size=60).map(
        lambda value: f"'{value}'"
    )
    | st.datetimes().map(lambda value: value.isoformat())
    | st.datetimes(timezones=st.just(UTC)).map(lambda value: value.isoformat())
    | st.dates().map(str)
    | st.times().map(str),
    lambda inner: (
        st.lists(inner, max_size=6).map(lambda items: f"[{', '.join(items)}]")
        | inner.map(lambda item: f"{{a = {item}}}")
    ),
    max_leaves=8,
)


@quick
@given(st.sampled_from([*sorted(TABLE_OF), "unit", "serial", "issued", "expires", "format"]), toml_values)
def test_any_value_of_any_type(key: str, value: str) -> None:
    """Taken, or refused in one line that begins with the key."""
    content = text(**{key: value})
    why = ""
    try:
        parse_draft(content)
    except PolicyError as error:
        why = str(error)
    told = why.startswith((f"policy key {full_name(key)}: ", "policy key expires: ", "policy key limits."))
    assert why == "" or told or "not TOML" in why
    assert why == "" or why.isprintable()


def test_a_value_is_shown_only_where_that_is_harmless() -> None:
    assert shown("x" * 41) == shown("-----BEGIN") == "a long text"
    assert shown(10**40) == shown(-(10**4999)) == "a number too large to show"
    assert shown([1, "a", 0.5, True]) == "[1, 'a', 0.5, true]"
    assert shown([1] * 5) == "a list of 5"
    assert shown([{}]) == "a list of 1"
    assert shown({"a": 1}) == "a table"
    assert shown(b"secret") == "a bytes"
    assert shown(None) == "a missing value"
    assert shown(datetime(2026, 1, 1).date()) == "2026-01-01"  # noqa: DTZ001
    assert shown(datetime(2026, 1, 1).time()) == "00:00:00"  # noqa: DTZ001


whole_policies = st.fixed_dictionaries(
    {key: st.integers(*bounds).map(str) for key, bounds in WHOLE.items()}
    | {key: st.sampled_from(sorted(names)).map(lambda name: f'"{name}"') for key, names in CHOICES.items()}
    | {key: st.sampled_from(["true", "false"]) for key in ("night_allowed", "resume_after_reboot")}
    | {
        "languages": st.sampled_from(['["nl"]', '["en"]', '["nl", "en"]', '["en", "nl"]']),
        "critical_battery_percent": st.integers(1, 4).map(str),
    }
)


@quick
@given(whole_policies)
def test_round_trip(values: dict[str, str]) -> None:
    data = signed(**values)
    policy = parse_policy(data, UNIT.public)
    for key, written in values.items():
        value = value_of(policy, key)
        if isinstance(value, tuple):
            assert str(list(value)).replace("'", '"') == written
        elif isinstance(value, bool | int):
            assert str(value).lower() == written
        else:
            assert f'"{value.value}"' == written
    assert sign_policy(signed_text(data, UNIT.public), UNIT) == data
    assert parse_policy(data, UNIT.public) == policy
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.serial = 2  # type: ignore[misc]


# ---------------------------------------------------------------------------------------------------- recipients


def test_recipients_are_sealed_to() -> None:
    policy = parse_draft(policy_text([HYBRID, SMALL]))
    assert [item.kem for item in policy.evidence.recipients] == [Kem.HYBRID, Kem.X25519]
    assert [item.raw for item in policy.evidence.recipients] == [HYBRID.raw, SMALL.raw]


def test_as_many_recipients_as_a_segment_has_envelopes() -> None:
    many = [StationKey.generate(hybrid=False).recipient for _ in range(33)]
    assert len(parse_draft(policy_text(many[:32])).evidence.recipients) == 32
    assert draft_refusal(policy_text(many)).startswith("policy key evidence.recipients: a list of 33 is not a list of ")
    hybrid = sign_policy(policy_text([HYBRID, *many[:31]]), UNIT)
    assert len(parse_policy(hybrid, UNIT.public).evidence.recipients) == 32


def test_thirty_two_hybrid_recipients_have_room() -> None:
    assert len(policy_text([HYBRID] * 32)) + 120 < MAX_POLICY_BYTES


def key_text(kind: str) -> str:
    """Return a PEM that is no recipient."""
    secret = StationKey.generate()
    return {
        "private": encode_station_key(secret).decode(),
        "ed25519": Ed25519PrivateKey.generate()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
        "two": pem(SMALL) + pem(StationKey.generate(hybrid=False).recipient),
        "half": pem(secret.recipient).split("-----END PUBLIC KEY-----\n")[0] + "-----END PUBLIC KEY-----\n",
        "weakened": pem(HYBRID).replace("-----BEGIN PUBLIC", "-----BEGIN PRIVATE", 1),
        "with more": "kept at the station\n" + pem(SMALL),
        "zero": pem(Recipient(X25519PublicKey.from_public_bytes(bytes(32)))),
        "garbage": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "no PEM": "hello",
        "empty": "",
        "not ASCII": "sleutel é",
    }[kind]


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("private", "item 2 holds something that is not a public key"),
        ("ed25519", "item 2 holds a key that is neither X25519 nor ML-KEM-768"),
        ("two", "item 2 must hold one X25519 key and at most one ML-KEM-768 key"),
        ("half", "item 2 must hold one X25519 key"),
        ("weakened", "item 2 holds something else beside the key"),
        ("with more", "item 2 holds something else beside the key"),
        ("zero", "item 2 is a key that nothing can be sealed to"),
        ("garbage", "item 2 holds something that is not a public key"),
        ("no PEM", "item 2 is not a PEM key file"),
        ("empty", "item 2 is not a PEM key file"),
        ("not ASCII", "item 2 is not a PEM key file"),
    ],
)
def test_what_is_no_recipient(kind: str, says: str) -> None:
    wrong = key_text(kind)
    why = draft_refusal(text(recipients=pems(pem(HYBRID), wrong)))
    assert why.startswith(f"policy key evidence.recipients: {says}")
    for line in wrong.splitlines():
        assert len(line) < 20 or line not in why


def test_recipients_of_another_type() -> None:
    for wrong in ("[]", '"x"', "1", "{}"):
        assert "is not a list of 1 to 32 PEM texts" in draft_refusal(text(recipients=wrong))
    assert draft_refusal(text(recipients="[1]")) == "policy key evidence.recipients: item 1 is not a PEM text"
    twice = pems(pem(SMALL), pem(HYBRID), pem(SMALL))
    assert draft_refusal(text(recipients=twice)) == "policy key evidence.recipients: a key is there twice"


def test_a_key_in_the_wrong_place_is_not_shown() -> None:
    secret = encode_station_key(StationKey.generate(hybrid=False)).decode()
    for key in ("unit", "video_profile", "cipher", "live", "serial", "issued", "night_allowed", "languages"):
        why = draft_refusal(text(**{key: f"'''{secret}'''"}))
        assert secret.splitlines()[1] not in why
        assert "a long text" in why


def test_recipients_by_themselves() -> None:
    assert parse_recipient(encode_recipient(HYBRID), "the key").raw == HYBRID.raw
    with pytest.raises(KeyFileError, match=r"^the key is not a PEM key file$"):
        parse_recipient(b"", "the key")
