"""Finds what an address names: a sweep, trials of it, or the trials of a job. It reads files only, and few of them.

Rule 1: a wrong address is an error that says what was found, what is there, and what to write instead.
Rule 2: the id of a job stands for all trials that the job trains. `Selection.note` says which these are.
"""

import difflib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unetsweep.analysis.records import read_sweep_record
from unetsweep.analysis.rows import best
from unetsweep.config.load import load
from unetsweep.core import paths
from unetsweep.core.address import BEST, FEW, Address, is_job, names_list, part_of, readings, trial_list, trial_range
from unetsweep.errors import UnetsweepError, UsageError, joined
from unetsweep.store.home import is_sweep
from unetsweep.store.job_search import FoundJob, find_job
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.trials import sweep_name


@dataclass(frozen=True, slots=True)
class Selection:
    """What an address names."""

    root: Path
    trials: tuple[int, ...] | None = None
    """None: the whole sweep."""
    jobs: tuple[FoundJob, ...] = ()
    """The attempts of the job that was named; empty: no job was named."""

    @property
    def name(self) -> str:
        """The name of the sweep."""
        return sweep_name(self.root)

    @property
    def note(self) -> str | None:
        """Which trials a job id stands for; None: no job was named."""
        if not self.jobs or self.trials is None:
            return None
        ids = list(dict.fromkeys(each.job_id for each in self.jobs))
        what = f"job {ids[0]}" if len(ids) == 1 else f"jobs {ids[0]} … {ids[-1]} ({len(ids)})"
        verb = ("is" if len(self.trials) == 1 else "is shared by") if len(ids) == 1 else "are"
        return f"{what} {verb} {trial_list(self.trials)} of {self.name}"


# ---- sweeps


def known_sweeps(results: Path) -> list[Path]:
    """The folders of all sweeps and confirmations in `results`, by name, also of damaged ones."""
    try:
        names = sorted(os.listdir(results))
    except OSError:
        return []
    found = [folder for name in names if is_sweep(folder := results / name)]
    return [each for folder in found for each in (folder, folder / paths.CONFIRM) if each is folder or is_sweep(each)]


def newest_sweep(results: Path) -> Path:
    """The sweep that was submitted last; UsageError if there is none."""
    found = sorted(results.glob(f"*/{paths.SPEC}"), key=lambda path: path.lstat().st_mtime)
    if not found:
        raise UsageError(f"no sweep in {results.absolute()}; {_HOW_TO_START}")
    return found[-1].parent.absolute()


_HOW_TO_START = (
    "start one with `unetsweep submit sweeps/quickstart.yaml`, or name the folder that holds the sweeps with --results"
)


def folder_of(sweep: str, results: Path) -> Path | None:
    """The folder of a sweep by its name, its YAML file or its folder; None: there is no such sweep."""
    path = Path(sweep)
    by_file = [results / path.stem, results / _name_in(path)] if path.suffix in (".yaml", ".yml") else []
    return next((each.absolute() for each in (path, results / sweep, *by_file) if is_sweep(each)), None)


def _name_in(path: Path) -> str:
    """The name that a YAML file gives its sweep."""
    return load(path).name if path.is_file() else path.name


def find_sweep(text: str, results: Path) -> Path:
    """The folder of the sweep that an address names; UsageError if it names a trial or a job, or nothing."""
    found = select(text, results)
    if found.trials is None:
        return found.root
    what = found.note or f"{text} is {trial_list(found.trials)} of {found.name}"
    see = f"{found.name}/{found.trials[0]}"
    raise UsageError(
        f"{what}, but this command takes a whole sweep: name {found.name}. To see the trial: unetsweep show {see}"
    )


def named(text: str | None, results: Path) -> str:
    """The address that a command was given; UsageError with the sweeps that there are if it was given none."""
    if text is not None:
        return text
    names, _ = _names(results)
    raise UsageError(f"name a sweep, such as `{names[0]}`; {_there_are(results)}")


# ---- trials


