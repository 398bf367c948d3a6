"""Nobody stops an officer's recording over a cable: what would end the recorder is refused while it records.

There is no way round it, and none is meant to be: the wearer's button ends a recording, and who must have the device
now can take its battery, which the chain shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from firmware.enrolment.evidence import recording_runs
from wire.errors import RefusedError


def refuse_if_busy(recorder: Mapping[str, Any] | None, flash: Path) -> None:
    """Look at what the recorder says, and at its newest segment.

    Raises:
        RefusedError: something is recorded just now, or is about to be.
    """
    if (recorder is not None and recorder.get("busy") is not False) or recording_runs(flash):
        raise RefusedError("recording", "it records: end the recording with its button first; nothing was changed")
