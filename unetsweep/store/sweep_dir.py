"""Writing a sweep's directory: each deed is one small file, there whole or not at all.

Rule 1: trials exist by rename(): whoever is first owns it, the other one sees it. Attempts: attempts_dir.py.
Rule 2: written before it is acted on: a trial before its submission.
"""

import dataclasses
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from unetsweep import contract
from unetsweep.atomic import append_line, link_all, link_json, rename_folder, write_json, write_text
from unetsweep.bounded_json import read_json
from unetsweep.clock import utc_now
from unetsweep.contract import Result, TrialConfig
from unetsweep.core import paths
from unetsweep.core.observation import Observation, Point
from unetsweep.errors import StateError
from unetsweep.store import home, observation
from unetsweep.store.attempt_writer import AttemptsDir
from unetsweep.store.code_snapshot import noted
from unetsweep.store.collectable_runs import CollectableRuns
from unetsweep.store.lease import server_time
from unetsweep.store.permissions import check_private
from unetsweep.store.progress import read_progress
from unetsweep.store.trials import as_known, name_of, read_trial, rebuilt


def is_data(raw: Mapping[str, Any]) -> None:
    """KeyError or TypeError where it is not what a sweep says of its images."""
    if not all(isinstance(raw["manifest"][part], Mapping) for part in ("train", "val", "test")):
        raise TypeError("manifest")
    for name in ("leak", "val_groups"):
        if not isinstance(raw[name] if name == "leak" else raw.get(name, {}), Mapping):
            raise TypeError(name)


