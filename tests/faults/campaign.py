"""Causes one fault after another on a running testbed: `python tests/faults --variant none --rounds 3 --results FILE`.

Rule 1: a case in the results file is not run again; a line is appended as soon as a case has ended.
Rule 2: a case that could not be run is not a success, and says why. It counts as failed, unless the machine or the
        variant cannot run it (no root, no accounting).
Rule 3: lanes are parallel processes with one testbed each. Each takes the longest case that no lane has taken, so they
        end at about the same time.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import causes
from bed import Bed
from judge import Afterwards, judge, judge_afterwards, read_facts
from kinds import KINDS, Kind
from scene import HERE, NotCaused, Scene
from trainer import append

Case = dict[str, Any]


def cases_of(path: Path) -> list[Case]:
    """The cases in a results file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def reason_to_skip(kind: Kind, variant: str) -> str | None:
    """Why this kind of fault cannot be caused here; None: it can."""
    if "dbd" in kind.needs and variant != "dbd":
        return "needs the accounting"
    if "root" in kind.needs and os.getuid() != 0:
        return "needs root"
    return None


def run_case(kind: Kind, number: int, bed: Bed, folder: Path, shared: Path) -> Case:
    """Cause one fault on one sweep, and judge the sweep; return the line for the results file."""
    case: Case = {"kind": kind.name, "round": number, "variant": bed.variant, "after": kind.after}
    begin = time.monotonic()
    folder.mkdir(parents=True)
    shutil.copy(HERE / "trainer.py", folder)
    scene = Scene(bed, folder, number, shared, trials=kind.trials, epochs=kind.epochs, shape=dict(kind.shape))
    try:
        kind.act(scene)
        scene.until_ended()
        ended = time.monotonic()
        alive = scene.until_quiet() if scene.ended() else []
        case["quiet_after_s"] = round(time.monotonic() - ended, 1)
        report = json.loads(scene.unetsweep("report", scene.name, "--format", "json"))
        verdict = judge(scene.root, read_facts(scene.facts_path), report, scene.trials, scene.expected)
        if scene.ended():
            judge_afterwards(verdict, _afterwards(scene, alive), scene.expected)
        case |= {"caused": scene.caused, **verdict.as_json()}
        if not scene.caused:
            case |= {"kept": False, "wrong": [*verdict.wrong, "the fault was not caused"]}
    except NotCaused as error:
        case |= {"kept": False, "not_caused": str(error)}
    except Exception as error:
        case |= {"kept": False, "broken": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    case["seconds"] = round(time.monotonic() - begin, 1)
    causes.clean_up(scene)
    return case


def _afterwards(scene: Scene, alive: list[str]) -> Afterwards:
    """What remains after the sweep has ended: the `alive` jobs and processes, and what one more `submit` starts."""
    starts, queue = scene.starts(), scene.bed.queue("%i %j")
    scene.unetsweep("submit", f"{scene.name}.yaml", "--executor", "slurm")
    new = [job for job in scene.bed.queue("%i %j") if job not in queue]
    return Afterwards(alive, new, scene.starts() - starts)


def campaign(kinds: Iterable[Kind], rounds: Iterable[int], bed: Bed, results: Path, folder: Path, shared: Path) -> None:
    """Run the cases that are neither in `results` nor taken by another lane, on one testbed."""
    have = {(case["kind"], case["round"], case["variant"]) for case in cases_of(results)}
    todo = [(kind, number) for number in rounds for kind in kinds if (kind.name, number, bed.variant) not in have]
    running = False
    try:
        for kind, number in sorted(todo, key=lambda case: -case[0].seconds):
            if not _is_mine(shared / f"{bed.variant}.{number}.{_slug(kind)}"):
                continue
            if not running:
                bed.start()
                running = True
            case = run_one(kind, number, bed, folder, shared)
            if "not_caused" in case:  # the sweep may have ended before the fault: try once more
                case = run_one(kind, number, bed, folder, shared)
            append(results, case)
    finally:
        if running:
            bed.stop()


def _slug(kind: Kind) -> str:
    return kind.name.replace(" ", "-").replace("/", "-")


def _is_mine(claim: Path) -> bool:
    """Whether this lane is the first to take the case."""
    try:
        claim.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def run_one(kind: Kind, number: int, bed: Bed, parent: Path, shared: Path) -> Case:
    """Run a case if it can be run here, and repair the testbed after it. The folder of a failed case is kept."""
    why = reason_to_skip(kind, bed.variant)
    if why is not None:
        return {"kind": kind.name, "round": number, "variant": bed.variant, "skipped": why}
    folder = parent / f"{_slug(kind)}.{number}.{bed.variant}"
    shutil.rmtree(folder, ignore_errors=True)
    case = run_case(kind, number, bed, folder, shared)
    print(f"{line_of(case)}", flush=True)
    try:
        bed.heal()
    except (RuntimeError, subprocess.SubprocessError, OSError) as error:
        print(f"  the testbed is restarted: {error}", flush=True)
        bed.stop()
        bed.start()
    if case.get("kept"):
        shutil.rmtree(folder, ignore_errors=True)
    return case


def line_of(case: Case) -> str:
    """A case on one line, for the reader of the output."""
    head = f"{case['variant']:4} {case['round']} {case['kind']:38} {case.get('seconds', 0):6.1f} s "
    if "skipped" in case:
        return f"{head} skipped: {case['skipped']}"
    if "not_caused" in case:
        return f"{head} NOT CAUSED: {case['not_caused']}"
    if "broken" in case:
        return f"{head} BROKEN: {case['broken'].splitlines()[0][:600]}"
    problems = [*case["lost"], *case["doubled"], *case["discarded"], *case["wrong"]]
    count = f"{case['repeated']} of {case['allowed']} epochs repeated, {case['starts']} starts"
    found = "; " + "; ".join(problems)[:800] if problems else ""
    return f"{head} {'kept' if case['kept'] else 'NOT KEPT'}: {count}{found}"


def table(cases: list[Case]) -> str:
    """A Markdown table with one row per kind of fault and variant."""
    rows = [
        "| fault | variant | cases | caused | trials | lost | doubled | discarded | wrong | epochs repeated (allowed) "
        "| overlap s | median s |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        groups.setdefault((case["kind"], case["variant"]), []).append(case)
    rows += [_row(*key, members) for key, members in groups.items()]
    return "\n".join(rows) + "\n"


def _row(kind: str, variant: str, cases: list[Case]) -> str:
    run = [case for case in cases if "skipped" not in case]
    if not run:
        return f"| {kind} | {variant} | 0 | {cases[0]['skipped']} |" + " |" * 8
    judged = [case for case in run if "lost" in case]
    broken = len(run) - len(judged)
    counts = [sum(len(case[name]) for case in judged) for name in ("lost", "doubled", "discarded", "wrong")]
    counts[3] += broken
    repeated = f"{sum(c['repeated'] for c in judged)} ({sum(c['allowed'] for c in judged)})"
    seconds = sorted(case["seconds"] for case in run)[len(run) // 2]
    cells = [
        kind,
        variant,
        len(run),
        sum(case["caused"] for case in judged),
        sum(case["trials"] for case in judged),
        *counts,
        repeated,
        f"{sum(case['overlap_s'] for case in judged):.1f}",
        f"{seconds:.0f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def select_kinds(texts: list[str], exactly: list[str]) -> list[Kind]:
    """The kinds with these names, or with one of the texts in their name; all if both lists are empty."""
    if exactly:
        return [KINDS[name] for name in exactly]
    return [kind for kind in KINDS.values() if not texts or any(text in kind.name for text in texts)]


def run_lanes(names: Mapping[str, list[str]], lanes: Mapping[str, int], rounds: int, results: Path) -> int:
    """Run the kinds with these names, with so many lanes of each variant at the same time (a case mostly waits).

    Returns how many lanes failed; the cases that those had taken are not in the results.
    """
    shared = Path(tempfile.mkdtemp(prefix="faults-shared-"))
    base = [sys.executable, str(HERE), "--lane", str(shared), "--rounds", str(rounds), "--results", str(results)]
    running = [
        # in its own session, so that after a Ctrl-C it gets one signal, from us, and stops its testbed
        subprocess.Popen(
            [*base, "--variant", variant, "--exactly", *names[variant]],
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        for variant, count in lanes.items()
        for _ in range(count)
        if names.get(variant)
    ]
    try:
        return sum(process.wait() != 0 for process in running)
    finally:  # a terminated lane stops its testbed
        for process in running:
            process.terminate()
        for process in running:
            process.wait(180)
        shutil.rmtree(shared)


def _end_with_parent() -> None:
    """In a child process: request a SIGTERM for when the parent dies, even of SIGKILL."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, linux/prctl.h
