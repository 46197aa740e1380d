"""Fault after fault on a testbed that stays up: `python tests/faults --variant none --rounds 3 --results FILE`.

Rule 1: a case that is in the results file is not made again; a line is appended as soon as a case has ended.
Rule 2: a case that could not be made is no case that went well: it says why. Where the reason is no property of the
        place (root, accounting), it counts as one that went wrong.
Rule 3: lanes are processes side by side, each with a testbed; each takes the next case that nobody has, the longest
        first, so that all end at about the same time.
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
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def left_out(kind: Kind, variant: str) -> str | None:
    """Why this kind cannot be made here."""
    if "dbd" in kind.needs and variant != "dbd":
        return "needs the accounting"
    if "root" in kind.needs and os.getuid() != 0:
        return "needs root"
    return None


def run_case(kind: Kind, number: int, bed: Bed, folder: Path, shared: Path) -> Case:
    """One fault, once; its line of the results."""
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
    causes.tidy(scene)
    return case


def _afterwards(scene: Scene, alive: list[str]) -> Afterwards:
    """All has ended, and `alive` lives on for long: what does one more `submit` begin?"""
    starts, queue = scene.starts(), scene.bed.queue("%i %j")
    scene.unetsweep("submit", f"{scene.name}.yaml", "--executor", "slurm")
    new = [job for job in scene.bed.queue("%i %j") if job not in queue]
    return Afterwards(alive, new, scene.starts() - starts)


def campaign(kinds: Iterable[Kind], rounds: Iterable[int], bed: Bed, results: Path, place: Path, shared: Path) -> None:
    """All that are neither in `results` nor taken by another lane, on one testbed."""
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
            case = run_one(kind, number, bed, place, shared)
            if "not_caused" in case:  # a race with the sweep's own end: once more
                case = run_one(kind, number, bed, place, shared)
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


def run_one(kind: Kind, number: int, bed: Bed, place: Path, shared: Path) -> Case:
    """A case, where it can be made here, and the testbed healed after it; its folder stays where it went wrong."""
    why = left_out(kind, bed.variant)
    if why is not None:
        return {"kind": kind.name, "round": number, "variant": bed.variant, "left_out": why}
    folder = place / f"{_slug(kind)}.{number}.{bed.variant}"
    shutil.rmtree(folder, ignore_errors=True)
    case = run_case(kind, number, bed, folder, shared)
    print(f"{line_of(case)}", flush=True)
    try:
        bed.heal()
    except (RuntimeError, subprocess.SubprocessError, OSError) as error:
        print(f"  the testbed is started anew: {error}", flush=True)
        bed.stop()
        bed.start()
    if case.get("kept"):
        shutil.rmtree(folder, ignore_errors=True)
    return case


def line_of(case: Case) -> str:
    """A case in a line, for who looks on."""
    head = f"{case['variant']:4} {case['round']} {case['kind']:38} {case.get('seconds', 0):6.1f} s "
    if "left_out" in case:
        return f"{head} left out: {case['left_out']}"
    if "not_caused" in case:
        return f"{head} NOT CAUSED: {case['not_caused']}"
    if "broken" in case:
        return f"{head} BROKEN: {case['broken'].splitlines()[0][:600]}"
    trouble = [*case["lost"], *case["doubled"], *case["thrown"], *case["wrong"]]
    count = f"{case['repeated']} of {case['allowed']} epochs again, {case['starts']} starts"
    return (
        f"{head} {'kept' if case['kept'] else 'NOT KEPT'}: {count}{'; ' + '; '.join(trouble)[:800] if trouble else ''}"
    )


def table(cases: list[Case]) -> str:
    """Markdown: a fault a row."""
    rows = [
        "| fault | variant | cases | caused | trials | lost | doubled | thrown away | wrong | epochs again (allowed) "
        "| overlap s | median s |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    groups: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        groups.setdefault((case["kind"], case["variant"]), []).append(case)
    rows += [_row(*key, there) for key, there in groups.items()]
    return "\n".join(rows) + "\n"


def _row(kind: str, variant: str, there: list[Case]) -> str:
    made = [case for case in there if "left_out" not in case]
    if not made:
        return f"| {kind} | {variant} | 0 | {there[0]['left_out']} |" + " |" * 8
    whole = [case for case in made if "lost" in case]
    broken = len(made) - len(whole)
    counts = [sum(len(case[name]) for case in whole) for name in ("lost", "doubled", "thrown", "wrong")]
    counts[3] += broken
    again = f"{sum(c['repeated'] for c in whole)} ({sum(c['allowed'] for c in whole)})"
    seconds = sorted(case["seconds"] for case in made)[len(made) // 2]
    cells = [
        kind,
        variant,
        len(made),
        sum(case["caused"] for case in whole),
        sum(case["trials"] for case in whole),
        *counts,
        again,
        f"{sum(case['overlap_s'] for case in whole):.1f}",
        f"{seconds:.0f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def choose(words: list[str], exactly: list[str]) -> list[Kind]:
    """The kinds of these names, or those whose names have one of the words; all where there is neither."""
    if exactly:
        return [KINDS[name] for name in exactly]
    return [kind for kind in KINDS.values() if not words or any(word in kind.name for word in words)]


def beside(names: Mapping[str, list[str]], lanes: Mapping[str, int], rounds: int, results: Path) -> int:
    """Run so many lanes of each variant at the same time, for the kinds of these names: a case is mostly waiting.
    Returns how many lanes failed; the cases that they had taken were not made."""
    shared = Path(tempfile.mkdtemp(prefix="faults-shared-"))
    base = [sys.executable, str(HERE), "--lane", str(shared), "--rounds", str(rounds), "--results", str(results)]
    running = [
        # in sessions of their own: after a Ctrl-C each is told here, once, and stops its testbed
        subprocess.Popen(
            [*base, "--variant", variant, "--exactly", *names[variant]],
            start_new_session=True,
            preexec_fn=_ended_with_us,
        )
        for variant, count in lanes.items()
        for _ in range(count)
        if names.get(variant)
    ]
    try:
        return sum(process.wait() != 0 for process in running)
    finally:  # each stops its testbed
        for process in running:
            process.terminate()
        for process in running:
            process.wait(180)
        shutil.rmtree(shared)


def _ended_with_us() -> None:
    """For a child: SIGTERM when its parent dies, even by a kill that the parent cannot handle."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, linux/prctl.h