class SweepDir(AttemptsDir):
    """One sweep's directory."""

    def __init__(self, root: Path, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__(root.absolute(), now)
        self.name = name_of(self.root)

    # ---- the sweep itself

    def exists(self) -> bool:
        return (self.root / paths.SPEC).exists()

    def create(
        self,
        yaml: str,
        executor: str,
        data: Mapping[str, Any] | None = None,
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
        about = {
            "executor": executor,
            "cluster": cluster,
            "folder": str(self.root),
            "created": self._now().isoformat(),
            "working_directory": working or os.getcwd(),
        }
        link_json(self.root / paths.SWEEP, about)
        if data is not None:
            self.pin_images(data)
        write_text(self.root / paths.SPEC, yaml)

    def pin_images(self, data: Mapping[str, Any]) -> None:
        write_json(self.root / paths.DATA, data)

    def check_private(self) -> None:
        """Refuse a directory into which others may write: the files in it are run as code."""
        check_private(self.root)

    def replace_spec(self, yaml: str) -> None:
        write_text(self.root / paths.SPEC, yaml)

    @property
    def data(self) -> Mapping[str, Any] | None:
        """`manifest` (the split, pinned), `leak` (what was allowed to leak, in words, by part) and `val_groups` (the
        group of each validation image; may be missing); None: the sweep pins no images. StateError: unreadable."""
        path = self.root / paths.DATA
        try:
            raw = read_json(path)
        except FileNotFoundError:
            return None
        try:
            is_data(raw)
        except (KeyError, TypeError) as error:
            raise StateError(f"{path}: not what a sweep says of its images") from error
        return raw

    @property
    def executor(self) -> str:
        return str(home.about(self.root)["executor"])

    @property
    def cluster(self) -> str | None:
        """The cluster that its jobs are on; None where nobody said, and locally."""
        found: str | None = home.about(self.root)["cluster"]
        return found

    @property
    def working_directory(self) -> str:
        """Where the sweep was submitted from: a trainer command's relative paths start there."""
        return str(home.about(self.root)["working_directory"])

    def look(self) -> Observation:
        return dataclasses.replace(observation.look(self.root), collectable=CollectableRuns(self.root).marked())

    # ---- trials

    def code(self) -> str | None:
        """Hash of the package that new jobs run; None: it is not pinned."""
        return noted(self.root) or None

    def add_trials(
        self,
        configs: Sequence[TrialConfig],
        origin: Mapping[str, Any],
        first: int | None = None,
        runs: Sequence[int] | None = None,
    ) -> list[int]:
        """New trials, numbered on from `first` (default: the first number that is free). `runs`: the run of each;
        None: each has its own.

        A trial's files come together, by the renaming of their folder. A number that another reconciliation has taken
        meanwhile stays that one's, and with it the run of that number. A trial that would share such a run is not made,
        nor is any after it, so that the numbers have no gap. Returned are those that are ours.
        """
        start = self.next_trial() if first is None else first
        run_of = dict(enumerate(runs, start)) if runs is not None else {}
        origin = {**origin, "code": self.code()}
        folders, files = {}, []
        for number, config in enumerate(configs, start):
            folder = self.root / paths.trial_dir(number)
            made = folders[number] = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
            made.mkdir()
            files.append((made / paths.CONFIG, contract.encode(config)))
            about = {**rebuilt(number, config, run_of.get(number)), "at": self._now().isoformat(), **origin}
            files.append((made / paths.TRIAL, about))
        link_all(files)
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
        return max((number for number, _ in observation.trials(self.root)), default=-1) + 1

    def trials(self) -> list[dict[str, Any]]:
        """Every trial.json, in order, with its result under `result` when it has ended; `unreadable` says which
        file of it cannot be read (`params` are None where nothing tells them).

        The trial that speaks for its run (of the longest milestone) has `progress`: a function that
        reads the run's epochs, so that only who wants them pays for them.
        """
        found: list[dict[str, Any]] = []
        for number, folder in observation.trials(self.root):
            found.append(as_known(number, folder))
        for run, trial in _speaking(found).items():
            trial["progress"] = partial(self.progress, run)
        return found

    def progress(self, run: int) -> tuple[Point, ...]:
        """Every finished epoch of a run, in order."""
        folder = self.root / paths.run_dir(run)
        return read_progress(folder, os.listdir(folder)).points if folder.exists() else ()

    def run_of(self, trial: int) -> int:
        return int(read_trial(self.root / paths.trial_dir(trial))["runs"][0]["run"])

    def config_path(self, trial: int) -> Path:
        return self.root / paths.trial_dir(trial) / paths.CONFIG

    def cancel(self, trial: int) -> None:
        """Write down that the user cancelled it: SLURM forgets a cancelled pending element at once."""
        (self.root / paths.trial_dir(trial)).mkdir(exist_ok=True)  # its files may be lost
        link_json(self.root / paths.trial_dir(trial) / paths.CANCELLED, {"at": self._now().isoformat()})

    def stop(self) -> None:
        """Propose nothing new; `resume` takes it back."""
        link_json(self.root / paths.STOPPED, {"at": self._now().isoformat()})

    def resume(self) -> None:
        (self.root / paths.STOPPED).unlink(missing_ok=True)

    def milestone(self, run: int, epochs: int) -> Result | None:
        """What a run published at a milestone."""
        path = self.root / paths.run_dir(run) / paths.milestone(epochs)
        return contract.result_from(read_json(path), str(path)) if path.exists() else None

    def end_trial(self, trial: int, result: Result) -> bool:
        """Write the trial's result.json; False when it has one."""
        return link_json(self.root / paths.trial_dir(trial) / paths.RESULT, contract.encode(result))

    # ---- passes

    def looked(self) -> None:
        """A reconciliation begins: no periodic one is due for a while."""
        (self.root / paths.LOOKED).touch()

    def looked_ago(self) -> float | None:
        """Seconds since the last reconciliation began, by the file server's clock; None: there was none."""
        mark = self.root / paths.LOOKED
        return server_time(mark) - mark.stat().st_mtime if mark.exists() else None

    def note(self, **content: object) -> None:
        """A line in the log for people; never read to decide."""
        append_line(self.root / paths.LEDGER, content)


def _speaking(trials: Sequence[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The trial of the longest milestone of each run; of equal ones the first."""
    found: dict[int, dict[str, Any]] = {}
    for trial in trials:
        part = trial["runs"][0]
        other = found.get(part["run"])
        if other is None or part["epochs"] > other["runs"][0]["epochs"]:
            found[part["run"]] = trial
    return found
