"""Torn files of every kind: named, mended or left to the user, kept as evidence, and found no second time."""

import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from local_sweeps import AT_ONCE, UNTIL_TOLD, Place

from unetsweep import contract
from unetsweep.atomic import append_line, link_json, write_json
from unetsweep.cli import repair as repair_command
from unetsweep.cli.repair import command
from unetsweep.config.load import load
from unetsweep.config.written import as_yaml
from unetsweep.core import paths
from unetsweep.core.actions import Element, Prune
from unetsweep.core.spec import SweepSpec, grid_points
from unetsweep.core.trials import trial_config
from unetsweep.search.journal import export
from unetsweep.store import code_snapshot
from unetsweep.store.reconciler_jobs import ReconcilerJobs
from unetsweep.store.sweep_dir import SweepDir

YAML = "space: {epochs: [8], batch_size: [4], learning_rate: [1e-4, 2e-4, 3e-4]}\n"
TEARS = {
    "half": lambda raw: raw[: len(raw) // 2],
    "zeros": lambda raw: b"\0" * len(raw),
    "empty": lambda raw: b"",
    "schema": lambda raw: b'{"schema": 9}',
    "nothing in it": lambda raw: b'{"schema": 1}',
}
AT = "2026-01-01T00:00:00+00:00"
PRESENT = {"cancelled.json", "stopped.json", "requeue-1-0.json", "1.retries-reset.json", "result-1.json"}
"""Their being there says it all."""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepSpec:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(YAML + "data: {root: eyes}\n")
    return load(tmp_path / "s.yaml")


@pytest.fixture
def sweep(tmp_path: Path, spec: SweepSpec) -> SweepDir:
    """One of everything: trial 0 is complete, 1 failed and is at its second attempt, 2 runs."""
    made = SweepDir(tmp_path / "results" / "s")
    made.create(as_yaml(spec), "local")
    made.add_trials([trial_config(spec, point) for point in grid_points(spec.space)], {"sampler": "grid", "seed": 0})
    token, _ = made.intend([Element(run, 1, ((run, 8),)) for run in range(3)], 2, "local")
    for run in range(3):
        folder = made.root / f"runs/000{run}"
        (folder / "claims").mkdir()
        (folder / "milestones").mkdir()
        (folder / "checkpoints").mkdir()
        made.record_job(run, 1, str(run + 1))
        link_json(folder / "claims/1-0", {"job_id": str(run + 1), "host": "n", "port": 1, "at": AT})
        (made.root / "jobs").mkdir(exist_ok=True)
        link_json(made.root / f"jobs/{run + 1}.json", {"token": token, "index": run})
        record = {"index": run, "job_id": str(run + 1), "host": "n", "boot": "b", "pid": 1, "start": 1}
        link_json(made.root / f"submissions/{token}/{run}.process.json", record)
        (folder / "progress-1-0.jsonl").write_text('{"schema": 1, "epoch": 1, "val_iou": 0.5}\n')
        with zipfile.ZipFile(folder / "checkpoints/last.ckpt", "w") as archive:
            archive.writestr("weights", os.urandom(5000))
        if run < 2:
            made.record_exit(run, 1, 0, run, None)
    result = contract.Result(val_iou=0.5, job_id="1", epochs=8)
    write_json(made.root / "runs/0000/milestones/8.json", contract.encode(result))
    made.end_trial(0, result)
    made.mark_lost(1, 1, "its node died", cause="NODE")
    made.intend([Element(1, 2, ((1, 8),))], None, "local")
    made.end_attempt(1, 2, "HANG", "no progress")
    write_json(made.root / "runs/0001/error-0.json", {"kind": "exception", "message": "no", "attempt": 1})
    write_json(made.root / "runs/0001/requeue-1-0.json", {"reason": "time", "epoch": 1, "at": AT})
    write_json(made.root / "runs/0001/attempts/1.retries-reset.json", {"at": AT})
    made.stop_run(Prune(2, 1, 2, (8,), 1, "worse than most"))
    made.cancel(2)
    made.stop()
    reconcilers = ReconcilerJobs(made.root)
    for number in (1, 2):
        reconcilers.intend(number)
    reconcilers.record(2, "9")
    reconcilers.mark_lost(1, "refused")
    append_line(made.root / "ledger.jsonl", {"action": "Submit"})
    export(made.root / "study.journal", spec, made.trials())
    code_snapshot.pin(made.root)
    return made


def repair(*words: str) -> Result:
    return CliRunner().invoke(command, ["s", *words], catch_exceptions=False)


def small_files(root: Path) -> list[Path]:
    found = [*root.rglob("*.json"), *root.glob("runs/*/claims/*")]
    return sorted(path for path in found if path.is_file() and "code" not in path.relative_to(root).parts[:1])


def snapshot(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in root.rglob("*")
        if p.is_file() and not p.name.endswith(".corrupt")
    }


def test_a_whole_sweep_has_no_finding(sweep: SweepDir):
    before = snapshot(sweep.root)
    done = repair()
    assert (done.exit_code, done.output) == (0, "s: 0 mended, 0 need you\n")
    assert snapshot(sweep.root) == before


@pytest.mark.parametrize("tear", TEARS)
def test_every_small_file_is_mended_and_the_sweep_can_be_looked_at_again(sweep: SweepDir, tear: str):
    backup = sweep.root.with_name("backup")
    shutil.copytree(sweep.root, backup)
    files = small_files(sweep.root)
    for path in files if tear == "half" else files[:: len(files) // 8]:
        name = str(path.relative_to(sweep.root))
        if tear == "nothing in it" and path.name in PRESENT:
            continue
        path.write_bytes(TEARS[tear](path.read_bytes()))
        done = repair()
        assert done.exit_code == 0, (name, done.output)
        assert any(line.startswith(f"{name}: ") for line in done.output.splitlines()), (name, done.output)
        again = repair()
        assert (again.exit_code, again.output) == (0, "s: 0 mended, 0 need you\n"), (name, again.output)
        seen = sweep.look()
        assert not any(run.unreadable for run in seen.runs.values()), name
        assert not any(trial["unreadable"] for trial in sweep.trials()), name
        assert list(path.parent.glob(f"{path.name}*.corrupt")), f"no evidence of {name} was kept"
        as_it_was(sweep.root, backup)


def as_it_was(root: Path, backup: Path) -> None:
    """All but the copy of the package, which no repair of another file touches, and which is most of the files."""
    for path in root.iterdir():
        if path.is_dir() and path.name != paths.CODE:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()
    shutil.copytree(backup, root, ignore=shutil.ignore_patterns(paths.CODE), dirs_exist_ok=True)


def test_a_dry_run_names_everything_and_touches_nothing(sweep: SweepDir):
    for path in small_files(sweep.root)[::4]:
        path.write_bytes(b"{")
    before = snapshot(sweep.root)
    done = repair("--dry-run")
    for path in small_files(sweep.root)[::4]:
        assert str(path.relative_to(sweep.root)) in done.output
    assert snapshot(sweep.root) == before


def same(path: Path, *names: str) -> dict[str, object]:
    raw = json.loads(path.read_bytes())
    return {name: raw[name] for name in names}


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("trials/0001/trial.json", ("trial", "params", "config_id", "runs", "sampler", "seed")),
        ("trials/0001/config.json", ("data", "epochs", "learning_rate", "model", "trainer", "processes")),
        ("trials/0000/result.json", ("state", "val_iou", "epochs", "job_id")),
        ("runs/0002/attempts/1.json", ("run", "attempt", "token", "index", "milestones", "throttle")),
        ("runs/0001/claims/1-0", ("job_id",)),
        ("jobs/2.json", ("token", "index")),
        ("sweep.json", ("executor",)),
    ],
)
def test_what_can_be_rebuilt_says_the_same_as_before(sweep: SweepDir, name: str, keys: tuple[str, ...]):
    before = same(sweep.root / name, *keys)
    (sweep.root / name).write_bytes(b"{")
    assert repair().exit_code == 0
    assert same(sweep.root / name, *keys) == before


