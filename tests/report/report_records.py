"""Records of sweeps, made by hand for the tests of the report."""

import hashlib
from dataclasses import replace

from unetsweep.analysis.rows import SweepRecord, TrialRecord
from unetsweep.analysis.significance import Repeats
from unetsweep.contract import DataConfig, Result, TrainerConfig
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import Resources, StudySpec, SweepSpec

DOCS_ROWS = (
    # job, epochs, batch size, learning rate, val_iou, val_loss, test_iou, test_loss
    ("17855", 100, 4, 1e-4, 0.6163, 0.1475, None, None),
    ("17857", 100, 16, 1e-4, 0.4087, 0.2136, None, None),
    ("17931", 200, 4, 1e-4, 0.6783, 0.1251, 0.6779, 0.125),
    ("17932", 200, 4, 5e-5, 0.6466, 0.1361, None, None),
    ("17939", 200, 4, 1e-4, 0.6204, 0.1457, None, None),
    ("17941", 300, 4, 1e-4, 0.6126, 0.1551, None, None),
    ("17942", 300, 4, 5e-5, 0.5701, 0.1618, None, None),
    ("18049", 400, 4, 1e-4, 0.7242, 0.0961, 0.6827, 0.1307),
    ("18808", 1000, 4, 1e-4, 0.8609, 0.0454, 0.701, 0.1881),
)


def spec(
    metric: str = "val_iou", gpus: int = 4, command: str | None = None, data: DataConfig | None = None
) -> SweepSpec:
    space = Space.of(epochs=Choices((100, 1000)), batch_size=Choices((4,)), learning_rate=Choices((1e-4,)))
    return SweepSpec(
        name="grid",
        data=data or DataConfig(root="/data/eyes"),
        space=space,
        study=StudySpec(metric=metric),
        trainer=TrainerConfig(command=command),
        slurm=Resources(gpus=gpus, processes=gpus or 2),
    )


def trial(
    number: int, state: str = "complete", epochs: int = 100, job_id: str | None = None, **more: object
) -> TrialRecord:
    """A trial; a complete one without `result` has val_iou 0.5."""
    result = more.pop("result", Result(val_iou=0.5) if state == "complete" else None)
    point = {
        "epochs": epochs,
        "batch_size": more.pop("batch_size", 4),
        "learning_rate": more.pop("learning_rate", 1e-4),
    }
    return TrialRecord(
        number=number,
        params=point,  # type: ignore[arg-type]
        state=state,
        job_id=job_id,
        result=result,
        **more,  # type: ignore[arg-type]
    )


def sweep(*trials: TrialRecord, warnings: tuple[str, ...] = (), of: SweepSpec | None = None) -> SweepRecord:
    return SweepRecord(name="grid", spec=of or spec(), trials=trials, warnings=warnings)


def docs_sweep() -> SweepRecord:
    """The nine trials of the docs' table."""
    trials = []
    for number, (job, epochs, batch, rate, val_iou, val_loss, test_iou, test_loss) in enumerate(DOCS_ROWS):
        result = Result(
            val_iou=val_iou,
            val_loss=val_loss,
            test_iou=test_iou,
            test_loss=test_loss,
            best_epoch=992 if epochs == 1000 else epochs - 1,
            checkpoint=f"checkpoints/best-{epochs}.ckpt",
        )
        trials.append(
            trial(
                number,
                epochs=epochs,
                job_id=job,
                batch_size=batch,
                learning_rate=rate,
                result=result,
                run_dir=f"/home/ada/results/grid/runs/{number:04d}",
                archive="/home/ada/results/grid/runs/0008/comet/1f.zip" if epochs == 1000 else None,
            )
        )
    return sweep(*trials)


def mixed_sweep() -> SweepRecord:
    """A sweep with trials in every state, messages that need escaping, and a number that is not finite."""
    full = Result(
        val_iou=0.71234567,
        val_loss=0.1,
        test_iou=0.66,
        test_loss=0.123456,
        best_epoch=7,
        epochs_run=8,
        seconds=61.25,
        gpu_seconds=245.0,
        peak_memory_mb=1234.5,
        host="node_1",
        checkpoint="checkpoints/best-8.ckpt",
    )
    pruned = Result(state="pruned", val_iou=0.9, val_loss=0.01, epochs_run=2)
    diverged = Result(state="diverged", message="loss is nan at epoch 3")
    return sweep(
        trial(0, epochs=8, job_id="18808_10", result=full, run_dir="/home/ada/results/grid/runs/0000"),
        trial(1, epochs=8, job_id="18808_9", result=Result(val_iou=0.25, val_loss=float("nan"))),
        trial(2, "running", epochs=8, job_id="18808_2"),
        trial(3, "submitted", epochs=8, job_id="18808_3", reason="Resources"),
        trial(4, "waiting", epochs=8),
        trial(5, "pruned", epochs=8, job_id="18808_5", result=pruned),
        trial(6, "diverged", epochs=8, job_id="18808_6", result=diverged),
        trial(7, "failed", epochs=8, job_id="18808_7", reason="CUDA error:\n\tout of memory | 50% of $HOME/_x_ used"),
        trial(8, "cancelled", epochs=8, learning_rate=0.00031622776601683794),
        warnings=(
            "groups: none, so one eye may be in training and validation both",
            "progress_of *7*:\ncorrupt {last} line",
        ),
    )


