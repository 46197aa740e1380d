"""What `submit` says about a sweep: which images are used for what, what is shared, and what is left to train."""

from typing import TYPE_CHECKING

from unetsweep.app.estimates import estimate_open
from unetsweep.app.events import ImagesSplit, RunsShared, WorkLeft
from unetsweep.app.executors import executor_of
from unetsweep.app.start import SubmitResult, SweepState
from unetsweep.contract import Split
from unetsweep.core.run_sharing import epochs_to_train
from unetsweep.core.spec import SweepSpec
from unetsweep.store.sweep_dir import SweepDir

if TYPE_CHECKING:
    from unetsweep.datasets.prepare import PreparedDataset


def images_split(split: Split, images: "PreparedDataset") -> ImagesSplit:
    """Return how the images are divided."""
    return ImagesSplit(
        images.training_images,
        images.validation_images,
        images.test_images,
        images.image_groups,
        _rule(split),
        is_clean=not images.leak,
    )


def _rule(split: Split) -> str | None:
    """How images are grouped; None: they are not.

    >>> _rule(Split(groups="auto")), _rule(Split(groups="eyes.csv")), _rule(Split(groups="none"))
    ('eye, found from the pixels', 'eyes.csv', None)
    """
    if split.groups == "none":
        return None
    if split.groups == "auto":
        return "eye, found from the pixels"
    return split.groups if split.groups.lower().endswith(".csv") else f"the pattern {split.groups!r}"


def runs_shared(started: SubmitResult, state: SweepState) -> RunsShared | None:
    """Return what the trials of a sweep share; None: no two trials share a run."""
    if state.ended:
        trials = [(trial.run, trial.epochs) for trial in started.directory.trials()]
    else:
        trials = [*state.open_epochs]
    runs = len({run for run, _ in trials})
    if runs == len(trials):
        return None
    return RunsShared(len(trials), runs, sum(epochs for _, epochs in trials), epochs_to_train(trials))


def work_left(spec: SweepSpec, directory: SweepDir) -> WorkLeft | None:
    """Return what the open trials will take; None if that is not known, because too little has ended."""
    trials, observation = directory.trials(), directory.observe(spec.metric)
    estimate = estimate_open(spec, directory, trials, executor_of(directory), observation, [])
    uses_gpus = bool(spec.slurm.gpus)
    known = estimate.gpu_hours if uses_gpus else estimate.cpu_hours
    return WorkLeft(estimate, uses_gpus) if known is not None else None
