"""`unetsweep show`: one trial in each of its states."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import small_sweeps
from click.testing import CliRunner

from unetsweep.atomic import write_json
from unetsweep.cli.main import program
from unetsweep.contract import Result, TrainerConfig, encode
from unetsweep.core import paths
from unetsweep.core.actions import Prune
from unetsweep.core.causes import Cause
from unetsweep.core.observation import Job, JobState
from unetsweep.errors import SchedulerError
from unetsweep.schedulers.local.local_jobs import LocalJobs
from unetsweep.store.sweep_dir import SweepDir


class Queue:
    """What the scheduler answers, and how often it was asked."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.error: str | None = None
        self.queries = 0

    def answer(self, _: LocalJobs, tokens: Collection[str]) -> list[Job]:
        self.queries += 1
        if self.error is not None:
            raise SchedulerError(self.error)
        return [job for job in self.jobs if job.token in tokens]


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    found = Queue()
    monkeypatch.setattr(LocalJobs, "jobs", lambda jobs, tokens: found.answer(jobs, tokens))
    return found


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepDir:
    monkeypatch.chdir(tmp_path)
    return small_sweeps.make_sweep(tmp_path / "results", "s", (8, 16, 32))


def text_of(address: str, *options: str) -> str:
    done = CliRunner().invoke(program, ["show", address, *options])
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.output


def json_of(address: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text_of(address, "--json"))
    return found


def trained(sweep: SweepDir, trial: int, epochs: int, milestone: int = 8, job_id: str = "5") -> str:
    """A trial whose training has finished so many epochs, each with a score."""
    token = small_sweeps.submit(sweep, trial, job_id, (trial, milestone))
    small_sweeps.claim(sweep, trial, job_id)
    folder = sweep.root / paths.run_dir(trial)
    lines = [json.dumps({"epoch": epoch, "val_iou": epoch / 100}) for epoch in range(1, epochs + 1)]
    (folder / "progress-1-0.jsonl").write_text("\n".join(lines) + "\n")
    return token


def test_a_complete_trial(sweep: SweepDir, queue: Queue) -> None:
    token = trained(sweep, 0, 8)
    folder = sweep.root / paths.run_dir(0)
    result = Result(val_iou=0.08, test_iou=0.07, checkpoint="checkpoints/best-8.ckpt", best_epoch=8, job_id="5")
    (folder / "milestones").mkdir()
    write_json(folder / paths.milestone(8), encode(result))
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints/best-8.ckpt").touch()
    (sweep.root / paths.element_log(token, 0)).write_text("trained\n")
    sweep.record_exit(0, 1, 0, 0, None)
    sweep.end_trial(0, result)
    text, found = text_of("s/best"), json_of("s/0")

    assert text.startswith("trial 0 of s: complete, epoch 8 of 8\n")
    assert "  learning_rate  0.001\n" in text
    assert "  val_IoU        0.0800\n" in text
    assert "attempt 1: done, job 5, on node7, submitted 2" in text
    assert "val_IoU by epoch\n  0.0800 │" in text
    assert found["curve"] == [[epoch, epoch / 100] for epoch in range(1, 9)]
    assert found["scores"] == {"val_iou": 0.08, "test_iou": 0.07}
    assert found["checkpoint"] == str(folder / "checkpoints/best-8.ckpt")
    assert found["commands"] == [
        "unetsweep logs s/0",
        "unetsweep predict s/0 IMAGES --out DIR",
        "unetsweep reproduce s/0",
    ]
    assert queue.queries == 0

    (folder / "checkpoints/best-8.ckpt").unlink()
    assert f"\nfolder      {folder}\ncheckpoint  none ({folder}/checkpoints/best-8.ckpt does not exist)\n" in text_of(
        "s/0"
    )
    assert "predict" not in text_of("s/0")


def test_the_command_best_that_does_not_exist_names_the_one_that_does() -> None:
    done = CliRunner().invoke(program, ["best", "s"])
    assert done.exit_code == 2
    typo = CliRunner().invoke(program, ["statsu"])
    assert "No such command 'statsu'; did you mean 'status'?" in typo.output
    assert "No such command 'best'. For the best trial of a sweep: unetsweep show SWEEP/best\n" in done.output


