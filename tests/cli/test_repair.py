"""`unetsweep repair`: corrupt files are named, repaired or left to the user, kept as evidence, and found only once."""

import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from local_sweeps import AT_ONCE, UNTIL_RELEASED, Workspace

from unetsweep import contract
from unetsweep.app import repair as use_case
from unetsweep.atomic import append_line, link_json, write_json
from unetsweep.cli.repair import command
from unetsweep.config.load import load
from unetsweep.config.written import as_yaml
from unetsweep.core import paths
from unetsweep.core.actions import Element, Prune
from unetsweep.core.space import grid_points
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import trial_config
from unetsweep.search.journal import export
from unetsweep.store import code_snapshot
from unetsweep.store.reconciler_jobs import ReconcilerJobs
from unetsweep.store.repair import recoveries
from unetsweep.store.repair.sources import Sources
from unetsweep.store.sweep_dir import SweepDir

YAML = "space: {epochs: [8], batch_size: [4], learning_rate: [1e-4, 2e-4, 3e-4]}\n"
CORRUPTIONS = {
    "half": lambda raw: raw[: len(raw) // 2],
    "zeros": lambda raw: b"\0" * len(raw),
    "empty": lambda raw: b"",
    "schema": lambda raw: b'{"schema": 9}',
    "nothing in it": lambda raw: b'{"schema": 1}',
}
AT = "2026-01-01T00:00:00+00:00"
PRESENT = {"cancelled.json", "requeue-1-0.json", "1.retries-reset.json", "result-1.json"}
"""Files without content: only their presence counts."""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SweepSpec:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(YAML + "data: {root: eyes}\n")
    return load(tmp_path / "s.yaml")


@pytest.fixture
def sweep(tmp_path: Path, spec: SweepSpec) -> SweepDir:
    """A sweep with every kind of file: trial 0 is complete, 1 failed and is in its second attempt, 2 runs."""
    made = SweepDir(tmp_path / "results" / "s")
    made.create(as_yaml(spec), "local")
    made.add_trials(
        [trial_config(spec, point) for point in grid_points(spec.space)], {"sampler": "grid", "study_seed": 0}
    )
    token, _ = made.create_attempts([Element(run, 1, ((run, 8),)) for run in range(3)], 2, "local")
    for run in range(3):
        folder = made.root / f"runs/000{run}"
        (folder / "claims").mkdir()
        (folder / "milestones").mkdir()
        (folder / "checkpoints").mkdir()
        made.record_job(run, 1, str(run + 1))
        link_json(folder / "claims/1-0", {"job_id": str(run + 1), "host": "n", "port": 1, "at": AT})
        (made.root / "jobs").mkdir(exist_ok=True)
        link_json(made.root / f"jobs/{run + 1}.json", {"token": token, "index": run})
        record = {"index": run, "job_id": str(run + 1), "host": "n", "boot": "b", "pid": 1, "start_ticks": 1}
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
    made.create_attempts([Element(1, 2, ((1, 8),))], None, "local")
    made.end_attempt(1, 2, "HANG", "no progress")
    made.record_throttle([(2, 1)], 1)
    write_json(made.root / "runs/0001/error-0.json", {"kind": "exception", "message": "no", "attempt": 1})
    write_json(made.root / "runs/0001/requeue-1-0.json", {"reason": "time", "epoch": 1, "at": AT})
    write_json(made.root / "runs/0001/attempts/1.retries-reset.json", {"at": AT})
    made.record_prune(Prune(2, 1, 2, (8,), 1, "worse than most"))
    made.cancel_trial(2)
    made.cancel_sweep()
    reconcilers = ReconcilerJobs(made.root)
    for number in (1, 2):
        reconcilers.create_intent(number)
    reconcilers.record(2, "9")
    reconcilers.mark_lost(1, "refused")
    append_line(made.root / "ledger.jsonl", {"action": "Submit"})
    export(made.root / "study.journal", spec, made.trials())
    code_snapshot.pin(made.root)
    return made


def repair(*options: str) -> Result:
    return CliRunner().invoke(command, ["s", *options], catch_exceptions=False)


def small_files(root: Path) -> list[Path]:
    found = [*root.rglob("*.json"), *root.glob("runs/*/claims/*")]
    return sorted(path for path in found if path.is_file() and "code" not in path.relative_to(root).parts[:1])


def snapshot(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes()
        for p in root.rglob("*")
        if p.is_file() and not p.name.endswith(".corrupt")
    }


def test_an_undamaged_sweep_has_no_finding(sweep: SweepDir):
    before = snapshot(sweep.root)
    done = repair()
    assert (done.exit_code, done.output) == (0, "s: 0 repaired, 0 need your attention\n")
    assert snapshot(sweep.root) == before


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_every_small_file_is_repaired_and_the_sweep_can_be_read_again(sweep: SweepDir, corruption: str):
    backup = sweep.root.with_name("backup")
    shutil.copytree(sweep.root, backup)
    files = small_files(sweep.root)
    for path in files if corruption == "half" else files[:: len(files) // 8]:
        name = str(path.relative_to(sweep.root))
        if corruption == "nothing in it" and path.name in PRESENT:
            continue
        path.write_bytes(CORRUPTIONS[corruption](path.read_bytes()))
        done = repair()
        assert done.exit_code == 0, (name, done.output)
        assert any(line.startswith(f"{name}: ") for line in done.output.splitlines()), (name, done.output)
        again = repair()
        assert (again.exit_code, again.output) == (0, "s: 0 repaired, 0 need your attention\n"), (name, again.output)
        observation = sweep.observe()
        assert not any(run.unreadable for run in observation.runs.values()), name
        assert not any(trial.unreadable for trial in sweep.trials()), name
        assert list(path.parent.glob(f"{path.name}*.corrupt")), f"no evidence of {name} was kept"
        restore(sweep.root, backup)


def restore(root: Path, backup: Path) -> None:
    """Restore everything except the copies of the package: those are most of the files, and no repair touches them."""
    for path in root.iterdir():
        if path.is_dir() and path.name != paths.CODE:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()
    shutil.copytree(backup, root, ignore=shutil.ignore_patterns(paths.CODE), dirs_exist_ok=True)


def test_a_dry_run_names_every_corrupt_file_and_changes_nothing(sweep: SweepDir):
    for path in small_files(sweep.root)[::4]:
        path.write_bytes(b"{")
    before = snapshot(sweep.root)
    done = repair("--dry-run")
    for path in small_files(sweep.root)[::4]:
        assert str(path.relative_to(sweep.root)) in done.output
    assert snapshot(sweep.root) == before


def fields(path: Path, *names: str) -> dict[str, object]:
    """These fields of a JSON file."""
    raw = json.loads(path.read_bytes())
    return {name: raw[name] for name in names}


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("trials/0001/trial.json", ("trial", "params", "config_id", "run", "epochs", "sampler", "study_seed")),
        ("trials/0001/config.json", ("data", "epochs", "learning_rate", "model", "trainer", "processes")),
        ("trials/0000/result.json", ("state", "val_iou", "epochs", "job_id")),
        ("runs/0002/attempts/1.json", ("run", "attempt", "token", "index", "trials", "throttle")),
        ("runs/0001/claims/1-0", ("job_id",)),
        ("jobs/2.json", ("token", "index")),
        ("sweep.json", ("executor",)),
    ],
)
def test_a_rebuilt_file_has_the_same_content_as_before(sweep: SweepDir, name: str, keys: tuple[str, ...]):
    before = fields(sweep.root / name, *keys)
    (sweep.root / name).write_bytes(b"{")
    assert repair().exit_code == 0
    assert fields(sweep.root / name, *keys) == before


