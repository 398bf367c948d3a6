"""Holds a bill of materials against CycloneDX's own JSON schema: as much of JSON Schema (draft 7) as that one uses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cyclonedx.schema

_FOLDER = Path(cyclonedx.schema.__file__).parent / "_res"
_KINDS: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float)
}  # fmt: skip
_NOT_RULES = {"$schema", "$id", "$comment", "title", "description", "definitions", "default", "examples", "meta:enum",
              "deprecated", "format", "type", "$ref", "additionalItems"}  # fmt: skip


def check_schema(document: object) -> None:
    """Raise AssertionError where it is not as the schema says."""
    name = "bom-1.6.SNAPSHOT.schema.json"
    _check(document, _load(name), _load(name), "$")


def _load(name: str) -> Any:
    return json.loads((_FOLDER / name).read_text("utf-8"))


def _check(value: Any, rule: Any, whole: Any, where: str) -> None:
    if isinstance(rule, bool):
        assert rule, where
        return
    if "$ref" in rule:
        name, _, path = rule["$ref"].partition("#")
        whole = _load(name) if name else whole
        rule = whole
        for step in filter(None, path.split("/")):
            rule = rule[step]
        _check(value, rule, whole, where)
        return
    kinds = rule.get("type")
    if kinds is not None:
        named = [kinds] if isinstance(kinds, str) else kinds
        assert any(_is(value, kind) for kind in named), f"{where}: {value!r} is not {kinds}"
    for name, what in rule.items():
        if name not in _NOT_RULES:
            _RULES[name](value, what, rule, whole, where)


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _properties(value: Any, what: Any, rule: Any, whole: Any, where: str) -> None:
    for name in value if isinstance(value, dict) else ():
        if name in what:
            _check(value[name], what[name], whole, f"{where}.{name}")


def _additional(value: Any, what: Any, rule: Any, whole: Any, where: str) -> None:
    known = rule.get("properties", {})
    patterns = rule.get("patternProperties", {})
    for name in value if isinstance(value, dict) else ():
        if name not in known and not any(re.search(pattern, name) for pattern in patterns):
            _check(value[name], what, whole, f"{where}.{name}")


def _items(value: Any, what: Any, rule: Any, whole: Any, where: str) -> None:
    items = value if isinstance(value, list) else []
    if isinstance(what, list):
        assert len(items) <= len(what) or rule.get("additionalItems", True), where
        for number, (item, one) in enumerate(zip(items, what, strict=False)):
            _check(item, one, whole, f"{where}[{number}]")
        return
    for number, item in enumerate(items):
        _check(item, what, whole, f"{where}[{number}]")


def _some(value: Any, what: Any, rule: Any, whole: Any, where: str) -> int:
    good = 0
    for one in what:
        try:
            _check(value, one, whole, where)
        except AssertionError:
            continue
        good += 1
    return good


def _one_of(value: Any, what: Any, rule: Any, whole: Any, where: str) -> None:
    assert _some(value, what, rule, whole, where) == 1, f"{where}: not exactly one of {len(what)}"


def _any_of(value: Any, what: Any, rule: Any, whole: Any, where: str) -> None:
    assert _some(value, what, rule, whole, where), f"{where}: none of {len(what)}"


def _all_of(value: Any, what: Any, rule: Any, whole: Any, where: str) -> None:
    assert _some(value, what, rule, whole, where) == len(what), where


def _required(value: Any, what: Any, rule: Any, whole: Any, where: str) -> None:
    assert not isinstance(value, dict) or set(what) <= value.keys(), f"{where} lacks one of {what}"


def _unique(value: Any, what: Any, rule: Any, whole: Any, where: str) -> None:
    texts = [json.dumps(item, sort_keys=True) for item in value]
    assert len(set(texts)) == len(texts), f"{where}: something is there twice"


def _enum(value: Any, what: Any, rule: Any, whole: Any, where: str) -> None:
    assert value in what, f"{where}: {value!r}"


def _const(value: Any, what: Any, rule: Any, whole: Any, where: str) -> None:
    assert value == what, f"{where}: {value!r}"


def _pattern(value: Any, what: Any, rule: Any, whole: Any, where: str) -> None:
    assert not isinstance(value, str) or re.search(what, value), f"{where}: {value!r}"


def _least(value: Any, what: Any, rule: Any, whole: Any, where: str) -> None:
    assert (value if isinstance(value, (int, float)) else len(value)) >= what, where


def _most(value: Any, what: Any, rule: Any, whole: Any, where: str) -> None:
    assert (value if isinstance(value, (int, float)) else len(value)) <= what, where


_RULES = {
    "properties": _properties, "additionalProperties": _additional, "items": _items, "oneOf": _one_of, "anyOf": _any_of,
    "allOf": _all_of, "required": _required, "uniqueItems": _unique, "enum": _enum, "const": _const,
    "pattern": _pattern, "minLength": _least, "minItems": _least, "minimum": _least,
    "maxLength": _most, "maxItems": _most, "maximum": _most,
}  # fmt: skip
