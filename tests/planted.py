"""Plant ten errors in the package, each of which the tests must catch: `python tests/planted.py [NUMBER …]`.

Each error is planted in a copy of the checkout, and the tests of its promise run there. If they pass, the test suite
has a gap. `make test-all` runs this; run it after you merge, move or remove tests.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Error:
    """One wrong line in the package, and the tests that must fail because of it."""

    promise: str
    file: str
    right: str
    """The correct code, which must occur exactly once in the file."""
    wrong: str
    tests: tuple[str, ...]
    """Arguments of pytest."""
    caught_by: str
    """The test that must fail, or the beginning of its name; another failing test proves nothing."""


ERRORS = (
    Error(
        "a training killed between a milestone's checkpoint and its result publishes it when it is resumed",
        "unetsweep/training/callbacks.py",
        "if epochs in self.wanted and epochs not in published:",
        "if epochs in self.wanted and epochs in published:",
        ("tests/training/test_training.py",),
        "test_a_training_killed_at_any_point_and_resumed_equals_an_uninterrupted_one",
    ),
    Error(
        "a pruned training that was killed obeys the decision when it is resumed",
        "unetsweep/training/callbacks.py",
        "self._on_all_ranks(trainer, lambda: self._policy.check_prunes(self._after(epoch)))",
        "self._on_all_ranks(trainer, lambda: Decision())",
        ("tests/training/test_training_stops.py",),
        "test_a_pruned_training_killed_at_any_point_and_resumed_ends_the_same",
    ),
    Error(
        "a confirmation trains with seeds that no trial of the sweep used",
        "unetsweep/app/confirm.py",
        "taken = {trial.seed for trial in record.trials} | {record.spec.study.seed}",
        "taken = {record.spec.study.seed}",
        ("tests/cli/test_confirm.py",),
        "test_leaders_are_different_configs_and_no_seed_was_used_before",
    ),
    Error(
        "reproduce names the differences between the two environments",
        "unetsweep/analysis/reproducibility.py",
        'SURROUNDINGS = ("versions", "hardware", "precision", "threads", "code", "micro_batch")',
        'SURROUNDINGS = ("versions", "hardware", "precision", "code", "micro_batch")',
        ("tests/cli/test_reproduce.py",),
        "test_another_number_of_threads_and_another_result_are_reported",
    ),
    Error(
        "no training survives the death of its supervisor",
        "unetsweep/process.py",
        "libc.prctl(1, signal.SIGKILL)",
        "libc.prctl(1, 0)",
        ("tests/cli/test_local_sweep.py",),
        "test_no_training_survives_the_death_of_its_supervisor",
    ),
    Error(
        "every start of a requeued job is accounted for",
        "unetsweep/schedulers/slurm/accounting.py",
        '"--parsable2", "--duplicates", "--noconvert"',
        '"--parsable2", "--noconvert"',
        ("tests/slurm/test_slurm_costs.py",),
        "test_the_cost_of_a_requeued_job_counts_every_start_and_names_the_repeated_work[dbd]",
    ),
    Error(
        "a checkpoint that an open trial needs is kept with `run.keep_checkpoints: best`",
        "unetsweep/core/checkpoint_gc.py",
        "runs = tuple(run for run in gone if run not in needed)",
        "runs = tuple(gone)",
        ("tests/core", "tests/simulation"),
        "test_the_checkpoint_of_a_run_stays_while_an_open_trial_needs_it",
    ),
    Error(
        "no image group is in both training and validation",
        "unetsweep/datasets/splits.py",
        "training = tuple(sorted((p for p in pairs if group_of[p.name] not in names), key=lambda p: p.name))",
        "training = tuple(sorted((p for p in pairs if p.name not in names), key=lambda p: p.name))",
        ("tests/datasets/test_dataset_splits.py", "tests/datasets/test_manifest.py"),
        "test_80_images_in_20_groups_of_4_give_60_and_20",
    ),
    Error(
        "a journal that a killed reconciliation did not export is exported by the next one",
        "unetsweep/reconcile/apply.py",
        "        context.study.mark_stale()\n",
        "        pass\n",
        ("tests/reconcile", "tests/simulation"),
        "test_every_trial_is_trained_and_exported_once_wherever_the_first_reconciliation_is_killed",
    ),
    Error(
        "a job that SLURM restarts claims its run again",
        "unetsweep/worker/rank.py",
        'int(env.get("SLURM_RESTART_COUNT", "0"))',
        "0",
        ("tests/slurm/test_slurm_training.py", "-k", "requeued"),
        "test_trainings_of_two_processes_give_the_same_rows_alone_requeued",
    ),
)


def plant(error: Error, folder: Path) -> None:
    """Copy the files of the checkout to `folder` and plant the error there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    path = folder / error.file
    text = path.read_text()
    if text.count(error.right) != 1:
        raise SystemExit(f"{error.file} has this {text.count(error.right)} times, not once: {error.right!r}")
    path.write_text(text.replace(error.right, error.wrong))


def is_caught(error: Error) -> bool:
    """Whether the test of the promise fails with the error planted; prints the failed test."""
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        folder = Path(name)
        plant(error, folder)
        env = {**os.environ, "PYTHONPATH": str(folder)}
        command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "--tb=no", "-rf", *error.tests]
        done = subprocess.run(command, cwd=folder, env=env, check=False, capture_output=True, text=True)
    failed = [line.split(" - ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED")]
    print("   ", failed[0] if failed else done.stdout[-300:])
    return done.returncode == 1 and any(f"::{error.caught_by}" in line for line in failed)


def main(numbers: list[int]) -> int:
    missed = 0
    for number in numbers or range(1, len(ERRORS) + 1):
        error, begin_s = ERRORS[number - 1], time.monotonic()
        print(f"{number}. {error.promise} ({error.file})", flush=True)
        caught = is_caught(error)
        missed += not caught
        print(f"    {'caught' if caught else 'NOT CAUGHT'} in {time.monotonic() - begin_s:.0f} s", flush=True)
    print(f"{missed} not caught")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main([int(number) for number in sys.argv[1:]]))
