r"""The unit's networks as NetworkManager's profiles: files of keys and values (nm-settings-keyfile(5)). No I/O.

Nothing that somebody chose stands in one as it is: an SSID is a list of numbers, whatever bytes it has; in a text the
backslash and every kind of white space are escaped (GLib's GKeyFile: ``\\ \s \n \r \t``), so that a line ends where we
end it. What is to be true of every profile:

- another hardware address, interface identifier and DHCP identity at each connection, and no host name told to anybody:
  who looks at the air, or keeps a network's books, is not to recognise a device
- passphrases are in the file and nowhere else; NetworkManager asks nobody for one
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from storage.tls import TlsFiles
from wire.networks import MOST_WIFI, Networks, Security, Wifi

PREFIX, SUFFIX = "getuige-", ".nmconnection"
"""NetworkManager reads no file of another ending from its folder in memory."""
_HEAD = "# Written at each start from what the unit gave this device (firmware radio); here alone.\n"
_NAMESPACE = uuid.UUID("7d3c2c7e-1f55-4f0e-9a2b-6b1f3c0e2d11")
_KEY_MGMT = {Security.WPA: "wpa-psk", Security.WPA3: "sae", Security.EAP_TLS: "wpa-eap"}
_ESCAPES = str.maketrans({"\\": "\\\\", " ": "\\s", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the device is to a network that asks for a certificate."""

    device: str
    """Its id, as in its certificate."""
    tls: TlsFiles


def profiles(networks: Networks, identity: Identity) -> dict[str, bytes]:
    """Return the files' contents by their names. They hold passphrases."""
    made = {}
    for number, wifi in enumerate(networks.wifi, 1):
        made[f"{PREFIX}{number}{SUFFIX}"] = _profile(number, wifi, identity).encode("utf-8", "surrogateescape")
    return made


def _profile(number: int, wifi: Wifi, identity: Identity) -> str:
    name = f"{PREFIX}{number}"
    sections: dict[str, dict[str, str]] = {
        "connection": {
            "id": name,
            "uuid": str(uuid.uuid5(_NAMESPACE, name)),
            "type": "wifi",
            "autoconnect": "true",
            "autoconnect-priority": str(MOST_WIFI - number),
            "stable-id": "${RANDOM}",
        },
        "wifi": {
            "mode": "infrastructure",
            "ssid": "".join(f"{byte};" for byte in wifi.ssid),
            "cloned-mac-address": "random",
        },
        "wifi-security": {"key-mgmt": _KEY_MGMT[wifi.security]},
        "ipv4": {"method": "auto", "dhcp-client-id": "mac", "dhcp-send-hostname": "false"},
        "ipv6": {
            "method": "auto",
            "addr-gen-mode": "stable-privacy",
            "ip6-privacy": "2",
            "dhcp-duid": "ll",
            "dhcp-send-hostname": "false",
        },
    }
    if wifi.security is Security.EAP_TLS:
        sections["802-1x"] = _eap_tls(wifi, identity)
    else:
        sections["wifi-security"]["psk"] = _text(wifi.passphrase)
    return _HEAD + "".join(_section(title, values) for title, values in sections.items())


def _eap_tls(wifi: Wifi, identity: Identity) -> dict[str, str]:
    tls = identity.tls
    authority = f"data:;base64,{base64.b64encode(wifi.authority).decode('ascii')}" if wifi.authority else ""
    return {
        "eap": "tls;",
        "identity": _text(identity.device),
        "ca-cert": authority or _path(tls.authority),
        "domain-match": _text(wifi.server),
        "client-cert": _path(tls.certificate),
        "private-key": _path(tls.key),
        # 4: not required. The key has no passphrase, as a device has nobody to ask.
        "private-key-password-flags": "4",
    }


def _section(title: str, values: Mapping[str, str]) -> str:
    return f"\n[{title}]\n" + "".join(f"{key}={value}\n" for key, value in values.items())


def _path(path: Path) -> str:
    return _text(str(path.absolute()))


def _text(text: str) -> str:
    return text.translate(_ESCAPES)