def test_a_submission_is_rebuilt_from_its_attempts(sweep: SweepDir):
    token = json.loads((sweep.root / "runs/0000/attempts/1.json").read_bytes())["token"]
    before = sweep.read_submission(token).elements
    (sweep.root / f"submissions/{token}/intent.json").write_bytes(b"")
    assert repair().exit_code == 0
    assert sweep.read_submission(token).elements == before == ((0, 1), (1, 1), (2, 1))


def test_a_config_that_does_not_follow_from_sweep_yaml_needs_the_user(sweep: SweepDir, spec: SweepSpec):
    trial = sweep.root / "trials/0001/trial.json"
    raw = json.loads(trial.read_bytes())
    write_json(trial, {**raw, "config_id": "0" * 64})
    (sweep.root / "trials/0001/config.json").write_bytes(b"")
    done = repair()
    assert done.exit_code == 1
    assert "needs your attention" in done.output
    assert (sweep.root / "trials/0001/config.json").read_bytes() == b""


def test_a_trial_without_readable_files_needs_the_user_and_the_rest_is_repaired(sweep: SweepDir):
    for name in ("trials/0001/trial.json", "trials/0001/config.json", "trials/0002/trial.json"):
        (sweep.root / name).write_bytes(b"\0\0\0")
    done = repair()
    assert done.exit_code == 1
    assert "trials/0002/trial.json" in done.output
    assert "1 repaired, 1 needs your attention" in done.output
    assert repair().exit_code == 1


