"""Single commands over a sweep's directory, called in this process."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from unetsweep.adapters.sweep_dir import SweepDir
from unetsweep.cli import _pass, cancel, last_act, main
from unetsweep.config.written import as_yaml
from unetsweep.contract import DataConfig, TrialConfig
from unetsweep.core.actions import Element
from unetsweep.core.spec import Choices, Space, SweepSpec

DATA = DataConfig("images")


@pytest.fixture
def sweep(tmp_path: Path) -> SweepDir:
    spec = SweepSpec("s", DATA, Space(Choices((8, 16, 32)), Choices((4,)), Choices((1e-3,))))
    made = SweepDir(tmp_path / "results" / "s")
    made.create(as_yaml(spec), "local")
    made.add_trials([TrialConfig(DATA, 8, 4, 1e-3)], {})
    return made


def test_a_trial_that_a_pass_proposed_while_the_sweep_was_cancelled_is_cancelled_too(
    sweep: SweepDir, monkeypatch: pytest.MonkeyPatch
):
    real, late = _pass.make_pass, [TrialConfig(DATA, 16, 4, 1e-3)]

    def make_pass(*words, **more):
        sweep.add_trials([late.pop()] if late else [], {})
        return real(*words, **more)

    monkeypatch.setattr(_pass, "make_pass", make_pass)
    monkeypatch.setattr("unetsweep.core.places.fill", lambda *_, **__: ([], "no job is started here"))
    done = CliRunner().invoke(cancel.command, [str(sweep.root)])
    assert done.exit_code == 0, done.output
    assert [trial["result"] and trial["result"]["state"] for trial in sweep.trials()] == ["cancelled"] * 2


def test_the_last_act_of_an_element_that_another_pass_owns_says_nothing_of_its_run(sweep: SweepDir):
    run = [Element(0, 1, ((0, 8),))]
    first, _ = sweep.intend(run, None, "local")
    second, owned = sweep.intend(run, None, "local")
    assert owned == []
    for token, there in ((second, False), (first, True)):
        done = CliRunner().invoke(last_act.command, [str(sweep.root), token, "--status", "1", "--no-pass"])
        assert done.exit_code == 0, done.output
        assert (sweep.look().runs[0].last.ending is not None) == there


def test_what_the_disk_refuses_is_said_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.argv", ["unetsweep", "train", str(tmp_path), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith(f"unetsweep: {tmp_path}: Is a directory")