def test_a_failed_trial_shows_every_attempt_with_its_node_and_cause(sweep: SweepDir, queue: Queue) -> None:
    small_sweeps.submit(sweep, 1, "5", (1, 16))
    small_sweeps.claim(sweep, 1, "5", node="bad1")
    sweep.mark_lost(1, 1, "its node failed", cause=Cause.NODE.name)
    small_sweeps.submit(sweep, 1, "6", (1, 16), attempt=2)
    small_sweeps.claim(sweep, 1, "6", attempt=2)
    small_sweeps.fail(sweep, 1, "ValueError: 3 channels\x1b[2J are expected", attempt=2)
    small_sweeps.end(sweep, 1, "6", message="ValueError: 3 channels\x1b[2J are expected")
    text, found = text_of("s/1"), json_of("s/1")

    assert "trial 1 of s: failed\n  ValueError: 3 channels are expected\n" in text
    assert "attempt 1: lost, job 5, on bad1, " in text
    assert "\n  node failure: its node failed\n" in text
    assert "attempt 2: failed, job 6, on node7, " in text
    assert "\x1b" not in text
    assert [each["cause"] for each in found["attempts"]] == ["node failure", None]
    assert found["commands"] == ["unetsweep retry s/1"]
    assert queue.queries == 0


@pytest.mark.parametrize(("state", "why"), [("diverged", "loss is nan at epoch 3"), ("cancelled", None)])
def test_a_trial_that_ended_otherwise_can_be_retried(sweep: SweepDir, state: str, why: str, queue: Queue) -> None:
    small_sweeps.end(sweep, 0, None, state=state, message=why)
    assert text_of("s/0").startswith(f"trial 0 of s: {state}\n" + (f"  {why}\n" if why else ""))
    assert json_of("s/0")["commands"] == ["unetsweep retry s/0"]
    assert queue.queries == 0


def test_a_pruned_trial_says_why(sweep: SweepDir, queue: Queue) -> None:
    trained(sweep, 0, 8)
    sweep.record_prune(Prune(0, 1, 0, (8,), 3, "below the median of 4 trials"))
    small_sweeps.end(sweep, 0, "5", state="pruned", message="below the median of 4 trials", val_iou=None)
    text = text_of("s/0")
    assert "trial 0 of s: pruned, epoch 8 of 8\n  below the median of 4 trials\n" in text
    assert "attempt 1: pruned, job 5" in text


def test_a_program_of_which_the_sweep_names_no_epochs_shows_all_that_it_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queue: Queue
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = small_sweeps.make_sweep(tmp_path / "results", "s", (1,), trainer=TrainerConfig(command="train {out}"))
    trained(sweep, 0, 40, milestone=1)
    small_sweeps.end(sweep, 0, "5", 0.4)
    text, found = text_of("s/0"), json_of("s/0")
    assert text.startswith("trial 0 of s: complete, epoch 40\n")
    assert "epoch 1 to 40\n" in text
    assert (found["epochs"], found["epochs_done"], len(found["curve"])) == (0, 40, 40)
    assert "epochs" not in found["params"]


def test_a_damaged_run_of_an_ended_trial_is_a_warning(sweep: SweepDir, queue: Queue) -> None:
    trained(sweep, 0, 8)
    small_sweeps.end(sweep, 0, "5", 0.5)
    (sweep.root / "runs/0000/attempts/1.job.json").write_text("{")
    text = text_of("s/0")
    assert text.startswith("trial 0 of s: complete")
    assert "attempts/1.job.json: not readable as JSON" in text
    assert "unetsweep repair s" in text


def test_an_open_trial_asks_the_scheduler_as_often_as_status(sweep: SweepDir, queue: Queue) -> None:
    token = trained(sweep, 0, 3)
    queue.jobs = [Job("5", token, 0, JobState.RUNNING, "RUNNING", node="node7")]
    text = text_of("s/0")
    assert text.startswith("trial 0 of s: running, epoch 3 of 8\n")
    assert "attempt 1: running, job 5, on node7, " in text
    assert text.endswith("next:\n  unetsweep logs s/0 --follow\n  unetsweep cancel s/0\n")
    asked = queue.queries
    CliRunner().invoke(program, ["status", "s"])
    assert queue.queries == 2 * asked


