"""Make a page of docs/results: run a sweep, and show its table, its learning curves and its best and worst images.

`python -m benchmarks.published SWEEP.yaml [--executor local|slurm] [--into docs/results]` (`make results-page`).

Rule 1: it may be killed and repeated at any point. Trials that have ended are not trained again, and files are replaced
        whole.
Rule 2: nothing is chosen by the test set: it is scored once, for the trial with the best validation score.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2

from unetsweep.analysis import rows
from unetsweep.analysis.records import read_sweep_record
from unetsweep.analysis.rows import SweepRecord, TrialRecord
from unetsweep.app.report import ReportRequest, report
from unetsweep.app.sweeps import spec_of
from unetsweep.atomic import SHARED, write_bytes, write_text
from unetsweep.config.load import load
from unetsweep.datasets.manifest import divide
from unetsweep.datasets.panels import shrunk
from unetsweep.datasets.scores import iou
from unetsweep.report.curves import Curve, learning_curves
from unetsweep.report.formats import Format
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.texts import counted, score_text
from unetsweep.training.predict import Case, predict_cases

IMAGES = 2
"""How many of the best and of the worst images a page has."""
PANEL_WIDTH = 1400
JPEG_QUALITY = 85


class Scored(NamedTuple):
    """A predicted image."""

    name: str
    counts: tuple[int, int, int]
    """True positives, false positives, false negatives."""
    panel: Path

    @property
    def iou(self) -> float:
        return iou(*self.counts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.published")
    parser.add_argument("sweep", type=Path, help="the sweep's YAML file")
    parser.add_argument("--executor", default="auto", help="auto, slurm or local [auto]")
    parser.add_argument("--into", type=Path, default=Path("docs/results"), help="folder of the page [docs/results]")
    given = parser.parse_args()
    _run("submit", str(given.sweep), "--watch", "--executor", given.executor)
    print(make_page(given.sweep, Path("results") / load(given.sweep).name, given.into))


def make_page(sweep: Path, root: Path, into: Path) -> Path:
    """Write INTO/NAME.md, and its pictures into INTO/NAME/; return the page's path.

    `root` is the folder of the sweep, whose trials have all ended. Exits with a message if none is complete.
    """
    directory = SweepDir(root.absolute())
    record = read_sweep_record(directory.root)
    best = rows.best(record)
    if best is None or best.result is None or best.result.checkpoint is None:
        sys.exit(f"{root}: no trial is complete, or its checkpoint was deleted")
    pictures = into / sweep.stem
    pictures.mkdir(parents=True, exist_ok=True)
    write_text(pictures / "curves.svg", _curves(directory, record), mode=SHARED)
    parts = [
        f"# `{sweep}`",
        _provenance(sweep, record, best),
        report(directory.root, ReportRequest(Format.MARKDOWN, base=str(Path.cwd()))).text.strip(),
        f"## Learning curves\n\n![{record.spec.metric.label} by epoch]({sweep.stem}/curves.svg)",
    ]
    split = divide(spec_of(directory).data)
    checkpoint = Path(best.run_dir) / best.result.checkpoint
    for part, title in (("val", "Validation images"), ("test", "Test images")):
        cases = [Case(pair.image, pair.mask) for pair in split[part]]
        if cases:
            scored = _predict(checkpoint, cases, root / "pictures" / part)
            parts.append(_section(title, part, scored, pictures))
    parts.append(f"## The sweep file\n\n```yaml\n{sweep.read_text().strip()}\n```")
    page = into / f"{sweep.stem}.md"
    write_text(page, "\n\n".join(parts) + "\n", mode=SHARED)
    return page


def _run(*arguments: str) -> None:
    if subprocess.run([sys.executable, "-m", "unetsweep", *arguments], check=False).returncode:
        sys.exit(f"unetsweep {' '.join(arguments)} failed; correct that, and run this again")


def _provenance(sweep: Path, record: SweepRecord, best: TrialRecord) -> str:
    """Say on what the sweep was trained, for how long, and how to make the page."""
    results = {trial.run_dir: trial.result for trial in record.trials if trial.result is not None}
    minutes = sum(result.seconds or 0 for result in results.values()) / 60
    result = best.result
    assert result is not None
    gpu, cpu = result.hardware.get("gpu"), result.hardware.get("cpu")
    machine = f"on a GPU ({gpu})" if gpu else f"on a CPU ({cpu}, {counted(result.threads or 1, 'thread')} a training)"
    return (
        f"Trained {machine} with PyTorch {result.versions.get('torch')}: {counted(len(results), 'training')}, "
        f"{minutes:.0f} minutes of training together. `make results-page SWEEP={sweep}` makes this page; if it is "
        "stopped, the same command continues."
    )


def _curves(directory: SweepDir, record: SweepRecord) -> str:
    """The learning curves of all runs, the best trial's first."""
    metric = record.spec.metric
    of_run: dict[str, TrialRecord] = {}
    for trial in [*rows.ranked(record), *record.trials]:
        of_run.setdefault(trial.run_dir, trial)
    curves = [
        Curve(
            f"trial {trial.number:04d}" + (", the best" if not at else ""),
            [
                (point.epoch, point.values[metric.name])
                for point in directory.progress(int(Path(run).name))
                if metric.name in point.values
            ],
            trial.result.best_epoch if trial.result is not None else None,
        )
        for at, (run, trial) in enumerate(of_run.items())
    ]
    return learning_curves(curves, f"{metric.label} by epoch", metric.label)


def _predict(checkpoint: Path, cases: Sequence[Case], out: Path) -> list[Scored]:
    """Predict all images at their own size, best first."""
    found = [
        Scored(case.image.stem, predicted.counts, predicted.panel)
        for case, predicted in zip(cases, predict_cases(checkpoint, cases, out), strict=True)
        if predicted.counts is not None
    ]
    return sorted(found, key=lambda each: -each.iou)


def _section(title: str, part: str, scored: Sequence[Scored], pictures: Path) -> str:
    """The IoU of a part, and panels of its best and worst images."""
    tp, fp, fn = (sum(each.counts[at] for each in scored) for at in range(3))
    best, worst = scored[:IMAGES], scored[IMAGES:][-IMAGES:]
    lines = [
        f"## {title}",
        f"IoU {score_text(iou(tp, fp, fn))} over {counted(len(scored), 'image')} at their own size, by the best trial.",
    ]
    for kind, some in (("Best", best), ("Worst", worst)):
        for each in some:
            name = f"{part}-{each.name}.jpg"
            _write_jpeg(each.panel, pictures / name)
            lines.append(f"{kind}: {each.name}, IoU {score_text(each.iou)}\n\n![{each.name}]({pictures.name}/{name})")
    return "\n\n".join(lines)


def _write_jpeg(panel: Path, file: Path) -> None:
    """Write a smaller copy of a panel, so that the page loads fast."""
    small = shrunk(cv2.imread(str(panel)), PANEL_WIDTH)  # type: ignore[arg-type]  # uint8
    _, content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    write_bytes(file, content.tobytes(), mode=SHARED, durable=False)


if __name__ == "__main__":
    main()
