"""What a key of a unit policy may hold. Each rule reads one TOML value, or refuses it with the reason.

A refused value is shown only where it is short and cannot be a key: what a policy holds may end in a log.
"""

from __future__ import annotations

from datetime import date, datetime, time
from enum import Enum
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from storage.envelope import Recipient
from storage.errors import KeyFileError, PolicyError
from storage.keyfiles import encode_recipient, parse_recipient
from storage.particulars import MAX_ENVELOPES

_SHOWN = 40
_YEARS = (2020, 2200)


class Rule(Protocol):
    """A kind of value."""

    @property
    def says(self) -> str:
        """What is allowed, in words: for messages, the template and docs/POLICY.md."""
        ...

    def read(self, value: object) -> Any:
        """Return the value as the program uses it.

        Raises:
            PolicyError: it is not allowed; the text goes after the name of the key.
        """
        ...


class Whole:
    """A whole number from `low` to `high`, with its unit."""

    def __init__(self, low: int, high: int, unit: str = "") -> None:
        self._low, self._high = low, high
        self.says = f"a whole number from {low} to {high}" + (f", in {unit}" if unit else "")

    def read(self, value: object) -> int:
        """Read an integer; a boolean is none."""
        if isinstance(value, bool) or not isinstance(value, int) or not self._low <= value <= self._high:
            raise PolicyError(f"{shown(value)} is not {self.says}")
        return value


class YesNo:
    """True or false."""

    says = "true or false"

    def read(self, value: object) -> bool:
        """Read a boolean; a number is none."""
        if not isinstance(value, bool):
            raise PolicyError(f"{shown(value)} is not {self.says}")
        return value


class Text:
    """A text of 1 to `most` printable characters: it may reach a terminal or a screen."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.says = f"a text of 1 to {most} printable characters"

    def read(self, value: object) -> str:
        """Read a text."""
        if not isinstance(value, str) or not 1 <= len(value) <= self._most or not value.isprintable():
            raise PolicyError(f"{shown(value)} is not {self.says}")
        return value


class OneOf:
    """One of the values of an enumeration of texts."""

    def __init__(self, kind: type[Enum]) -> None:
        self._named: dict[str, Enum] = {item.value: item for item in kind}
        self.says = " or ".join(f'"{name}"' for name in self._named)

    def read(self, value: object) -> Enum:
        """Read the text that names a value."""
        if not isinstance(value, str) or value not in self._named:
            raise PolicyError(f"{shown(value)} is not {self.says}")
        return self._named[value]


class SomeOf:
    """At least one of a few texts, none of them twice; the order counts."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self.says = f"a list of one or more of {', '.join(names)}, none twice"

    def read(self, value: object) -> tuple[str, ...]:
        """Read the list."""
        known = isinstance(value, list) and all(isinstance(item, str) and item in self._names for item in value)
        if not isinstance(value, list) or not value or not known or len(set(value)) != len(value):
            raise PolicyError(f"{shown(value)} is not {self.says}")
        return tuple(value)


class When:
    """An instant: an RFC 3339 date-time with its offset."""

    says = f"a date-time of RFC 3339 with an offset, from {_YEARS[0]} to {_YEARS[1]}, such as 2027-01-31T12:00:00+01:00"

    def read(self, value: object) -> datetime:
        """Read a date-time; a local one says nothing to a device that does not know where it is."""
        if not isinstance(value, datetime) or value.tzinfo is None or not _YEARS[0] <= value.year <= _YEARS[1]:
            raise PolicyError(f"{shown(value)} is not {self.says}")
        return value


class Recipients:
    """The public keys that footage is sealed to, each the PEM text of a station's public key file."""

    says = f"a list of 1 to {MAX_ENVELOPES} PEM texts, each what is in one station's public key file, none twice"

    def read(self, value: object) -> tuple[Recipient, ...]:
        """Read the keys, and see that each can be sealed to: a key that cannot would stop every recording."""
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_ENVELOPES:
            raise PolicyError(f"{shown(value)} is not {self.says}")
        found = tuple(self._one(item, number) for number, item in enumerate(value, 1))
        if len({recipient.id for recipient in found}) != len(found):
            raise PolicyError("a key is there twice")
        return found

    @staticmethod
    def _one(value: object, number: int) -> Recipient:
        if not isinstance(value, str):
            raise PolicyError(f"item {number} is not a PEM text")
        try:
            recipient = parse_recipient(value.encode(), f"item {number}")
            X25519PrivateKey.generate().exchange(recipient.x25519)
        except KeyFileError as error:
            raise PolicyError(str(error)) from None
        except ValueError:
            raise PolicyError(f"item {number} is a key that nothing can be sealed to") from None
        if value.split() != encode_recipient(recipient).decode().split():
            # A damaged block would be passed over, and a hybrid key weakened without a word.
            raise PolicyError(f"item {number} holds something else beside the key, or not as a key file has it")
        return recipient


class SigningKeys:
    """Raw Ed25519 public keys, each as 64 hexadecimal digits."""

    _MOST = 16
    says = f"a list of at most {_MOST} keys, each 64 hexadecimal digits, none twice"

    def read(self, value: object) -> tuple[str, ...]:
        """Read the keys; they are kept as text, in lower case."""
        if not isinstance(value, list) or len(value) > self._MOST:
            raise PolicyError(f"{shown(value)} is not {self.says}")
        found = tuple(item.lower() if isinstance(item, str) else "" for item in value)
        if not all(len(item) == 64 and set(item) <= set("0123456789abcdef") for item in found):
            raise PolicyError(f"{shown(value)} is not {self.says}")
        if len(set(found)) != len(found):
            raise PolicyError("a key is there twice")
        return found


def shown(value: object) -> str:
    """Return a short description of a refused value."""
    match value:
        case bool():
            return str(value).lower()
        case int():
            # Decimal digits of a huge number are slow to make, and beyond a limit an error.
            return str(value) if abs(value) < 10**_SHOWN else "a number too large to show"
        case float() | date() | time():
            return str(value)
        case None:
            return "a missing value"
        case str() if len(value) > _SHOWN or "-----" in value:
            return "a long text"
        case str():
            return repr(value)
        case dict():
            return "a table"
        case list():
            return _shown_list(value)
    return f"a {type(value).__name__}"


def _shown_list(value: list[object]) -> str:
    if len(value) <= 4 and all(isinstance(item, str | int | float) for item in value):
        return f"[{', '.join(shown(item) for item in value)}]"
    return f"a list of {len(value)}"
