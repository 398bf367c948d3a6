"""docs/STATES.md and docs/states.svg, made from the table of states."""

from __future__ import annotations

import subprocess
from pathlib import Path

from firmware.standing import standing_cue
from firmware.states import KEEPING, TABLE, Action, Signal, State

_DOCS = Path(__file__).resolve().parents[2] / "docs"
_HEAD = """\
# States of the device

Made from the table in `firmware/states.py` by `make docs`. What is not in the table does not happen. States with a
thick border are those in which pictures may be kept; their light is never dark. A gesture that can have no effect is
answered by *refused*, so that no press is lost.

![States](states.svg)

Not drawn, for they would hide the rest: *power off* leads from every state to *off*; *recorder failed* and *recording
closed by a fault* lead to *fault*, from which a device with a dead recorder ends, to be started anew.

| state | shown as | when | then | and does |
|---|---|---|---|---|
"""
_HIDDEN = {Signal.POWER_OFF, Signal.FAILED, Signal.ENDED_FAULTY}


def markdown() -> str:
    """Return the page."""
    rows = []
    for state in State:
        for (before, signal), (after, actions) in TABLE.items():
            if before is state:
                then = "stays" if after is state else f"**{after.value}**"
                rows.append(
                    f"| {state.value} | {standing_cue(state).value} | {signal.value} | {then} | {_does(actions)} |"
                )
    return _HEAD + "\n".join(rows) + "\n"


def dot() -> str:
    """Return the drawing in Graphviz's language: changes of state alone."""
    lines = [
        "digraph states {",
        '  rankdir=TB; nodesep=0.35; ranksep=0.55; size="11,11"; bgcolor="white";',
        '  node [shape=box, style="rounded", fontname="sans-serif", fontsize=13];',
        '  edge [fontname="sans-serif", fontsize=10, color="#444444"];',
    ]
    for state in State:
        if state in (State.UNENROLLED, State.OFF):
            continue  # nothing but power-off leads from the one and to the other
        width = 3 if state in KEEPING else 1
        lines.append(f'  "{state.value}" [penwidth={width}];')
    arrows: dict[tuple[State, State], list[str]] = {}
    for (before, signal), (after, _actions) in TABLE.items():
        crossed = signal is Signal.ENDED and before not in (State.CLOSING, State.RESTARTING)
        if before is not after and signal not in _HIDDEN and not crossed:
            arrows.setdefault((before, after), []).append(signal.value)
    for (before, after), signals in arrows.items():
        label = "\\n".join(signals)
        lines.append(f'  "{before.value}" -> "{after.value}" [label="{label}"];')
    return "\n".join([*lines, "}", ""])


def _does(actions: tuple[Action, ...]) -> str:
    return ", ".join(action.value for action in actions) or "nothing"


def main() -> None:
    """Write both."""
    (_DOCS / "STATES.md").write_text(markdown(), "utf-8")
    (_DOCS / "states.dot").write_text(dot(), "utf-8")
    drawn = subprocess.run(["dot", "-Tsvg"], input=dot(), capture_output=True, text=True, check=True).stdout
    (_DOCS / "states.svg").write_text(drawn, "utf-8")


if __name__ == "__main__":
    main()
