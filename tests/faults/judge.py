"""The invariants, checked after a fault from what the trainers did, what lies in the sweep's directory, and the report.

Rule 1: a claim, a ledger or a status proves nothing here; the trainers' fact log does, and the chain in the weights.
Rule 2: what was not seen is not kept: a trial without a result is lost, whatever the reason.
"""

import json
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trainer import chain_at, iou_of, key_of

Fact = dict[str, Any]
CREATE_TRIAL, SET_TRIAL_STATE = 4, 6
"""The operations of Optuna's journal that may end a trial."""
ENDED = {1: "COMPLETE", 2: "PRUNED", 3: "FAIL"}
TOLD = {"complete": "COMPLETE", "pruned": "PRUNED"}


@dataclass
class Expected:
    """What a fault may cost."""

    states: dict[int, str] = field(default_factory=dict)
    """How these trials must end; all others must be complete."""
    retold: int = 0
    """So many trials may be told twice: the user retried them."""
    twins: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Where the weights are no chain: the numbers of the same training, left alone, a trial."""
    queued: bool = False
    """A controller that lost its memory may queue again what has ended: it waits there, and leaves when started."""
    corrupt: bool = False
    """Checkpoints were torn on purpose: epochs back to the one before may be repeated."""


@dataclass
class Afterwards:
    """What was seen when all had ended."""

    alive: list[str]
    queue: list[str]
    """After one more `submit`."""
    starts: int
    """Of trainings, since then."""


@dataclass
class Verdict:
    """How it went."""

    trials: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    thrown: list[str] = field(default_factory=list)
    """Finished trainings that came to nothing, or were trained again."""
    wrong: list[str] = field(default_factory=list)
    """Rows of the table, states or weights that are not right."""
    repeated: int = 0
    allowed: int = 0
    overlap_s: float = 0.0
    starts: int = 0

    @property
    def kept(self) -> bool:
        return not (self.lost or self.doubled or self.thrown or self.wrong) and self.repeated <= self.allowed

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "kept": self.kept, "overlap_s": round(self.overlap_s, 1)}


def judge(root: Path, facts: list[Fact], report: dict[str, Any], wanted: int, expected: Expected) -> Verdict:
    """The verdict on the sweep in `root`, of which `wanted` trials were asked for."""
    verdict = Verdict(trials=wanted)
    trials = {int(path.name): _trial(path) for path in sorted((root / "trials").glob("[0-9]*"))}
    runs: dict[str, list[Fact]] = defaultdict(list)
    for fact in sorted(facts, key=lambda fact: fact["time"]):
        runs[fact["run"]].append(fact)
    _ended_once(verdict, root, trials, wanted, expected)
    _check_study(verdict, root, trials, expected)
    for run, of_run in runs.items():
        _check_owner(verdict, run, of_run)
        _check_epochs(verdict, run, of_run, expected)
        _check_finished(verdict, root, run, of_run)
    for number, trial in trials.items():
        _check_weights(verdict, root, number, trial, expected)
    _check_table(verdict, trials, report, expected)
    return verdict


def judge_afterwards(verdict: Verdict, seen: Afterwards, expected: Expected) -> None:
    """All had ended: then nothing of it lives, and one more `submit` begins nothing."""
    alive = [each for each in seen.alive if not (expected.queued and each.startswith("job ") and " PENDING " in each)]
    verdict.wrong += [f"still there when all had ended: {each}" for each in alive]
    verdict.doubled += [f"queued by a submit after the end: {each}" for each in seen.queue]
    if seen.starts:
        verdict.doubled.append(f"{seen.starts} trainings were begun after the end")


def read_facts(path: Path) -> list[Fact]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _trial(folder: Path) -> dict[str, Any]:
    found = {"config": json.loads((folder / "config.json").read_bytes()), "result": None}
    found["run"] = json.loads((folder / "trial.json").read_bytes())["run"]
    if (folder / "result.json").exists():
        found["result"] = json.loads((folder / "result.json").read_bytes())
    return found


def _ended_once(
    verdict: Verdict, root: Path, trials: dict[int, dict[str, Any]], wanted: int, expected: Expected
) -> None:
    """As many trials as were asked for, each with one ending: complete, or the one that the fault explains."""
    if len(trials) != wanted:
        verdict.lost.append(f"{wanted} trials were asked for, and there are {len(trials)}")
    open_ones = [number for number, trial in trials.items() if trial["result"] is None]
    verdict.lost += [f"trial {number} has not ended" for number in open_ones]
    configs = Counter(json.dumps(trial["config"], sort_keys=True) for trial in trials.values())
    verdict.doubled += [f"{times} trials of {config}" for config, times in configs.items() if times > 1]
    for number, trial in trials.items():
        result, must = trial["result"], expected.states.get(number, "complete")
        if result is not None and result["state"] != must:
            into = verdict.wrong if result["state"] == "complete" else verdict.lost
            into.append(f"trial {number} ended {result['state']}, not {must}: {result.get('message')}")
    tells = Counter(line["trial"] for line in _ledger(root) if line.get("action") == "FinishTrial")
    again = sorted(number for number, times in tells.items() if times > 1)
    if len(again) > expected.retold:
        verdict.doubled.append(f"trials {again} were ended more than once")


def _check_study(verdict: Verdict, root: Path, trials: dict[int, dict[str, Any]], expected: Expected) -> None:
    """Optuna's journal, read line by line: every trial once, ended once, as its result says."""
    states, values, tells = [], [], []
    path = root / "study.journal"
    for line in path.read_text().splitlines() if path.exists() else ():
        operation = json.loads(line)
        if operation["op_code"] == CREATE_TRIAL:
            states.append(None)
            values.append(None)
            tells.append(0)
        if operation["op_code"] in (CREATE_TRIAL, SET_TRIAL_STATE) and operation.get("state") in ENDED:
            at = operation.get("trial_id", len(states) - 1)
            tells[at] += 1
            states[at] = ENDED[operation["state"]]
            values[at] = (operation.get("values") or [operation.get("value")])[0]
    if len(states) != len(trials):
        verdict.wrong.append(f"the study has {len(states)} trials, the sweep {len(trials)}")
    again = [number for number, times in enumerate(tells) if times > 1]
    if again:
        verdict.doubled.append(f"trials {again} were told to the study more than once")
    for (number, trial), state, value in zip(trials.items(), states, values, strict=False):
        result = trial["result"]
        if result is not None and state != (told := TOLD.get(result["state"], "FAIL")):
            verdict.wrong.append(f"trial {number} is {state} in the study, and not {told}")
        elif result is not None and state == "COMPLETE" and value != result["val_iou"]:
            verdict.wrong.append(f"trial {number} is worth {value} to the study, and not {result['val_iou']}")