def test_an_unreadable_sweep_file_needs_the_user(sweep: SweepDir):
    (sweep.root / "sweep.yaml").write_bytes(b"\0" * 50)
    done = repair()
    assert done.exit_code == 1
    assert "unetsweep submit" in done.output
    assert not (sweep.root / "sweep.yaml").exists()
    assert repair().exit_code == 1


def test_corrupt_lines_are_removed_from_logs_and_the_original_is_kept(sweep: SweepDir):
    progress, ledger = sweep.root / "runs/0001/progress-1-0.jsonl", sweep.root / "ledger.jsonl"
    whole = progress.read_bytes()
    progress.write_bytes(b'{"epo\n' + whole + b'{"schema": 1, "ep')
    ledger.write_bytes(b"\0\0\0\n" + ledger.read_bytes())
    live = sweep.root / "runs/0002/progress-1-0.jsonl"  # its training may still write to it
    live.write_bytes(live.read_bytes() + b'{"schema": 1, "ep')
    assert repair().exit_code == 0
    assert progress.read_bytes() == whole
    assert b"\0" not in ledger.read_bytes()
    assert live.read_bytes().endswith(b'"ep')
    assert len(list(sweep.root.rglob("*.corrupt"))) == 2


@pytest.mark.parametrize("content", [b"\0" * 300, b"", b"{]\n"])
def test_an_unreadable_journal_is_rebuilt(sweep: SweepDir, content: bytes):
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    (sweep.root / "study.journal").write_bytes(content)
    assert repair().exit_code == 0
    study = optuna.load_study(
        study_name="s", storage=JournalStorage(JournalFileBackend(str(sweep.root / "study.journal")))
    )
    assert [trial.user_attrs["trial"] for trial in study.trials] == [0]
    assert "0 repaired" in repair().output


def test_leftovers_are_deleted_when_they_are_old(sweep: SweepDir):
    old, fresh = sweep.root / "trials/.0003.ab12.tmp", sweep.root / "runs/0001/attempts/.3.json.ab12.tmp"
    old.mkdir()
    (old / "config.json").write_text("{")
    fresh.write_text("{")
    theirs = sweep.root / "runs/0001/model.tmp"
    theirs.write_text("a file of the trainer")
    for path in (old / "config.json", old, theirs):
        os.utime(path, (time.time() - 7200,) * 2)
    assert repair().exit_code == 0
    assert (old.exists(), fresh.exists(), theirs.exists()) == (False, True, True)


@pytest.mark.parametrize(
    "corrupt", [lambda raw: raw[:-100], lambda raw: b"", lambda raw: raw[:2000] + b"\0" * 1000 + raw[3000:]]
)
def test_a_corrupt_checkpoint_is_quarantined(sweep: SweepDir, corrupt):
    last = sweep.root / "runs/0002/checkpoints/last.ckpt"
    last.write_bytes(corrupt(last.read_bytes()))
    done = repair()
    assert "the run starts from the beginning; its epochs 1 to 1 are lost" in done.output
    assert (last.exists(), last.with_name("last.ckpt.corrupt").exists()) == (False, True)


