"""The judge of the fault campaign: what is right passes, and each violation is found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from judge import Afterwards, Expected, Verdict, judge, judge_afterwards
from trainer import chain_at, iou_of, key_of

EPOCHS = 6


class Sweep:
    """Two trials, of which the second was killed at epoch 5 and went on from its checkpoint at 4; all is right."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = 0.0
        self.facts: list[dict[str, Any]] = []
        self.wanted = 2
        for number in range(2):
            config = {"epochs": EPOCHS, "batch_size": 4, "learning_rate": 1e-4 * (number + 1)}
            self.write(f"trials/{number:04d}/config.json", config)
            self.write(f"trials/{number:04d}/trial.json", {"run": number, "epochs": EPOCHS})
            self.finish(number)
        self.study = [self.created(number) for number in range(2)]
        self.ledger = [{"action": "FinishTrial", "trial": 0}, {"action": "FinishTrial", "trial": 1}]
        self.train("0000", "1-0", 0, EPOCHS)
        self.train("0001", "1-0", 0, 5)
        self.train("0001", "2-0", 4, EPOCHS)

    def created(self, number: int) -> dict[str, Any]:
        """A line of Optuna's journal: the trial goes in with its ending."""
        result = json.loads((self.root / f"trials/{number:04d}/result.json").read_bytes())
        return {"op_code": 4, "state": 1, "value": result["val_iou"], "values": None}

    def finish(self, number: int, **other: Any) -> None:
        """The result of a trial, in both places."""
        config = json.loads((self.root / f"trials/{number:04d}/config.json").read_bytes())
        chain = chain_at(EPOCHS, key_of(config))
        result = {"state": "complete", "job_id": f"7_{number}", "val_iou": iou_of(chain), "versions": {"chain": chain}}
        self.write(f"trials/{number:04d}/result.json", {**result, **other})
        self.write(f"runs/{number:04d}/milestones/{EPOCHS}.json", result)

    def train(self, run: str, claim: str, begin: int, end: int, pid: int | None = None) -> None:
        """A start that trains these epochs, with a checkpoint at 4 and a result at the last."""
        pid = pid or hash((run, claim)) % 99999
        self.fact(run, claim, "start", begin, pid)
        for epoch in range(begin + 1, end + 1):
            self.fact(run, claim, "epoch", epoch, pid)
            if epoch == EPOCHS:
                self.fact(run, claim, "publish", epoch, pid, milestone=epoch)
            if epoch in (4, EPOCHS):
                self.fact(run, claim, "checkpoint", epoch, pid)

    def fact(self, run: str, claim: str, event: str, epoch: int, pid: int, **more: Any) -> None:
        self.clock += 1
        who = {"run": run, "claim": claim, "pid": pid, "time": self.clock}
        self.facts.append({**who, "event": event, "epoch": epoch, **more})

    def write(self, name: str, content: Any) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def report(self) -> dict[str, Any]:
        rows = []
        for folder in sorted((self.root / "trials").iterdir()):
            config = json.loads((folder / "config.json").read_bytes())
            path = folder / "result.json"
            result = json.loads(path.read_bytes()) if path.exists() else {"state": "running"}
            numbers = {name: result.get(name) for name in ("state", "job_id", "val_iou")}
            rows.append({"trial": int(folder.name), **config, **numbers})
        return {"rows": rows}

    def judged(self, expected: Expected | None = None, report: dict[str, Any] | None = None) -> Verdict:
        (self.root / "study.journal").write_text("".join(json.dumps(line) + "\n" for line in self.study))
        (self.root / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in self.ledger) + '{"torn')
        return judge(self.root, self.facts, report or self.report(), self.wanted, expected or Expected())


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path)


def test_a_sweep_that_kept_every_promise_is_kept_and_its_cost_is_counted(sweep: Sweep):
    verdict = sweep.judged()
    assert verdict.kept, verdict
    assert (verdict.repeated, verdict.allowed, verdict.starts, verdict.overlap_s) == (1, 1, 3, 0.0)


def test_a_state_that_the_fault_explains_is_right(sweep: Sweep):
    sweep.finish(1, state="diverged")
    sweep.study[1] = {"op_code": 4, "state": 3, "value": None}
    assert sweep.judged(Expected(states={1: "diverged"})).kept


def lose(sweep: Sweep) -> None:
    (sweep.root / "trials/0001/result.json").unlink()


def ask_for_more(sweep: Sweep) -> None:
    sweep.wanted = 3


def end_twice(sweep: Sweep) -> None:
    sweep.ledger.append({"action": "FinishTrial", "trial": 1})


def tell_twice(sweep: Sweep) -> None:
    sweep.study.append({"op_code": 6, "trial_id": 1, "state": 3, "values": None})


def tell_another_value(sweep: Sweep) -> None:
    sweep.study[1]["value"] = 0.5


def tell_another_state(sweep: Sweep) -> None:
    sweep.study[1]["state"] = 2


def forget_a_trial(sweep: Sweep) -> None:
    del sweep.study[1]


def fail(sweep: Sweep) -> None:
    (sweep.root / f"runs/0001/milestones/{EPOCHS}.json").unlink()
    sweep.facts = [fact for fact in sweep.facts if fact["event"] != "publish" or fact["run"] != "0001"]
    sweep.finish(1, state="failed", message="no reason")
    (sweep.root / f"runs/0001/milestones/{EPOCHS}.json").unlink()


