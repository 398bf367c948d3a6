"""The files of users and groups (passwd(5), shadow(5), group(5)): our user is added, and nobody can log in."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hardware.image.errors import ImageError

USER = "getuige"
GROUPS = ("gpio", "video", "audio", "i2c", "dialout", "tss", "netdev", "tty", "systemd-journal")
"""Those that own its parts, and the log."""
_SYSTEM_IDS = range(999, 199, -1)
_NOLOGIN = "/usr/sbin/nologin"
_LOCKED = "!*"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}")


@dataclass(frozen=True, slots=True)
class Accounts:
    """The four files."""

    passwd: str
    shadow: str
    group: str
    gshadow: str

    def ids(self) -> tuple[int, int]:
        """Return our user's number and our group's."""
        fields = _find(self.passwd, USER)
        if fields is None:
            raise ImageError(f"there is no user {USER}")
        return int(fields[2]), int(fields[3])


def harden(base: Accounts, *, users: Iterable[str] = ()) -> Accounts:
    """Add our user, the groups of its parts and the system users that packages want; lock every password.

    Raises:
        ImageError: a file is not what it should be.
    """
    passwd, group = _lines(base.passwd, 7, "passwd"), _lines(base.group, 4, "group")
    if any(fields[0] == USER for fields in (*passwd, *group)):
        raise ImageError(f"the base has a user or group {USER} already: it is no base, or was made to deceive")
    _check_numbers(passwd, 4, "passwd")
    _check_numbers(group, 3, "group")
    groups = {fields[0] for fields in group}
    people = {fields[0] for fields in passwd}
    for name in (*GROUPS, USER, *users):
        if name not in groups:
            group.append([name, "x", str(_free(group, passwd)), ""])
            groups.add(name)
    for name in (USER, *users):
        if name not in people:
            gid = next(fields[2] for fields in group if fields[0] == name)
            uid = gid if not any(fields[2] == gid for fields in passwd) else str(_free(group, passwd))
            home = f"/var/lib/{USER}" if name == USER else "/nonexistent"
            passwd.append([name, "x", uid, gid, "", home, _NOLOGIN])
    for fields in passwd:
        fields[1] = "x"
        if fields[0] != "sync":
            fields[6] = _NOLOGIN
    old = {fields[0]: fields for fields in _lines(base.shadow, 9, "shadow")}
    shadow = []
    for fields in passwd:
        kept = old.get(fields[0], [fields[0], "", "1", "0", "99999", "7", "", "", ""])
        shadow.append([fields[0], _LOCKED, *kept[2:]])
    admins = {fields[0]: fields for fields in _lines(base.gshadow, 4, "gshadow")}
    gshadow = [[fields[0], "!", "", admins.get(fields[0], ["", "", "", fields[3]])[3]] for fields in group]
    return Accounts(_text(passwd), _text(shadow), _text(group), _text(gshadow))


def _check_numbers(lines: list[list[str]], until: int, name: str) -> None:
    """See that a number is one, and that root's own has no second name: a service's user would be root by it."""
    for fields in lines:
        if not all(_NUMBER.fullmatch(number) for number in fields[2:until]):
            raise ImageError(f"/etc/{name} of the base has no number for {fields[0]}; take it unchanged")
        if fields[2] == "0" and fields[0] != "root":
            raise ImageError(f"/etc/{name} of the base has root's number for {fields[0]}; take it unchanged")


def _free(group: list[list[str]], passwd: list[list[str]]) -> int:
    used = {fields[2] for fields in group} | {fields[2] for fields in passwd}
    free = next((number for number in _SYSTEM_IDS if str(number) not in used), None)
    if free is None:
        raise ImageError("the base has no number left for a user of the system; take it unchanged")
    return free


def _find(text: str, name: str) -> list[str] | None:
    return next((line.split(":") for line in text.splitlines() if line.startswith(f"{name}:")), None)


def _lines(text: str, count: int, name: str) -> list[list[str]]:
    lines = [line.split(":") for line in text.splitlines() if line.strip()]
    for fields in lines:
        if len(fields) != count:
            raise ImageError(f"/etc/{name} of the base is not what it should be ({fields[0]}); take it unchanged")
    return lines


def _text(lines: list[list[str]]) -> str:
    return "".join(":".join(fields) + "\n" for fields in lines)
