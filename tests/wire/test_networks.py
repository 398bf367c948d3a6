"""Networks as they go over the cable: one text, strictly read, sealed to one key; and no word of it in an error."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from station.authority import new_authority
from wire.errors import MessageError
from wire.networks import (
    MOST_SEALED_BYTES,
    MOST_TEXT_BYTES,
    MOST_WIFI,
    NONE,
    Networks,
    Security,
    Wifi,
    check_networks,
    is_host,
    open_networks,
    parse_networks,
    seal_networks,
)

PHRASE = "a passphrase of nobody"
AUTHORITY = new_authority("x", datetime(2026, 1, 1, tzinfo=UTC)).certificate.public_bytes(Encoding.DER)
HOSTS = st.sampled_from(["broker.unit.example", "192.0.2.7", "2001:db8::7", "b"])
PSK = st.builds(
    Wifi,
    st.binary(min_size=1, max_size=32),
    st.sampled_from([Security.WPA, Security.WPA3]),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=8, max_size=63),
)
EAP = st.builds(
    lambda ssid, authority: Wifi(ssid, Security.EAP_TLS, server="radius.unit.example", authority=authority),
    st.binary(min_size=1, max_size=32), st.sampled_from([b"", AUTHORITY]),
)  # fmt: skip
NETWORKS = st.builds(
    Networks, HOSTS, st.integers(1, 65_535), st.lists(PSK | EAP, min_size=1, max_size=MOST_WIFI).map(tuple)
)
ONE = Networks("broker", 8883, (Wifi(b"Unit", Security.WPA, PHRASE),))
KEY = ec.generate_private_key(ec.SECP256R1())
REQUEST = bytes(range(32))


@given(NETWORKS)
def test_they_come_back_as_they_went(networks: Networks) -> None:
    assert parse_networks(networks.encode()) == networks
    sealed = seal_networks(networks, KEY.public_key(), REQUEST)
    assert len(sealed) <= MOST_SEALED_BYTES
    assert open_networks(sealed, KEY, REQUEST) == networks
    assert networks


def test_none_at_all_comes_back_too() -> None:
    assert parse_networks(NONE.encode()) == NONE
    assert not NONE
    assert open_networks(seal_networks(NONE, KEY.public_key(), REQUEST), KEY, REQUEST) == NONE


def test_the_length_tells_little() -> None:
    lengths = {
        len(seal_networks(Networks("b", 1, (Wifi(b"s", Security.WPA, "x" * count),)), KEY.public_key(), REQUEST))
        for count in range(8, 64)
    }
    assert len(lengths) == 1


@given(st.integers(0, 600), st.integers(1, 255))
def test_what_is_sealed_opens_for_one_key_and_one_request_alone(place: int, turned: int) -> None:
    sealed = bytearray(seal_networks(ONE, KEY.public_key(), REQUEST))
    other = ec.generate_private_key(ec.SECP256R1())
    for key, request in ((other, REQUEST), (KEY, bytes(32))):
        with pytest.raises(MessageError, match="not sealed to this request's key"):
            open_networks(bytes(sealed), key, request)
    sealed[place % len(sealed)] ^= turned
    for data in (bytes(sealed), bytes(sealed[: place % len(sealed)])):
        with pytest.raises(MessageError, match="not sealed to this request's key"):
            open_networks(data, KEY, REQUEST)


VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-1, 70_000) | st.text(max_size=70) | st.lists(st.just({}), max_size=9)
    | st.sampled_from([PHRASE, "eap-tls", "00" * 33, {}, {"host": PHRASE, "port": 1}, [{"ssid": PHRASE}]])
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(["v", "broker", "wifi", PHRASE]), VALUES),
    st.dictionaries(st.sampled_from(["ssid", "security", "passphrase", "server", "authority", PHRASE]), VALUES),
)
def test_anything_else_is_the_rooms_error_without_a_word_of_it(whole: dict[str, Any], part: dict[str, Any]) -> None:
    wifi = ONE.fields["wifi"][0] | part
    given_ = ONE.fields | {"wifi": [wifi]} | whole
    said = ""
    try:
        assert check_networks(given_).fields == given_
    except MessageError as error:
        said = str(error)
    assert PHRASE not in said
    assert "\n" not in said


@given(st.binary(max_size=300))
def test_any_bytes_are_no_networks(data: bytes) -> None:
    with pytest.raises(MessageError):
        parse_networks(data)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ssid": ""}, "network 1: an SSID has 1 to 32 bytes"),
        ({"ssid": "00" * 33}, "network 1: an SSID has"),
        ({"passphrase": "short"}, "8 to 63 characters"),
        ({"passphrase": "x" * 64}, "8 to 63 characters"),
        ({"passphrase": "eight\nch"}, "8 to 63 characters"),
        ({"passphrase": "éèàùçñüö"}, "printable ASCII"),
        ({"security": "wep"}, "none of wpa, wpa3, eap-tls"),
        ({"security": []}, "none of wpa, wpa3, eap-tls"),
        ({"security": "eap-tls"}, "network 1"),
    ],
)
def test_what_a_network_cannot_be(change: dict[str, Any], says: str) -> None:
    fields = ONE.fields
    with pytest.raises(MessageError, match=says):
        check_networks(fields | {"wifi": [fields["wifi"][0] | change]})


@pytest.mark.parametrize(
    "change",
    [
        {"broker": {"host": "", "port": 0}}, {"broker": {"host": "a b", "port": 1}}, {"wifi": []},
        {"broker": {"host": "broker", "port": 0}}, {"broker": {"host": "a;b", "port": 1}},
    ],
)  # fmt: skip
def test_a_broker_and_a_network_belong_together(change: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match="the broker needs a host"):
        check_networks(ONE.fields | change)


def test_they_are_bounded() -> None:
    fields = ONE.fields
    with pytest.raises(MessageError, match="more than 8 networks"):
        check_networks(fields | {"wifi": fields["wifi"] * 9})
    with pytest.raises(MessageError, match="take more than"):
        parse_networks(b" " * (MOST_TEXT_BYTES + 1))
    largest = Wifi(bytes(32), Security.EAP_TLS, server="r" * 253, authority=bytes(2048))
    assert len(Networks("h" * 253, 65_535, (largest,) * MOST_WIFI).encode()) <= MOST_TEXT_BYTES
    with pytest.raises(MessageError, match="authority is not a certificate"):
        check_networks(replace(ONE, wifi=(largest,)).fields)


@pytest.mark.parametrize("text", ["fe80::1%wlan0", "-b", "b-", ".", "a_b", "", "b\n", "a" * 254, "::g"])
def test_no_hosts(text: str) -> None:
    assert not is_host(text)
