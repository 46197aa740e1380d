"""The texts below the rows: the states of the trials, what went wrong, and the best hyperparameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from unetsweep.analysis.rows import STATES, PointRecord, SweepRecord, TrialRecord, points
from unetsweep.config.parameters import short_name
from unetsweep.contract import DataConfig, Split
from unetsweep.core.failures import FailedTrials, by_reason
from unetsweep.core.space import REQUIRED, is_fixed
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import has_epochs, is_own
from unetsweep.datasets.scores import level_key
from unetsweep.report.columns import LEAKED, checkpoint, number_text, reason, value_text
from unetsweep.report.points import mean_text
from unetsweep.texts import counted, one_line
from unetsweep.trial_config import ParameterValue

FAILED = ("failed", "diverged")
"""The states of trials that ended without a score because something went wrong."""
_NAMED_WITH_REASON = ("submitted", "waiting")
_MOST = 3
"""How many trials of one reason, and reasons of one state, are listed before `and … more`, to keep it on one line."""

_MOST_TRIALS = 8
"""How many trials of one failure are listed before `and … more`."""
_MOST_FAILURES = 10
"""How many failures are listed; the JSON report has all."""

_OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD"}


@dataclass(frozen=True, slots=True)
class BestPoint:
    """The best point of a sweep with repeats. Each field is a key of the JSON report."""

    trials: tuple[int, ...]
    """Its complete trainings."""
    trainings: int
    """How many it should have."""
    metric: str
    """The metric as a report names it."""
    mean: float | None
    """The mean of the metric over its complete trainings."""
    sd: float | None
    """Its standard deviation, with n - 1; None for one training."""

    @property
    def text(self) -> str:
        """The mean and the trainings for people: `val_IoU 0.7200 ± 0.0200 over 2 trainings (0000, 0001)`."""
        complete = len(self.trials)
        count = f"{complete} of {self.trainings}" if complete < self.trainings else str(complete)
        return f"{self.metric} {mean_text(self.mean, self.sd)} over {count} trainings ({_numbers(self.trials)})"


@dataclass(frozen=True, slots=True)
class BestTrial:
    """The best trial: what a reader needs to repeat it. Each field is a key of the JSON report."""

    trial: int
    job_id: str | None
    learning_rate: float | None
    """None: the program of a trainer command gets none. The same holds for the batch size and the epochs."""
    optimizer: str | None
    """None: a trainer command trained, so it is not known."""
    command: str | None
    """The trainer command; None: the built-in trainer."""
    batch_size: int | None
    epochs: int | None
    gpus: int
    processes: int
    best_epoch: int | None
    val_iou: float | None
    val_loss: float | None
    test_iou: float | None
    test_loss: float | None
    checkpoint: str | None
    archive: str | None
    leaked: tuple[str, ...] = ()
    """Parts (`val`, `test`) with images that have a copy in training."""
    params: Mapping[str, ParameterValue] = field(default_factory=dict)
    """The parameters that are no field above, by path, without those that have one value."""

    point: "BestPoint | None" = None
    """With `study.repeats`: the point of this training, which is the best by its mean. None without repeats."""

    @property
    def others(self) -> dict[str, str]:
        """The names and values of `params` for people."""
        return {path if is_own(path) else short_name(path): value_text(value) for path, value in self.params.items()}


def best_of(sweep: SweepRecord, trial: TrialRecord, point: PointRecord | None = None) -> BestTrial:
    """The summary of `trial`, which must have a result. `point`: its point, if the sweep has repeats."""
    result, trainer, slurm = trial.result, sweep.spec.trainer, sweep.spec.slurm
    if result is None:
        raise ValueError(f"trial {trial.number} has no result")
    domains = sweep.spec.reported_space.domains()
    named = (*REQUIRED, "trainer.optimizer")
    optimizer = str(trial.params.get("trainer.optimizer", trainer.optimizer))
    return BestTrial(
        trial=trial.number,
        job_id=trial.job_id,
        learning_rate=trial.learning_rate if "learning_rate" in domains else None,
        optimizer=None if trainer.command else _OPTIMIZERS[optimizer],
        command=trainer.command,
        batch_size=trial.batch_size if "batch_size" in domains else None,
        epochs=trial.epochs if has_epochs(sweep.spec.space) else None,
        gpus=slurm.training_gpus,
        processes=slurm.processes,
        best_epoch=result.best_epoch,
        val_iou=result.val_iou,
        val_loss=result.val_loss,
        test_iou=result.test_iou,
        test_loss=result.test_loss,
        checkpoint=checkpoint(trial),
        archive=trial.archive,
        leaked=tuple(sweep.leak),
        params={
            path: trial.params[path]
            for path, domain in domains.items()
            if path not in named and path in trial.params and not is_fixed(domain)
        },
        point=None if point is None else _best_point(sweep, point),
    )


def _best_point(sweep: SweepRecord, point: PointRecord) -> BestPoint:
    label = one_line(sweep.spec.metric.label) + (f" {LEAKED}" if "val" in sweep.leak else "")
    return BestPoint(tuple(trial.number for trial in point.complete), point.wanted, label, point.mean, point.sd)


def gpus_text(best: BestTrial) -> str:
    """The sentence about GPUs below the table; without a GPU it names the processes instead.

    >>> from types import SimpleNamespace as S
    >>> gpus_text(S(gpus=4, processes=4)), gpus_text(S(gpus=1, processes=1))
    ('Number of GPUs used in the training is 4 GPUs', 'Number of GPUs used in the training is 1 GPU')
    >>> gpus_text(S(gpus=0, processes=2))
    'Number of GPUs used in the training is 0 (2 processes on the CPU)'
    """
    if best.gpus:
        text = counted(best.gpus, "GPU")
    else:
        text = f"0 ({counted(best.processes, 'process', 'processes')} on the CPU)"
    return f"Number of GPUs used in the training is {text}"


def data_line(spec: SweepSpec) -> str:
    """How the scored images were read. Only scores with the same settings can be compared.

    >>> from types import SimpleNamespace as S
    >>> def of(size, cut):
    ...     return S(data=S(image_size=size, mask_threshold=cut), trainer=S(command=None), space=S(paths=()))
    >>> data_line(of(512, "half"))
    'Scores at 512x512, masks cut at half of their range'
    >>> data_line(of(None, 0.0))
    "Scores at the images' own size, masks cut above grey level 0"
    """
    size, cut = spec.data.image_size, spec.data.mask_threshold
    varies = "data.image_size" in spec.space.paths
    scores = "Scores requested" if spec.trainer.command else "Scores"  # a trainer command may ignore the settings
    at = "the image_size of each trial" if varies else f"{size}x{size}" if size else "the images' own size"
    where = "at half of their range" if isinstance(cut, str) else f"above grey level {level_key(cut)}"
    return f"{scores} at {at}, masks cut {where}"


def shows_data(spec: SweepSpec) -> bool:
    """Whether `data_line` applies: a trainer command need not train on images."""
    return spec.trainer.command is None or replace(spec.data, root="", split=Split(), manifest=None) != DataConfig("")


def state_counts(trials: Sequence[TrialRecord]) -> dict[str, int]:
    """The number of trials in each state that occurs, in the order of STATES."""
    return {state: len(group) for state, group in _by_state(trials).items()}


def state_line(trials: Sequence[TrialRecord]) -> str:
    """The states of the trials on one line: `6 complete, 1 waiting: 0003 Resources, 1 failed`."""
    if not trials:
        return "no trials yet"
    return ", ".join(_describe_state(state, group) for state, group in _by_state(trials).items())


def states_text(sweep: SweepRecord) -> str:
    """The states of the trials of a sweep; with repeats preceded by the number of its points."""
    repeats, line = sweep.spec.study.repeats, state_line(sweep.trials)
    if repeats == 1 or not sweep.trials:
        return line
    return f"{counted(len(points(sweep)), 'point')}, {repeats} trainings of each: {line}"


def _by_state(trials: Sequence[TrialRecord]) -> dict[str, list[TrialRecord]]:
    groups: dict[str, list[TrialRecord]] = {state: [] for state in STATES}
    for trial in trials:
        groups.setdefault(trial.state, []).append(trial)
    return {state: group for state, group in groups.items() if group}


def _describe_state(state: str, trials: Sequence[TrialRecord]) -> str:
    count = one_line(f"{len(trials)} {state}")
    reasons: dict[str, list[int]] = {}
    if state in _NAMED_WITH_REASON:
        for trial in trials:
            if why := reason(trial):
                reasons.setdefault(why, []).append(trial.number)
    if not reasons:
        return count
    listed = [f"{_numbers(numbers)} {why}" for why, numbers in list(reasons.items())[:_MOST]]
    left = sum(len(numbers) for numbers in list(reasons.values())[_MOST:])
    return f"{count}: " + "; ".join(listed) + (f"; and {left} more" if left else "")


def failures(trials: Sequence[TrialRecord]) -> list[tuple[str, FailedTrials]]:
    """The trials that failed or diverged, by state and reason; the most frequent reason of a state first."""
    found: list[tuple[str, FailedTrials]] = []
    for state in FAILED:
        groups = by_reason((trial.number, reason(trial) or "") for trial in trials if trial.state == state)
        found += [(state, group) for group in sorted(groups, key=lambda group: -len(group.trials))]
    return found


def failure_lines(trials: Sequence[TrialRecord]) -> list[str]:
    """A line for each failure: `3 trials failed: CUDA out of memory (trials 2, 5, 7)`."""
    groups = failures(trials)
    lines = [_describe_failure(state, group) for state, group in groups[:_MOST_FAILURES]]
    rest = groups[_MOST_FAILURES:]
    if rest:
        count = sum(len(group.trials) for _, group in rest)
        lines.append(f"{counted(count, 'more trial')} for {counted(len(rest), 'other reason')}; --format json has all")
    return lines


def _describe_failure(state: str, group: FailedTrials) -> str:
    numbers = ", ".join(map(str, group.trials[:_MOST_TRIALS]))
    more = len(group.trials) - _MOST_TRIALS
    which = f"trial{'' if len(group.trials) == 1 else 's'} {numbers}{f' and {more} more' if more > 0 else ''}"
    return f"{counted(len(group.trials), 'trial')} {state}: {group.reason} ({which})"


def _numbers(numbers: Sequence[int]) -> str:
    text = ", ".join(number_text(number) for number in sorted(numbers)[:_MOST])
    return text + (f" and {len(numbers) - _MOST} more" if len(numbers) > _MOST else "")
