"""What is said at enrolment, read strictly: requests, grants, consents, and identities of both sorts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.enrolment import (
    Consent,
    Grant,
    Kind,
    Request,
    fresh_statement,
    parse_consent,
    parse_grant,
    parse_request,
    take_identity,
)
from wire.errors import CredentialError, MessageError
from wire.plain import decode, encode

REQUEST = Request(Kind.FIRST, bytes(16), bytes(32), b"csr", "zero2w", "0815", "0.1.0", b"", bytes(64))
GRANT = Grant(bytes(32), bytes(16), "camera 7", 10**9, "PEM", "PEM", bytes(32), b"policy", bytes(32), bytes(64))
WITH_NETWORKS = replace(GRANT, networks=b"sealed")
CONSENT = Consent(Kind.AGAIN, bytes(16), bytes(32), "why", bytes(64))
VALUES = st.none() | st.integers(-1, 2**40) | st.text(max_size=70) | st.sampled_from(["00" * 16, "00" * 33, "again"])


def test_they_come_back_as_they_went() -> None:
    for request in (REQUEST, replace(REQUEST, kind=Kind.AGAIN, replaces=bytes(16), identity=bytes(33))):
        assert parse_request(request.fields) == request
    for grant in (GRANT, WITH_NETWORKS):
        assert parse_grant(grant.encode()) == grant
    assert parse_consent(CONSENT.fields) == CONSENT
    assert not REQUEST.is_named


@given(st.dictionaries(st.sampled_from([*REQUEST.fields, "more"]), VALUES, min_size=1))
def test_a_request_otherwise_is_the_rooms_error(changes: dict[str, Any]) -> None:
    try:
        read = parse_request(REQUEST.fields | changes)
    except MessageError:
        return
    assert read.fields == REQUEST.fields | changes


@given(st.dictionaries(st.sampled_from([*CONSENT.fields, "more"]), VALUES, min_size=1))
def test_a_consent_otherwise_is_the_rooms_error(changes: dict[str, Any]) -> None:
    try:
        read = parse_consent(CONSENT.fields | changes)
    except MessageError:
        return
    assert read.fields == CONSENT.fields | changes


@given(
    st.sampled_from([GRANT, WITH_NETWORKS]),
    st.dictionaries(st.sampled_from([*decode(WITH_NETWORKS.encode())["grant"], "more"]), VALUES, min_size=1),
    VALUES,
)
def test_a_grant_otherwise_is_the_rooms_error(grant: Grant, changes: dict[str, Any], value: object) -> None:
    whole = decode(grant.encode())
    for body in (whole | {"grant": whole["grant"] | changes}, whole | {"policy": value}, whole | {"networks": value}):
        try:
            read = parse_grant(encode(body))
        except MessageError:
            continue
        assert decode(read.encode()) == body


def test_networks_make_a_grant_of_another_version() -> None:
    """A device of before refuses it; one without them is what it was."""
    plain, more = decode(GRANT.encode()), decode(WITH_NETWORKS.encode())
    assert (plain["grant"]["v"], more["grant"]["v"]) == (1, 2)
    assert set(more) - set(plain) == set(more["grant"]) - set(plain["grant"]) == {"networks"}
    for body in (
        more | {"grant": more["grant"] | {"v": 1}}, plain | {"grant": plain["grant"] | {"v": 2}},
        more | {"networks": "b3RoZXI="}, plain | {"networks": more["networks"]}, more | {"networks": ""},
    ):  # fmt: skip
        with pytest.raises(MessageError):
            parse_grant(encode(body))
    assert WITH_NETWORKS.statement != GRANT.statement


@given(st.binary(max_size=200))
def test_any_bytes_are_no_grant(data: bytes) -> None:
    with pytest.raises(MessageError):
        parse_grant(data)


def test_who_signed_what_is_judged_in_one_line() -> None:
    with pytest.raises(CredentialError, match="not signed by the station in it"):
        GRANT.check_station()
    with pytest.raises(CredentialError, match="not signed by this device's unit"):
        CONSENT.check(bytes(32), bytes(16), bytes(32))
    with pytest.raises(MessageError, match="a nonce has 32 bytes"):
        fresh_statement(b"short", b"")
    for identity in ("00" * 31, "00" * 34, 7):
        with pytest.raises(MessageError):
            take_identity({"identity": identity})
