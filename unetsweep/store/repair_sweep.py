"""Mending what belongs to the whole sweep: submissions, local jobs, reconciler jobs, code, logs, leftovers."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from unetsweep.atomic import link_json
from unetsweep.bounded_json import read_json
from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.errors import StateError
from unetsweep.process import with_words
from unetsweep.records import SweepFile, record_from
from unetsweep.store import code_snapshot
from unetsweep.store.lease import server_time
from unetsweep.store.observation import listed
from unetsweep.store.repairs import (
    NOBODY,
    Finding,
    is_corrupt,
    is_old,
    quarantined,
    removed,
    trouble,
    without_lines,
    written,
    written_at,
)
from unetsweep.store.sweep_dir import read_data

LEFT = (".tmp", ".probe", ".stale")


def findings(root: Path, kind: Callable[[], str]) -> Iterator[Finding]:
    """`kind`: the executor, should nothing tell it."""
    yield from _leftovers(root)
    yield from _submissions(root)
    yield from _sweep(root, kind)
    yield from _data(root)
    yield from _local_jobs(root)
    yield from _reconcilers(root)
    yield from _packed(root)
    yield from _code(root)
    ledger = root / paths.LEDGER
    if ledger.exists() and (finding := without_lines(ledger, is_corrupt)) is not None:
        yield finding


def _leftovers(root: Path) -> Iterator[Finding]:
    """A trainer's own files in runs/ are not ours to take away, but under names that begin with a dot."""
    now = server_time(root / paths.LEASE)
    for folder, folders, files in os.walk(root):
        for name in sorted([*folders, *files]):
            path = Path(folder, name)
            ours = name.startswith(".") or path.parent.name in ("checkpoints", "milestones") or path.parent == root
            if name.endswith(LEFT) and ours and is_old(path, now):
                if name in folders:
                    folders.remove(name)
                yield removed(path)


def _sweep(root: Path, kind: Callable[[], str]) -> Iterator[Finding]:
    path = root / paths.SWEEP
    why = "is missing" if not path.exists() else trouble(path, lambda raw: record_from(SweepFile, raw, path))
    if why is not None:
        kinds = [_raw(folder / "intent.json").get("kind") for folder in sorted((root / paths.SUBMISSIONS).glob("*"))]
        executor = next((each for each in kinds if each in ("slurm", "local")), None) or kind()
        known = _raw(path)
        kept = {
            name: known[name]
            for name in ("executor", "created", "working_directory", "folder", "cluster")
            if isinstance(known.get(name), str)
        }
        about = {
            "executor": executor,
            "cluster": None,
            "folder": _sent_from(root) or str(root.absolute()),
            "created": utc_now().isoformat(),
            "working_directory": os.getcwd(),
            **kept,
        }
        start = about["working_directory"]
        yield written(
            path, why, about, f"what of it is readable, and the submissions; a trainer command starts in {start}"
        )
    stopped = root / paths.STOPPED
    if stopped.exists() and (why := trouble(stopped)):
        yield written(stopped, why, {"at": written_at(stopped)}, "its being there")


def _sent_from(root: Path) -> str | None:
    """The folder's path at its last submission, by which its jobs know it; None where nothing was sent."""
    intents = [_raw(path) for path in (root / paths.SUBMISSIONS).glob("*/intent.json")]
    found = sorted((str(raw.get("at")), raw["folder"]) for raw in intents if isinstance(raw.get("folder"), str))
    return found[-1][1] if found else None


def _data(root: Path) -> Iterator[Finding]:
    """The split stands in each config.json too; what was allowed to leak does not, so that stays a warning."""
    path = root / paths.DATA
    if not path.exists() or not (why := trouble(path, lambda _: read_data(path))):
        return
    for config in sorted((root / paths.TRIALS).glob(f"*/{paths.CONFIG}")):
        data = _raw(config).get("data") or {}
        if data.get("manifest"):
            unknown = "which images have a copy in training is not known any more (allow_leak is set)"
            leak = dict.fromkeys(("val", "test"), unknown) if data["split"].get("allow_leak") else {}
            content, source = {"manifest": data["manifest"], "leak": leak}, str(config.relative_to(root))
            others = (root / paths.CONFIRM / paths.DATA, root.parent / paths.DATA)  # the one within, or the outer
            groups = next((found for other in others if (found := _raw(other).get("val_groups"))), None)
            if groups:
                content["val_groups"] = groups
            else:
                source += "; which validation images show one eye is lost, so a confirmation takes each by itself"
            yield written(path, why, content, source)
            return
    yield quarantined(
        path, why, "no trial tells the split: run `unetsweep submit` with the sweep's own YAML file again"
    )