def test_a_submission_is_rebuilt_from_its_attempts(sweep: SweepDir):
    token = json.loads((sweep.root / "runs/0000/attempts/1.json").read_bytes())["token"]
    before = sweep.intent(token)["elements"]
    (sweep.root / f"submissions/{token}/intent.json").write_bytes(b"")
    assert repair().exit_code == 0
    assert sweep.intent(token)["elements"] == before == [[0, 1], [1, 1], [2, 1]]


def test_a_config_that_sweep_yaml_no_longer_asks_for_needs_the_user(sweep: SweepDir, spec: SweepSpec):
    trial = sweep.root / "trials/0001/trial.json"
    raw = json.loads(trial.read_bytes())
    write_json(trial, {**raw, "config_id": "0" * 64})
    (sweep.root / "trials/0001/config.json").write_bytes(b"")
    done = repair()
    assert done.exit_code == 1
    assert "needs you" in done.output
    assert (sweep.root / "trials/0001/config.json").read_bytes() == b""


def test_a_trial_of_which_nothing_is_left_needs_the_user_and_the_rest_is_mended(sweep: SweepDir):
    for name in ("trials/0001/trial.json", "trials/0001/config.json", "trials/0002/trial.json"):
        (sweep.root / name).write_bytes(b"\0\0\0")
    done = repair()
    assert done.exit_code == 1
    assert "trials/0002/trial.json" in done.output
    assert "1 mended, 1 need you" in done.output
    assert repair().exit_code == 1


