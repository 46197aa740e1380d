"""Drives a real Chromium through its debugging pipe, with the standard library alone."""

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE_S = 30.0
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    *("--remote-debugging-pipe", "--no-default-browser-check", "--disable-extensions", "--mute-audio"),
)


def find() -> str | None:
    """The path of a Chromium; None: this machine has none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass(slots=True)
class Tab:
    """One page of the browser."""

    reader: int
    writer: int
    session: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    """Everything that the page has reported, in order."""
    received: bytes = b""
    count: int = 0

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Send a command and return its answer; RuntimeError if the browser refuses it."""
        self.count += 1
        message: dict[str, object] = {"id": self.count, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            self.events.append(answer)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def open(self, page: Path) -> None:
        """Open a file, and wait until it is loaded."""
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not self.named("Page.loadEventFired"):
            self.events.append(self._next())

    def size(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True)

    def press(self, key: str) -> None:
        """Press and release a key."""
        codes = {"Enter": 13, "Escape": 27, "ArrowRight": 39}
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=codes[key], **text)

    def named(self, *methods: str) -> list[dict[str, Any]]:
        """The events of these kinds."""
        return [event["params"] for event in self.events if event.get("method") in methods]

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE_S
        while b"\0" not in self.received:
            ready, _, _ = select.select([self.reader], [], [], until - time.monotonic())
            content = os.read(self.reader, 1 << 20) if ready else b""
            if not content:
                raise RuntimeError("the browser does not answer")
            self.received += content
        message, _, self.received = self.received.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def tab(browser: str, profile: Path) -> Iterator[Tab]:
    """A new browser with one page, which reports its console, its errors and its requests."""
    (commands, writer), (reader, answers) = os.pipe(), os.pipe()
    line = f'exec "$0" "$@" 3<&{commands} 4>&{answers}'
    process = subprocess.Popen(
        ["bash", "-c", line, browser, *OPTIONS, f"--user-data-dir={profile}", "about:blank"],
        pass_fds=(commands, answers),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(commands)
    os.close(answers)
    try:
        found = Tab(reader, writer)
        targets = found.call("Target.getTargets")["targetInfos"]
        target = next(each["targetId"] for each in targets if each["type"] == "page")
        found.session = found.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            found.call(f"{domain}.enable")
        yield found
    finally:
        process.kill()
        process.wait()
        os.close(writer)
        os.close(reader)
