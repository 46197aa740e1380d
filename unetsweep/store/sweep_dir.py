"""Writing a sweep's directory: each deed is one small file, there whole or not at all.

Rule 1: trials exist by rename(): whoever is first owns it, the other one sees it. Attempts: attempts_dir.py.
Rule 2: written before it is acted on: a trial before its submission.
"""

import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from unetsweep import contract
from unetsweep.atomic import append_line, rename_folder, temporary_path, write_text
from unetsweep.bounded_json import read_json
from unetsweep.clock import utc_now
from unetsweep.contract import Result, TrialConfig
from unetsweep.core import paths
from unetsweep.core.observation import EpochReport, Observation
from unetsweep.core.trials import StoredTrial
from unetsweep.errors import StateError
from unetsweep.records import (
    DataFile,
    MarkFile,
    SweepFile,
    link_record,
    link_records,
    read_record,
    write_record,
)
from unetsweep.store import home, observation
from unetsweep.store.attempt_writer import AttemptWriter
from unetsweep.store.code_snapshot import pinned_hash
from unetsweep.store.collectable_runs import CollectableRuns
from unetsweep.store.lease import file_server_time
from unetsweep.store.permissions import check_private
from unetsweep.store.progress import read_progress
from unetsweep.store.trials import make_trial_file, read_stored_trial, read_trial, sweep_name, swept_parameters


