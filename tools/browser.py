"""A real browser, driven over a pipe (Chrome DevTools Protocol): to look at pages as their users do."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class BrowserError(Exception):
    """The browser is missing, does not answer, or the page has an error."""


class Browser:
    """Chromium without a window, with one page. A context manager."""

    def __init__(self, url: str, *, width: int = 1280, height: int = 900) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="getuige-browser-", ignore_cleanup_errors=True)
        to_read, self._to_browser = os.pipe()
        self._from_browser, to_write = os.pipe()
        program = shutil.which("chromium")
        if program is None:
            raise BrowserError("chromium is missing: run `make setup`")
        # The browser reads commands from descriptor 3 and answers on 4.
        script = f'exec "$@" 3<&{to_read} 4>&{to_write}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", script, "browser", program, "--headless", "--no-sandbox", "--disable-gpu",
             "--autoplay-policy=no-user-gesture-required", "--remote-debugging-pipe", "--hide-scrollbars",
             f"--user-data-dir={self._profile.name}", "about:blank"],
            pass_fds=(to_read, to_write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self._number = 0
        self._rest = b""
        self._session = ""
        targets = self._call("Target.getTargets")["targetInfos"]
        target = next(item["targetId"] for item in targets if item["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self._call("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """Run a script in the page and return its value; a promise is awaited.

        Raises:
            BrowserError: the script threw, or the browser does not answer.
        """
        found = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in found:
            raise BrowserError(f"the page says: {found['exceptionDetails'].get('text')} in {script!r}")
        return found["result"].get("value")

    def wait_for(self, script: str, timeout_s: float = 30.0) -> Any:
        """Evaluate until the value is true; return it.

        Raises:
            BrowserError: it did not become true in time.
        """
        end_s = time.monotonic() + timeout_s
        while True:
            value = self.evaluate(script)
            if value:
                return value
            if time.monotonic() > end_s:
                raise BrowserError(f"never true in {timeout_s:.0f} s: {script}; the page: {self.text()[:500]!r}")
            time.sleep(0.05)

    def text(self) -> str:
        """The page's text."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    def screenshot(self, path: Path) -> None:
        """Write what the page shows as PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def pdf(self, path: Path) -> None:
        """Print the page, A4, to PDF."""
        data = self._call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, printBackground=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        os.close(self._to_browser)
        os.close(self._from_browser)
        self._profile.cleanup()

    def _call(self, method: str, **parameters: object) -> Any:
        self._number += 1
        command: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._to_browser, json.dumps(command).encode() + b"\0")
        while True:
            answer = self._next(60.0)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error'].get('message')}")
                return answer["result"]

    def _next(self, timeout_s: float) -> Any:
        end_s = time.monotonic() + timeout_s
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._from_browser], [], [], max(0.0, end_s - time.monotonic()))
            data = os.read(self._from_browser, 1 << 20) if ready else b""
            if not data:
                raise BrowserError("the browser does not answer")
            self._rest += data
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)