def _ledger(root: Path) -> list[dict[str, Any]]:
    found = []
    for line in (root / "ledger.jsonl").read_text().splitlines() if (root / "ledger.jsonl").exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:  # a log for people; a kill may have torn its last line
            continue
    return found


def _order(claim: str) -> tuple[int, int]:
    attempt, restart = claim.split("-")
    return int(attempt), int(restart)


def _check_owner(verdict: Verdict, run: str, facts: list[Fact]) -> None:
    """No claim writes after a later one has written; no claim has two processes; how long two were alive together."""
    first: dict[str, float] = {}
    pids: dict[str, set[int]] = defaultdict(set)
    span: dict[tuple[str, int], list[float]] = {}
    for fact in facts:
        pids[fact["claim"]].add(fact["pid"])
        span.setdefault((fact["claim"], fact["pid"]), [fact["time"], 0.0])[1] = fact["time"]
        if fact["event"] in ("epoch", "checkpoint", "publish"):
            first.setdefault(fact["claim"], fact["time"])
            later = [claim for claim in first if _order(claim) > _order(fact["claim"])]
            if later:
                verdict.doubled.append(f"run {run}: {fact['claim']} wrote ({fact['event']}) after {later[0]} had")
    verdict.doubled += [f"run {run}: {len(p)} processes wrote as {c}" for c, p in pids.items() if len(p) > 1]
    verdict.starts += len(span)
    spans = sorted(span.values())
    for at, (_, end) in enumerate(spans):
        verdict.overlap_s += sum(max(0.0, min(end, other[1]) - other[0]) for other in spans[at + 1 :])


