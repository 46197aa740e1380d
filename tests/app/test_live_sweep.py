"""The model that `status` and `watch` have of a sweep, from its files and the jobs that the scheduler lists."""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import small_sweeps
from click.testing import CliRunner

from unetsweep.app import live as live_app
from unetsweep.app.live import SweepReader, live_sweep
from unetsweep.app.sweeps import context_of
from unetsweep.app.trial_peek import log_tail, peek
from unetsweep.app.watch import watch
from unetsweep.cli.main import program
from unetsweep.clock import utc_now
from unetsweep.contract import Result as ContractResult
from unetsweep.core import paths
from unetsweep.core.cost import JobResources, run_cost
from unetsweep.core.live import BestTrial, LiveSweep
from unetsweep.core.observation import Job, JobState
from unetsweep.core.plan import Plan
from unetsweep.core.trials import trial_config
from unetsweep.errors import SchedulerError
from unetsweep.reconcile.evidence import observe
from unetsweep.schedulers.local.local_jobs import LocalJobs
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.store.timelines import read_timeline, timeline_of_open

Answer = Callable[[Sequence[Job] | Exception], None]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Let the scheduler answer with these jobs, or fail."""

    def set_answer(given: Sequence[Job] | Exception) -> None:
        def jobs(_: LocalJobs, tokens: set[str]) -> list[Job]:
            if isinstance(given, Exception):
                raise given
            return [job for job in given if job.token in tokens]

        monkeypatch.setattr(LocalJobs, "jobs", jobs)

    return set_answer


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDir:
    """Trial 0 is complete, 1 and 2 have failed, 3 trains, 4 is in the queue and 5 waits."""
    made = small_sweeps.make_sweep(tmp_path / "results", "s", (8, 9, 10, 100, 20, 30))
    for number in range(3):
        small_sweeps.submit(made, number, str(number), (number, 8 + number))
        small_sweeps.claim(made, number, str(number))
    small_sweeps.end(made, 0, "0", 0.75, seconds=80.0)
    for number in (1, 2):
        small_sweeps.end(made, number, str(number), message=f"boom (see runs/000{number}/error-0.json)")
    return made


def train(sweep: SweepDir, run: int, epochs: int, seconds: float = 10.0) -> Job:
    """Let a run train; the metric falls and rises."""
    token = small_sweeps.submit(sweep, run, str(run), (run, 100))
    small_sweeps.claim(sweep, run, str(run))
    report(sweep, run, epochs, seconds)
    return Job(str(run), token, 0, JobState.RUNNING, "running")


def report(sweep: SweepDir, run: int, epochs: int, seconds: float = 10.0) -> None:
    values = [abs(epoch - 3) / 10 for epoch in range(1, epochs + 1)]
    lines = [
        {"epoch": epoch, "val_iou": value, "seconds": seconds, "at": utc_now().isoformat()}
        for epoch, value in enumerate(values, 1)
    ]
    file = sweep.root / paths.run_dir(run) / "progress-1-0.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def queue(sweep: SweepDir, run: int, starts_at: datetime | None = None) -> Job:
    token = small_sweeps.submit(sweep, run, str(run), (run, 20))
    return Job(str(run), token, 0, JobState.QUEUED, "PENDING", "Priority", starts_at=starts_at)


def known(sweep: SweepDir) -> LiveSweep:
    return next(watch(sweep, reconciles=False))


def status(sweep: SweepDir, *options: str) -> str:
    done = CliRunner().invoke(program, ["status", str(sweep.root), *options])
    assert done.exit_code == 0, done.output + repr(done.exception)
    return done.output


def test_a_running_trial_has_its_epoch_scores_and_node(sweep: SweepDir, answer: Answer) -> None:
    answer([train(sweep, 3, 7)])
    (trial,) = known(sweep).running
    assert (trial.number, trial.epoch, trial.epochs, trial.node) == (3, 7, 100, "node7")
    assert (trial.latest, trial.best, len(trial.curve)) == (0.4, 0.4, 7)
    assert trial.reported_at is not None
    assert utc_now() - trial.reported_at < timedelta(minutes=1)


def test_a_program_that_began_again_is_at_the_epoch_of_its_latest_start(sweep: SweepDir, answer: Answer) -> None:
    answer([train(sweep, 3, 7)])
    first = sweep.root / paths.run_dir(3) / "progress-1-0.jsonl"
    again = "".join(first.read_text().splitlines(keepends=True)[:4])
    first.with_name("progress-1-1.jsonl").write_text(again)
    (trial,) = known(sweep).running
    assert (trial.epoch, len(trial.curve)) == (4, 4)
    assert "epoch 4 of 100" in status(sweep)


def test_ended_trials_are_counted_with_the_best_and_the_reasons_of_failures(sweep: SweepDir, answer: Answer) -> None:
    answer([train(sweep, 3, 1)])
    found = known(sweep)
    assert found.counts == {"complete": 1, "failed": 2, "running": 1, "waiting": 2}
    assert found.best == BestTrial(0, 0.75)
    assert [each.trials for each in found.failures] == [(1, 2)]
    assert (found.ended, found.failed, found.wanted) == (3, 2, 6)


def test_the_expected_start_of_a_queued_job_is_that_of_the_scheduler(sweep: SweepDir, answer: Answer) -> None:
    at = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
    answer([queue(sweep, 4, at)])
    submitted = known(sweep).waiting[0]
    assert (submitted.state, submitted.trials, submitted.starts_at) == ("submitted", (4,), at)
    assert submitted.reason == "waits behind jobs of higher priority (Priority)"
    assert ", may start on 2030-01-01 at " in status(sweep)


def test_a_longer_shared_training_has_the_epochs_of_each_trial(tmp_path: Path, answer: Answer) -> None:
    shared = small_sweeps.make_sweep(tmp_path / "results", "s", (4, 8), runs=(0, 0))
    token = small_sweeps.submit(shared, 0, "0", (0, 4), (1, 8))
    small_sweeps.claim(shared, 0, "0")
    report(shared, 0, 6)
    answer([Job("0", token, 0, JobState.RUNNING, "running")])
    found = known(shared)
    assert [(trial.epoch, trial.epochs, trial.latest) for trial in found.running] == [(4, 4, 0.1), (6, 8, 0.3)]
    assert found.end.seconds is not None
    assert 15 < found.end.seconds[1] <= 20


def test_the_end_is_estimated_from_running_and_finished_trainings(sweep: SweepDir, answer: Answer) -> None:
    answer([train(sweep, 3, 10)])
    spec = context_of(sweep).spec
    found = known(sweep).end
    assert (
        found.why == f"from 1 running and 1 finished trainings; {spec.run.parallel} at once, without time in the queue"
    )
    assert found.seconds is not None
    assert 890 <= found.seconds[0] <= 900 + 500


def test_before_an_epoch_is_finished_the_end_is_unknown(tmp_path: Path, answer: Answer) -> None:
    made = small_sweeps.make_sweep(tmp_path / "results", "s", (8, 16))
    answer([train(made, 0, 0)])
    assert known(made).end.why == "unknown until a training has finished an epoch"
    assert "end: unknown until a training has finished an epoch" in status(made).splitlines()


def test_while_the_scheduler_does_not_answer_a_training_that_has_begun_counts_as_running(
    sweep: SweepDir, answer: Answer
) -> None:
    train(sweep, 3, 2)
    queue(sweep, 4)
    answer(SchedulerError("no answer within 20 s"))
    found = known(sweep)
    assert [trial.number for trial in found.running] == [3]
    assert found.scheduler_error == "no answer within 20 s"
    text = status(sweep)
    assert "1 running, 1 submitted, 1 waiting" in text
    assert "the queue does not answer" in text


def test_the_view_keeps_the_last_answer_of_the_scheduler(sweep: SweepDir, answer: Answer) -> None:
    job = queue(sweep, 4)
    answer([job])
    rounds = watch(sweep, reconciles=False, wait=lambda _: answer(SchedulerError("no answer")))
    first, second, third = next(rounds), next(rounds), next(rounds)
    assert first.scheduler_error is second.scheduler_error is None
    assert third.scheduler_error == "no answer"
    assert third.waiting == second.waiting
    assert third.answered_at == second.answered_at
    assert third.at > second.at


def test_an_unreadable_trial_is_listed_with_its_file_and_the_others_too(sweep: SweepDir, answer: Answer) -> None:
    answer([train(sweep, 3, 2)])
    (sweep.root / "trials/0005/trial.json").write_text("{")
    (sweep.root / "trials/0000/result.json").write_text("{")
    found = known(sweep)
    reasons = {each.trials: each.reason for each in found.waiting}
    assert "trials/0005/trial.json" in reasons[(5,)]
    assert "trials/0000/result.json" in reasons[(0,)]
    assert [trial.number for trial in found.running] == [3]
    assert found.end.seconds is None


def test_a_trial_whose_result_no_reconciliation_has_seen_is_not_running(sweep: SweepDir, answer: Answer) -> None:
    job = train(sweep, 3, 100)
    (sweep.root / "runs/0003/milestones").mkdir()
    (sweep.root / "runs/0003/milestones/100.json").write_text('{"schema": 1, "state": "complete", "val_iou": 0.9}')
    answer([replace(job, state=JobState.ENDED, raw_state="ended")])
    found = known(sweep)
    assert found.counts == {"complete": 2, "failed": 2, "waiting": 2}


def test_status_prints_progress_once_for_each_subject(sweep: SweepDir, answer: Answer) -> None:
    answer([train(sweep, 3, 7)])
    lines = status(sweep).splitlines()
    assert lines[0] == "s on local: 1 complete, 2 failed, 1 running, 2 waiting; 6 trials wanted"
    assert "best: trial 0, val_IoU 0.7500" in lines
    assert any(line.startswith("ends in ") and line.endswith("without time in the queue)") for line in lines)
    assert "2 trials failed (1, 2): boom (see runs/0001/error-0.json)" in lines
    assert "  0003  running              3  epoch 7 of 100, val_IoU 0.4000, best 0.4000, on node7" in lines
    assert not any(line.startswith(("  0000", "  0001", "  0002")) for line in lines)


def test_the_json_of_status_has_the_same(sweep: SweepDir, answer: Answer) -> None:
    answer([train(sweep, 3, 7)])
    found = json.loads(status(sweep, "--json"))
    assert found["best"] == {"trial": 0, "score": 0.75}
    assert found["metric"] == "val_IoU"
    assert found["failures"] == [{"reason": "boom (see runs/0001/error-0.json)", "trials": [1, 2]}]
    assert found["end"].keys() == {"earliest_seconds", "latest_seconds", "from"}
    running = found["trials"][3]
    assert {name: running[name] for name in ("node", "epoch", "epochs", "score", "best_score")} == {
        "node": "node7",
        "epoch": 7,
        "epochs": 100,
        "score": 0.4,
        "best_score": 0.4,
    }
    assert "epoch" not in found["trials"][0]


def test_a_result_is_read_once_until_its_file_changes(
    sweep: SweepDir, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer([])
    read: list[int] = []
    real = live_app.read_trial_record
    monkeypatch.setattr(
        live_app, "read_trial_record", lambda found, number, *more: read.append(number) or real(found, number, *more)
    )
    context = context_of(sweep)
    reader = SweepReader(sweep, context.spec)
    for expected in ([0, 1, 2], [], [1]):
        read.clear()
        observation = observe(context)
        found = live_sweep(sweep, context, reader.read(observation, Plan(), utc_now()))
        assert (read, found.counts["complete"]) == (expected, 1)
        (sweep.root / "trials/0001/result.json").unlink() if not expected else None
        small_sweeps.end(sweep, 1, "1", message="another reason") if not expected else None


def test_a_trial_opens_with_its_curve_and_the_end_of_its_log(sweep: SweepDir, answer: Answer) -> None:
    job = train(sweep, 3, 7)
    answer([job])
    log = sweep.root / paths.element_log(job.token, 0)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"start\n 10 %\r 90 %\rdone\n\x1b[31mred\x1b[2J\n\xff")
    found = peek(sweep, known(sweep), 3)
    assert found.lines == ["start", "done", "red", "\ufffd"]
    assert (found.state, found.facts, len(found.curve)) == ("running", "epoch 7/100, on node7, job 3", 7)
    failed = peek(sweep, known(sweep), 1)
    assert (failed.state, failed.reason[:4]) == ("failed", "boom")
    assert peek(sweep, known(sweep), 5).log == "no job yet, so there is no log"


def test_a_log_that_is_missing_or_no_file_has_no_lines(sweep: SweepDir, answer: Answer, tmp_path: Path) -> None:
    assert log_tail(tmp_path / "nothing.log") == []
    job = train(sweep, 3, 1)
    answer([job])
    (sweep.root / paths.element_log(job.token, 0)).mkdir(parents=True)
    assert peek(sweep, known(sweep), 3).log.startswith("the log cannot be found: ")


def test_of_a_program_that_names_no_epochs_all_reports_count_and_whole_trainings_are_compared(
    tmp_path: Path, answer: Answer
) -> None:
    yaml = (
        "name: own\ntrainer: {command: 'true {sigma} {out}'}\nspace: {sigma: [1, 2, 3]}\n"
        "study: {metric: rmse, direction: minimize}\nrun: {parallel: 1}\n"
    )
    own = SweepDir(tmp_path / "results" / "own")
    own.create(yaml, "local")
    spec = own.spec()
    own.add_trials([trial_config(spec, {"epochs": 1, "sigma": each}) for each in (1, 2, 3)])
    assert [trial.epochs for trial in known(own).open_trials] == [0, 0, 0]
    small_sweeps.submit(own, 0, "0", (0, 1))
    small_sweeps.claim(own, 0, "0")
    own.end_trial(0, ContractResult(trial=0, seconds=60.0, epochs_run=9, extra={"rmse": 2.5}))
    token = small_sweeps.submit(own, 1, "1", (1, 1))
    small_sweeps.claim(own, 1, "1")
    file = own.root / paths.run_dir(1) / "progress-1-0.jsonl"
    file.write_text("".join(json.dumps({"epoch": epoch, "rmse": 1 / epoch}) + "\n" for epoch in (1, 2, 4)))
    answer([Job("1", token, 0, JobState.RUNNING, "running")])
    found = list(itertools.islice(watch(own, reconciles=False), 2))[-1]
    (trial,) = found.running
    assert (trial.epoch, trial.epochs, trial.latest, trial.best) == (4, 0, 0.25, 0.25)
    assert found.best == BestTrial(0, 2.5)
    assert found.end.seconds is not None
    assert 115 < found.end.seconds[0] <= found.end.seconds[1] <= 120  # the rest of this one, and all of the next one


def test_what_an_open_run_costs_is_known_without_reading_its_files_again(sweep: SweepDir, answer: Answer) -> None:
    answer([train(sweep, 3, 7)])
    queue(sweep, 4)
    resources, now = JobResources(2, 3), (utc_now() + timedelta(hours=1)).timestamp()
    runs = sweep.observe().runs
    for number in (3, 4):
        known_timeline = timeline_of_open(runs[number])
        read = read_timeline(sweep.root / paths.run_dir(number), is_open=True)
        assert known_timeline is not None
        assert read is not None
        assert run_cost(known_timeline, {}, resources, now) == run_cost(read, {}, resources, now)
        assert known_timeline.jobs == read.jobs


def test_the_files_of_a_run_with_several_starts_or_ends_are_read(sweep: SweepDir) -> None:
    train(sweep, 3, 7)
    folder = sweep.root / paths.run_dir(3)
    assert timeline_of_open(sweep.observe().runs[3]) is not None
    (folder / "claims/1-1").write_bytes((folder / "claims/1-0").read_bytes())  # its job was requeued
    assert timeline_of_open(sweep.observe().runs[3]) is None
    (folder / "claims/1-1").unlink()
    small_sweeps.fail(sweep, 3, "boom")
    assert timeline_of_open(sweep.observe().runs[3]) is None
    assert timeline_of_open(sweep.observe().runs[5]) is None  # it has no attempt