def test_a_corrupt_attempt_without_a_submission_is_marked_lost(sweep: SweepDir):
    token = json.loads((sweep.root / "runs/0002/attempts/1.json").read_bytes())["token"]
    shutil.rmtree(sweep.root / f"submissions/{token}")
    (sweep.root / "runs/0002/attempts/1.json").write_bytes(b"")
    assert repair().exit_code == 0
    last = sweep.observe().runs[2].last
    assert last is not None
    assert last.lost == "its intent file was corrupt"


def test_a_repair_that_was_killed_between_two_files_can_be_repeated(sweep: SweepDir, monkeypatch: pytest.MonkeyPatch):
    for path in small_files(sweep.root)[::3]:
        path.write_bytes(b"{")
    real, calls = recoveries.write_record, []

    def write_and_die(*args: object) -> None:
        real(*args)  # type: ignore[arg-type]
        calls.append(1)
        raise KeyboardInterrupt

    while True:
        monkeypatch.setattr(recoveries, "write_record", write_and_die)
        before = len(calls)
        CliRunner().invoke(command, ["s"])
        (sweep.root / "lease").unlink(missing_ok=True)
        if len(calls) == before:
            break
    monkeypatch.setattr(recoveries, "write_record", real)
    assert len(calls) > 3
    repair()
    assert repair().output == "s: 0 repaired, 0 need your attention\n"


def test_a_training_with_a_corrupt_process_record_is_found_and_not_started_again(tmp_path: Path):
    workspace = Workspace(tmp_path / "here")
    workspace.trainer(UNTIL_RELEASED)
    sweep = workspace.grid(1)
    workspace.submit(sweep)
    workspace.wait(lambda: workspace.notes("begin"))
    (record,) = workspace.root().glob("submissions/*/0.process.json")
    whole = json.loads(record.read_bytes())
    record.write_bytes(b"")
    (trial,) = workspace.status()["trials"]
    assert "unetsweep repair" in trial["reason"]
    workspace.submit(sweep)
    assert "its supervisor, process" in workspace.run("repair", "s").stdout
    assert json.loads(record.read_bytes()) == whole | {"suspended_s": None}  # only the job knew it
    workspace.submit(sweep)
    (workspace.folder / "go").touch()
    assert [result["state"] for result in workspace.wait_ended(1)] == ["complete"]
    assert len(workspace.notes("begin")) == 1


def test_a_corrupt_copy_of_the_package_is_quarantined(sweep: SweepDir):
    code = code_snapshot.pinned(sweep.root)
    assert code is not None
    (code / "unetsweep/package.py").write_bytes(b"")
    assert "run the installed package" in repair().output
    assert code_snapshot.pinned(sweep.root) is None


def test_after_a_repair_submit_continues_the_sweep(tmp_path: Path):
    workspace = Workspace(tmp_path)
    workspace.trainer(AT_ONCE)
    sweep = workspace.grid(3)
    workspace.submit(sweep)
    workspace.wait_ended(3)
    for name in ("trials/0000/trial.json", "trials/0001/config.json", "trials/0002/result.json", "sweep.json"):
        path = workspace.root() / name
        path.write_bytes(path.read_bytes()[:10])
    workspace.run("repair", "s")
    workspace.submit(workspace.grid(5))
    results = workspace.wait_ended(5)
    assert [result["state"] for result in results] == ["complete"] * 5
    assert len(workspace.notes("begin")) == 5


def test_a_reconciliation_that_is_requested_during_a_repair_follows_it(
    sweep: SweepDir, monkeypatch: pytest.MonkeyPatch
):
    walks: list[int] = []
    reconciliations: list[Path] = []

    def find_damage(sources: Sources, _: object) -> Iterator[object]:
        walks.append(1)
        (sources.root / f"{paths.LEASE}.mark-0").touch()
        yield from ()

    monkeypatch.setattr(use_case, "find_damage", find_damage)
    monkeypatch.setattr(use_case, "reconcile_sweep", lambda root, *_, **__: reconciliations.append(root))
    assert repair().output == "s: 0 repaired, 0 need your attention\n"
    assert (len(walks), reconciliations) == (1, [sweep.root])