def _check_epochs(verdict: Verdict, run: str, facts: list[Fact], expected: Expected) -> None:
    """Repeated epochs, and how many may be: those between the last checkpoint and the end of each start."""
    done = saved = before = allowed = 0
    trained = [fact["epoch"] for fact in facts if fact["event"] == "epoch"]
    repeated = len(trained) - len(set(trained))
    for fact in facts:
        if fact["event"] == "start":
            floor = min(before, saved) if expected.corrupt else saved
            allowed += max(0, done - floor)
            if fact["epoch"] < floor:
                verdict.wrong.append(f"run {run}: {fact['claim']} began at {fact['epoch']}, saved were {floor}")
            done = min(done, fact["epoch"])
        elif fact["event"] == "epoch":
            done = max(done, fact["epoch"])
        elif fact["event"] == "checkpoint" and fact["epoch"] > saved:
            saved, before = fact["epoch"], saved
    verdict.repeated += repeated
    verdict.allowed += allowed
    if repeated > allowed:  # of each run by itself: what one may repeat is no other's
        verdict.wrong.append(f"run {run}: {repeated} epochs were repeated, and {allowed} may be")


def _check_finished(verdict: Verdict, root: Path, run: str, facts: list[Fact]) -> None:
    """What was published is the trial's result, and is not trained again."""
    published: dict[int, float] = {}
    for fact in facts:
        if fact["event"] == "publish":
            published.setdefault(fact["milestone"], fact["time"])
    for epochs, at in published.items():
        path = root / "runs" / run / "milestones" / f"{epochs}.json"
        if not path.exists():
            verdict.thrown.append(f"run {run}: the result of {epochs} epochs is gone")
        after = [f for f in facts if f["event"] == "epoch" and f["time"] > at and f["epoch"] <= epochs]
        if after and epochs == max(published):
            verdict.thrown.append(f"run {run}: {len(after)} epochs were trained after its result was there")


def _check_weights(verdict: Verdict, root: Path, number: int, trial: dict[str, Any], expected: Expected) -> None:
    """The chain of a result is that of its config and epochs; a result that is there is the trial's."""
    epochs, key = trial["config"]["epochs"], key_of(trial["config"])
    path = root / "runs" / f"{trial['run']:04d}" / "milestones" / f"{epochs}.json"
    result = trial["result"]
    if path.exists() and result is not None and result["state"] in ("failed", "cancelled"):
        verdict.thrown.append(f"trial {number} ended {result['state']} though its training was finished")
    if result is None or result["state"] != "complete":
        return
    if expected.twins:
        twin = expected.twins[number]
        unequal = sorted(name for name, value in twin.items() if result[name] != value)
        verdict.wrong += [f"trial {number}: {name} is not that of a training left alone" for name in unequal]
    elif result["versions"].get("chain") != chain_at(epochs, key):
        verdict.wrong.append(f"trial {number}: its weights are not those of {epochs} epochs of its config")


def _check_table(
    verdict: Verdict, trials: dict[int, dict[str, Any]], report: dict[str, Any], expected: Expected
) -> None:
    """A row a trial, with its state, its score and the job that published it."""
    rows = {row["trial"]: row for row in report.get("rows", ())}
    if sorted(rows) != sorted(trials) or len(report.get("rows", ())) != len(trials):
        verdict.wrong.append(f"the table has {len(report.get('rows', ()))} rows for {len(trials)} trials")
    for number, trial in trials.items():
        row, result = rows.get(number), trial["result"]
        if row is None or result is None:
            continue
        config = trial["config"]
        asked = (config["epochs"], config["batch_size"], config["learning_rate"], result["state"])
        if (row["epochs"], row["batch_size"], row["learning_rate"], row["state"]) != asked:
            verdict.wrong.append(f"trial {number}: its row says {row}")
        if result["state"] == "complete":
            twin = expected.twins.get(number, {})
            score = twin.get("val_iou") or iou_of(chain_at(config["epochs"], key_of(config)))
            if row["val_iou"] != score or row["job_id"] != result["job_id"]:
                verdict.wrong.append(f"trial {number}: its row says {row['val_iou']} and not {score}")
