"""What a valid sweep file means."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from unetsweep.config.load import load, spec_from
from unetsweep.core.missing_points import trials_wanted
from unetsweep.core.space import Choices, Range, grid_points
from unetsweep.core.spec import SweepSpec
from unetsweep.core.trials import trial_config
from unetsweep.errors import SpecError

REPOSITORY = Path(__file__).parents[2]
SWEEPS = sorted((REPOSITORY / "sweeps").glob("*.yaml"))
PROFILES = sorted((REPOSITORY / "slurm" / "profiles").glob("*.yaml"))
SPACE = "space: {epochs: 4, batch_size: [4], learning_rate: [1e-3]}\n"
GOOD = "data: {root: images}\n" + SPACE


def spec(text: str, folder: Path) -> SweepSpec:
    return spec_from(text, "sweeps/first.yaml", working=folder, home=folder)


@pytest.fixture
def in_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)


@pytest.mark.usefixtures("in_repository")
@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_shipped_sweep_loads(path: Path) -> None:
    assert load(path).name == path.stem


@pytest.mark.usefixtures("in_repository")
@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_shipped_profile_loads(path: Path, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(GOOD.replace("[4]", "[8]"))

    resources = load(tmp_path / "x.yaml", profile=path.stem).slurm

    assert resources.profile == path.stem
    assert (resources.partition, resources.account) == (None, None)


@pytest.mark.usefixtures("in_repository")
def test_the_shipped_grid_has_the_trials_of_the_docs() -> None:
    grid = load(REPOSITORY / "sweeps" / "grid.yaml")

    assert trials_wanted(grid) == 20
    assert {p["epochs"] for p in grid_points(grid.space)} == {100, 200, 300, 400, 1000}
    assert {p["batch_size"] for p in grid_points(grid.space)} == {4, 16}
    assert {p["learning_rate"] for p in grid_points(grid.space)} == {1e-4, 5e-5}
    assert (grid.slurm.gpus, grid.slurm.processes) == (4, 4)


def test_the_groups_files_of_the_retina_set_have_80_images_in_20_groups_in_both_namings() -> None:
    def groups(name: str) -> dict[str, str]:
        with (REPOSITORY / "sweeps" / name).open(newline="") as file:
            return {Path(row["file"]).stem: row["group"] for row in csv.DictReader(file)}

    natural, renumbered = groups("retina_groups.csv"), groups("retina_groups_01_80.csv")

    assert len(natural) == len(renumbered) == 80
    assert sorted(set(natural.values())) == sorted(set(renumbered.values())) == [str(group) for group in range(21, 41)]
    assert {natural[n] for n in ("0", "1", "2", "3")} == {"21"}
    assert {renumbered[n] for n in ("01", "02", "13", "24")} == {"21"}
    assert {renumbered[n] for n in ("79", "80", "03", "04")} == {"23"}
    assert {renumbered[n] for n in ("75", "76", "77", "78")} == {"40"}


def test_the_smallest_sweep_has_every_default(tmp_path: Path) -> None:
    smallest = spec(GOOD, tmp_path)

    assert smallest.name == "first"
    assert smallest.data.root == str(tmp_path / "images")
    assert smallest.space.domain("epochs") == Choices((4,))
    assert smallest.study.sampler == "grid"
    assert trials_wanted(smallest) == 1


def test_a_trial_config_has_the_point_and_the_seed_and_processes_of_the_sweep(tmp_path: Path) -> None:
    text = GOOD + "study: {seed: 7}\nslurm: {gpus: 2}\nmodel: {base: 8}\n"
    config = trial_config(spec(text, tmp_path), {"epochs": 4, "batch_size": 4, "learning_rate": 1e-3})

    assert (config.epochs, config.batch_size, config.learning_rate, config.seed) == (4, 4, 1e-3, 7)
    assert (config.processes, config.accelerator, config.model.base) == (2, "gpu", 8)


def test_epochs_are_whole_numbers_and_learning_rates_are_floats(tmp_path: Path) -> None:
    text = GOOD.replace("epochs: 4", "epochs: {low: 1e1, high: 50, step: 10}").replace("[1e-3]", "1")
    space = spec(text + "study: {sampler: tpe}\n", tmp_path).space

    epochs = space.domain("epochs")
    assert epochs == Range(10, 50, False, 10)
    assert isinstance(epochs, Range)
    assert [type(n) for n in (epochs.low, epochs.high, epochs.step)] == [int, int, int]
    assert space.domain("learning_rate") == Choices((1.0,))


def test_a_sampler_may_have_arguments(tmp_path: Path) -> None:
    study = spec(GOOD + "study: {sampler: {name: TPESampler, n_startup_trials: 5}, trials: 9}\n", tmp_path).study

    assert (study.sampler, study.sampler_args, study.trials) == ("TPESampler", {"n_startup_trials": 5}, 9)


def test_precision_32_may_be_a_number(tmp_path: Path) -> None:
    for written in ("32", "'32'"):
        assert spec(GOOD + f"trainer: {{precision: {written}}}\n", tmp_path).trainer.precision == "32"


def test_a_trainer_command_needs_no_data(tmp_path: Path) -> None:
    command = "trainer: {command: 'python x.py {config} {out}'}\n"

    assert spec(SPACE + command, tmp_path).data.root == str(tmp_path)
    assert spec(GOOD + command, tmp_path).data.root == str(tmp_path / "images")


def test_a_groups_file_is_searched_in_the_data_folder_and_then_in_the_working_directory(tmp_path: Path) -> None:
    text = GOOD.replace("images}", "images, split: {groups: eyes.csv}}")
    (tmp_path / "images" / "Data" / "train" / "image").mkdir(parents=True)

    assert spec(text, tmp_path).data.split.groups == "eyes.csv"
    (tmp_path / "eyes.csv").touch()
    assert spec(text, tmp_path).data.split.groups == str(tmp_path / "eyes.csv")
    (tmp_path / "images" / "Data" / "eyes.csv").touch()
    assert spec(text, tmp_path).data.split.groups == "eyes.csv"


@pytest.mark.parametrize(
    ("written", "minutes"),
    [("10m", 10), ("2h", 120), ("1h30m", 90), ("1-12:00:00", 2160), ("02:00:00", 120), ("45", 45), ("1d", 1440)],
)
def test_times_are_read_as_sbatch_writes_them_and_with_units(written: str, minutes: int, tmp_path: Path) -> None:
    assert spec(GOOD + f"slurm: {{time: {written}}}\n", tmp_path).slurm.time_min == minutes


def test_a_relative_interpreter_becomes_absolute_with_its_links_and_a_bare_name_stays(tmp_path: Path) -> None:
    (tmp_path / "venv").symlink_to("/nowhere")

    assert spec(GOOD + "slurm: {python: venv/bin/python}\n", tmp_path).slurm.python == f"{tmp_path}/venv/bin/python"
    assert spec(GOOD + "slurm: {python: python3.12}\n", tmp_path).slurm.python == "python3.12"


class TestProfiles:
    """A profile of the site gives defaults, which the sweep overrides."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "slurm" / "profiles").mkdir(parents=True)
        (tmp_path / ".config" / "unetsweep").mkdir(parents=True)
        (tmp_path / "slurm" / "profiles" / "gpu.yaml").write_text(
            "partition: a100\ngpus: 4\nmem: 8G\ntime: 2h\nsetup: [module load cuda]\nsbatch: {nice: 5, comment: eyes}\n"
        )
        return tmp_path

    def test_each_key_of_the_sweep_overrides_that_of_the_profile(self, folder: Path) -> None:
        text = (
            GOOD + "slurm: {profile: gpu, gpus: 2, mem: 16G, partition: null, sbatch: {comment: null, licenses: x}}\n"
        )
        slurm = spec(text, folder).slurm

        assert (slurm.profile, slurm.gpus, slurm.processes, slurm.mem) == ("gpu", 2, 2, "16G")
        assert (slurm.partition, slurm.time_min, slurm.setup) == (None, 120, ("module load cuda",))
        assert slurm.sbatch == {"nice": 5, "licenses": "x"}

    def test_of_the_memory_options_the_sweeps_own_one_is_asked_for(self, folder: Path) -> None:
        (folder / "slurm" / "profiles" / "m.yaml").write_text(
            "sbatch: {mem_per_gpu: 8G}\nreconciler: {mem: 2G, qos: q}\n"
        )

        by_cpu = spec(GOOD + "slurm: {profile: gpu, sbatch: {mem-per-cpu: 500M}}\n", folder).slurm
        assert (by_cpu.mem, by_cpu.mem_per_cpu, by_cpu.sbatch) == (
            None,
            "500M",
            {"nice": 5, "comment": "eyes"},
        )
        whole = spec(GOOD + "slurm: {profile: m, mem: 4G, reconciler: {mem-per-cpu: 300M}}\n", folder).slurm
        assert (whole.mem, whole.mem_per_gpu, whole.sbatch) == ("4G", None, {})
        assert whole.reconciler == {"mem-per-cpu": "300M", "qos": "q"}
        by_gpu = spec(GOOD + "slurm: {profile: m, mem: null, gpus: 1}\n", folder).slurm
        assert (by_gpu.mem, by_gpu.mem_per_gpu) == (None, "8G")
        none = spec(GOOD + "slurm: {profile: m, mem_per_gpu: null}\n", folder).slurm
        assert (none.mem, none.mem_per_cpu, none.mem_per_gpu) == (None, None, None)
        assert spec(GOOD + "slurm: {profile: m, reconciler: {mem: null}}\n", folder).slurm.reconciler["mem"] is None

    def test_the_sweeps_gpus_replace_the_processes_of_the_profile(self, folder: Path) -> None:
        (folder / "slurm" / "profiles" / "two.yaml").write_text("processes: 2\n")

        assert spec(GOOD + "slurm: {profile: two}\n", folder).slurm.processes == 2
        assert spec(GOOD + "slurm: {profile: two, gpus: 4}\n", folder).slurm.processes == 4

    @pytest.mark.parametrize(
        ("slurm", "processes", "training_gpus"),
        [
            ("gpus: 4, pack: 2", 2, 2),
            ("gpus: 4, pack: 4", 1, 1),
            ("gpus: 1, pack: 4", 1, 1),
            ("gpus: 0, pack: 4", 1, 0),
            ("gpus: 0, pack: 4, processes: 2", 2, 0),
        ],
    )
    def test_packed_trainings_share_the_gpus(
        self, folder: Path, slurm: str, processes: int, training_gpus: int
    ) -> None:
        found = spec(GOOD + f"slurm: {{{slurm}}}\n", folder).slurm
        assert (found.processes, found.training_gpus) == (processes, training_gpus)

    def test_a_profile_of_the_project_outranks_that_of_the_user_and_may_be_a_path(self, folder: Path) -> None:
        (folder / ".config" / "unetsweep" / "gpu.yaml").write_text("qos: mine\n")
        (folder / ".config" / "unetsweep" / "own.yaml").write_text("qos: own\n")
        (folder / "here.yaml").write_text("qos: here\n")

        assert spec(GOOD + "slurm: {profile: gpu}\n", folder).slurm.qos is None
        assert spec(GOOD + "slurm: {profile: own}\n", folder).slurm.qos == "own"
        assert spec(GOOD + "slurm: {profile: ./here.yaml}\n", folder).slurm.qos == "here"

    def test_the_default_profile_is_optional(self, folder: Path) -> None:
        assert spec(GOOD, folder).slurm.qos is None
        (folder / "slurm" / "profiles" / "default.yaml").write_text("qos: low\n")
        assert spec(GOOD, folder).slurm.qos == "low"

    def test_the_command_line_replaces_the_profile_of_the_sweep(self, folder: Path) -> None:
        text = GOOD + "slurm: {profile: nowhere}\n"
        slurm = spec_from(text, "first.yaml", profile="gpu", working=folder, home=folder).slurm

        assert (slurm.profile, slurm.partition) == ("gpu", "a100")

    def test_a_problem_of_a_profile_names_its_line_and_the_position_in_the_sweep(self, folder: Path) -> None:
        (folder / "slurm" / "profiles" / "bad.yaml").write_text("gpus: 4\ncpus: 0\nprofile: gpu\ntim: 2h\n")

        position = "sweeps/first.yaml:3:9: slurm.profile: slurm/profiles/bad.yaml"
        assert self.problems("slurm: {profile: bad}\n", folder).splitlines() == [
            f"{position}:2:1: cpus: found 0; 1 to 4096",
            f"{position}:3:1: profile: a profile cannot name another profile",
            f"{position}:4:1: tim: unknown key 'tim'; did you mean 'time'?",
        ]

    def test_an_invalid_profile_is_a_problem_of_the_sweep(self, folder: Path) -> None:
        (folder / "slurm" / "profiles" / "corrupt.yaml").write_text("gpus: [\n")

        assert "slurm.profile: slurm/profiles/corrupt.yaml:2:1: this is not YAML" in self.problems(
            "slurm: {profile: corrupt}\n", folder
        )

    def test_a_missing_profile_is_reported_with_the_existing_ones(self, folder: Path) -> None:
        (folder / ".config" / "unetsweep" / "own.yaml").touch()

        assert self.problems("slurm: {profile: gpus}\n", folder) == (
            "sweeps/first.yaml:3:9: slurm.profile: found 'gpus', which is neither in slurm/profiles nor "
            "in .config/unetsweep; did you mean 'gpu'? available: gpu, own"
        )

    def test_a_contradiction_names_the_key_that_comes_from_the_profile(self, folder: Path) -> None:
        assert self.problems("slurm: {profile: gpu, processes: 2}\n", folder) == (
            "sweeps/first.yaml:3:23: slurm.processes: found 2 processes with 4 GPUs (from the profile gpu); "
            "each process uses one GPU: leave processes out, or set gpus: 0"
        )

    @staticmethod
    def problems(slurm: str, folder: Path) -> str:
        with pytest.raises(SpecError) as error:
            spec(GOOD + slurm, folder)
        return str(error.value)


def test_loading_a_sweep_imports_no_heavy_library() -> None:
    heavy = "torch optuna submitit numpy cv2 pydantic albumentations"
    code = f"import sys, unetsweep.config.load; print(*[m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []


def test_groups_may_be_auto(tmp_path: Path) -> None:
    assert spec(GOOD.replace("images}", "images, split: {groups: auto}}"), tmp_path).data.split.groups == "auto"
