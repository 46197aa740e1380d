"""Copies a run's files to Comet; this can be repeated at any time.

Rule 1: no error here, and no missing network, stops or delays a training.
Rule 2: a run is one experiment. Its key is derived from the run's name and config, so that attempts and repeated
        uploads continue the same experiment. An archive's name contains a digest of its content, so that none is
        written twice.
Rule 3: comet_ml is imported on rank 0 only, when there is something to write. The API key is neither written to a file
        nor passed on a command line: it stays in the environment.

`offline` writes an archive when the training ends. `online` writes the same archive and uploads it at once: live
logging would need comet's threads, and its waits of up to minutes at the end, in the process that holds the GPUs.
`unetsweep sync` uploads what a kill, a missing key or a missing network left behind.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from unetsweep.atomic import SHARED, write_json
from unetsweep.contract import Progress, Result, TrialConfig, encode, result_from, run_key
from unetsweep.decode import decode
from unetsweep.errors import Problem, StateError, TrackerError, UnetsweepError, UsageError

FOLDER = "comet"
"""Folder of the archives, within a run's folder."""
SERVER = "https://www.comet.com"
PROBE_S = 2.0
"""Time limit of the connection test: a reachable server answers well within it."""
MIRROR_S = 30.0
"""How long the end of a training waits: srun kills a rank that outlives the others by the site's WaitTime."""
UPLOAD_AT_END_S = 15.0
"""Time limit of an upload at the end of a training: half of `MIRROR_S`, as writing the archive takes time too."""
UPLOAD_S = 120.0
"""Time limit of an upload by `unetsweep sync`: nothing waits for it."""

CURVES = ("train_loss", "val_iou", "val_loss", "learning_rate")
SCORES = {
    "test_iou": "test_iou",
    "test_loss": "test_loss",
    "best_val_iou": "val_iou",
    "best_val_loss": "val_loss",
    "best_epoch": "best_epoch",
}
"""Metrics of a milestone, and the field of the result that each comes from."""

