"""Mutated sweeps, profiles, configs and command lines, and how they must be answered: `python -m tests.config.fuzz`.

Every case is a number; the same number is the same case. No case starts a process. Each is run in this process as
`unetsweep` would be, and judged: no traceback, no hang, no gigabytes; an exit status that the documentation has; a
short, printable message that names the file with its line, or the setting; and what `submit` accepts can be read again
and is the same sweep.
"""

import contextlib
import io
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from unetsweep.cli import main
from unetsweep.config.load import load
from unetsweep.config.written import as_yaml, tree
from unetsweep.contract import Result, TrialConfig
from unetsweep.errors import TrainingError
from unetsweep.store.sweep_dir import SweepDir

sys.path.insert(0, str(Path(__file__).parent))  # pytest does that too
from fuzz_inputs import CONFIG, SLURM, SWEEPS, json_text, mutated, mutated_line, yaml_text

KINDS = ("sweep", "sweep", "sweep", "profile", "config", "command line")
CPU_S = 10.0
"""A case that takes longer hangs. Most take a hundredth of a second."""
MEMORY = 4 * 2**30
"""Address space that a case may use beyond that of the process before."""
LENGTH = 30_000
"""Characters that a case may print."""
STATUSES = {0, 1, 2, 3, 4, 70, 75}
NAMED = re.compile(
    r"[\w.]+\.(?:yaml|json):\d+|(?:s|site)\.yaml: |config\.json: |"
    r"\b(?:data|space|exclude|study|model|trainer|run|slurm)\b|"
    r"--[a-z]|Usage: |sweep|\bis not there\b"
)
"""What a message must have: a file with its line, a setting, an option or a sweep."""
FEW_TRIALS = 60
"""A sweep with more trials is not really submitted."""


@dataclass(frozen=True)
class Answer:
    """How a command line ended."""

    line: list[str]
    status: int
    output: str
    problem: str
    """What is wrong with it; empty: nothing."""


class Hang(BaseException):
    """A case used more CPU time than allowed."""


def run(line: list[str]) -> Answer:
    """Run a command line in this process, and judge how it ends."""
    printed, status, problem = io.StringIO(), 0, ""
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), _limits(), _argv(line):
            main.main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except Hang:
        problem = "hang"
    except BaseException:
        problem = f"traceback\n{traceback.format_exc()[-1500:]}"
    output = printed.getvalue()
    problem = problem or _judge(status, output)
    return Answer(line, status, output, problem)


def _judge(status: int, output: str) -> str:
    if status not in STATUSES:
        return f"exit status {status}"
    if "Traceback" in output:
        return "traceback in the output"
    if len(output) > LENGTH:
        return f"{len(output)} characters printed"
    if status and not (line := output.strip()):
        return f"no message: {line}"
    if status and not NAMED.search(output):
        return "the message names no file, setting or option"
    if "Usage: " not in output and any(not each.isprintable() for each in output.replace("\n", "").replace("\t", "")):
        return "control characters printed"
    return ""


@contextlib.contextmanager
def _argv(line: list[str]) -> Iterator[None]:
    with mock.patch.object(sys, "argv", ["unetsweep", *line]):
        yield


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """Limit CPU time and memory inside the `with` block."""

    def end(*_: object) -> None:
        raise Hang

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_S)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGVTALRM, before)


@contextlib.contextmanager
def workshop(*, checks_augmentations: bool) -> Iterator[Path]:
    """A folder in which cases run, as the working directory: no job starts there, and nothing is trained."""
    before = Path.cwd()
    refuse = mock.Mock(side_effect=TrainingError("out: nothing is trained here"))
    augment = {} if checks_augmentations else {"unetsweep.app.submit.check_augment": lambda _: []}
    patches = {
        "unetsweep.core.plan.schedule": lambda *_, **__: ([], "no job is started here"),
        "unetsweep.app.start.pin": lambda _: None,
        "unetsweep.app.prepare._commit": lambda: None,
        "unetsweep.app.train.run_training": refuse,
        **augment,
    }
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name, contextlib.ExitStack() as stack:
        variables = {"HOME": name, "CUDA_VISIBLE_DEVICES": "", "PATH": os.environ["PATH"]}
        stack.enter_context(mock.patch.dict(os.environ, variables))
        for target, substitute in patches.items():
            stack.enter_context(mock.patch(target, substitute))
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


PLAIN = random.Random(0)
FILES = {
    "s.yaml": yaml_text(SWEEPS[0], PLAIN),
    "slurm/profiles/site.yaml": yaml_text(SLURM, PLAIN),
    "config.json": json_text(CONFIG, PLAIN),
}


