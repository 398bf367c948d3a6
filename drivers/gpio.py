"""gpiozero's pin factory, chosen by name and never guessed.

gpiozero left to itself tries one factory after another, and falls back silently: a light that then drives nothing
would look lit. Here the name decides, and what cannot be had is an error.
"""

from __future__ import annotations

import atexit
import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from drivers.errors import DriverError, DriverUnavailableError

FACTORIES = ("lgpio", "mock")


def make_pin_factory(name: str, *, chip: int | None = None, work_dir: Path | None = None) -> Any:
    """Make the `gpiozero.Factory` called `name`: ``lgpio`` (a real GPIO chip) or ``mock`` (pins in memory).

    `chip` is the number of /dev/gpiochipN; None lets gpiozero take the one that has a Pi's header, whose number
    moved between kernels. lgpio keeps a named pipe (``.lgd-nfy*``) in `work_dir`, by default a new private folder
    that is removed when the process ends. The caller closes the factory.

    Raises:
        DriverUnavailableError: the name is unknown, or its library or its chip is not here.
    """
    if name == "mock":
        mock = importlib.import_module("gpiozero.pins.mock")
        return mock.MockFactory(pin_class=mock.MockPWMPin)
    if name != "lgpio":
        raise DriverUnavailableError(f"gpio: no pin factory is called {name!r}; choose one of {', '.join(FACTORIES)}")
    try:
        factory_class = _import_lgpio_factory(work_dir)
    except ImportError as error:
        raise DriverUnavailableError(
            f"gpio: lgpio cannot be imported ({error}); install this project's extra 'device'"
        ) from error
    try:
        return factory_class(chip=chip)
    except Exception as error:
        raise DriverUnavailableError(
            f"gpio: no GPIO chip answers to lgpio ({type(error).__name__}: {error}); this needs a Raspberry Pi, "
            "or the number of the chip, and a user in the group 'gpio'"
        ) from error


def reason(part: str, action: str, error: Exception) -> DriverError:
    """Put an error of gpiozero or lgpio into one line."""
    return DriverError(f"{part}: {action} failed ({type(error).__name__}: {error}); check the pin and its wiring")


def _import_lgpio_factory(work_dir: Path | None) -> Any:
    """Import lgpio so that its pipe lands in `work_dir` and the process stays in its own working directory.

    lgpio makes the pipe when it is first imported, in the folder that LG_WD names, and *changes the working directory*
    to that folder: every relative path of the process would mean something else afterwards.
    """
    if "lgpio" in sys.modules:
        return importlib.import_module("gpiozero.pins.lgpio").LGPIOFactory
    os.environ["LG_WD"] = str(work_dir if work_dir is not None else _private_folder())
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        return importlib.import_module("gpiozero.pins.lgpio").LGPIOFactory
    finally:
        os.fchdir(here)
        os.close(here)


def _private_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="getuige-lgpio-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
