"""Commands whose modules are imported when they are asked for: ``verify`` waits for no database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup


def lazy_group(where: Mapping[str, str]) -> type[TyperGroup]:
    """Return a group, for ``Typer(cls=...)``, of commands in the order of `where`.

    `where` says what each name stands for: ``package.module:attribute``, a Typer or a function.
    """

    class LazyGroup(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            self._loaded: dict[str, Any] = {}
            # The names alone, for help and for suggestions; what they stand for, `get_command` says.
            self.commands = dict.fromkeys(where)  # type: ignore[assignment]

        def get_command(self, _ctx: Any, name: str) -> Any:
            if name in where and name not in self._loaded:
                module, _, attribute = where[name].partition(":")
                self._loaded[name] = _command(name, getattr(import_module(module), attribute))
            return self._loaded.get(name)

    return LazyGroup


def _command(name: str, what: typer.Typer | Callable[..., None]) -> Any:
    if not isinstance(what, typer.Typer):
        alone = typer.Typer(add_completion=False)
        alone.command(name)(what)
        what = alone
    command = typer.main.get_command(what)
    command.name = name
    return command