# Switches off everything that comet_ml would collect about code, machine and user.
_SILENT: dict[str, Any] = dict.fromkeys(
    (
        *("log_code", "log_graph", "parse_args", "log_git_metadata", "log_git_patch", "log_env_details", "log_env_gpu"),
        *("log_env_cpu", "log_env_network", "log_env_disk", "log_env_host", "auto_param_logging"),
        *("auto_metric_logging", "auto_histogram_weight_logging", "auto_histogram_gradient_logging"),
        *("auto_histogram_activation_logging", "auto_histogram_tensorboard_logging", "auto_output_logging"),
        "auto_log_co2",
    ),
    False,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunExport:
    """The content of a run's Comet experiment."""

    name: str
    key: str
    """Key of the experiment: 40 hexadecimal digits."""
    parameters: Mapping[str, Any]
    """The flattened config: `model.base`."""
    curves: Mapping[int, Mapping[str, float]]
    """Metrics by epoch."""
    scores: Mapping[int, Mapping[str, float]]
    """Metrics by milestone."""

    @property
    def archive(self) -> str:
        """Name of the archive with exactly this content."""
        content = json.dumps([self.key, self.parameters, self.curves, self.scores], sort_keys=True)
        return f"{self.name.replace('/', '-')}-{hashlib.sha256(content.encode()).hexdigest()[:12]}.zip"


def mirror(config: TrialConfig, out: Path, name: str) -> None:
    """Copy the finished training in `out` to Comet as its config asks. Never raises, and takes at most `MIRROR_S`."""
    if config.trainer.comet == "off":
        return
    problems: list[str] = []
    worker = threading.Thread(target=_mirror, args=(config, out, name, problems), daemon=True)
    worker.start()
    worker.join(MIRROR_S)
    if worker.is_alive():
        problems.append(f"still busy after {MIRROR_S:.0f} s")
    if problems:
        _log.warning("comet: %s; the results are not affected; run `unetsweep sync` to upload them later", problems[0])


def _mirror(config: TrialConfig, out: Path, name: str, problems: list[str]) -> None:
    try:
        archive = write_archive(read_export(config, out, name), out)
        if config.trainer.comet == "online" and not is_uploaded(archive):
            check_reachable()
            upload(archive, UPLOAD_AT_END_S)
    except BaseException as error:  # Rule 1; comet_ml may even raise SystemExit
        problems.append(str(error) if isinstance(error, UnetsweepError) else f"{type(error).__name__}: {error}")


# ---- reading


def read_export(config: TrialConfig, out: Path, name: str) -> RunExport:
    """Read the run's progress and milestones. If two claims logged an epoch, the later claim counts."""
    key = hashlib.sha256(f"{name}\n{run_key(config)}".encode()).hexdigest()[:40]
    return RunExport(name, key, dict(_flatten(encode(config))), _curves(out), _scores(out))


def _flatten(nested: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in nested.items():
        if isinstance(value, Mapping):
            found += _flatten(value, f"{above}{key}.")
        else:
            found.append((above + key, json.dumps(value) if isinstance(value, list | tuple) else value))
    return found


def _curves(out: Path) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for path in sorted(out.glob("progress-*.jsonl"), key=_claim):
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            line = _progress(text)
            if line is not None:
                values = {name: getattr(line, name) for name in CURVES}
                found[line.epoch] = {name: value for name, value in values.items() if value is not None}
    return dict(sorted(found.items()))


def _claim(path: Path) -> tuple[int, ...]:
    """Sort key (attempt, restart) of a progress file: `progress-10-0.jsonl` comes after `progress-2-1.jsonl`."""
    return tuple(int(part) if part.isdecimal() else -1 for part in path.stem.split("-")[1:])


def _progress(text: str) -> Progress | None:
    """Parse a line of progress; None if a kill cut it short."""
    problems: list[Problem] = []
    with contextlib.suppress(ValueError):
        return decode(Progress, json.loads(text), problems)
    return None


def _scores(out: Path) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for path in (out / "milestones").glob("*.json"):
        if path.stem.isdecimal():
            result = result_from(json.loads(path.read_bytes()), str(path))
            values = {name: getattr(result, field) for name, field in SCORES.items()} | _more_scores(result)
            found[int(path.stem)] = {name: value for name, value in values.items() if value is not None}
    return dict(sorted(found.items()))


def _more_scores(result: Result) -> dict[str, float]:
    """Dice and further scores of the best checkpoint, under the report's names (`test_iou_above_0`)."""
    named: list[tuple[str, Any, str]] = [("best_val_", result.val_scores, ""), ("test_", result.test_scores, "")]
    named += [("", scores, f"_above_{level}") for level, scores in result.also_scored.items()]
    named = [each for each in named if isinstance(each[1], Mapping)]  # the user's program may have written it
    values = {f"{head}{name}{tail}": value for head, scores, tail in named for name, value in scores.items()}
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


# ---- archives


def write_archive(export: RunExport, out: Path) -> Path:
    """Write the archive of `export` into `out` unless it exists, and delete archives with less content.

    Raises StateError if comet_ml writes no archive, and whatever comet_ml raises.
    """
    folder = out / FOLDER
    final = folder / export.archive
    if final.exists():
        return final
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=folder))
    try:
        _replay(export, scratch)
        written = list(scratch.glob("*.zip"))
        if len(written) != 1:
            raise StateError(f"{scratch}: comet_ml left {len(written)} archives of {export.name}; is it disabled?")
        os.replace(written[0], final)  # comet_ml itself writes the archive, so it cannot go through `atomic`
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for old in (*folder.glob("*.zip"), *folder.glob("*.zip.uploaded")):  # the new archive contains their content
        if not old.name.startswith(final.name):
            old.unlink(missing_ok=True)
    return final


def _replay(export: RunExport, folder: Path) -> None:
    """Log the whole export as one offline experiment through Lightning's logger."""
    os.environ["COMET_START_ONLINE"] = "0"  # Lightning 2.6.6: CometLogger(online=False) disables the experiment
    os.environ["COMET_ERROR_TRACKING_ENABLE"] = "0"  # it reports errors to Comet, and waits for that at exit
    os.environ.setdefault("COMET_LOGGING_CONSOLE", "ERROR")
    from pytorch_lightning.loggers import CometLogger  # imports comet_ml, which takes seconds

    logger = CometLogger(
        project=os.environ.get("COMET_PROJECT_NAME") or _project(export.name),
        name=export.name,
        experiment_key=export.key,
        mode="get_or_create",
        offline_directory=str(folder),
        display_summary_level=0,
        **_SILENT,
    )
    try:
        logger.log_hyperparams(dict(export.parameters))
        for numbered in (export.curves, export.scores):
            for epoch, metrics in numbered.items():
                logger.log_metrics({**metrics, "epoch": epoch}, step=epoch)
    finally:
        logger.experiment.end()


def _project(name: str) -> str:
    """The Comet project of a run, which is its sweep: `grid` for `grid/0003`."""
    sweep, slash, _ = name.partition("/")
    return sweep if slash else "unetsweep"


# ---- uploading


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


def upload(archive: Path, timeout_s: float = UPLOAD_S) -> None:
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