@pytest.mark.parametrize("name", ["claims", "milestones"])
def test_a_file_instead_of_a_folder_of_a_run_is_quarantined(sweep: SweepDir, name: str):
    folder = sweep.root / "runs/0002" / name
    shutil.rmtree(folder)
    folder.write_text("")
    assert sweep.observe().runs[2].unreadable is not None
    assert f"runs/0002/{name}: found a file, not a folder: quarantined as {name}.corrupt" in repair().output
    assert sweep.observe().runs[2].unreadable is None


def test_a_folder_instead_of_a_claim_is_kept_and_the_claim_is_rebuilt(sweep: SweepDir):
    claim = sweep.root / "runs/0002/claims/1-0"
    claim.unlink()
    claim.mkdir()
    (claim / "evidence").touch()
    assert repair().exit_code == 0
    assert json.loads(claim.read_bytes())["job_id"] == "3"
    assert (claim.with_name("1-0.corrupt") / "evidence").exists()


def test_progress_of_another_schema_is_removed_and_lines_with_nan_stay(sweep: SweepDir):
    progress = sweep.root / "runs/0001/progress-1-0.jsonl"
    good = progress.read_text() + '{"schema": 1, "epoch": 2, "val_iou": 0.4, "val_loss": NaN}\n'
    progress.write_text(good + '{"schema": 9, "epoch": 3}\n')
    assert sweep.observe().runs[1].unreadable is not None
    assert "1 corrupt line: removed" in repair().output
    assert progress.read_text() == good
    assert [point.epoch for point in sweep.progress(1)] == [1, 2]


def test_a_submission_is_not_rebuilt_from_a_misplaced_attempt(sweep: SweepDir):
    first = sweep.root / "runs/0000/attempts/1.json"
    token = json.loads(first.read_bytes())["token"]
    shutil.copy(first, sweep.root / "runs/0002/attempts/1.json")
    (sweep.root / f"submissions/{token}/intent.json").write_bytes(b"")
    assert repair().exit_code == 0
    assert sweep.read_submission(token).elements == ((0, 1), (1, 1))
    assert repair().output == "s: 0 repaired, 0 need your attention\n"


def test_a_corrupt_sweep_file_is_kept_and_counts_once(sweep: SweepDir):
    (sweep.root / "sweep.yaml").write_text("name: [")
    done = repair("--dry-run")
    assert "would be quarantined as sweep.yaml.corrupt: needs your attention: run `unetsweep submit`" in done.output
    assert done.output.endswith("s: 0 would be repaired, 1 needs your attention\n")
    assert repair().output.endswith("s: 0 repaired, 1 needs your attention\n")
    assert (sweep.root / "sweep.yaml.corrupt").read_text() == "name: ["


def test_files_of_the_user_are_not_changed(sweep: SweepDir):
    for name in ("runs/0001/notes.json", "runs/0001/milestones/mine.json", "trials/0001/notes.txt", "mine.json"):
        (sweep.root / name).write_text("{")
    assert repair().output == "s: 0 repaired, 0 need your attention\n"


@pytest.mark.parametrize("name", ["runs", "runs/0002", "runs/0002/attempts"])
def test_linked_folders_of_a_sweep_are_checked_and_other_links_are_not_followed(sweep: SweepDir, name: str):
    elsewhere = sweep.root.with_name("elsewhere")
    (sweep.root / name).rename(elsewhere)
    (sweep.root / name).symlink_to(elsewhere)
    (sweep.root / "runs/0001/loop").symlink_to(sweep.root)
    (sweep.root / "runs/0002/attempts/1.json").write_text("{")
    assert "runs/0002/attempts/1.json: " in repair().output
    assert repair().output == "s: 0 repaired, 0 need your attention\n"
