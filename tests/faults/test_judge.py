"""The judge of the fault campaign accepts a correct sweep, and finds each planted violation."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from judge import Afterwards, Expected, Verdict, judge, judge_afterwards
from trainer import chain_at, iou_of, key_of

EPOCHS = 6


class Sweep:
    """A correct sweep of two trials; the second was killed at epoch 5 and continued from its checkpoint at epoch 4."""

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
        """A line of Optuna's journal: a trial is created with its final state."""
        result = json.loads((self.root / f"trials/{number:04d}/result.json").read_bytes())
        return {"op_code": 4, "state": 1, "value": result["val_iou"], "values": None}

    def finish(self, number: int, **other: Any) -> None:
        """Write the result of a trial, and that of its run."""
        config = json.loads((self.root / f"trials/{number:04d}/config.json").read_bytes())
        chain = chain_at(EPOCHS, key_of(config))
        result = {"state": "complete", "job_id": f"7_{number}", "val_iou": iou_of(chain), "versions": {"chain": chain}}
        self.write(f"trials/{number:04d}/result.json", {**result, **other})
        self.write(f"runs/{number:04d}/milestones/{EPOCHS}.json", result)

    def train(self, run: str, claim: str, begin: int, end: int, pid: int | None = None) -> None:
        """Log a start that trains these epochs, with a checkpoint at epoch 4 and a result at the last epoch."""
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

    def judge(self, expected: Expected | None = None, report: dict[str, Any] | None = None) -> Verdict:
        (self.root / "study.journal").write_text("".join(json.dumps(line) + "\n" for line in self.study))
        (self.root / "ledger.jsonl").write_text("".join(json.dumps(line) + "\n" for line in self.ledger) + '{"cut off')
        return judge(self.root, self.facts, report or self.report(), self.wanted, expected or Expected())


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return Sweep(tmp_path)


def test_a_correct_sweep_is_kept_and_its_repeated_epochs_are_counted(sweep: Sweep):
    verdict = sweep.judge()
    assert verdict.kept, verdict
    assert (verdict.repeated, verdict.allowed, verdict.starts, verdict.overlap_s) == (1, 1, 3, 0.0)


def test_a_state_that_the_fault_explains_is_no_violation(sweep: Sweep):
    sweep.finish(1, state="diverged")
    sweep.study[1] = {"op_code": 4, "state": 3, "value": None}
    assert sweep.judge(Expected(states={1: "diverged"})).kept


def lose(sweep: Sweep) -> None:
    (sweep.root / "trials/0001/result.json").unlink()


def want_more_trials(sweep: Sweep) -> None:
    sweep.wanted = 3


def end_twice(sweep: Sweep) -> None:
    sweep.ledger.append({"action": "FinishTrial", "trial": 1})


def end_twice_in_the_study(sweep: Sweep) -> None:
    sweep.study.append({"op_code": 6, "trial_id": 1, "state": 3, "values": None})


def change_the_value_in_the_study(sweep: Sweep) -> None:
    sweep.study[1]["value"] = 0.5


def change_the_state_in_the_study(sweep: Sweep) -> None:
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


def write_after_a_later_claim(sweep: Sweep) -> None:
    sweep.fact("0001", "1-0", "checkpoint", 6, 5)


def run_two_processes_with_one_claim(sweep: Sweep) -> None:
    sweep.fact("0000", "1-0", "leave", 6, 4242)


def fail_after_the_result(sweep: Sweep) -> None:
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
    ("plant", "kind", "message"),
    [
        (lose, "lost", "trial 1 has not ended"),
        (want_more_trials, "lost", "3 trials are wanted"),
        (fail, "lost", "trial 1 ended failed, not complete: no reason"),
        (end_twice, "doubled", "were ended more than once"),
        (end_twice_in_the_study, "doubled", "ended in the study more than once"),
        (change_the_value_in_the_study, "wrong", "trial 1 has the value 0.5 in the study"),
        (change_the_state_in_the_study, "wrong", "trial 1 is PRUNED in the study, and not COMPLETE"),
        (forget_a_trial, "wrong", "the study has 1 trials, the sweep 2"),
        (propose_twice, "doubled", "2 trials of"),
        (write_after_a_later_claim, "doubled", "run 0001: 1-0 wrote"),
        (run_two_processes_with_one_claim, "doubled", "2 processes wrote as 1-0"),
        (fail_after_the_result, "discarded", "although its training had finished"),
        (lose_a_result, "discarded", "is gone"),
        (train_again, "discarded", "trained after the result was published"),
        (skip_an_epoch, "wrong", "its weights are not those"),
        (forget_the_checkpoint, "wrong", "began at epoch 0, although epoch 4 was saved"),
    ],
)
def test_a_planted_violation_is_found(plant: Callable[[Sweep], None], kind: str, message: str, sweep: Sweep):
    plant(sweep)
    verdict = sweep.judge()
    assert not verdict.kept
    assert message in "; ".join(getattr(verdict, kind)), verdict


@pytest.mark.parametrize("plant", [misprint, leave_out_a_row])
def test_a_wrong_table_is_found(plant: Callable[[dict[str, Any]], None], sweep: Sweep):
    report = sweep.report()
    plant(report)
    assert sweep.judge(report=report).wrong


def test_a_number_that_differs_from_that_of_an_uninterrupted_training_is_found(sweep: Sweep):
    same = {n: json.loads((sweep.root / f"trials/{n:04d}/result.json").read_bytes())["val_iou"] for n in range(2)}
    twins = {number: {"val_iou": value} for number, value in same.items()}
    assert sweep.judge(Expected(twins=twins)).kept
    twins[1] = {"val_iou": 0.5}
    assert "an uninterrupted training" in sweep.judge(Expected(twins=twins)).wrong[0]


def test_only_epochs_since_the_last_checkpoint_may_be_repeated(sweep: Sweep):
    forget_the_checkpoint(sweep)
    verdict = sweep.judge()
    assert (verdict.repeated, verdict.allowed) == (5, 1)


def test_after_a_corrupt_checkpoint_the_epochs_since_the_one_before_it_may_be_repeated(sweep: Sweep):
    forget_the_checkpoint(sweep)
    assert sweep.judge(Expected(corrupt=True)).kept


def test_the_time_for_which_two_starts_of_a_run_lived_at_once_is_counted(sweep: Sweep):
    sweep.fact("0001", "1-0", "leave", 5, hash(("0001", "1-0")) % 99999)
    assert sweep.judge().overlap_s == pytest.approx(4)


def test_a_trial_that_does_not_end_as_the_fault_explains_is_wrong(sweep: Sweep):
    assert sweep.judge(Expected(states={1: "cancelled"})).wrong


def test_jobs_processes_and_starts_after_the_end_are_found(sweep: Sweep):
    verdict = sweep.judge()
    judge_afterwards(verdict, Afterwards([], [], 0), Expected())
    assert verdict.kept
    judge_afterwards(verdict, Afterwards(["job 7"], ["8 s"], 1), Expected())
    assert verdict.wrong == ["left after all trials had ended: job 7"]
    queued = sweep.judge()
    judge_afterwards(queued, Afterwards(["job 7 s PENDING BeginTime"], [], 0), Expected(queued=True))
    assert queued.kept
    judge_afterwards(queued, Afterwards(["job 7 s RUNNING None", "process 5: x"], [], 0), Expected(queued=True))
    assert len(queued.wrong) == 2
    assert verdict.doubled == ["queued by a submit after the end: 8 s", "1 trainings were started after the end"]
