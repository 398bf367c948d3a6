"""How the rig takes packages from the lock files, and pip's settings from the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.rig.lock_subset import subset
from tools.rig.pip_environment import local_paths, settings

LOCK = """\
# made by a tool
av==18.1.0 ; python_full_version < '3.12' \\
    --hash=sha256:aa
av==19.0.2 ; python_full_version >= '3.12' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
pytest==9.1.0 \\
    --hash=sha256:dd
pytest-timeout==2.4.0 \\
    --hash=sha256:ee
"""


def test_the_named_packages_keep_all_their_versions_and_hashes() -> None:
    assert subset(LOCK, {"av", "pytest"}) == "\n".join(LOCK.splitlines()[1:8]) + "\n"


def test_all_but_the_named_packages() -> None:
    assert subset(LOCK, {"av"}, without=True) == "\n".join(LOCK.splitlines()[6:]) + "\n"


@pytest.mark.parametrize("without", [False, True])
def test_a_name_that_is_not_locked_is_an_error(without: bool) -> None:
    with pytest.raises(ValueError, match="not in the lock file: pytes"):
        subset(LOCK, {"pytes", "av"}, without=without)


def test_the_names_in_the_recipe_are_locked() -> None:
    project = Path(__file__).parents[2]
    dev = (project / "requirements" / "dev.lock").read_text(encoding="utf-8")
    device = (project / "requirements" / "device.lock").read_text(encoding="utf-8")
    assert subset(dev, {"iniconfig", "packaging", "pluggy", "pygments", "pytest", "pytest-timeout"})
    assert subset(device, {"setuptools"})
    assert subset(device, {"lgpio"}, without=True)


def test_the_environment_wins_over_files_and_the_command_over_the_global_section() -> None:
    listing = "\n".join(
        [
            ":env:.cert='/from/the/environment'",
            "global.index-url='https://index.example/simple'",
            "global.extra-index-url='file:///a\\nfile:///b'",
            "global.cert='/from/a/file'",
            "install.index-url='https://other.example/simple'",
            "download.timeout='3'",
        ]
    )
    assert settings(listing, {"PIP_CERT": "/from/the/environment", "HOME": "/root"}) == {
        "PIP_CERT": "/from/the/environment",
        "PIP_INDEX_URL": "https://other.example/simple",
        "PIP_EXTRA_INDEX_URL": "file:///a file:///b",
    }


def test_files_and_folders_that_settings_name_are_found(tmp_path: Path) -> None:
    index = tmp_path / "index" / "simple"
    wheels = tmp_path / "wheels" / "new"
    certificate = tmp_path / "ca.crt"
    for folder in (index, wheels):
        folder.mkdir(parents=True)
    certificate.touch()
    values = [
        f"{index.as_uri()} https://index.example/simple",
        f"{wheels} {tmp_path / 'wheels'}",
        str(certificate),
        "/",
    ]
    assert local_paths([*values, "/not/there", "60"]) == [certificate, index.parent, tmp_path / "wheels"]