def select(text: str, results: Path) -> Selection:
    """What an address names. UsageError if that does not exist, or is not unique."""
    for address in readings(text):
        if address.sweep is None:
            found = _find_everywhere(address.job or "", results)
            if found is not None:
                return found
        elif (root := folder_of(address.sweep, results)) is not None:
            return _within(root, address)
    raise _unknown(text, results)


def select_all(texts: Sequence[str], results: Path) -> tuple[Selection, ...]:
    """What several addresses name, each sweep once: `SWEEP`, `SWEEP/3 OTHER/4`, or `SWEEP 3 4`.

    UsageError with every problem, so that a command does all that it was asked or nothing.
    """
    if not texts:
        names, _ = _names(results)
        raise UsageError(f"name a sweep or a trial, such as `{names[0]}` or `{names[0]}/0`; {_there_are(results)}")
    first = select(texts[0], results)
    found, problems = [first] if first.trials is not None or len(texts) == 1 else [], list[UnetsweepError]()
    for text in texts[1:]:
        try:
            found.append(_following(text, first, results))
        except UsageError as error:
            problems.append(error)
    if problems:
        raise joined(problems)
    return _merged(found)


def select_trial(texts: Sequence[str], results: Path) -> tuple[Selection, int]:
    """The only trial that the addresses name; UsageError if that is none, or several."""
    if not texts:
        names, _ = _names(results)
        raise UsageError(f"name a trial, such as `{names[0]}/0`; {_there_are(results)}")
    found = select_all(texts, results)
    trials = [f"{each.name}/{number}" for each in found for number in each.trials or ()]
    if found[0].trials is None:
        raise UsageError(f"{found[0].name} is a whole sweep; name {_how_to_name(found[0].root)}")
    if len(trials) > 1:
        what = f"{note}; name" if (note := found[0].note) and len(found) == 1 else "this command takes one trial; name"
        raise UsageError(f"{what} one of them: {', '.join(trials)}")
    return found[0], (found[0].trials or (0,))[0]


def without_complete(selection: Selection) -> tuple[int, ...]:
    """The selected trials; of those that share a job, only the ones that are not complete."""
    trials = selection.trials or ()
    if not selection.jobs or len(trials) == 1:
        return trials
    states = {trial.number: trial.result.state for trial in SweepDir(selection.root).trials() if trial.result}
    return tuple(number for number in trials if states.get(number) != "complete") or trials


def _following(text: str, first: Selection, results: Path) -> Selection:
    """What an address after the first one names."""
    part = None if "/" in text else part_of(text)
    if first.trials is None:
        if part is None:
            raise UsageError(
                f"{text!r} follows the whole sweep {first.name}, so only trials of it are possible; "
                f"write {_how_to_name(first.root, alone=True)}"
            )
        return _within(first.root, part)
    if part is not None and part.job is None and not first.jobs:
        raise UsageError(f"{text} is no address; for trial {text} of {first.name} write {first.name}/{text}")
    found = select(text, results)
    if found.trials is None:
        raise UsageError(f"{text} is a whole sweep; name it alone, or name a trial of it: {found.name}/0")
    return found


def _merged(found: Iterable[Selection]) -> tuple[Selection, ...]:
    """One selection for each sweep, with every trial once, in the order in which they were named."""
    by_root: dict[Path, Selection] = {}
    for each in found:
        known = by_root.get(each.root)
        trials = each.trials if known is None else tuple(dict.fromkeys((*(known.trials or ()), *(each.trials or ()))))
        by_root[each.root] = Selection(each.root, trials, (*(known.jobs if known else ()), *each.jobs))
    return tuple(by_root.values())


def _within(root: Path, address: Address) -> Selection:
    """What an address names in the sweep with this folder."""
    if address.job is not None:
        found = find_job(root, address.job)
        if not found:
            name = sweep_name(root)
            raise UsageError(
                f"sweep {name} has no job {address.job}; its jobs: unetsweep report {name} --columns trial,job_id"
            )
        return _of_jobs(root, found)
    if address.trial is None:
        return Selection(root)
    return Selection(root, (_best(root) if address.trial == BEST else check_trial(root, int(address.trial)),))