def test_a_queued_trial_has_the_reason_of_the_scheduler_in_plain_english(sweep: SweepDir, queue: Queue) -> None:
    token = small_sweeps.submit(sweep, 0, "5", (0, 8))
    queue.jobs = [Job("5", token, 0, JobState.QUEUED, "PENDING", reason="QOSMaxJobsPerUserLimit")]
    assert "trial 0 of s: submitted\n" in text_of("s/0")
    assert "no more jobs may run now; waits for others to end (QOSMaxJobsPerUserLimit)" in text_of("s/0")


def test_an_ended_trial_asks_no_scheduler_even_if_another_one_runs(sweep: SweepDir, queue: Queue) -> None:
    small_sweeps.end(sweep, 0, "5", 0.5)
    small_sweeps.submit(sweep, 1, "6", (1, 16))
    text_of("s/0")
    assert queue.queries == 0
    text_of("s/1")
    assert queue.queries > 0


def test_without_an_answer_of_the_scheduler_the_page_says_so(sweep: SweepDir, queue: Queue) -> None:
    trained(sweep, 0, 3)
    queue.error = "slurm_load_jobs error"
    text = text_of("s/0")
    assert text.startswith("trial 0 of s: running, epoch 3 of 8\n")  # as `status` says
    assert text.count("the queue does not answer: slurm_load_jobs error\n") == 1


def test_a_waiting_trial_has_no_attempt_yet(sweep: SweepDir, queue: Queue) -> None:
    text = text_of("s/2")
    assert text.startswith("trial 2 of s: waiting\n  all 2 slots are in use\n")
    assert "attempts: none yet\n" in text
    assert json_of("s/2")["commands"] == ["unetsweep cancel s/2"]


def test_a_trial_of_a_shared_run_names_the_others_and_ends_its_curve_at_its_milestone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queue: Queue
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = small_sweeps.make_sweep(tmp_path / "results", "s", (4, 8, 16), runs=(0, 0, 2))
    trained(sweep, 0, 8)
    small_sweeps.end(sweep, 0, "5", 0.04)
    small_sweeps.end(sweep, 1, "5", 0.08)
    assert "run 0000 is shared with trial 1 (8 epochs, complete)\n" in text_of("s/0")
    assert [len(json_of(address)["curve"]) for address in ("s/0", "s/1")] == [4, 8]
    assert json_of("s/2")["shares_with"] == []


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("trials/0000/trial.json", "trials/0000/trial.json"),
        ("trials/0000/result.json", "trials/0000/result.json"),
        ("runs/0000/attempts/1.json", "runs/0000/attempts/1.json"),
        ("runs/0000/claims/1-0", "runs/0000/claims/1-0"),
    ],
)
def test_a_damaged_trial_names_the_file_and_the_repair(sweep: SweepDir, file: str, named: str, queue: Queue) -> None:
    trained(sweep, 0, 8)
    (sweep.root / file).write_text("{")
    text = text_of("s/0")
    assert named in text
    assert "unetsweep repair s" in text
    assert "  learning_rate  0.001\n" in text
    assert json_of("s/0")["params"]


def test_a_trial_of_which_nothing_is_left_is_a_page_too(sweep: SweepDir, queue: Queue) -> None:
    for path in (sweep.root / "trials/0000").iterdir():
        path.unlink()
    assert "its parameters cannot be read\n" in text_of("s/0")


def test_a_moved_sweep_has_the_state_of_its_files(sweep: SweepDir, queue: Queue) -> None:
    trained(sweep, 0, 3)
    sweep.root.rename(sweep.root.with_name("t"))
    text = text_of("t/0")
    assert text.startswith("trial 0 of t: running, epoch 3 of 8\n")
    assert "warning: the state is that of its files: " in text
    assert queue.queries == 0


def test_the_commands_name_a_folder_that_is_not_the_default(sweep: SweepDir, tmp_path: Path, queue: Queue) -> None:
    small_sweeps.end(sweep, 0, None)
    other = tmp_path / "my sweeps"
    (tmp_path / "results").rename(other)
    assert "  unetsweep retry s/0 --results 'my sweeps'\n" in text_of("s/0", "--results", "my sweeps")
    assert f"  unetsweep retry '{other}/s'/0\n" in text_of(f"{other}/s/0")