def test_a_sweep_file_that_cannot_be_read_is_asked_for(sweep: SweepDir):
    (sweep.root / "sweep.yaml").write_bytes(b"\0" * 50)
    done = repair()
    assert done.exit_code == 1
    assert "unetsweep submit" in done.output
    assert not (sweep.root / "sweep.yaml").exists()
    assert repair().exit_code == 1


def test_torn_lines_are_left_out_of_logs_and_the_file_as_it_was_is_kept(sweep: SweepDir):
    progress, ledger = sweep.root / "runs/0001/progress-1-0.jsonl", sweep.root / "ledger.jsonl"
    whole = progress.read_bytes()
    progress.write_bytes(b'{"epo\n' + whole + b'{"schema": 1, "ep')
    ledger.write_bytes(b"\0\0\0\n" + ledger.read_bytes())
    live = sweep.root / "runs/0002/progress-1-0.jsonl"  # its training may be writing it
    live.write_bytes(live.read_bytes() + b'{"schema": 1, "ep')
    assert repair().exit_code == 0
    assert progress.read_bytes() == whole
    assert b"\0" not in ledger.read_bytes()
    assert live.read_bytes().endswith(b'"ep')
    assert len(list(sweep.root.rglob("*.corrupt"))) == 2


@pytest.mark.parametrize("content", [b"\0" * 300, b"", b"{]\n"])
def test_an_unreadable_journal_is_made_anew(sweep: SweepDir, content: bytes):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    (sweep.root / "study.journal").write_bytes(content)
    assert repair().exit_code == 0
    study = optuna.load_study(
        study_name="s", storage=JournalStorage(JournalFileBackend(str(sweep.root / "study.journal")))
    )
    assert [trial.user_attrs["trial"] for trial in study.trials] == [0]
    assert "0 mended" in repair().output


def test_leftovers_are_taken_away_when_they_are_old(sweep: SweepDir):
    old, fresh = sweep.root / "trials/.0003.ab12.tmp", sweep.root / "runs/0001/attempts/.3.json.ab12.tmp"
    old.mkdir()
    (old / "config.json").write_text("{")
    fresh.write_text("{")
    theirs = sweep.root / "runs/0001/model.tmp"
    theirs.write_text("a program's own")
    for path in (old / "config.json", old, theirs):
        os.utime(path, (time.time() - 7200,) * 2)
    assert repair().exit_code == 0
    assert (old.exists(), fresh.exists(), theirs.exists()) == (False, True, True)


@pytest.mark.parametrize(
    "tear", [lambda raw: raw[:-100], lambda raw: b"", lambda raw: raw[:2000] + b"\0" * 1000 + raw[3000:]]
)
def test_a_torn_checkpoint_is_moved_aside(sweep: SweepDir, tear):
    last = sweep.root / "runs/0002/checkpoints/last.ckpt"
    last.write_bytes(tear(last.read_bytes()))
    done = repair()
    assert "trains anew; lost are its epochs 1 to 1" in done.output
    assert (last.exists(), last.with_name("last.ckpt.corrupt").exists()) == (False, True)