class SweepDir(AttemptWriter):
    """One sweep's directory."""

    def __init__(self, root: Path, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__(root.absolute(), now)
        self.name = sweep_name(self.root)

    # ---- the sweep itself

    def exists(self) -> bool:
        return (self.root / paths.SPEC).exists()

    def create(
        self,
        yaml: str,
        executor: str,
        data: DataFile | None = None,
        working: str | None = None,
        cluster: str | None = None,
    ) -> None:
        """Make the directory, the user's alone; repeating it after a kill is harmless.

        `data`: its images; `working`: where a trainer command starts (default: here); `cluster`: where SLURM's
        commands send its jobs, as far as that is known.
        """
        self.root.mkdir(parents=True, mode=0o700, exist_ok=True)
        self.check_private()
        for folder in (paths.TRIALS, paths.RUNS, paths.SUBMISSIONS):
            (self.root / folder).mkdir(mode=0o700, exist_ok=True)
        about = SweepFile(executor, cluster, str(self.root), self._now(), working or os.getcwd())
        link_record(self.root / paths.SWEEP, about)
        if data is not None:
            self.pin_images(data)
        write_text(self.root / paths.SPEC, yaml)

    def pin_images(self, data: DataFile) -> None:
        write_record(self.root / paths.DATA, data)

    def check_private(self) -> None:
        """Refuse a directory into which others may write: the files in it are run as code."""
        check_private(self.root)

    def replace_spec(self, yaml: str) -> None:
        write_text(self.root / paths.SPEC, yaml)

    @property
    def data(self) -> DataFile | None:
        """The images of the sweep; None: it pins none. StateError: unreadable."""
        return read_data(self.root / paths.DATA)

    @property
    def executor(self) -> str:
        return home.read_sweep_file(self.root).executor

    @property
    def cluster(self) -> str | None:
        """The cluster that its jobs are on; None where nobody said, and locally."""
        return home.read_sweep_file(self.root).cluster

    @property
    def working_directory(self) -> str:
        """Where the sweep was submitted from: a trainer command's relative paths start there."""
        return home.read_sweep_file(self.root).working_directory

    def observe(self) -> Observation:
        return dataclasses.replace(observation.observe(self.root), collectable=CollectableRuns(self.root).marked())

    # ---- trials

    def code(self) -> str | None:
        """Hash of the package that new jobs run; None: it is not pinned."""
        return pinned_hash(self.root) or None

    def add_trials(
        self,
        configs: Sequence[TrialConfig],
        origin: Mapping[str, Any] | None = None,
        first: int | None = None,
        runs: Sequence[int] | None = None,
        parameters: Sequence[str] | None = None,
    ) -> list[int]:
        """New trials, numbered on from `first` (default: the first number that is free). `runs`: the run of each;
        None: each has its own. `parameters`: the paths that the sweep varies; None: those of its sweep.yaml.

        A trial's files come together, by the renaming of their folder. A number that another reconciliation has taken
        meanwhile stays that one's, and with it the run of that number. A trial that would share such a run is not made,
        nor is any after it, so that the numbers have no gap. Returned are those that are ours.
        """
        start = self.next_trial() if first is None else first
        run_of = dict(enumerate(runs, start)) if runs is not None else {}
        code, swept = self.code(), swept_parameters(self.root) if parameters is None else parameters
        folders: dict[int, Path] = {}
        files: list[tuple[Path, object]] = []
        for number, config in enumerate(configs, start):
            folder = self.root / paths.trial_dir(number)
            made = folders[number] = temporary_path(folder)
            made.mkdir()
            about = make_trial_file(number, config, swept, self._now(), run_of.get(number))
            about = dataclasses.replace(about, code=code, **(origin or {}))
            files += [(made / paths.CONFIG, config), (made / paths.TRIAL, about)]
        link_records(files)
        ours: list[int] = []
        is_over = False
        for number, made in folders.items():
            run = run_of.get(number, number)
            is_over = is_over or (start <= run < number and run not in ours)
            if is_over:
                shutil.rmtree(made)  # its run is another reconciliation's, of some other point perhaps
            elif rename_folder(made, self.root / paths.trial_dir(number)):
                ours.append(number)
        return ours

    def next_trial(self) -> int:
        """The first number without a trial; an empty folder is used again."""
        return max((number for number, _ in observation.trial_folders(self.root)), default=-1) + 1

    def trials(self) -> list[StoredTrial]:
        """Every trial in order, with its result when it has ended."""
        return [read_stored_trial(number, folder) for number, folder in observation.trial_folders(self.root)]

    def progress(self, run: int) -> tuple[EpochReport, ...]:
        """Every finished epoch of a run, in order."""
        folder = self.root / paths.run_dir(run)
        return read_progress(folder, os.listdir(folder)).points if folder.exists() else ()

    def run_of(self, trial: int) -> int:
        return read_trial(self.root / paths.trial_dir(trial)).run

    def config_path(self, trial: int) -> Path:
        return self.root / paths.trial_dir(trial) / paths.CONFIG

    def cancel(self, trial: int) -> None:
        """Write down that the user cancelled it: SLURM forgets a cancelled pending element at once."""
        (self.root / paths.trial_dir(trial)).mkdir(exist_ok=True)  # its files may be lost
        link_record(self.root / paths.trial_dir(trial) / paths.CANCELLED, MarkFile(self._now()))

    def stop(self) -> None:
        """Propose nothing new; `resume` takes it back."""
        link_record(self.root / paths.STOPPED, MarkFile(self._now()))

    def resume(self) -> None:
        (self.root / paths.STOPPED).unlink(missing_ok=True)

    def milestone(self, run: int, epochs: int) -> Result | None:
        """What a run published at a milestone."""
        path = self.root / paths.run_dir(run) / paths.milestone(epochs)
        return contract.result_from(read_json(path), str(path)) if path.exists() else None

    def end_trial(self, trial: int, result: Result) -> bool:
        """Write the trial's result.json; False when it has one."""
        return link_record(self.root / paths.trial_dir(trial) / paths.RESULT, result)

    # ---- passes

    def mark_reconciled(self) -> None:
        """A reconciliation begins: no periodic one is due for a while."""
        (self.root / paths.LAST_RECONCILIATION).touch()

    def seconds_since_reconciliation(self) -> float | None:
        """Seconds since the last reconciliation began, by the file server's clock; None: there was none."""
        mark = self.root / paths.LAST_RECONCILIATION
        return file_server_time(mark) - mark.stat().st_mtime if mark.exists() else None

    def note(self, **content: object) -> None:
        """A line in the log for people; never read to decide."""
        append_line(self.root / paths.LEDGER, content)


def read_data(path: Path) -> DataFile | None:
    """data.json; None: there is none. StateError: it is unreadable."""
    try:
        data = read_record(DataFile, path)
    except FileNotFoundError:
        return None
    if not all(isinstance(data.manifest.get(part), Mapping) for part in ("train", "val", "test")):
        raise StateError(f"{path}: manifest: train, val and test are expected, each with its images")
    return data
