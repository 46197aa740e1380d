"""Measure what a space of 20 parameters costs for 1,000 trials, against one of 3.

`python -m benchmarks.many_parameters [TRIALS]` (default 1000). Both sweeps go in turns through what unetsweep does for
their trials: it proposes points at random, writes their files, reads the results, exports the study and prints the
report. The trials are not trained. A second row is what one proposal of TPE takes after so many trials; Optuna draws
each parameter on its own there, so it has no budget.
"""

import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.report_ratio import made_up_result
from benchmarks.timing import command_runner, medians, print_row, time_in_turns
from unetsweep.atomic import link_all
from unetsweep.config.load import spec_from
from unetsweep.config.written import as_yaml
from unetsweep.contract import encode
from unetsweep.core import paths
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import trial_config
from unetsweep.search.optuna_trials import no_epochs
from unetsweep.search.study import JournalStudy
from unetsweep.store.sweep_dir import SweepDir

ROUNDS = 3
FEW, MANY = 3, 20
BUDGET = 2.0
SWEEP = """\
name: many
trainer: {{command: "python train.py --config {{config}} --out {{out}}"}}
space:
  epochs: [10, 20, 40]
  batch_size: [1, 2, 4]
  learning_rate: {{low: 1e-5, high: 1e-1, log: true}}
{more}study: {{sampler: {sampler}, trials: {trials}}}
slurm: {{gpus: 0}}
"""


def make_spec(parameters: int, sampler: str, trials: int) -> SweepSpec:
    """Return a sweep over this number of parameters."""
    more = "".join(f"  p{number}: {{low: 0.0, high: 1.0}}\n" for number in range(parameters - FEW))
    return spec_from(SWEEP.format(more=more, sampler=sampler, trials=trials), "many.yaml")


class Sweeps:
    """Sweeps of complete trials in a temporary folder, a new one for each call."""

    def __init__(self, folder: Path, trials: int) -> None:
        self._folder, self._trials, self._count = folder, trials, 0

    def run(self, parameters: int) -> None:
        """Take a sweep over this number of parameters from its proposals to its report."""
        self._count += 1
        results = self._folder / f"{self._count}"
        directory, spec = self.make(results, parameters)
        JournalStudy(directory.root / "study.journal").export(spec, directory.trials(), no_epochs)
        command_runner(sys.executable, "-m", "unetsweep", "report", "many", "--results", f"{results}")()

    def make(self, results: Path, parameters: int) -> tuple[SweepDir, SweepSpec]:
        """Make a sweep whose trials are complete."""
        spec = make_spec(parameters, "random", self._trials)
        directory = SweepDir(results / "many")
        directory.root.mkdir(parents=True)
        directory.create(as_yaml(spec), "local")
        points = JournalStudy(directory.root / "study.journal").propose(spec, [], self._trials, no_epochs)
        numbers = directory.add_trials([trial_config(spec, point) for point in points], {"sampler": "random"})
        draw = random.Random(0)  # noqa: S311 - made-up numbers
        folders = [(number, directory.root / paths.trial_dir(number) / paths.RESULT) for number in numbers]
        link_all([(path, encode(made_up_result(number, draw))) for number, path in folders])
        return directory, spec

    def proposal(self, parameters: int) -> Callable[[], object]:
        """Return a subject that lets TPE propose one more point."""
        directory, _ = self.make(self._folder / f"tpe-{parameters}", parameters)
        spec, trials = make_spec(parameters, "tpe", 2 * self._trials), directory.trials()
        study = JournalStudy(directory.root / "study.journal")
        return lambda: study.propose(spec, trials, 1, no_epochs)


def main() -> bool:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        sweeps = Sweeps(Path(folder), trials)
        times = medians(time_in_turns(ROUNDS, {"few": lambda: sweeps.run(FEW), "many": lambda: sweeps.run(MANY)}))
        proposals = {name: sweeps.proposal(number) for name, number in (("few", FEW), ("many", MANY))}
        draws = medians(time_in_turns(ROUNDS, proposals))
    ratio = times["many"] / times["few"]
    is_met = print_row(
        f"a sweep of {trials} trials without their trainings: {MANY} parameters, compared with {FEW}",
        f"{ratio:.2f} times ({times['many']:.2f} s, {times['few']:.2f} s)",
        f"{BUDGET:.0f} times",
        ratio <= BUDGET,
    )
    seconds = f"{1000 * draws['many']:.0f} ms, {1000 * draws['few']:.0f} ms"
    what = f"one proposal of TPE after {trials} trials: {MANY} parameters, {FEW} parameters"
    return print_row(what, seconds, "none", is_met=True) and is_met


if __name__ == "__main__":
    sys.exit(not main())
