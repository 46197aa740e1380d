"""A fake Comet server for comet_ml's upload command (3.58): it accepts everything and records the metrics."""

import contextlib
import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANDSHAKE = {
    "runId": "run",
    "project_id": "project",
    "focusUrl": "http://nowhere.invalid/",
    "is_alive_beat_duration_millis": 10_000,
    "gpu_monitor_interval_millis": 10_000,
    "cpu_monitor_interval_millis": 10_000,
    "pending_rpcs": False,
}


class Received:
    """What the clients sent."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        """Keys of the experiments that were opened."""
        self.metrics: set[tuple[str, int, float]] = set()
        """(name, step, value)."""


class _Answers(BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
        if self.path.endswith("/logger/add/run"):
            self.server.received.keys.append(json.loads(content)["experimentKey"])
        elif self.path.endswith("/experiment/metric"):
            for metric in json.loads(content)["values"]:
                self.server.received.metrics.add((metric["metricName"], metric["step"], metric["metricValue"]))
        self._answer()

    def _answer(self) -> None:
        content = json.dumps(HANDSHAKE).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextlib.contextmanager
def serving() -> Iterator[tuple[str, Received]]:
    """Run a server; yield its address for COMET_URL_OVERRIDE, and what it receives."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    received = Received()
    setattr(server, "received", received)  # noqa: B010
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/clientlib/", received
    finally:
        server.shutdown()
        server.server_close()
