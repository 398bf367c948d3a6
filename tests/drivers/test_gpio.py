"""The pin factory is the one that was named, or an error."""

from __future__ import annotations

import importlib
import os
import sys
import types
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from drivers.errors import DriverUnavailableError
from drivers.gpio import make_pin_factory


def forget_lgpio(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("lgpio", "gpiozero.pins.lgpio"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setenv("LG_WD", "")  # so that what the import sets is undone
    monkeypatch.delenv("LG_WD")


def test_mock_pins() -> None:
    factory = make_pin_factory("mock")
    try:
        assert isinstance(factory, MockFactory)
    finally:
        factory.close()


@pytest.mark.parametrize("name", ["", "rpigpio", "native", "pigpio"])
def test_no_other_factory_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    with pytest.raises(DriverUnavailableError, match="choose one of lgpio, mock"):
        make_pin_factory(name)


def test_without_lgpio_nothing_else_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_lgpio(monkeypatch)
    real_import = importlib.import_module

    def refuse(name: str) -> types.ModuleType:
        if "lgpio" in name:
            raise ImportError("No module named 'lgpio'")
        return real_import(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(DriverUnavailableError, match="install this project's extra 'device'"):
        make_pin_factory("lgpio")


@pytest.mark.parametrize("given", [True, False])
def test_lgpio_keeps_its_pipe_out_of_the_working_directory(
    given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_lgpio(monkeypatch)
    at_import: list[str | None] = []

    class NoChip:
        def __init__(self, chip: int | None) -> None:
            raise OSError(f"can not open gpiochip {chip}")

    def stand_in(name: str) -> types.ModuleType:
        assert name == "gpiozero.pins.lgpio"
        at_import.append(os.environ.get("LG_WD"))  # lgpio reads it when it is imported, and goes there
        os.chdir(os.environ["LG_WD"])
        module = types.ModuleType(name)
        vars(module)["LGPIOFactory"] = NoChip
        return module

    monkeypatch.setattr(importlib, "import_module", stand_in)
    before = Path.cwd()
    with pytest.raises(DriverUnavailableError, match=r"OSError: can not open gpiochip 7\); this needs a Raspberry Pi"):
        make_pin_factory("lgpio", chip=7, work_dir=tmp_path if given else None)
    (folder,) = at_import
    assert folder is not None
    assert Path(folder).is_dir()
    assert Path(folder) != before
    assert Path.cwd() == before
    assert (folder == str(tmp_path)) == given
