"""`unetsweep sync` with real archives of comet_ml and a fake upload command, which accepts or refuses them."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import fake_trackers
import pytest
from click.testing import CliRunner, Result

from unetsweep.cli.sync import command
from unetsweep.config.written import as_yaml
from unetsweep.contract import DataConfig, TrainerConfig, TrialConfig, dumps, encode
from unetsweep.contract import Result as Scores
from unetsweep.core.space import Choices, Space
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import TrackerError, UsageError
from unetsweep.store.sweep_dir import SweepDir
from unetsweep.training.trackers import table
from unetsweep.training.trackers.comet import Comet
from unetsweep.training.trackers.export import read_export

pytestmark = pytest.mark.train

COMET = Comet()
KEY = "aSecretApiKeyOfNobody0123"
LINE = {"train_loss": 0.5, "val_iou": 0.25, "val_loss": 0.75, "learning_rate": 1e-3, "seconds": 1.0, "at": "now"}
UPLOADER = """
import os, sys
with open(os.environ["FAKE_LOG"], "a") as log:
    print(sys.argv[1:], file=log)
if os.path.exists(os.environ["FAKE_LOG"] + ".refuse"):
    print("COMET ERROR: no such workspace for", os.environ["COMET_API_KEY"], file=sys.stderr)
    sys.exit(1)
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The log of the fake uploader's calls. A server listens at Comet's address, and a key is set."""
    scripts = tmp_path / "fake" / "comet_ml" / "scripts"
    scripts.mkdir(parents=True)
    for name, text in (("../__init__.py", ""), ("__init__.py", ""), ("comet_upload.py", UPLOADER)):
        (scripts / name).write_text(text)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "calls"))
    monkeypatch.setenv("COMET_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("COMET_URL_OVERRIDE", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield tmp_path / "calls"


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDir:
    return make_sweep(tmp_path, TrainerConfig())


def make_sweep(tmp_path: Path, trainer: TrainerConfig) -> SweepDir:
    """The sweep `eyes`: one run that was killed after epoch 2, one that is complete, one that has not begun."""
    data = DataConfig(root=str(tmp_path))
    directory = SweepDir(tmp_path / "results" / "eyes")
    directory.create(
        as_yaml(
            SweepSpec(
                "eyes",
                data,
                Space.of(epochs=Choices((1, 2, 4)), batch_size=Choices((4,)), learning_rate=Choices((1e-3,))),
            )
        ),
        "local",
    )
    directory.add_trials(
        [TrialConfig(data, epochs, 4, 1e-3, trainer=trainer) for epochs in (4, 1, 2)], {"sampler": "grid"}
    )
    for run, epochs in ((0, 2), (1, 1)):
        folder = directory.root / f"runs/{run:04d}"
        folder.mkdir(parents=True)
        lines = [json.dumps({"epoch": epoch, **LINE}) + "\n" for epoch in range(1, epochs + 1)]
        (folder / "progress-1-0.jsonl").write_text("".join(lines))
    (folder / "milestones").mkdir()
    (folder / "milestones" / "1.json").write_text(dumps(encode(Scores(val_iou=0.5, best_epoch=1))))
    return directory


def sync(sweep: SweepDir) -> Result:
    return CliRunner().invoke(command, [str(sweep.root)])


def archives(sweep: SweepDir) -> list[Path]:
    return sorted(sweep.root.glob("runs/*/comet/*.zip"))


def test_every_run_that_has_begun_is_uploaded_once(sweep: SweepDir, log: Path) -> None:
    done = sync(sweep)
    assert done.exit_code == 0, done.output
    made = archives(sweep)
    assert [path.parent.parent.name for path in made] == ["0000", "0001"]
    assert log.read_text().splitlines() == [str([str(path)]) for path in made]
    assert all(COMET.is_uploaded(path) for path in made)
    assert sync(sweep).exit_code == 0
    assert len(log.read_text().splitlines()) == 2
    with (sweep.root / "runs/0000/progress-2-0.jsonl").open("w") as stream:
        stream.write(json.dumps({"epoch": 3, **LINE}) + "\n")
    assert sync(sweep).exit_code == 0
    assert log.read_text().splitlines()[2:] == [str([str(archives(sweep)[0])])]
    assert archives(sweep)[0] not in made


def test_the_archive_is_the_one_that_the_job_would_have_left(sweep: SweepDir, log: Path) -> None:
    assert sync(sweep).exit_code == 0
    config = TrialConfig(DataConfig(root=str(sweep.root.parent.parent)), 4, 4, 1e-3)
    export = read_export(config, sweep.root / "runs/0000", "eyes/0000")
    assert archives(sweep)[0].name == f"{export.file_stem}.zip"


def test_a_run_of_several_trials_is_exported_with_the_config_of_the_longest(sweep: SweepDir, log: Path) -> None:
    shared = sweep.root / "trials/0001/trial.json"
    shared.write_text(dumps({**json.loads(shared.read_text()), "run": 0, "epochs": 1}))
    assert sync(sweep).exit_code == 0
    config = TrialConfig(DataConfig(root=str(sweep.root.parent.parent)), 4, 4, 1e-3)
    export = read_export(config, sweep.root / "runs/0000", "eyes/0000")
    assert [path.name for path in archives(sweep)] == [f"{export.file_stem}.zip"]


def test_archives_that_comet_refuses_are_kept_and_uploaded_later(sweep: SweepDir, log: Path) -> None:
    refuse = Path(f"{log}.refuse")
    refuse.touch()
    done = sync(sweep)
    assert isinstance(done.exception, TrackerError)
    assert done.exception.exit_status == 75
    assert "2 of 2" in str(done.exception)
    assert "no such workspace for ***" in str(done.exception)
    assert len(archives(sweep)) == 2
    assert not any(COMET.is_uploaded(path) for path in archives(sweep))
    refuse.unlink()
    assert sync(sweep).exit_code == 0
    assert all(COMET.is_uploaded(path) for path in archives(sweep))


@pytest.mark.parametrize(
    ("variable", "value", "kind", "status", "message"),
    [
        ("COMET_API_KEY", "", UsageError, 2, "COMET_API_KEY is not set"),
        ("COMET_URL_OVERRIDE", "http://comet.invalid", TrackerError, 75, "did not answer"),
    ],
)
def test_without_a_key_or_a_network_the_archives_exist_and_are_not_marked_as_uploaded(
    variable: str, value: str, kind: type, status: int, message: str, sweep: SweepDir, log: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv(variable, value)
    done = sync(sweep)
    assert isinstance(done.exception, kind)
    assert done.exception.exit_status == status  # type: ignore[attr-defined]
    assert message in str(done.exception)
    assert len(archives(sweep)) == 2
    assert not any(COMET.is_uploaded(path) for path in archives(sweep))
    assert not log.exists()


def test_every_tracker_that_the_sweep_switches_on_gets_the_runs_even_if_another_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trackers = {
        "failing": fake_trackers.FailingTracker(tmp_path / "no-server"),
        "folder": fake_trackers.FolderTracker(tmp_path / "server"),
    }
    monkeypatch.setattr(table, "TRACKERS", trackers)
    done = sync(make_sweep(tmp_path, TrainerConfig(comet="offline")))
    assert isinstance(done.exception, TrackerError)
    assert str(done.exception) == "failing.invalid did not answer"
    uploaded = [json.loads(path.read_text()) for path in sorted((tmp_path / "server").iterdir())]
    assert [(run["name"], len(run["curves"]), len(run["scores"])) for run in uploaded] == [
        ("eyes/0000", 2, 0),
        ("eyes/0001", 1, 1),
    ]
    assert "eyes: 2 runs, 0 already uploaded to folder, 2 to upload" in done.output


def test_two_trackers_that_fail_are_both_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = fake_trackers.FailingTracker(tmp_path / "server")
    monkeypatch.setattr(table, "TRACKERS", {"one": failing, "two": failing})
    done = sync(make_sweep(tmp_path, TrainerConfig(comet="offline")))
    assert isinstance(done.exception, TrackerError)
    assert str(done.exception).splitlines() == [f"{name}: failing.invalid did not answer" for name in ("one", "two")]
