"""Live values of a board: what the parts say, under a light that is lit for as long as anything watches or listens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NoReturn

import pytest

from drivers.accelerometer.disabled import DisabledAccelerometer
from drivers.battery.disabled import DisabledBattery
from drivers.camera.disabled import DisabledCamera
from drivers.dock.disabled import DisabledDock
from drivers.errors import DriverError
from drivers.gnss.disabled import DisabledGnss
from drivers.microphone.disabled import DisabledMicrophone
from firmware.lighted import DarkError
from firmware.live_values import watch
from tests.firmware.test_check_board import Table


@pytest.fixture
def table() -> Iterator[Table]:
    made = Table()
    yield made
    for part in (made.light, made.button, made.buzzer, made.haptics):
        part.close()


def watched(table: Table, seconds: int = 5) -> tuple[list[Mapping[str, Any]], dict[str, str]]:
    values: list[Mapping[str, Any]] = []
    troubles: dict[str, str] = {}
    watch(table.parts, seconds, values.append, troubles.__setitem__, patience=table.world.patience())
    return values, troubles


def test_what_the_parts_say(table: Table) -> None:
    table.world.after(1.2, table.button.press)
    table.world.after(1.2, lambda: table.buzzer.sound(3000))
    values, troubles = watched(table)
    assert not troubles
    assert len(values) == 10
    first, last = values[0], values[-1]
    assert (first["pressed"], last["pressed"]) == (False, True)
    assert (first["fix"], last["fix"], last["satellites"]) == (False, True, 9)
    assert first["sound_db"] < last["sound_db"]
    assert (last["light_commanded"], last["light_sensed"]) == (True, True)
    assert (last["battery_percent"], last["pull_mg"], last["docked"]) == (77, 1000, False)
    assert last["pictures_per_s"] > 0
    assert "52." not in repr(values), "where it is, is nobody's business"


def test_the_light_is_lit_while_it_watches_and_dark_afterwards(table: Table) -> None:
    watched(table)
    assert table.camera.starts == table.microphone.starts == 1
    assert not table.camera.ran_in_the_dark
    assert not table.microphone.ran_in_the_dark
    assert not table.camera.running
    assert not table.microphone.running
    assert not table.light.shining


def test_a_light_that_stays_dark_lets_nothing_watch(table: Table) -> None:
    table.light.stick(False)
    values, troubles = watched(table)
    assert "stays dark" in troubles["light"]
    assert table.camera.starts == table.microphone.starts == 0
    assert (values[-1]["sound_db"], values[-1]["pictures_per_s"]) == (None, 0)
    assert values[-1]["battery_percent"] == 77, "the others are watched all the same"


def test_a_light_that_goes_dark_ends_it(table: Table) -> None:
    table.world.after(1.0, lambda: table.light.stick(False))
    with pytest.raises(DarkError):
        watched(table)
    assert not table.camera.running
    assert not table.microphone.running


def refuse() -> NoReturn:
    raise DriverError("not there")


def test_parts_that_are_not_there_are_told_and_keep_no_other_from_being_watched(table: Table) -> None:
    table.parts = replace(table.parts, button=refuse, camera=refuse, gnss=refuse)
    values, troubles = watched(table, 1)
    assert troubles == {"button": "not there", "camera": "not there", "gnss": "not there"}
    assert (values[-1]["pressed"], values[-1]["fix"]) == (None, None)
    table.parts = replace(table.parts, indicator=refuse, camera_power=refuse)
    values, troubles = watched(table, 1)
    assert "light" in troubles
    assert values[-1]["light_sensed"] is None


def test_parts_that_do_not_start_are_told(table: Table) -> None:
    table.camera.refusal = table.microphone.refusal = table.accelerometer.refusal = "busy"
    _, troubles = watched(table, 1)
    assert troubles == {"camera": "busy", "microphone": "busy", "accelerometer": "busy"}


def test_a_board_with_little_on_it(table: Table) -> None:
    table.parts = replace(
        table.parts, camera=DisabledCamera, microphone=DisabledMicrophone, battery=DisabledBattery, gnss=DisabledGnss,
        accelerometer=DisabledAccelerometer, dock=DisabledDock,
    )  # fmt: skip
    values, troubles = watched(table, 1)
    assert list(troubles) == ["camera"]
    last = values[-1]
    assert [last[key] for key in ("battery_mv", "fix", "pull_mg", "sound_db", "docked")] == [None] * 5
