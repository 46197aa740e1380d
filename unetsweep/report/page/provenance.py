"""Where the numbers of a page come from: images, split, leaks, trainer, code and machines."""

from collections.abc import Iterable

from unetsweep.analysis.rows import SweepRecord
from unetsweep.records import CodeFile, DataFile
from unetsweep.texts import counted, one_line

MOST = 4
"""Different versions or machines that are named before `and … more`."""
LIBRARIES = ("torch", "pytorch_lightning", "optuna", "unetsweep", "python", "cuda")
"""The versions that are shown, of those that results name."""


def facts(sweep: SweepRecord, data: DataFile | None, code: CodeFile | None) -> tuple[tuple[str, str], ...]:
    """Names and texts. `data`: the images of the sweep, `code`: the package of its jobs; None: not known."""
    found = [
        ("images", _images(sweep, data)),
        ("split", _split(sweep, data)),
        ("leak", leak_text(sweep, data)),
        ("search", _search(sweep)),
        ("trainer", sweep.spec.trainer.command or "the U-Net of unetsweep"),
        ("code", _code(sweep, code)),
        ("versions", _versions(sweep)),
        ("machines", _machines(sweep)),
    ]
    return tuple((name, one_line(text)) for name, text in found if text)


def _images(sweep: SweepRecord, data: DataFile | None) -> str:
    if data is None:
        return sweep.spec.data.root if sweep.spec.trainer.command is None else ""
    counts = [f"{len(data.manifest.get(part) or ())} {use}" for part, use in _USES]
    return f"{', '.join(counts)} images of {sweep.spec.data.root}"


_USES = (("train", "training"), ("val", "validation"), ("test", "test"))


def _split(sweep: SweepRecord, data: DataFile | None) -> str:
    if sweep.spec.trainer.command is not None and data is None:
        return ""
    split = sweep.spec.data.split
    pinned = "; pinned by name and digest when the sweep was submitted" if data is not None else ""
    return f"validation {split.val} of the training images, seed {split.seed}, groups: {split.groups}{pinned}"


def leak_text(sweep: SweepRecord, data: DataFile | None) -> str:
    """What is known about copies of training images in validation and test; empty for a trainer command's own data."""
    if sweep.leak:
        return "; ".join(f"{part}: {text}" for part, text in sweep.leak.items())
    if data is None:
        return "" if sweep.spec.trainer.command is not None else "not known: the split was not pinned"
    if sweep.spec.data.split.groups == "none":
        return "images were not grouped, so one eye may be in training and in validation"
    return "none was found: no validation or test image is a copy of a training image"


def _search(sweep: SweepRecord) -> str:
    study, metric = sweep.spec.study, sweep.spec.metric
    better = "less is better" if metric.minimize else "more is better"
    pruner = f", pruner {study.pruner}" if study.pruner else ""
    repeats = f", {study.repeats} trainings of each point" if study.repeats > 1 else ""
    return f"{metric.label}, {better}; sampler {study.sampler}{pruner}, seed {study.seed}{repeats}"


def _code(sweep: SweepRecord, code: CodeFile | None) -> str:
    digests = _different(trial.result.code.get("package") for trial in sweep.trials if trial.result is not None)
    digest = f"package {_some(digests)}" if digests else ""
    if code is None:
        return digest
    commit = f", commit {code.commit[:12]}" if code.commit else ""
    return f"unetsweep {code.version}{commit}{f'; results of {digest}' if digest else ''}"


def _versions(sweep: SweepRecord) -> str:
    found = []
    for name in LIBRARIES:
        versions = _different(trial.result.versions.get(name) for trial in sweep.trials if trial.result is not None)
        found += [f"{name} {_some(versions)}"] if versions else []
    return ", ".join(found)


def _machines(sweep: SweepRecord) -> str:
    results = [trial.result for trial in sweep.trials if trial.result is not None]
    devices = _different(result.hardware.get("gpu") or result.hardware.get("cpu") for result in results)
    hosts = _different(result.host for result in results)
    where = f" on {counted(len(hosts), 'node')}: {_some(hosts)}" if hosts else ""
    return f"{_some(devices)}{where}".strip()


def _different(values: Iterable[object]) -> list[str]:
    """The different texts among the values, without those that are missing."""
    return list(dict.fromkeys(str(value) for value in values if value))


def _some(names: list[str]) -> str:
    more = len(names) - MOST
    return ", ".join(names[:MOST]) + (f" and {more} more" if more > 0 else "")
