"""The cases of the campaign, and what is judged in each.

A case damages one file and then runs commands, twice from the same state: first `status`, `report`, `submit`, `repair`
and `submit`, until every job has ended; then `cancel`, `repair` and `cancel`. The same commands without damage are
the control.

Rule 1: no command hangs or ends with a traceback, and its exit status is in the table of docs/design.md.
Rule 2: no difference is silent: if a row of a report differs from the control's, a command has named the damaged file.
Rule 3: no run is trained by two jobs at once, and no trial with a result is trained again.
Rule 4: a file of one trial or run changes no row of another one, and stops no other one. `cancel` ends all jobs: at
        once if the file belongs to a trial or run, otherwise after `repair`.
"""

import csv
import io
import random
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .bench import Answer, Bench, Snapshot
from .kinds import IMPOSSIBLE_TIMES, TIMES, VALID, damages_of
from .sweeps import SUBMIT, SWEEPS

STATUSES = {0, 1, 2, 3, 4, 70, 75}
VIEWS = (("status", "s"), ("report", "s", "--format", "csv"), ("report", "s"))
PAGE = ("report", "s", "--format", "html")
STEPS: Sequence[tuple[str, ...]] = (*VIEWS, ("status", "s", "--json"), PAGE, SUBMIT, *VIEWS, ("repair", "s"), SUBMIT)
ROUNDS = 4
"""How often the cluster works after that, with a submit each time."""
_NEEDED = (
    r"^(sweep\.\w+|trials|trials/\d+|trials/.*/(trial|config|result)\.json|submissions.*intent\.json"
    r"|runs|runs/\d+(/attempts(/\d+\.json)?)?)$"
)
"""Files and folders whose absence must be noticed, apart from cancelled.json."""
BEFORE_REPAIR = 2
"""Reports before `repair`."""
FRESH_S = 120.0
"""How long snapshots are used: by the real clock, which the commands use, their trainings soon make no progress."""
Rows = dict[str, dict[str, str]]
"""The rows of a report, by trial."""


@dataclass(frozen=True, slots=True)
class Case:
    """One damage of one file of one sweep."""

    sweep: str
    name: str
    """The file, relative to the sweep's folder."""
    kind: str

    def __str__(self) -> str:
        return f"{self.sweep}: {self.name}: {self.kind}"

    @property
    def is_field(self) -> bool:
        return " = " in self.kind or self.kind.endswith(" is missing")

    @property
    def is_undetectable(self) -> bool:
        """Whether nothing can tell the damaged file from a good one: another number, a shorter list, or a mark that is
        not there."""
        is_shorter = self.kind.endswith(".0 is missing")
        return self.kind == "one bit" or is_shorter or (self.kind == "removed" and not re.search(_NEEDED, self.name))

    @property
    def is_valid(self) -> bool:
        """Whether the value may be a right one: a text, nothing, a number. Then only the row of the trial shows it."""
        field, _, value = self.kind.partition(" = ")
        is_time = field.rpartition(".")[2] in TIMES
        return self.is_field and value in ("", *VALID, *(() if is_time else IMPOSSIBLE_TIMES))

    @property
    def trial(self) -> str | None:
        """The trial (and run) that the file belongs to; None: it belongs to the whole sweep."""
        found = re.match(r"(?:trials|runs)/0*(\d+)", self.name)
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not happen."""

    case: Case
    kind: str
    """`traceback`, `hang`, `silent difference`, ..."""
    text: str


@dataclass(frozen=True, slots=True)
class Control:
    """What the commands do without damage."""

    reports: list[Rows]
    ended: frozenset[str]
    """Trials that had a result before."""


class Campaign:
    """The sweeps, each in a bench of its own, and the controls."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._snapshots: dict[str, Snapshot] = {}
        self._controls: dict[str, Control] = {}
        self._make()

    def _make(self) -> None:
        """Make the sweeps, with the same names of files as before."""
        shutil.rmtree(self._folder)
        self._made = time.monotonic()
        for name, make in SWEEPS.items():
            bench = Bench(self._folder / name)
            with bench.patched():
                make(bench)
                self._snapshots[name] = Snapshot(bench, self._folder / f"{name}-kept")
                ended = frozenset(str(int(path.parent.name)) for path in bench.root.glob("trials/*/result.json"))
                reports = [_rows(answer) for answer in _until_ended(bench) if _is_report(answer)]
                self._controls[name] = Control(reports, ended)

    def cases(self) -> Iterator[Case]:
        """Every case: each kind of file of each sweep with each kind of damage, and each field of each kind of file."""
        had_fields: set[str] = set()
        for sweep in ("running", "finished", "paused"):
            bench = self._snapshots[sweep].restore()
            for path in _one_of_each(bench.root):
                name = str(path.relative_to(bench.root))
                cases = [Case(sweep, name, kind) for kind, _ in damages_of(path, bench.root)]
                yield from (case for case in cases if not case.is_field or _kind_of_file(name) not in had_fields)
                had_fields.add(_kind_of_file(name))

    def run(self, case: Case) -> list[Finding]:
        """Run one case, and return what must not happen."""
        bench = self._damaged(case)
        with bench.patched():
            answers, twice = [], False
            for answer in _until_ended(bench):
                answers.append(answer)
                twice |= len(bench.cluster.live_runs()) > len(set(bench.cluster.live_runs()))
        found = list(_bugs(case, answers)) or list(self._differences(case, answers))
        if twice:
            found.append(Finding(case, "trained twice", f"live runs {bench.cluster.live_runs()}"))
        found += self._trained_again(case, bench)
        return found + self._cancelled(case)

    def _damaged(self, case: Case) -> Bench:
        if time.monotonic() - self._made > FRESH_S:
            self._make()
        bench = self._snapshots[case.sweep].restore()
        path = bench.root / case.name
        dict(damages_of(path, bench.root))[case.kind](path)
        return bench

    def _differences(self, case: Case, answers: Sequence[Answer]) -> Iterator[Finding]:
        control, printed, at = self._controls[case.sweep], "", 0
        for answer in answers:
            printed += answer.text
            if not _is_report(answer):
                continue
            expected, rows = control.reports[at], _rows(answer)
            at += 1
            different = {
                trial for trial in expected if _without_reason(rows.get(trial)) != _without_reason(expected[trial])
            }
            if case.is_valid and all(
                rows.get(trial, {}).get("state") == expected[trial]["state"] for trial in different
            ):
                continue
            if different and not _names(printed, case) and not case.is_undetectable:
                what = "; ".join(_difference(trial, expected[trial], rows.get(trial)) for trial in sorted(different))
                yield Finding(case, "silent difference", f"report {at}: {what}")
                return
            if case.trial is not None and different - {case.trial} and at <= BEFORE_REPAIR:
                yield Finding(case, "another trial", f"report {at}: rows {sorted(different)} differ")
                return

    def _trained_again(self, case: Case, bench: Bench) -> Iterator[Finding]:
        before = self._snapshots[case.sweep].cluster.trained
        again = {str(run) for run in bench.cluster.trained[len(before) :]} & self._controls[case.sweep].ended
        if again:
            yield Finding(case, "trained again", f"runs {sorted(again)}")

    def _cancelled(self, case: Case) -> list[Finding]:
        bench = self._damaged(case)
        with bench.patched():
            first = bench.call("cancel", "s")
            left = bench.cluster.live_runs()
            answers = [
                first,
                bench.call("repair", "s"),
                bench.call("cancel", "s"),
                *(bench.call(*each) for each in VIEWS),
            ]
        found = list(_bugs(case, answers))
        if left and case.trial is not None and not _names(first.text, case):
            found.append(Finding(case, "not cancelled", f"runs {left} after: {first.text.strip()[-300:]}"))
        elif left and first.status == 0:
            found.append(Finding(case, "not cancelled", f"runs {left}, status 0: {first.text.strip()[-300:]}"))
        needs_user = "needs your attention" in answers[1].text and _names(answers[1].text, case)
        needs_user |= "unetsweep adopt" in answers[2].text
        if bench.cluster.live() and not needs_user:
            text = " | ".join(each.text.strip()[-300:] for each in answers[:3])
            found.append(Finding(case, "not cancelled after repair", text))
        return found


