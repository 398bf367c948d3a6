"""What a Pi reads before Linux runs: config.txt and cmdline.txt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hardware.image.errors import ImageError

BEGIN, END = "# --- getuige: begin", "# --- getuige: end"
_KEPT = re.compile(r"(root|rootfstype|rootwait|rootdelay|cfg80211\.ieee80211_regdom|dwc_otg\.lpm_enable)(=\S*)?")
_OURS = (
    "ro", "fsck.repair=yes", "quiet", "loglevel=3", "consoleblank=0", "systemd.swap=no",
    # Radios are off until the policy turns one on (docs/IMAGE.md, "Radios").
    "rfkill.default_state=0",
    "systemd.show_status=no", "panic=5",
)  # fmt: skip


def config_txt(base: str, lines: Sequence[str]) -> str:
    """Return the base's configuration with ours at its end, for every model; what was ours before is replaced."""
    block = re.compile(rf"\n*^{re.escape(BEGIN)}$.*?^{re.escape(END)}$\n?", re.MULTILINE | re.DOTALL)
    kept = block.sub("\n", base.replace("\r\n", "\n")).rstrip("\n")
    # A partial line or an open filter such as [pi4] ends here.
    return "\n".join([kept, "", BEGIN, "[all]", *lines, END, ""])


def cmdline_txt(base: str, name: str) -> str:
    """Return the kernel's command line: where the root is, as the base says, and nothing else of it.

    Gone with the rest: a console on the serial line that belongs to the companion, and the base's own first start.

    Raises:
        ImageError: it does not say where the root is.
    """
    words = base.split()
    kept = [word for word in words if _KEPT.fullmatch(word)]
    if not any(re.fullmatch(r"root=PARTUUID=[0-9a-f]{8}-02", word) for word in kept):
        raise ImageError(f"{name}: cmdline.txt does not name the root by its PARTUUID; take the image unchanged")
    return " ".join(["console=tty1", *kept, *_OURS]) + "\n"