def leaked_sweep() -> SweepRecord:
    """A sweep with duplicates in validation and test, which were allowed."""
    data = DataConfig(root="/data/eyes", also_score_at=(0.0,))
    result = Result(val_iou=0.86, val_loss=0.05, test_iou=0.7, test_loss=0.2, also_scored={"0": {"test_iou": 0.72}})
    leak = {
        "val": "20 of 20 validation images have a copy in training (as 01 of 03)",
        "test": "1 of 20 test images has a copy in training or validation (as 7 of 13)",
    }
    warnings = tuple(f"LEAKED: {text}: these scores reward memorisation" for text in leak.values())
    return SweepRecord("grid", spec(data=data), (trial(0, job_id="7", result=result),), warnings, leak)


def confirmed_sweep() -> SweepRecord:
    """Three leaders with three seeds each on four images of two eyes; the last is worse, and has no test score."""
    confirmed = []
    for number, gain in ((0, 0.0), (1, 0.002), (2, -0.2)):
        per_image = tuple(
            {f"{image:02d}": 0.6 + gain + 0.01 * image + _noise(number, seed, image) for image in range(4)}
            for seed in (1, 2, 3)
        )
        val = tuple(sum(row.values()) / 4 for row in per_image)
        test = tuple(None if number == 2 else score - 0.05 for score in val)
        confirmed.append(Repeats(number, (1, 2, 3), val, test, per_image))
    trials = (trial(number, job_id=f"7_{number}", learning_rate=10.0**-number) for number in range(4))
    groups = {"00": "00", "01": "00", "02": "02", "03": "02"}
    return SweepRecord("grid", spec(), tuple(trials), confirmed=tuple(confirmed), val_groups=groups)


def _noise(number: int, seed: int, image: int) -> float:
    """A number from -0.01 to 0.01 that looks random and is the same on every machine."""
    return (hashlib.sha256(f"{number} {seed} {image}".encode()).digest()[0] - 127.5) / 12750


def other_masks_sweep() -> SweepRecord:
    """A sweep with other data settings; one result has every score, the other has values of wrong types."""
    data = DataConfig(root="/data/eyes", image_size=512, mask_threshold=127.0, also_score_at=(0.0, 127.5))
    scores = {"dice": 0.8, "precision": 0.75, "sensitivity": 0.85714286, "image_iou_mean": 0.65, "image_iou_sd": 0.0125}
    full = Result(
        val_iou=0.66666667,
        val_loss=0.1,
        test_iou=0.6,
        test_loss=0.2,
        val_scores=scores,
        test_scores={**scores, "dice": 0.75, "image_iou_sd": 0.03},
        also_scored={
            "0": {"val_iou": 0.51234567, "val_dice": 0.68, "test_iou": 0.5, "test_dice": 0.67},
            "127.5": {"val_iou": 0.66},
        },
    )
    odd = Result(val_iou=0.5, val_scores={"dice": "high", "precision": True}, also_scored={"0": 0.5})  # type: ignore[dict-item]
    return sweep(trial(0, job_id="1", result=full), trial(1, job_id="2", result=odd), of=spec(data=data))


def repeated_sweep() -> SweepRecord:
    """Four points with three trainings each: the best mean, a better one of two, a failed one, and one that runs."""
    rows = (  # number, learning rate, seed, state, val_iou
        (0, 1e-4, 0, "complete", 0.70),
        (1, 1e-4, 1, "complete", 0.74),
        (2, 1e-4, 2, "complete", 0.72),
        (3, 1e-3, 0, "complete", 0.90),
        (4, 1e-3, 1, "failed", None),
        (5, 1e-3, 2, "complete", 0.80),
        (6, 1e-2, 0, "complete", 0.10),
        (7, 1e-2, 1, "complete", 0.30),
        (8, 1e-2, 2, "complete", 0.20),
        (9, 1e-1, 0, "running", None),
        (10, 1e-1, 1, "waiting", None),
    )
    trials = [
        trial(
            number,
            state,
            job_id=None if state == "waiting" else f"18808_{number}",
            learning_rate=rate,
            seed=seed,
            reason="CUDA error" if state == "failed" else "",
            result=Result(
                val_iou=score,
                val_loss=1 - score,
                best_epoch=90 + seed,
                host="node_1",
                checkpoint="checkpoints/best-100.ckpt",
            )
            if score is not None
            else None,
            run_dir=f"/home/ada/results/grid/runs/{number:04d}",
        )
        for number, rate, seed, state, score in rows
    ]
    of = spec()
    return sweep(*trials, of=replace(of, study=replace(of.study, repeats=3)))