def propose_twice(sweep: Sweep) -> None:
    sweep.write("trials/0001/config.json", json.loads((sweep.root / "trials/0000/config.json").read_bytes()))
    sweep.finish(1)


def write_beside(sweep: Sweep) -> None:
    sweep.fact("0001", "1-0", "checkpoint", 6, 5)


def claim_twice(sweep: Sweep) -> None:
    sweep.fact("0000", "1-0", "leave", 6, 4242)


def throw_away(sweep: Sweep) -> None:
    sweep.finish(0, state="failed", message="its job ended")


def lose_a_result(sweep: Sweep) -> None:
    (sweep.root / f"runs/0000/milestones/{EPOCHS}.json").unlink()


def train_again(sweep: Sweep) -> None:
    sweep.train("0000", "2-0", 4, EPOCHS)


def skip_an_epoch(sweep: Sweep) -> None:
    sweep.finish(0, versions={"chain": chain_at(EPOCHS - 1, "")})


def forget_the_checkpoint(sweep: Sweep) -> None:
    sweep.facts = [fact for fact in sweep.facts if fact["run"] != "0001"]
    sweep.train("0001", "1-0", 0, 5)
    sweep.train("0001", "2-0", 0, EPOCHS)


def misprint(report: dict[str, Any]) -> None:
    report["rows"][0]["val_iou"] = 0.5


def leave_out_a_row(report: dict[str, Any]) -> None:
    del report["rows"][1]


@pytest.mark.parametrize(
    ("plant", "kind", "said"),
    [
        (lose, "lost", "trial 1 has not ended"),
        (ask_for_more, "lost", "3 trials were asked for"),
        (fail, "lost", "trial 1 ended failed, not complete: no reason"),
        (end_twice, "doubled", "were ended more than once"),
        (tell_twice, "doubled", "told to the study more than once"),
        (tell_another_value, "wrong", "trial 1 is worth 0.5 to the study"),
        (tell_another_state, "wrong", "trial 1 is PRUNED in the study, and not COMPLETE"),
        (forget_a_trial, "wrong", "the study has 1 trials, the sweep 2"),
        (propose_twice, "doubled", "2 trials of"),
        (write_beside, "doubled", "run 0001: 1-0 wrote"),
        (claim_twice, "doubled", "2 processes wrote as 1-0"),
        (throw_away, "thrown", "though its training was finished"),
        (lose_a_result, "thrown", "is gone"),
        (train_again, "thrown", "trained after its result was there"),
        (skip_an_epoch, "wrong", "its weights are not those"),
        (forget_the_checkpoint, "wrong", "began at 0, saved were 4"),
    ],
)
def test_a_planted_violation_is_found(plant: Callable[[Sweep], None], kind: str, said: str, sweep: Sweep):
    plant(sweep)
    verdict = sweep.judged()
    assert not verdict.kept
    assert said in "; ".join(getattr(verdict, kind)), verdict


@pytest.mark.parametrize("plant", [misprint, leave_out_a_row])
def test_a_wrong_table_is_found(plant: Callable[[dict[str, Any]], None], sweep: Sweep):
    report = sweep.report()
    plant(report)
    assert sweep.judged(report=report).wrong


def test_a_number_that_differs_from_that_of_a_training_left_alone_is_wrong(sweep: Sweep):
    same = {n: json.loads((sweep.root / f"trials/{n:04d}/result.json").read_bytes())["val_iou"] for n in range(2)}
    twins = {number: {"val_iou": value} for number, value in same.items()}
    assert sweep.judged(Expected(twins=twins)).kept
    twins[1] = {"val_iou": 0.5}
    assert "left alone" in sweep.judged(Expected(twins=twins)).wrong[0]


def test_more_repeated_epochs_than_since_the_last_checkpoint_are_no_success(sweep: Sweep):
    forget_the_checkpoint(sweep)
    verdict = sweep.judged()
    assert (verdict.repeated, verdict.allowed) == (5, 1)


def test_a_torn_checkpoint_lets_the_epochs_since_the_one_before_be_repeated(sweep: Sweep):
    forget_the_checkpoint(sweep)
    assert sweep.judged(Expected(corrupt=True)).kept


def test_the_time_that_two_starts_of_a_run_lived_side_by_side_is_counted(sweep: Sweep):
    sweep.fact("0001", "1-0", "leave", 5, hash(("0001", "1-0")) % 99999)
    assert sweep.judged().overlap_s == pytest.approx(4)


def test_a_fault_that_leaves_no_trace_where_one_is_due_was_none(sweep: Sweep):
    assert sweep.judged(Expected(states={1: "cancelled"})).wrong


def test_what_lives_on_or_begins_anew_after_the_end_is_found(sweep: Sweep):
    verdict = sweep.judged()
    judge_afterwards(verdict, Afterwards([], [], 0), Expected())
    assert verdict.kept
    judge_afterwards(verdict, Afterwards(["job 7"], ["8 s"], 1), Expected())
    assert verdict.wrong == ["still there when all had ended: job 7"]
    forgetful = sweep.judged()
    judge_afterwards(forgetful, Afterwards(["job 7 s PENDING BeginTime"], [], 0), Expected(queued=True))
    assert forgetful.kept
    judge_afterwards(forgetful, Afterwards(["job 7 s RUNNING None", "process 5: x"], [], 0), Expected(queued=True))
    assert len(forgetful.wrong) == 2
    assert verdict.doubled == ["queued by a submit after the end: 8 s", "1 trainings were begun after the end"]
