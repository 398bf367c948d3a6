"""What a device says, in words for people. It may say anything: all of it is bounded and printable when it leaves here.

No I/O. A row is a label and a text; a list of them is what `station.console_line.screen` shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from wire.plain import printable

Row = tuple[str, str]
_MOST_TEXT = 300
_LATEST_S = 2**40
_UNKNOWN = "?"
_SHORT = 12
"""Digits of a digest, for the eye."""
_FEW = 2
"""Acts that a running recorder takes within a second."""
_OUTCOMES = {"passed": "ok", "failed": "FAILED", "absent": "absent"}


def text(value: object, most: int = _MOST_TEXT) -> str:
    """Return whatever a device sent as a printable line."""
    match value:
        case None:
            return _UNKNOWN
        case bool():
            return "yes" if value else "no"
        case str():
            return printable(value, most)
        case int():
            return str(value)
    return _UNKNOWN


def when(seconds: object) -> str:
    """Return a time in seconds since 1970 in words."""
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds <= _LATEST_S:
        return _UNKNOWN
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return _UNKNOWN


def within(value: object, key: str) -> object:
    """Return what stands there in a map, if it is one."""
    return value.get(key) if isinstance(value, Mapping) else None


def greeting_rows(fields: Mapping[str, Any]) -> list[Row]:
    """Tell of a device that belongs to no unit yet: all that anybody may know."""
    return [
        ("device", "belongs to no unit yet: enrol it (station enrol)"),
        ("board", f"{text(fields.get('board'))}, serial number {text(fields.get('serial')) or 'unknown'}"),
        ("firmware", text(fields.get("firmware"))),
        ("clock", f"{when(fields.get('utc_s'))}{'' if fields.get('clock_known') is True else ', nobody keeps it'}"),
    ]


def status_rows(fields: Mapping[str, Any]) -> list[Row]:
    """Tell how a device is."""
    recorder, policy, chain = fields.get("recorder"), fields.get("policy"), fields.get("chain")
    rows = [
        ("device", f"{text(fields.get('name')) or 'without a name'}, {text(fields.get('device'))}"),
        ("board", f"{text(fields.get('board'))}, serial number {text(fields.get('serial')) or 'unknown'}"),
        ("firmware", text(fields.get("firmware"))),
        *_companion(fields.get("companion")),
        ("recorder", _recorder(recorder, fields.get("told") is True)),
    ]
    if isinstance(recorder, Mapping):
        light = within(recorder, "light")
        sensed = _either(within(light, "sensed"), ", sensed lit", ", sensed dark")
        rows += [
            ("light", f"{'on' if within(light, 'commanded') is True else 'off'}{sensed}"),
            ("battery", _battery(recorder)),
            ("docked", text(recorder.get("docked"))),
        ]
    rows += [
        ("policy", _policy(policy, recorder)),
        ("certificate", _certificate(fields.get("certificate"))),
        ("chain", _chain(chain)),
        ("storage", _storage(fields.get("storage"), recorder)),
        ("clock", _clock(fields.get("clock"), recorder)),
    ]
    waiting = fields.get("acts_waiting")
    if isinstance(waiting, int) and waiting > _FEW:
        rows.append(("to record", f"{waiting} acts of technicians wait for the recorder to take note"))
    return rows


def is_well(fields: Mapping[str, Any]) -> bool:
    """Whether policy, store and companion can be used, the recorder runs, if it is to tell, and no fault stands."""
    recorder = fields.get("recorder")
    troubles = [within(fields.get(name), "trouble") for name in ("policy", "storage")]
    if fields.get("enrolled") is not True or troubles != [None, None]:
        return False
    companion = fields.get("companion")
    if isinstance(companion, Mapping) and companion.get("version") != "" and companion.get("as_carried") is not True:
        return False  # one that no recorder has heard yet is no trouble of its own
    return recorder.get("fault") == "" if isinstance(recorder, Mapping) else fields.get("told") is False


def check_line(fields: Mapping[str, Any]) -> str:
    """Tell what one check found."""
    outcome = fields.get("outcome")
    word = _OUTCOMES.get(outcome, _UNKNOWN) if isinstance(outcome, str) else _UNKNOWN
    return f"{text(fields.get('check'), 24)}: {text(fields.get('text'))} ... {word}"


def percent_line(percent: object) -> str:
    """Tell how far something is."""
    return f"{percent:3d} %" if isinstance(percent, int) and 0 <= percent <= 100 else _UNKNOWN


def companion_rows(fields: Mapping[str, Any]) -> list[Row]:
    """Tell which program a companion controller runs after its update."""
    return [
        ("version", text(fields.get("version"), 16)),
        ("digest", text(fields.get("digest"), 64)),
        ("config", text(fields.get("config"), 8) or "not told"),
    ]


def companion_line(fields: Mapping[str, Any]) -> str:
    """Tell in a line what came of the update."""
    if fields.get("as_carried") is not True:
        return f"NOT what the device's firmware carries ({text(fields.get('carried'), _SHORT)}): ask for it again"
    return f"as the device's firmware carries it{': it ran already' if fields.get('before') is True else ''}"


def values_line(values: object) -> str:
    """Tell what the parts say just now; what a board has not is left out."""

    def value(key: str, unit: str) -> str:
        found = within(values, key)
        return f"{text(found)} {unit}" if isinstance(found, int) and not isinstance(found, bool) else ""

    def switch(key: str, yes: str, no: str) -> str:
        return _either(within(values, key), yes, no)

    fix = f"fix, {text(within(values, 'satellites'))} satellites" if within(values, "fix") is True else ""
    parts = [
        switch("light_sensed", "light lit", "light DARK") or switch("light_commanded", "light on", "light off"),
        switch("pressed", "button DOWN", "button up"),
        value("battery_mv", "mV"),
        value("battery_percent", "%"),
        value("pull_mg", "mg"),
        fix or switch("fix", "", "no fix yet"),
        value("sound_db", "dB"),
        value("pictures_per_s", "pictures/s"),
        switch("docked", "docked", "not docked"),
    ]
    return " | ".join(part for part in parts if part)


def log_line(fields: object) -> str:
    """Tell a line of the log."""
    utc_us = within(fields, "utc_us")
    time = when(utc_us // 1_000_000) if isinstance(utc_us, int) else _UNKNOWN
    priority = within(fields, "priority")
    mark = "! " if isinstance(priority, int) and priority <= 4 else ""
    return f"{time}  {text(within(fields, 'unit'), 64)}  {mark}{text(within(fields, 'text'), 400)}"


def segment_line(fields: object) -> str:
    """Tell what stands in the clear about a segment."""
    sensed = text(within(fields, "sensed"), 10)
    return (
        f"{when(within(fields, 'utc_s'))}  segment {text(within(fields, 'segment'))}"
        f"  {text(within(fields, 'kind'), 16)}  light {text(within(fields, 'light'), 10)}"
        f"{f' (sensed {sensed})' if sensed else ''}  {text(within(fields, 'bytes'))} bytes"
    )


def _companion(companion: object) -> list[Row]:
    """Tell which program the controller runs; nothing where the board has none."""
    if not isinstance(companion, Mapping):
        return []
    if companion.get("trouble") is not None:
        return [("companion", f"UNUSABLE: {text(companion['trouble'])}")]
    carried = text(companion.get("carried"), _SHORT)
    if not companion.get("version"):
        return [("companion", f"unknown: no recorder runs that hears it; the firmware carries {carried}")]
    runs = f"{text(companion['version'], 16)} ({text(companion.get('digest'), _SHORT) or 'no digest'})"
    if companion.get("as_carried") is True:
        return [("companion", f"{runs}, as the firmware carries it")]
    return [("companion", f"{runs}, and NOT {carried}, which the firmware carries: update-companion")]


def _either(value: object, yes: str, no: str) -> str:
    return yes if value is True else no if value is False else ""


def _recorder(recorder: object, told: bool) -> str:
    if not isinstance(recorder, Mapping):
        return "does NOT run" if told else "unknown: the device's settings name no status file"
    fault = text(recorder.get("fault"))
    return f"{text(recorder.get('state'))}{f': {fault}' if fault else ''}"


def _battery(recorder: Mapping[str, Any]) -> str:
    percent = recorder.get("battery_percent")
    if percent is None:
        return "none known"
    charging = _either(recorder.get("charging"), ", charging", ", not charging")
    return f"{text(percent)} %{charging}"


def _policy(policy: object, recorder: object) -> str:
    if within(policy, "trouble") is not None or not isinstance(policy, Mapping):
        return f"UNUSABLE: {text(within(policy, 'trouble'))}"
    told = f"serial {text(policy.get('serial'))} of {text(policy.get('unit'))}, until {when(policy.get('expires_s'))}"
    obeyed = within(recorder, "policy_serial")
    return told if obeyed in (None, policy.get("serial")) else f"{told}; the recorder obeys {text(obeyed)} still"


def _certificate(certificate: object) -> str:
    if within(certificate, "trouble") is not None or not isinstance(certificate, Mapping):
        return f"none that can be used: {text(within(certificate, 'trouble'))}"
    return f"until {when(certificate.get('until_s'))}"


def _chain(chain: object) -> str:
    if not isinstance(chain, Mapping):
        return "no segment yet"
    state = "closed" if chain.get("closed") is True else "open"
    return f"segment {text(chain.get('segment'))}, {text(chain.get('kind'))}, {state}, begun {when(chain.get('utc_s'))}"


def _storage(storage: object, recorder: object) -> str:
    if within(storage, "trouble") is not None or not isinstance(storage, Mapping):
        return f"UNUSABLE: {text(within(storage, 'trouble'))}"
    minutes = within(recorder, "minutes_left")
    left = f", {text(minutes)} minutes of recording" if isinstance(minutes, int) else ""
    return f"{text(storage.get('free_mib'))} of {text(storage.get('total_mib'))} MiB free{left}"


def _clock(clock: object, recorder: object) -> str:
    best = within(recorder, "clock")
    source = text(within(best, "source")) if isinstance(best, Mapping) else ""
    kept = "kept in step" if within(clock, "in_step") is True else "nobody keeps it in step"
    return f"{when(within(clock, 'utc_s'))}, {kept}{f'; the recorder goes by: {source}' if source else ''}"