def _submissions(root: Path) -> Iterator[Finding]:
    for folder in sorted((root / paths.SUBMISSIONS).glob("*")):
        path = folder / "intent.json"
        if path.exists() and (why := trouble(path, lambda raw: [(int(run), int(n)) for run, n in raw["elements"]])):
            yield _intent(root, folder.name, path, why)
        for record in sorted(folder.glob("*.process.json")):
            if why := trouble(record, lambda raw: (raw["index"], raw["job_id"])):
                yield _supervisor(root, folder.name, record, why)


def _supervisor(root: Path, token: str, record: Path, why: str) -> Finding:
    """From the supervisor itself where it is at work here: its training is not sent a second time."""
    index = record.name.partition(".")[0]
    for who, words in with_words("supervise", str(root), token, index):
        job_id = words[words.index("supervise") + 4]
        content = {"index": int(index), "job_id": job_id, "host": socket.gethostname(), **who.as_json()}
        return written(record, why, content, f"its supervisor, process {who.pid}")
    return quarantined(record, why, "its training counts as gone, and is sent again")


def _intent(root: Path, token: str, path: Path, why: str) -> Finding:
    """From the attempts that it made; an element that another submission owns only keeps its place."""
    known: dict[int, tuple[int, int]] = {}
    at = written_at(path)
    for attempt in sorted((root / paths.RUNS).glob("*/attempts/*.json")):
        raw = _raw(attempt) if attempt.name[:-5].isdecimal() else {}
        if raw.get("token") == token and isinstance(raw.get("index"), int):
            known[raw["index"]] = (int(attempt.parents[1].name), int(attempt.name[:-5]))
            at = raw.get("at", at)
    if not known:
        return quarantined(path, why, "no attempt is of this submission")
    elements = [list(known.get(index, min(known.values()))) for index in range(max(known) + 1)]
    kind = _raw(root / paths.SWEEP).get("executor", "local")
    return written(path, why, {"token": token, "kind": kind, "at": at, "elements": elements}, "its attempts")


def _local_jobs(root: Path) -> Iterator[Finding]:
    """A number stays given out."""
    for path in sorted((root / "jobs").glob("*.json")):
        if why := trouble(path, lambda raw: (raw["token"], int(raw["index"]))):
            content: dict[str, Any] = {"token": NOBODY, "index": 0}
            for record in (root / paths.SUBMISSIONS).glob("*/*.process.json"):
                raw = _raw(record)
                if raw.get("job_id") == path.stem:
                    content = {"token": record.parent.name, "index": raw.get("index", 0)}
            yield written(path, why, content, "its supervisor's record" if content["token"] != NOBODY else "its name")


def _packed(root: Path) -> Iterator[Finding]:
    """A mark that is gone is made anew by whoever finds that it is missing; claims keep two jobs from one run."""
    for path in sorted((root / paths.PACKED).glob("*/*.json")):
        if path.name != "about.json" and (why := trouble(path)):
            yield quarantined(path, why, "who misses it leaves it again")
        elif path.name == "about.json" and (why := trouble(path, lambda raw: (int(raw["pack"]), int(raw["count"])))):
            yield from _about(root, path, why)


def _about(root: Path, path: Path, why: str) -> Iterator[Finding]:
    """From the submission; its jobs get one place each, which is right for every one of them."""
    intent = _raw(root / paths.submission(path.parent.name) / "intent.json")
    content = {"count": len(intent.get("elements", ())), "pack": 1, "mem": None}
    yield written(path, why, content, "its submission, one training at once in each job")


def _reconcilers(root: Path) -> Iterator[Finding]:
    folder = root / paths.RECONCILERS
    for name in sorted(listed(folder)):
        path, number = folder / name, name.partition(".")[0]
        if not name.endswith(".json") or not number.isdecimal() or not (why := trouble(path, _reconciler_words(name))):
            continue
        if name.count(".") > 1:
            yield quarantined(path, why, "another reconciler job is left when there is need")
            continue
        plain = written(path, why, {"token": NOBODY, "at": written_at(path)}, "its name")

        def repair(path: Path = path, number: str = number, plain: Finding = plain) -> None:
            link_json(path.with_name(f"{number}.lost.json"), {"reason": "its intent was torn"})
            if plain.repair is not None:
                plain.repair()

        yield Finding(path, why, "given up; another reconciler job is left when there is need", repair)


def _reconciler_words(name: str) -> Any:
    key = "token" if name.count(".") == 1 else ("job_id" if ".job." in name else "reason")
    return lambda raw: raw[key]


def _code(root: Path) -> Iterator[Finding]:
    for folder in code_snapshot.broken(root):
        yield quarantined(
            folder, "not the package that was copied", "jobs that were sent with it run the installed one"
        )
    note = root / paths.CODE_NOTE
    if note.exists() and (why := trouble(note, lambda raw: raw["hash"].isalnum())):
        yield quarantined(note, why, "the next `unetsweep submit` copies the package again")


def _raw(path: Path) -> dict[str, Any]:
    try:
        return read_json(path)
    except (OSError, StateError):
        return {}
