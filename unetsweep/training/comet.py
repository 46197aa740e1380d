"""Comet is a mirror of a run's own files: it is made from them, at any time and any number of times.

Rule 1: nothing that goes wrong here, and no network that is not there, stops or holds up a training.
Rule 2: a run is one experiment: its key follows from the run's name and config, so that attempts and repeated
        uploads go on with the same one. An archive's name has a digest of what is in it: none is written twice.
Rule 3: comet_ml is imported by rank 0, when there is something to write. The API key is neither written nor passed on a
        command line: it stays in the environment.

`offline` writes an archive when the training ends. `online` writes the same archive and then uploads it at once: live
logging would need comet's threads, and its waits of up to minutes at the end, in the process that holds the GPUs.
What a kill, a missing key or a missing network left undone, `unetsweep sync` does.
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

from unetsweep.contract import SCHEMA, Progress, Result, TrialConfig, dumps, encode, result_from, run_key
from unetsweep.decode import decode
from unetsweep.errors import Problem, StateError, TrackerError, UnetsweepError, UsageError

FOLDER = "comet"
"""Of the archives, within a run's folder."""
SERVER = "https://www.comet.com"
PROBE_S = 2.0
MIRROR_S = 30.0
"""As long as a training's end waits; srun kills a rank that outlives the others by more than the site's WaitTime."""
UPLOAD_AT_END_S = 15.0
UPLOAD_S = 120.0

CURVES = ("train_loss", "val_iou", "val_loss", "learning_rate")
SCORES = {
    "test_iou": "test_iou",
    "test_loss": "test_loss",
    "best_val_iou": "val_iou",
    "best_val_loss": "val_loss",
    "best_epoch": "best_epoch",
}
"""Metric of a milestone, and the result's field that it is."""

# Everything that comet_ml would find out by itself about code, machine and user.
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
    """All that Comet is told about a run."""

    name: str
    key: str
    """Of the experiment: 40 hexadecimal digits."""
    parameters: Mapping[str, Any]
    """The config, flat: `model.base`."""
    curves: Mapping[int, Mapping[str, float]]
    """By epoch."""
    scores: Mapping[int, Mapping[str, float]]
    """By milestone."""

    @property
    def archive(self) -> str:
        """Name of the archive that tells this and nothing else."""
        said = json.dumps([self.key, self.parameters, self.curves, self.scores], sort_keys=True)
        return f"{self.name.replace('/', '-')}-{hashlib.sha256(said.encode()).hexdigest()[:12]}.zip"


def mirror(config: TrialConfig, out: Path, name: str) -> None:
    """Tell Comet of the ended training in `out`, as its config asks; raises nothing and takes `MIRROR_S` at most."""
    if config.trainer.comet == "off":
        return
    troubles: list[str] = []
    worker = threading.Thread(target=_mirror, args=(config, out, name, troubles), daemon=True)
    worker.start()
    worker.join(MIRROR_S)
    if worker.is_alive():
        troubles.append(f"still busy after {MIRROR_S:.0f} s")
    if troubles:
        _log.warning("comet: %s; the results are not touched by it, and `unetsweep sync` does it later", troubles[0])


def _mirror(config: TrialConfig, out: Path, name: str, troubles: list[str]) -> None:
    try:
        archive = write_archive(read_export(config, out, name), out)
        if config.trainer.comet == "online" and not is_uploaded(archive):
            check_reachable()
            upload(archive, UPLOAD_AT_END_S)
    except BaseException as error:  # comet_ml may even exit: Rule 1
        troubles.append(str(error) if isinstance(error, UnetsweepError) else f"{type(error).__name__}: {error}")


# ---- reading


def read_export(config: TrialConfig, out: Path, name: str) -> RunExport:
    """What the run's progress and milestones say now; the later claim's line wins where two tell of one epoch."""
    key = hashlib.sha256(f"{name}\n{run_key(config)}".encode()).hexdigest()[:40]
    return RunExport(name, key, dict(_flat(encode(config))), _curves(out), _scores(out))


