"""The companion controller's program: the one that this firmware carries, and the one that runs, for the record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from drivers.companion.lines import Greeting
from drivers.companion_program.bundle import Program, read_program
from drivers.errors import DriverError
from firmware.line_counts import Note
from firmware.part_checks import Harmless
from firmware.patience import Patience
from firmware.selftest import Finding, failed, passed

COMPANION = Path(__file__).resolve().parent.parent / "hardware" / "companion"
_SHORT = 12
_REMEDY = "put this firmware's on it: station console update-companion, or firmware companion update"


def carried_program(folder: Path = COMPANION) -> Program:
    """Return the program that this firmware carries.

    Raises:
        DriverError: its files are missing or are none.
    """
    return read_program(folder / "program")


def compare(version: str, digest: str | None, carried: Program) -> str:
    """Return in one line what is wrong with a program that runs, and what to do; an empty text if it is the carried."""
    if digest == carried.digest:
        return ""
    runs = f"{version} ({digest[:_SHORT]})" if digest else f"{version}, which is too old to say its digest"
    return f"runs {runs}, and this firmware carries {carried.version} ({carried.digest[:_SHORT]}); {_REMEDY}"


class ProgramCheck(Harmless):
    """The controller runs the very program that this firmware carries."""

    name = "companion"
    limit_s = 5.0

    _GREETING_S = 2.0

    def __init__(self, greeting: Callable[[], Greeting | None], carried: Callable[[], Program]) -> None:
        """`greeting` returns the controller's last word about itself."""
        self._greeting = greeting
        self._carried = carried

    def run(self, patience: Patience) -> Finding:
        """Wait for its word, and compare.

        Raises:
            DriverError: this firmware carries no program.
        """
        carried = self._carried()
        if not patience.until(lambda: self._greeting() is not None, self._GREETING_S):
            return failed(f"it said nothing for {self._GREETING_S:g} s; check its line and its power")
        greeting = self._greeting()
        if greeting is None:
            return failed("it said something, and then nothing; check its line")
        wrong = compare(greeting.firmware, greeting.digest, carried)
        if wrong:
            return failed(wrong)
        return passed(f"runs {carried.version} ({carried.digest[:_SHORT]}), as this firmware carries it")


class ProgramLog:
    """Puts on record which program the controller runs: at the start, and whenever it is another. No I/O of its own."""

    def __init__(self, note: Note, carried: Callable[[], Program]) -> None:
        """`carried` is asked once, at the first word of the controller."""
        self._note = note
        self._carried = carried
        self._carried_digest: str | None = None
        self._told: tuple[str, str | None, str | None] | None = None

    def look(self, greeting: Greeting | None) -> None:
        """Take the controller's last word about itself; to be called often."""
        if greeting is None:
            return
        says = (greeting.firmware, greeting.digest, greeting.config)
        if says == self._told:
            return
        if self._told is None:
            try:
                self._carried_digest = self._carried().digest
            except DriverError:
                self._carried_digest = None  # told by the self-test, and by a null on record
        self._told = says
        version, digest, config = says
        self._note("companion-program", version=version, digest=digest, config=config, carried=self._carried_digest)
