"""The real drivers on a virtual camera and a virtual sound card. Collected only where `make rig` runs them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

IN_RIG = os.environ.get("GETUIGE_RIG") == "1"
collect_ignore_glob = [] if IN_RIG else ["test_*"]

if IN_RIG:
    from tests.rig.sound_card import SoundCard
    from tests.rig.virtual_camera import VirtualPipeline

    @pytest.fixture(scope="session")
    def pipeline() -> VirtualPipeline:
        """Declare the virtual camera before libcamera looks for cameras, which it does once per process."""
        return VirtualPipeline.declare(Path("/usr/share/libcamera/pipeline/virtual/virtual.yaml"))

    @pytest.fixture
    def sound_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundCard]:
        """A sound card that counts: its samples are 0, 1, 2 ... in 16 bits."""
        # 340 ms, so that a busy machine loses nothing
        with SoundCard(tmp_path, sample_rate=48_000, buffer_bytes=32_768) as card:
            monkeypatch.setenv("ALSA_CONFIG_PATH", str(card.configuration))
            yield card

    @pytest.fixture
    def small_sound_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundCard]:
        """The same with a buffer of 40 ms: whoever lingers loses."""
        with SoundCard(tmp_path, sample_rate=48_000, buffer_bytes=4_096) as card:
            monkeypatch.setenv("ALSA_CONFIG_PATH", str(card.configuration))
            yield card