def check_trial(root: Path, number: int) -> int:
    """The number of a trial; UsageError if the sweep has no such trial."""
    count = SweepDir(root).next_trial()
    if 0 <= number < count:
        return number
    message = f"sweep {sweep_name(root)} has no trial {number}; it has {trial_range(count)}"
    if jobs := find_job(root, str(number)):
        selection = _of_jobs(root, jobs)
        first = (selection.trials or (0,))[0]
        message += f". {selection.note}: name {selection.name}/{first}, or the job alone: {number}"
    raise UsageError(message)


def _best(root: Path) -> int:
    found = best(read_sweep_record(root))
    if found is None:
        name = sweep_name(root)
        raise UsageError(f"no trial of {name} is complete yet, so none is the best; `unetsweep status {name}` says why")
    return found.number


# ---- jobs


def _of_jobs(root: Path, found: Sequence[FoundJob]) -> Selection:
    return Selection(root, tuple(sorted({number for each in found for number in each.trials})), tuple(found))


def _find_everywhere(job: str, results: Path) -> Selection | None:
    """The trials of a job of any sweep; None: no sweep has it. UsageError if several have."""
    roots = ((root.absolute(), find_job(root, job)) for root in known_sweeps(results))
    found = [_of_jobs(root, jobs) for root, jobs in roots if jobs]
    if len(found) < 2:
        return found[0] if found else None
    addresses = [f"{each.name}/{number}" for each in found for number in each.trials or ()]
    listed = ", ".join(addresses[:FEW]) + (f" and {len(addresses) - FEW} more" if len(addresses) > FEW else "")
    raise UsageError(f"{len(found)} sweeps have a job {job}; name one of its trials: {listed}")


# ---- messages


def _names(results: Path) -> tuple[list[str], Path]:
    names = [sweep_name(root) for root in known_sweeps(results)]
    return names or ["SWEEP"], results.absolute()


def _there_are(results: Path) -> str:
    """Which sweeps there are, for the end of a message."""
    names = [sweep_name(root) for root in known_sweeps(results)]
    where = f"sweeps in {results.absolute()}"
    return f"{where}: {names_list(names)}" if names else f"{where}: none yet; {_HOW_TO_START}"


def _how_to_name(root: Path, *, alone: bool = False) -> str:
    """How to name a trial of a sweep. `alone`: without the sweep, which precedes it."""
    name, count = sweep_name(root), SweepDir(root).next_trial()
    if not count:
        return f"one of its trials; it has {trial_range(count)}"
    before = "" if alone else f"{name}/"
    return f"{before}NUMBER or {before}best; it has {trial_range(count)}"


def _unknown(text: str, results: Path) -> UsageError:
    """Why an address names nothing."""
    whole = text.rstrip("/")
    head, _, tail = whole.rpartition("/")
    root = folder_of(head, results) if head else None
    if root is not None and tail == paths.CONFIRM:
        name = sweep_name(root)
        made = f"`unetsweep confirm {name}` makes it"
        return UsageError(f"no sweep {text!r} in {results.absolute()}: {name} has no confirmation yet; {made}")
    if root is not None:
        near = difflib.get_close_matches(tail.lower(), [BEST], 1)
        hint = f"did you mean {head}/{near[0]}? Or " if near else ""
        return UsageError(f"{tail!r} names no trial of {sweep_name(root)}; {hint}write {_how_to_name(root)}")
    sweep = readings(text)[-1].sweep or whole
    names = [sweep_name(each) for each in known_sweeps(results)]
    near = difflib.get_close_matches(sweep, names, 1) or difflib.get_close_matches(Path(sweep).name, names, 1)
    hint = f"; did you mean {near[0]}{whole.removeprefix(sweep)}?" if near else ""
    if whole == BEST and names:
        near, hint = [], f"; for the best trial of a sweep write {names[0]}/{BEST}"
    what = "no sweep and no job" if is_job(whole) else "no sweep"
    rest = names_list(names)
    if not names:
        rest += ". Go to the folder in which you submitted, or name the folder of the sweeps with --results"
    return UsageError(f"{what} {sweep!r} in {results.absolute()}{hint}{' There' if near else '; there'} are: {rest}")