def _until_ended(bench: Bench) -> Iterator[Answer]:
    """Run the commands, then let the cluster work; yield each answer."""
    for step in STEPS:
        yield bench.call(*step)
    for _ in range(ROUNDS):
        bench.cluster.work()
        yield bench.call(*SUBMIT)
    for step in VIEWS:
        yield bench.call(*step)


def _bugs(case: Case, answers: Sequence[Answer]) -> Iterator[Finding]:
    for answer in answers:
        if answer.hung:
            yield Finding(case, "hang", f"{answer.command}: {_place(answer.bug)}")
        elif answer.bug:
            yield Finding(case, "traceback", f"{answer.command}: {_place(answer.bug)}")
        elif answer.status not in STATUSES or (answer.status and not answer.text.strip()):
            yield Finding(case, "exit status", f"{answer.command}: {answer.status} {answer.text}")
        else:
            continue
        return


def _place(bug: str) -> str:
    """Where a traceback ends, and its error."""
    lines = re.findall(r'File ".*?/(unetsweep/.*?)", line (\d+)', bug)
    return f"{bug.strip().splitlines()[-1][:200]} at {' < '.join(':'.join(each) for each in lines[:-4:-1])}"


def _is_report(answer: Answer) -> bool:
    return answer.command.endswith("csv")


def _rows(answer: Answer) -> Rows:
    return {row["trial"]: row for row in csv.DictReader(io.StringIO(answer.out))}


def _without_reason(row: dict[str, str] | None) -> dict[str, str] | None:
    return None if row is None else {name: value for name, value in row.items() if name != "reason"}


def _difference(trial: str, expected: dict[str, str], row: dict[str, str] | None) -> str:
    if row is None:
        return f"trial {trial} is missing"
    different = {name: (value, expected.get(name)) for name, value in row.items() if value != expected.get(name)}
    return f"trial {trial} " + ", ".join(f"{name} {found!r} not {due!r}" for name, (found, due) in different.items())


def _names(printed: str, case: Case) -> bool:
    """Whether some command has named the file, or the folder that it is in."""
    folders = [str(folder) for folder in Path(case.name).parents][:-1]
    if case.kind == "in a folder that is a file":
        return f"{folders[0]}/" in printed or f"{folders[0]}: " in printed
    if case.name == "sweep.json" and "unetsweep adopt" in printed:  # with another folder in it the sweep is a copy
        return True
    return case.name in printed or any(f"{folder}: " in printed for folder in folders)


def _kind_of_file(name: str) -> str:
    """The name without its numbers and tokens."""
    return re.sub(r"\b[0-9a-f]{12}\b|\d+", "N", name)


def _one_of_each(root: Path) -> list[Path]:
    """The first and the last path of each kind of file and folder: those of two trials are in different states."""
    first: dict[str, Path] = {}
    last: dict[str, Path] = {}
    for path in sorted(root.rglob("*")):
        kind = _kind_of_file(str(path.relative_to(root)))
        first.setdefault(kind, path)
        last[kind] = path
    return sorted({*first.values(), *last.values()})


def sample(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """Some of the cases, drawn at random."""
    return random.Random(seed).sample(list(cases), min(count, len(cases)))
