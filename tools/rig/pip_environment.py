"""Turn this machine's pip configuration into environment variables and a list of paths that they name.

pip inside the rig's root then fetches from where pip outside fetches, with nothing about that written in the project.
"""

from __future__ import annotations

import argparse
import ast
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit


def settings(config_list: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Read the output of ``pip config list``; what the environment sets already wins, as it does in pip."""
    chosen = {name: value for name, value in environment.items() if name.startswith("PIP_")}
    for section in ("install", "global"):  # the command's own section wins over the global one
        for line in config_list.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(f"{section}."):
                key = "PIP_" + name.removeprefix(f"{section}.").replace("-", "_").upper()
                chosen.setdefault(key, " ".join(str(ast.literal_eval(value)).split()))
    return chosen


def local_paths(values: Iterable[str]) -> list[Path]:
    """Find the existing files and folders that settings name, as paths or as ``file:`` URLs.

    A folder reached by URL is a package index, whose links may go up and over to its files: its parent comes along.
    """
    found: set[Path] = set()
    for word in " ".join(values).split():
        if word.startswith("file:"):
            path = Path(unquote(urlsplit(word).path))
            path = path.parent if path.is_dir() else path
        else:
            path = Path(word)
        if path.is_absolute() and path != Path("/") and path.exists():
            found.add(path)
    return sorted(path for path in found if not any(other in path.parents for other in found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="output of pip config list")
    parser.add_argument("--environment", type=Path, required=True, help="written: NAME=VALUE, NUL-separated")
    parser.add_argument("--paths", type=Path, required=True, help="written: paths to mount, NUL-separated")
    arguments = parser.parse_args()
    chosen = settings(arguments.config.read_text(encoding="utf-8"), os.environ)
    certificates = [os.environ[name] for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE") if os.environ.get(name)]
    paths = local_paths([*chosen.values(), *certificates])
    arguments.environment.write_text("".join(f"{k}={v}\0" for k, v in chosen.items()), encoding="utf-8")
    arguments.paths.write_text("".join(f"{path}\0" for path in paths), encoding="utf-8")


if __name__ == "__main__":
    main()