def _furnish(folder: Path, *, with_sweep: bool) -> None:
    """Make the folder as each case finds it: a sweep, a profile and a config, all valid; `with_sweep`: also one that
    exists."""
    for path in folder.iterdir():
        if path.name not in ("s.yaml", "slurm", "config.json"):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    (folder / "slurm/profiles").mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    if not with_sweep:
        return
    kept = SweepDir(folder / "results/kept")
    spec = load(folder / "s.yaml")
    kept.create(as_yaml(spec), "local")
    kept.add_trials([TrialConfig(spec.data, epochs, 4, 1e-3) for epochs in (8, 16)], {})
    kept.end_trial(0, Result(val_iou=0.5))


def case(number: int, folder: Path, counts: Counter[str]) -> list[Answer]:
    """Run one case; return the answers that are wrong."""
    chance = random.Random(number)
    kind = chance.choice(KINDS)
    _furnish(folder, with_sweep=kind == "command line")
    submit = ["submit", "s.yaml", "--executor", "local"]
    if kind == "sweep":
        (folder / "s.yaml").write_bytes(mutated(chance.choice(SWEEPS), chance, yaml_text))
    elif kind == "profile":
        (folder / "slurm/profiles/site.yaml").write_bytes(mutated(SLURM, chance, yaml_text))
        submit += ["--profile", "site"]
    elif kind == "config":
        (folder / "config.json").write_bytes(mutated(CONFIG, chance, json_text))
    lines = {"config": ["train", "config.json", "--out", "out"], "command line": mutated_line(chance)}
    counts[kind] += 1
    first = run(lines.get(kind, [*submit, "--dry-run", "--json"]))
    counts["accepted"] += first.status == 0
    answers = [first]
    if kind in ("sweep", "profile") and first.status == 0 and chance.random() < 0.5:
        answers += _really(submit, first, folder, counts)
    return [answer for answer in answers if answer.problem]


def _really(submit: list[str], dry: Answer, folder: Path, counts: Counter[str]) -> list[Answer]:
    """Submit a sweep that the dry run accepts, and read what was written."""
    found = re.search(r'"sweep": "(.+?)".*"trials": (\d+)', dry.output, re.DOTALL)
    if found is None or int(found[2]) > FEW_TRIALS or "warning: " in dry.output:
        return []
    counts["submitted"] += 1
    answer = run(submit)
    if answer.problem:
        return [answer]
    if answer.status:
        return [Answer(answer.line, answer.status, answer.output, "refused, although the dry run was not")]
    profile = "site" if "--profile" in submit else None
    asked, written = load(folder / "s.yaml", profile=profile), load(folder / f"results/{found[1]}/sweep.yaml")
    same = tree(asked) == tree(written)
    return [] if same else [Answer(answer.line, 0, f"{tree(asked)}\n{tree(written)}", "read back as another sweep")]


def fuzz(
    count: int, first: int = 0, *, checks_augmentations: bool = True, keep: Path | None = None
) -> tuple[Counter[str], list[str]]:
    """Run so many cases; return how many there were of each kind, and a text for each wrong answer."""
    counts: Counter[str] = Counter()
    wrong = []
    with workshop(checks_augmentations=checks_augmentations) as folder:
        for number in range(first, first + count):
            for answer in case(number, folder, counts):
                counts[answer.problem.split("\n")[0]] += 1
                wrong.append(f"case {number}: {answer.line}: {answer.problem}\n{answer.output[:1000]}")
                if keep is not None:
                    shutil.copytree(folder, keep / str(number), dirs_exist_ok=True, symlinks=True)
    return counts, wrong


def program(count: int, first: int = 0) -> int:
    """Run so many cases from number `first` on, and print what happened; return the exit status."""
    begin = time.perf_counter()
    keep = Path(tempfile.mkdtemp(prefix="fuzz-wrong-"))
    counts, wrong = fuzz(count, first, keep=keep)
    for text in wrong[:20]:
        print(text)
    kinds = ", ".join(f"{counts[kind]} {kind}s" for kind in dict.fromkeys(KINDS))
    print(f"configs {count} ({kinds}), accepted {counts['accepted']}, really submitted {counts['submitted']}")
    print(f"tracebacks {counts['traceback']}, wrong answers {len(wrong)}, seconds {time.perf_counter() - begin:.1f}")
    print(f"the files of the wrong answers are in {keep}" if wrong else "")
    if not wrong:
        keep.rmdir()
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(program(*([int(number) for number in sys.argv[1:]] or [5000])))