def test_an_attempt_that_no_submission_tells_of_is_given_up(sweep: SweepDir):
    token = json.loads((sweep.root / "runs/0002/attempts/1.json").read_bytes())["token"]
    shutil.rmtree(sweep.root / f"submissions/{token}")
    (sweep.root / "runs/0002/attempts/1.json").write_bytes(b"")
    assert repair().exit_code == 0
    last = sweep.look().runs[2].last
    assert last is not None
    assert last.lost == "its intent was torn"


def test_a_repair_that_dies_between_two_mends_is_made_again(sweep: SweepDir, monkeypatch: pytest.MonkeyPatch):
    from unetsweep.store import repairs

    for path in small_files(sweep.root)[::3]:
        path.write_bytes(b"{")
    keep, calls = repairs.write_json, []

    def dying(*args: object) -> None:
        keep(*args)  # type: ignore[arg-type]
        calls.append(1)
        raise KeyboardInterrupt

    while True:
        monkeypatch.setattr(repairs, "write_json", dying)
        before = len(calls)
        CliRunner().invoke(command, ["s"])
        (sweep.root / "lease").unlink(missing_ok=True)
        if len(calls) == before:
            break
    monkeypatch.setattr(repairs, "write_json", keep)
    assert len(calls) > 3
    repair()
    assert repair().output == "s: 0 mended, 0 need you\n"


def test_a_training_whose_record_is_torn_is_found_at_work_and_not_sent_again(tmp_path: Path):
    place = Place(tmp_path / "here")
    place.trainer(UNTIL_TOLD)
    sweep = place.grid(1)
    place.submit(sweep)
    place.wait(lambda: place.notes("begin"))
    (record,) = place.root().glob("submissions/*/0.process.json")
    whole = json.loads(record.read_bytes())
    record.write_bytes(b"")
    (trial,) = place.status()["trials"]
    assert "unetsweep repair" in trial["reason"]
    place.submit(sweep)
    assert "its supervisor, process" in place.run("repair", "s").stdout
    assert json.loads(record.read_bytes()) == whole
    place.submit(sweep)
    (place.folder / "go").touch()
    assert [result["state"] for result in place.wait_ended(1)] == ["complete"]
    assert len(place.notes("begin")) == 1


def test_a_pinned_copy_that_is_torn_is_moved_aside(sweep: SweepDir):
    code = code_snapshot.pinned(sweep.root)
    assert code is not None
    (code / "unetsweep/worker/rank.py").write_bytes(b"")
    assert "run the installed one" in repair().output
    assert code_snapshot.pinned(sweep.root) is None


def test_after_a_repair_submit_goes_on(tmp_path: Path):
    place = Place(tmp_path)
    place.trainer(AT_ONCE)
    sweep = place.grid(3)
    place.submit(sweep)
    place.wait_ended(3)
    for name in ("trials/0000/trial.json", "trials/0001/config.json", "trials/0002/result.json", "sweep.json"):
        path = place.root() / name
        path.write_bytes(path.read_bytes()[:10])
    place.run("repair", "s")
    place.submit(place.grid(5))
    results = place.wait_ended(5)
    assert [result["state"] for result in results] == ["complete"] * 5
    assert len(place.notes("begin")) == 5


def test_who_asked_for_a_pass_while_repair_was_at_work_gets_one(sweep: SweepDir, monkeypatch: pytest.MonkeyPatch):
    looks: list[int] = []
    passes: list[SweepDir] = []

    def findings(directory: SweepDir) -> Iterator[object]:
        looks.append(1)
        (directory.root / f"{paths.LEASE}.mark-0").touch()
        yield from ()

    monkeypatch.setattr(repair_command, "_findings", findings)
    monkeypatch.setattr(repair_command, "_pass", passes.append)
    assert repair().output == "s: 0 mended, 0 need you\n"
    assert (len(looks), len(passes)) == (1, 1)
