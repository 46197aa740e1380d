"""Checks the invariants after a fault: from what the trainers did, the files of the sweep, and the report.

Rule 1: a claim, a ledger or a status proves nothing; the trainers' fact log does, and the hash chain in the weights.
Rule 2: a trial without a result is lost, whatever the reason.
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
STUDY_STATES = {"complete": "COMPLETE", "pruned": "PRUNED"}


@dataclass
class Expected:
    """What a fault may cost."""

    states: dict[int, str] = field(default_factory=dict)
    """How these trials must end; all others must be complete."""
    retried: int = 0
    """So many trials may end twice, because the user retried them."""
    twins: dict[int, dict[str, Any]] = field(default_factory=dict)
    """For trainings without a hash chain: by trial, the numbers of the same training without a fault."""
    queued: bool = False
    """A controller that lost its state may queue ended jobs again; such a job exits when it starts."""
    corrupt: bool = False
    """The last checkpoint was corrupted: epochs since the one before it may be repeated."""


@dataclass
class Afterwards:
    """The state after all trials had ended."""

    alive: list[str]
    """Jobs and processes that were left."""
    queue: list[str]
    """Jobs that one more `submit` queued."""
    starts: int
    """How many trainings have started since."""


@dataclass
class Verdict:
    """Which invariants were violated, and what the fault cost."""

    trials: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)
    """Finished trainings that were lost or repeated."""
    wrong: list[str] = field(default_factory=list)
    """Wrong rows of the table, states or weights."""
    repeated: int = 0
    """Epochs that were trained again."""
    allowed: int = 0
    """Epochs that the fault allows to be trained again."""
    overlap_s: float = 0.0
    """Seconds for which two starts of one run lived at the same time."""
    starts: int = 0

    @property
    def kept(self) -> bool:
        """Whether every invariant was kept."""
        return not (self.lost or self.doubled or self.discarded or self.wrong) and self.repeated <= self.allowed

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "kept": self.kept, "overlap_s": round(self.overlap_s, 1)}


def judge(root: Path, facts: list[Fact], report: dict[str, Any], wanted: int, expected: Expected) -> Verdict:
    """The verdict on the sweep in `root`, which has to have `wanted` trials."""
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


def judge_afterwards(verdict: Verdict, found: Afterwards, expected: Expected) -> None:
    """Add to the verdict: after the end nothing may be left, and one more `submit` must start nothing."""
    alive = [each for each in found.alive if not (expected.queued and each.startswith("job ") and " PENDING " in each)]
    verdict.wrong += [f"left after all trials had ended: {each}" for each in alive]
    verdict.doubled += [f"queued by a submit after the end: {each}" for each in found.queue]
    if found.starts:
        verdict.doubled.append(f"{found.starts} trainings were started after the end")


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
    """There are as many trials as wanted, and each has ended once: complete, or as the fault explains."""
    if len(trials) != wanted:
        verdict.lost.append(f"{wanted} trials are wanted, and there are {len(trials)}")
    open_ones = [number for number, trial in trials.items() if trial["result"] is None]
    verdict.lost += [f"trial {number} has not ended" for number in open_ones]
    configs = Counter(json.dumps(trial["config"], sort_keys=True) for trial in trials.values())
    verdict.doubled += [f"{times} trials of {config}" for config, times in configs.items() if times > 1]
    for number, trial in trials.items():
        result, must = trial["result"], expected.states.get(number, "complete")
        if result is not None and result["state"] != must:
            into = verdict.wrong if result["state"] == "complete" else verdict.lost
            into.append(f"trial {number} ended {result['state']}, not {must}: {result.get('message')}")
    ends = Counter(line["trial"] for line in _ledger(root) if line.get("action") == "FinishTrial")
    again = sorted(number for number, times in ends.items() if times > 1)
    if len(again) > expected.retried:
        verdict.doubled.append(f"trials {again} were ended more than once")


def _check_study(verdict: Verdict, root: Path, trials: dict[int, dict[str, Any]], expected: Expected) -> None:
    """Optuna's journal has every trial once, and each ended once, as its result says."""
    states: list[str | None] = []
    values: list[float | None] = []
    ends: list[int] = []
    path = root / "study.journal"
    for line in path.read_text().splitlines() if path.exists() else ():
        operation = json.loads(line)
        if operation["op_code"] == CREATE_TRIAL:
            states.append(None)
            values.append(None)
            ends.append(0)
        if operation["op_code"] in (CREATE_TRIAL, SET_TRIAL_STATE) and operation.get("state") in ENDED:
            at = operation.get("trial_id", len(states) - 1)
            ends[at] += 1
            states[at] = ENDED[operation["state"]]
            values[at] = (operation.get("values") or [operation.get("value")])[0]
    if len(states) != len(trials):
        verdict.wrong.append(f"the study has {len(states)} trials, the sweep {len(trials)}")
    again = [number for number, times in enumerate(ends) if times > 1]
    if again:
        verdict.doubled.append(f"trials {again} ended in the study more than once")
    for (number, trial), state, value in zip(trials.items(), states, values, strict=False):
        result = trial["result"]
        if result is not None and state != (expected_state := STUDY_STATES.get(result["state"], "FAIL")):
            verdict.wrong.append(f"trial {number} is {state} in the study, and not {expected_state}")
        elif result is not None and state == "COMPLETE" and value != result["val_iou"]:
            verdict.wrong.append(f"trial {number} has the value {value} in the study, and not {result['val_iou']}")