def _flat(nested: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in nested.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{above}{key}.")
        else:
            found.append((above + key, json.dumps(value) if isinstance(value, list | tuple) else value))
    return found


def _curves(out: Path) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for path in sorted(out.glob("progress-*.jsonl"), key=_claim):
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            line = _progress(text)
            if line is not None:
                said = {name: getattr(line, name) for name in CURVES}
                found[line.epoch] = {name: value for name, value in said.items() if value is not None}
    return dict(sorted(found.items()))


def _claim(path: Path) -> tuple[int, ...]:
    """(attempt, restart) of `progress-10-0.jsonl`, which comes after `progress-2-1.jsonl`."""
    return tuple(int(part) if part.isdecimal() else -1 for part in path.stem.split("-")[1:])


def _progress(text: str) -> Progress | None:
    """A line of progress; None for one that a kill tore."""
    problems: list[Problem] = []
    with contextlib.suppress(ValueError):
        return decode(Progress, json.loads(text), problems)
    return None


def _scores(out: Path) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for path in (out / "milestones").glob("*.json"):
        if path.stem.isdecimal():
            result = result_from(json.loads(path.read_bytes()), str(path))
            said = {name: getattr(result, field) for name, field in SCORES.items()} | _more_scores(result)
            found[int(path.stem)] = {name: value for name, value in said.items() if value is not None}
    return dict(sorted(found.items()))


def _more_scores(result: Result) -> dict[str, float]:
    """Dice and the others of the best checkpoint; `test_iou_above_0` and such, as the report names them."""
    named: list[tuple[str, Any, str]] = [("best_val_", result.val_scores, ""), ("test_", result.test_scores, "")]
    named += [("", scores, f"_above_{level}") for level, scores in result.also_scored.items()]
    named = [each for each in named if isinstance(each[1], Mapping)]  # a program of the user's may have written it
    said = {f"{head}{name}{tail}": value for head, scores, tail in named for name, value in scores.items()}
    return {name: value for name, value in said.items() if isinstance(value, int | float)}


# ---- archives


def write_archive(export: RunExport, out: Path) -> Path:
    """The archive of `export` in `out`, in place of any older one; written unless it is there.

    Raises StateError where comet_ml leaves none, and whatever comet_ml raises.
    """
    folder = out / FOLDER
    final = folder / export.archive
    if final.exists():
        return final
    folder.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=".making-", dir=folder))
    try:
        _replay(export, workshop)
        made = list(workshop.glob("*.zip"))
        if len(made) != 1:
            raise StateError(f"{workshop}: comet_ml left {len(made)} archives of {export.name}; is it disabled?")
        os.replace(made[0], final)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    for old in (*folder.glob("*.zip"), *folder.glob("*.zip.uploaded")):  # all that is in them is in the new one
        if not old.name.startswith(final.name):
            old.unlink(missing_ok=True)
    return final


def _replay(export: RunExport, folder: Path) -> None:
    """One offline experiment through Lightning's logger, from the first to the last thing."""
    os.environ["COMET_START_ONLINE"] = "0"  # CometLogger(online=False) disables the experiment (Lightning 2.6.6)
    os.environ["COMET_ERROR_TRACKING_ENABLE"] = "0"  # it reports to comet's makers, and waits for that at the exit
    os.environ.setdefault("COMET_LOGGING_CONSOLE", "ERROR")
    from pytorch_lightning.loggers import CometLogger

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
    """A sweep is a project: `grid/0003` belongs to `grid`."""
    sweep, slash, _ = name.partition("/")
    return sweep if slash else "unetsweep"


# ---- uploading


def check_reachable() -> None:
    """Raises UsageError without a key, TrackerError when nobody answers at Comet's address within `PROBE_S`."""
    if not os.environ.get("COMET_API_KEY"):
        raise UsageError("COMET_API_KEY is not set, so nothing can be uploaded; export it and run `unetsweep sync`")
    host, port = _first_hop(os.environ.get("COMET_URL_OVERRIDE") or SERVER)
    answered = threading.Event()

    def knock() -> None:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=PROBE_S):
            answered.set()

    threading.Thread(target=knock, daemon=True).start()  # looking a name up takes as long as it likes
    if not answered.wait(PROBE_S):
        raise TrackerError(f"{host}:{port} did not answer within {PROBE_S:.0f} s; sync where there is a network")


def _first_hop(url: str) -> tuple[str, int]:
    """Host and port that a request to `url` goes to first: a proxy where the environment names one."""
    place = urlsplit(url)
    proxy = urllib.request.getproxies().get(place.scheme)
    if proxy and not urllib.request.proxy_bypass(place.hostname or ""):
        place = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return place.hostname or "", place.port or (80 if place.scheme == "http" else 443)


def is_uploaded(archive: Path) -> bool:
    """Whether this very archive was taken by Comet."""
    return _mark(archive).exists()


def upload(archive: Path, timeout_s: float = UPLOAD_S) -> None:
    """Send the archive by comet's own command, and mark it. Raises TrackerError where it is not taken."""
    command = [sys.executable, "-P", "-m", "comet_ml.scripts.comet_upload", str(archive)]
    quiet = {**os.environ, "COMET_ERROR_TRACKING_ENABLE": "0"}
    try:
        done = subprocess.run(
            command, env=quiet, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise TrackerError(f"{archive}: not uploaded within {timeout_s:.0f} s") from None
    if done.returncode:
        words = _last_words(done.stderr) or _last_words(done.stdout) or f"status {done.returncode}"
        raise TrackerError(f"{archive}: not uploaded: {words}")
    marked = {"schema": SCHEMA, "archive": archive.name, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    temporary = _mark(archive).with_suffix(".tmp")
    temporary.write_text(dumps(marked))
    os.replace(temporary, _mark(archive))


def _mark(archive: Path) -> Path:
    return archive.with_name(f"{archive.name}.uploaded")


def _last_words(text: str) -> str:
    """The last line that says something, without the key, should comet have printed it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    key = os.environ.get("COMET_API_KEY")
    return (lines[-1].replace(key, "***") if key else lines[-1])[:300] if lines else ""
