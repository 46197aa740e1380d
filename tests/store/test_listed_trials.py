"""Whether a trial was made for a listed point: it survives the loss of its trial.json."""

from pathlib import Path

from unetsweep.app.repair import repair_sweep
from unetsweep.config.load import spec_from
from unetsweep.config.written import as_yaml
from unetsweep.core.missing_points import missing_listed
from unetsweep.core.trials import trial_config
from unetsweep.store.sweep_dir import SweepDir

TEXT = """\
name: s
trainer: {command: "true {config} {out}"}
space: {sigma: {low: 1, high: 9}, kernel: [rbf, linear]}
study: {sampler: tpe, trials: 4, metric: rmse, direction: minimize}
points: [{kernel: rbf}, {kernel: rbf}]
"""


def test_a_repaired_trial_is_still_that_of_its_point(tmp_path: Path) -> None:
    spec = spec_from(TEXT, "s.yaml")
    directory = SweepDir(tmp_path / "s")
    directory.create(as_yaml(spec), "local")
    configs = [trial_config(spec, {"epochs": 1, "sigma": sigma, "kernel": "rbf"}) for sigma in (2, 3, 4)]
    directory.add_trials(configs, {"sampler": "tpe"}, listed=[True, True, False])
    assert [trial.is_listed for trial in directory.trials()] == [True, True, False]

    (directory.root / "trials/0001/trial.json").unlink()
    repair_sweep("s", tmp_path, dry_run=False, on_damage=lambda _: None, on_action=lambda _: None)
    assert [trial.is_listed for trial in directory.trials()] == [True, True, False]
    assert missing_listed(directory.spec(), directory.trials()) == ()