def _ledger(root: Path) -> list[dict[str, Any]]:
    found = []
    for line in (root / "ledger.jsonl").read_text().splitlines() if (root / "ledger.jsonl").exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:  # a log for people; a kill may have cut off its last line
            continue
    return found


def _order(claim: str) -> tuple[int, int]:
    attempt, restart = claim.split("-")
    return int(attempt), int(restart)


def _check_owner(verdict: Verdict, run: str, facts: list[Fact]) -> None:
    """No claim writes after a later one has written, and none has two processes. Measures how long starts overlap."""
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
    """Count the repeated epochs. Those between the last checkpoint and the end of a start are allowed."""
    done = saved = before = allowed = 0
    trained = [fact["epoch"] for fact in facts if fact["event"] == "epoch"]
    repeated = len(trained) - len(set(trained))
    for fact in facts:
        if fact["event"] == "start":
            lowest = min(before, saved) if expected.corrupt else saved
            allowed += max(0, done - lowest)
            if fact["epoch"] < lowest:
                verdict.wrong.append(
                    f"run {run}: {fact['claim']} began at epoch {fact['epoch']}, although epoch {lowest} was saved"
                )
            done = min(done, fact["epoch"])
        elif fact["event"] == "epoch":
            done = max(done, fact["epoch"])
        elif fact["event"] == "checkpoint" and fact["epoch"] > saved:
            saved, before = fact["epoch"], saved
    verdict.repeated += repeated
    verdict.allowed += allowed
    if repeated > allowed:  # checked for each run, because what one run may repeat counts for no other
        verdict.wrong.append(f"run {run}: {repeated} epochs were repeated, and {allowed} are allowed")


def _check_finished(verdict: Verdict, root: Path, run: str, facts: list[Fact]) -> None:
    """A published result stays, and its epochs are not trained again."""
    published: dict[int, float] = {}
    for fact in facts:
        if fact["event"] == "publish":
            published.setdefault(fact["milestone"], fact["time"])
    for epochs, at in published.items():
        path = root / "runs" / run / "milestones" / f"{epochs}.json"
        if not path.exists():
            verdict.discarded.append(f"run {run}: the result at {epochs} epochs is gone")
        after = [f for f in facts if f["event"] == "epoch" and f["time"] > at and f["epoch"] <= epochs]
        if after and epochs == max(published):
            verdict.discarded.append(f"run {run}: {len(after)} epochs were trained after the result was published")


def _check_weights(verdict: Verdict, root: Path, number: int, trial: dict[str, Any], expected: Expected) -> None:
    """The hash chain of a result is that of its config and epochs; a trial with a published result has not failed."""
    epochs, key = trial["config"]["epochs"], key_of(trial["config"])
    path = root / "runs" / f"{trial['run']:04d}" / "milestones" / f"{epochs}.json"
    result = trial["result"]
    if path.exists() and result is not None and result["state"] in ("failed", "cancelled"):
        verdict.discarded.append(f"trial {number} ended {result['state']} although its training had finished")
    if result is None or result["state"] != "complete":
        return
    if expected.twins:
        twin = expected.twins[number]
        unequal = sorted(name for name, value in twin.items() if result[name] != value)
        verdict.wrong += [f"trial {number}: {name} differs from that of an uninterrupted training" for name in unequal]
    elif result["versions"].get("chain") != chain_at(epochs, key):
        verdict.wrong.append(f"trial {number}: its weights are not those of {epochs} epochs of its config")


def _check_table(
    verdict: Verdict, trials: dict[int, dict[str, Any]], report: dict[str, Any], expected: Expected
) -> None:
    """The table has one row per trial, with its state, its score and the job that published it."""
    rows = {row["trial"]: row for row in report.get("rows", ())}
    if sorted(rows) != sorted(trials) or len(report.get("rows", ())) != len(trials):
        verdict.wrong.append(f"the table has {len(report.get('rows', ()))} rows for {len(trials)} trials")
    for number, trial in trials.items():
        row, result = rows.get(number), trial["result"]
        if row is None or result is None:
            continue
        config = trial["config"]
        right = (config["epochs"], config["batch_size"], config["learning_rate"], result["state"])
        if (row["epochs"], row["batch_size"], row["learning_rate"], row["state"]) != right:
            verdict.wrong.append(f"trial {number}: its row says {row}")
        if result["state"] == "complete":
            twin = expected.twins.get(number, {})
            score = twin.get("val_iou") or iou_of(chain_at(config["epochs"], key_of(config)))
            if row["val_iou"] != score or row["job_id"] != result["job_id"]:
                verdict.wrong.append(f"trial {number}: its row says {row['val_iou']} and not {score}")
