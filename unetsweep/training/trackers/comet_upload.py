"""Uploads a Comet archive with Comet's own command.

The API key stays in the environment: it is neither written to a file nor passed on a command line.
"""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from unetsweep.atomic import SHARED, write_json
from unetsweep.errors import TrackerError, UsageError

SERVER = "https://www.comet.com"
PROBE_S = 2.0
"""Time limit of the connection test: a reachable server answers well within it."""


def check_reachable() -> None:
    """Raise UsageError if there is no API key, and TrackerError if Comet does not answer within `PROBE_S`."""
    if not os.environ.get("COMET_API_KEY"):
        raise UsageError("COMET_API_KEY is not set, so nothing can be uploaded; export it and run `unetsweep sync`")
    host, port = _first_hop(os.environ.get("COMET_URL_OVERRIDE") or SERVER)
    answered = threading.Event()

    def connect() -> None:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=PROBE_S):
            answered.set()

    threading.Thread(target=connect, daemon=True).start()  # in a thread, since a DNS lookup has no time limit
    if not answered.wait(PROBE_S):
        hint = "run `unetsweep sync` on a machine with network access"
        raise TrackerError(f"{host}:{port} did not answer within {PROBE_S:.0f} s; {hint}")


def _first_hop(url: str) -> tuple[str, int]:
    """Host and port to which a request to `url` connects: a proxy if the environment names one."""
    place = urlsplit(url)
    proxy = urllib.request.getproxies().get(place.scheme)
    if proxy and not urllib.request.proxy_bypass(place.hostname or ""):
        place = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return place.hostname or "", place.port or (80 if place.scheme == "http" else 443)


def is_uploaded(archive: Path) -> bool:
    """Whether Comet accepted exactly this archive."""
    return _mark_path(archive).exists()


def upload(archive: Path, timeout_s: float) -> None:
    """Upload the archive with Comet's own command, and mark it as uploaded. Raises TrackerError if that fails."""
    command = [sys.executable, "-P", "-m", "comet_ml.scripts.comet_upload", str(archive)]
    quiet = {**os.environ, "COMET_ERROR_TRACKING_ENABLE": "0"}
    try:
        done = subprocess.run(
            command, env=quiet, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise TrackerError(f"{archive}: not uploaded within {timeout_s:.0f} s") from None
    if done.returncode:
        reason = _last_line(done.stderr) or _last_line(done.stdout) or f"status {done.returncode}"
        raise TrackerError(f"{archive}: not uploaded: {reason}")
    mark = {"archive": archive.name, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    write_json(_mark_path(archive), mark, mode=SHARED)


def _mark_path(archive: Path) -> Path:
    return archive.with_name(f"{archive.name}.uploaded")


def _last_line(text: str) -> str:
    """The last line that is not empty, with the API key masked in case Comet printed it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    key = os.environ.get("COMET_API_KEY")
    return (lines[-1].replace(key, "***") if key else lines[-1])[:300] if lines else ""
