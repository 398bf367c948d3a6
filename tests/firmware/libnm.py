"""NetworkManager's own reader of its profiles (libnm, by ctypes): what it makes of a file, as it would on a device."""

from __future__ import annotations

import ctypes
from configparser import RawConfigParser
from dataclasses import dataclass

_P, _S = ctypes.c_void_p, ctypes.c_char_p


def _library(name: str, **functions: tuple[object, ...]) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise AssertionError(f"{name} is missing: run `make setup`") from error
    for function, (result, *arguments) in functions.items():
        found = getattr(library, function)
        found.restype, found.argtypes = result, arguments
    return library


class _Error(ctypes.Structure):
    _fields_ = (("domain", ctypes.c_uint32), ("code", ctypes.c_int), ("message", _S))


@dataclass(frozen=True)
class Profile:
    """What libnm understood."""

    ssid: bytes
    psk: str | None
    key_mgmt: str
    written: dict[str, dict[str, str]]
    """The profile as libnm writes it, without what is as libnm has it by itself."""


class LibNm:
    """The two libraries. libnm comes without the daemon (Debian: libnm0)."""

    def __init__(self) -> None:
        self._glib = _library(
            "libglib-2.0.so.0",
            g_key_file_new=(_P,),
            g_key_file_free=(None, _P),
            g_key_file_load_from_data=(ctypes.c_int, _P, _S, ctypes.c_size_t, ctypes.c_int, _P),
            g_key_file_to_data=(_P, _P, _P, _P),
            g_bytes_get_data=(_P, _P, ctypes.POINTER(ctypes.c_size_t)),
            g_free=(None, _P),
        )
        self._gobject = _library("libgobject-2.0.so.0", g_object_unref=(None, _P))
        self._nm = _library(
            "libnm.so.0",
            nm_keyfile_read=(_P, _P, _S, ctypes.c_int, _P, _P, _P),
            nm_keyfile_write=(_P, _P, ctypes.c_int, _P, _P, _P),
            nm_connection_verify=(ctypes.c_int, _P, _P),
            nm_connection_get_setting_wireless=(_P, _P),
            nm_connection_get_setting_wireless_security=(_P, _P),
            nm_setting_wireless_get_ssid=(_P, _P),
            nm_setting_wireless_security_get_psk=(_S, _P),
            nm_setting_wireless_security_get_key_mgmt=(_S, _P),
        )

    def read(self, data: bytes) -> Profile:
        """Read a profile; what libnm does not take fails the test, with its own words."""
        glib, nm = self._glib, self._nm
        error = ctypes.POINTER(_Error)()
        keys = glib.g_key_file_new()
        assert glib.g_key_file_load_from_data(keys, data, len(data), 0, ctypes.byref(error)), _said(error)
        connection = nm.nm_keyfile_read(keys, b"/", 0, None, None, ctypes.byref(error))
        assert connection, _said(error)
        assert nm.nm_connection_verify(connection, ctypes.byref(error)), _said(error)
        size = ctypes.c_size_t()
        ssid = nm.nm_setting_wireless_get_ssid(nm.nm_connection_get_setting_wireless(connection))
        raw = ctypes.string_at(glib.g_bytes_get_data(ssid, ctypes.byref(size)), size.value)
        security = nm.nm_connection_get_setting_wireless_security(connection)
        psk = nm.nm_setting_wireless_security_get_psk(security)
        made = Profile(
            raw, psk.decode() if psk is not None else None,
            nm.nm_setting_wireless_security_get_key_mgmt(security).decode(), self._written(connection),
        )  # fmt: skip
        self._gobject.g_object_unref(connection)
        glib.g_key_file_free(keys)
        return made

    def _written(self, connection: int) -> dict[str, dict[str, str]]:
        keys = self._nm.nm_keyfile_write(connection, 0, None, None, None)
        text = self._glib.g_key_file_to_data(keys, None, None)
        parser = RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=True)
        parser.read_string(ctypes.string_at(text).decode())
        self._glib.g_free(text)
        self._glib.g_key_file_free(keys)
        return {title: dict(parser[title]) for title in parser.sections()}


def _said(error: ctypes._Pointer[_Error]) -> str:
    return str(error.contents.message.decode()) if error else "no reason given"
