"""The unit's networks as NetworkManager's profiles, read back by NetworkManager's own library."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given
from hypothesis import strategies as st

from firmware.wifi_profiles import Identity, profiles
from station.authority import encode_tls_key, new_authority, new_key
from storage.tls import TlsFiles
from tests.firmware.libnm import LibNm, Profile
from wire.networks import Networks, Security, Wifi, check_networks

NOW = datetime(2026, 11, 28, tzinfo=UTC)
DEVICE = "ab" * 16
NOBODY = Identity(DEVICE, TlsFiles(Path("/tls/ca.crt"), Path("/tls/device.crt"), Path("/tls/device.key")))
PASSPHRASES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=8, max_size=63)
KEYS = {
    "connection": {"id", "uuid", "type", "autoconnect-priority", "stable-id"},
    "wifi": {"mode", "ssid", "cloned-mac-address"},
    "wifi-security": {"key-mgmt", "psk"},
    "ipv4": {"method", "dhcp-client-id", "dhcp-send-hostname"},
    "ipv6": {"method", "addr-gen-mode", "ip6-privacy", "dhcp-duid", "dhcp-send-hostname"},
}


@pytest.fixture(scope="module")
def libnm() -> LibNm:
    return LibNm()


def read(libnm: LibNm, wifi: Wifi, identity: Identity = NOBODY) -> Profile:
    (data,) = profiles(Networks("broker", 8883, (wifi,)), identity).values()
    return libnm.read(data)


@given(
    st.binary(min_size=1, max_size=32), PASSPHRASES, st.sampled_from([Security.WPA, Security.WPA3])
)  # fmt: skip
@example(b'"\n[connection]\npermissions=;#', "  [wifi];\\n\\s = #", Security.WPA)
@example(b"\n\0\xff;", " " * 63, Security.WPA3)
@example(b"7", "\\" * 63, Security.WPA)
@example(b"65;66;", "passphrase;;", Security.WPA)
def test_whatever_a_network_is_called_it_puts_in_no_key_of_its_own(
    libnm: LibNm, ssid: bytes, passphrase: str, security: Security
) -> None:
    """The very bytes are its name and its passphrase, and nothing is in the profile but what we put there."""
    wifi = Wifi(ssid, security, passphrase)
    check_networks(Networks("broker", 8883, (wifi,)).fields)
    found = read(libnm, wifi)
    assert (found.ssid, found.psk) == (ssid, passphrase)
    assert found.key_mgmt == {Security.WPA: "wpa-psk", Security.WPA3: "sae"}[security]
    sections = {title: set(values) for title, values in found.written.items() if values}
    assert sections == KEYS


def test_nobody_recognises_a_device_by_its_addresses(libnm: LibNm) -> None:
    written = read(libnm, Wifi(b"Unit", Security.WPA, "passphrase")).written
    assert written["wifi"]["cloned-mac-address"] == "random"
    assert written["connection"]["stable-id"] == "${RANDOM}"
    assert written["ipv6"]["ip6-privacy"] == "2"
    assert (written["ipv4"]["dhcp-client-id"], written["ipv6"]["dhcp-duid"]) == ("mac", "ll")
    assert written["ipv4"]["dhcp-send-hostname"] == written["ipv6"]["dhcp-send-hostname"] == "false"


def test_the_first_is_preferred_and_each_has_a_name_of_its_own(libnm: LibNm) -> None:
    wifi = tuple(Wifi(bytes([65 + number]), Security.WPA, "passphrase") for number in range(8))
    made = profiles(Networks("broker", 8883, wifi), NOBODY)
    found = [libnm.read(data).written["connection"] for data in made.values()]
    assert [item["id"] + ".nmconnection" for item in found] == list(made)
    priorities = [int(item.get("autoconnect-priority", 0)) for item in found]
    assert priorities == sorted(priorities, reverse=True)
    assert len({item["uuid"] for item in found}) == 8


@pytest.mark.parametrize("own", [False, True])
def test_a_network_that_wants_a_certificate_gets_the_devices(libnm: LibNm, tmp_path: Path, own: bool) -> None:
    folder = tmp_path / "a folder; with = \\ all\tsorts"
    folder.mkdir()
    authority, key = new_authority("x", NOW), new_key()
    tls = TlsFiles(folder / "ca.crt", folder / "device.crt", folder / "device.key")
    tls.authority.write_bytes(authority.pem)
    tls.certificate.write_bytes(authority.issue_device(bytes(16), key.public_key(), 10, NOW))
    tls.key.write_bytes(encode_tls_key(key))
    der = b"" if own else authority.certificate.public_bytes(Encoding.DER)
    wifi = Wifi(b"Police", Security.EAP_TLS, server="radius.unit.example", authority=der)
    check_networks(Networks("broker", 8883, (wifi,)).fields)
    found = read(libnm, wifi, Identity(DEVICE, tls))
    assert (found.key_mgmt, found.psk) == ("wpa-eap", None)
    eap = found.written["802-1x"]
    assert (eap["eap"], eap["identity"], eap["domain-match"]) == ("tls;", DEVICE, "radius.unit.example")
    assert eap["private-key-password-flags"] == "4"
    assert eap["ca-cert"].startswith("data:;base64,") is not own
    for name, path in (("client-cert", tls.certificate), ("private-key", tls.key)):
        assert eap[name].replace("\\t", "\t").replace("\\\\", "\\") == str(path)
