"""Commands whose modules are imported when they are asked for: ``verify`` waits for no database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup


class Commands(MutableMapping[str, Any]):
    """Commands by their names, in the order of `where`."""

    def __init__(self, where: Mapping[str, str]) -> None:
        """`where`: what each name stands for, ``package.module:attribute``, a Typer or a function."""
        self._where = dict(where)
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            module, _, attribute = self._where[name].partition(":")
            self._loaded[name] = _command(name, getattr(import_module(module), attribute))
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._where.setdefault(name, "")
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._where[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


def lazy_group(where: Mapping[str, str]) -> type[TyperGroup]:
    """Return a group (for ``Typer(cls=...)``) of `Commands`."""

    class LazyGroup(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self.commands = Commands(where)

    return LazyGroup


def _command(name: str, what: typer.Typer | Callable[..., None]) -> Any:
    if not isinstance(what, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command(name)(what)
        what = alone
    command = typer.main.get_command(what)
    command.name = name
    return command
