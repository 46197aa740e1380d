"""`unetsweep init --trainer`, its questions, and the profile of an imitated cluster."""

import getpass
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from unetsweep.app import init as init_app
from unetsweep.atomic import create_text
from unetsweep.cli import init as init_command
from unetsweep.cli import submit as submit_command
from unetsweep.cli import validate as validate_command
from unetsweep.config.load import load
from unetsweep.core.space import Choices, Range
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import UnetsweepError

COMMAND = "python3 fit.py --rate {learning_rate} --layers {n_layers} --epochs {epochs} --out {out}"
GPU_NODES = """\
cpu*|up|7-00:00:00|(null)|64|256000|20
gpu|up|2-00:00:00|gpu:a100:4(S:0-1)|64|512000|2
gpu|up|2-00:00:00|gpu:v100:2|16|96000+|4
debug|up|30:00|gpu:a100:4|64|512000|1
old|inact|infinite|gpu:8|64|512000|9
"""
CPU_NODES = "main*|up|1:00:00|(null)|2|1800|4\n"
ASSOCIATIONS = "alpha|lab|{user}|||normal|long,normal||\\nalpha|guest|{user}||||normal||\\nbeta|x|{user}||||normal||"
SLURM = r"""#!/bin/sh
case "$(basename "$0") $*" in
  sinfo*%G*) sed 's/^/unetsweep|/; s/$/|unetsweep/' {nodes} ;;
  sinfo*%l*) echo 'unetsweep|PARTITION|TIMELIMIT|unetsweep' ;;
  sinfo*) echo 'unetsweep|PARTITION|unetsweep' ;;
  squeue*) echo 'unetsweep|ARRAY_JOB_ID|unetsweep' ;;
  "scontrol show config") printf 'ClusterName = alpha\nMaxArraySize = 1001\n' ;;
  "scontrol --oneliner show partition") {partitions} ;;
  "sacctmgr "*associations*) {associations} ;;
  "sacctmgr "*DefaultAccount*) echo '{user}|lab|' ;;
  sacctmgr*) ;;
  *) exit 1 ;;
esac
"""
NO_ACCOUNTING = "echo 'accounting storage is disabled' >&2; exit 1"
Cluster = Callable[..., None]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory on a machine without SLURM."""
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.delenv("SLURM_CONF", raising=False)
    monkeypatch.setattr("unetsweep.schedulers.slurm.commands.shutil.which", _which)
    monkeypatch.setattr("unetsweep.schedulers.slurm.commands._PAUSE_S", 0.0)
    return work


def _which(name: str) -> str | None:
    """The command of the imitated cluster, whatever is installed here."""
    path = Path.home() / "bin" / name
    return str(path) if path.exists() else None


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Installs SLURM commands whose answers imitate those of a cluster."""

    def install(nodes: str = GPU_NODES, *, accounting: bool = True, partitions: str = "true") -> None:
        user = getpass.getuser()
        (tmp_path / "nodes").write_text("PARTITION|AVAIL|TIMELIMIT|GRES|CPUS|MEMORY|NODES\n" + nodes)
        associations = f"printf '{ASSOCIATIONS.format(user=user)}\\n'" if accounting else NO_ACCOUNTING
        values = {"nodes": tmp_path / "nodes", "partitions": partitions, "associations": associations, "user": user}
        script = SLURM
        for name, value in values.items():
            script = script.replace(f"{{{name}}}", str(value))
        for name in ("sbatch", "sinfo", "squeue", "scontrol", "sacctmgr"):
            (tmp_path / "bin" / name).write_text(script)
            (tmp_path / "bin" / name).chmod(0o755)

    return install


def init(*arguments: str, answers: str | None = None) -> Result:
    """Run the command; with `answers` as on a terminal on which they are typed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(init_command, "_is_terminal", lambda: answers is not None)
        return CliRunner().invoke(init_command.command, list(arguments), input=answers)


def files() -> list[str]:
    return sorted(str(path.relative_to(Path.home())) for path in Path.home().rglob("*.yaml"))


def submitted(file: str, executor: str = "local") -> SweepSpec:
    """The sweep of a file, after its metric is filled in and `validate` and a submit's checks have found nothing."""
    text = Path(file).read_text()
    Path(file).write_text(text.replace("  metric:\n  direction:\n", "  metric: score\n  direction: maximize\n"))
    done = CliRunner().invoke(validate_command.command, [file])
    assert done.output.startswith(f"{file}: fine: "), done.output
    done = CliRunner().invoke(submit_command.command, [file, "--dry-run", "--executor", executor])
    assert done.exit_code == 0, (done.output, done.exception)
    assert "warning" not in done.stderr
    return load(Path(file))


def error(result: Result) -> str:
    assert isinstance(result.exception, UnetsweepError), result.exception
    assert result.exception.exit_status == 2
    return str(result.exception)


# ---- a program of the user's own


def test_the_placeholders_of_a_command_become_parameters_with_examples() -> None:
    done = init("--trainer", COMMAND)
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no SLURM here, so no profile: the sweep runs on this machine\n" in done.stderr
    assert "fit.yaml: written; fill in study.metric and study.direction, then: unetsweep submit fit.yaml" in done.stderr
    refused = CliRunner().invoke(validate_command.command, ["fit.yaml"])
    line = Path("fit.yaml").read_text().splitlines().index("  metric:") + 1
    assert refused.output == f"fit.yaml:{line}:3: study.metric: has no value; fill in the name of a number in " + (
        "result.json, and minimize or maximize as study.direction\n"
    )
    spec, text = submitted("fit.yaml"), Path("fit.yaml").read_text()

    assert list(spec.space.paths) == ["epochs", "learning_rate", "n_layers"]
    assert isinstance(spec.space.domain("learning_rate"), Range)
    assert spec.space.domain("n_layers") == Choices((1, 2, 3))
    assert (spec.metric.name, spec.metric.direction, spec.trainer.command) == ("score", "maximize", COMMAND)
    assert "# FILL IN the name of that number" in text
    assert "# EXAMPLES: " in text
    assert "No parameter is in this command" not in text
    assert files() == ["work/fit.yaml"]


def test_the_metric_is_filled_in_from_options() -> None:
    init("--trainer", COMMAND, "--metric", "rmse", "--direction", "minimize", "-o", "mine.yaml")
    spec, text = submitted("mine.yaml"), Path("mine.yaml").read_text()

    assert (spec.name, spec.metric.name, spec.metric.direction) == ("mine", "rmse", "minimize")
    assert '# At its end the program writes {"rmse": NUMBER} into the file result.json in {out}' in text
    assert "FILL IN" not in text
    init("--trainer", COMMAND, "--metric", "val_loss", "-o", "known.yaml")
    assert submitted("known.yaml").metric.direction == "minimize"


@pytest.mark.parametrize(
    ("command", "paths"),
    [
        ("./train.sh", "learning_rate"),
        ("python3 train.py {config}", "learning_rate"),
        ("train {layers.0} {null} {1e4} {0} {lr-decay} '{out}/a b: #c' {layers.0}", "layers.0 null 1e4 0 lr-decay"),
        ("train {epochs}", "epochs learning_rate"),
        ('echo "é \\" {sigma}"', "sigma"),
    ],
)
def test_any_command_gets_a_file_that_is_submitted(command: str, paths: str) -> None:
    assert init("--trainer", command, "-o", "s.yaml").exit_code == 0
    spec = submitted("s.yaml")

    space = Path("s.yaml").read_text().partition("\nspace:\n")[2].partition("\n\n")[0]
    assert [path for path in spec.space.paths if path in space] == paths.split()
    assert spec.trainer.command == command
    asks_for_names = "No parameter is in this command" in Path("s.yaml").read_text()
    assert asks_for_names == (command in ("./train.sh", "train {epochs}"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the folder of your images (`unetsweep init DATA_DIR`), or your program with --trainer"),
        (["data", "--trainer", "x"], "--trainer: a program of your own reads its own data; leave out DATA_DIR"),
        (["--trainer", "x '{a}"], "s.yaml as it would be written:"),
        (["--trainer", "x {model.base}"], "is a setting of the built-in trainer"),
        (["--trainer", "x {a}", "--metric", "rmse"], "--direction: is missing: it is not known whether more or less"),
        (["--trainer", "x {a}", "--direction", "minimize"], "--direction needs --metric"),
        (["--trainer", "x {a}", "--metric", "val_iou", "--direction", "minimize"], "--direction: found 'minimize'; "),
        (["--trainer", "x {a}", "--metric", "a", "--direction", "maximize"], "has the name of study.metric"),
        (["gone", "--metric", "rmse"], "--metric: found 'rmse'; the built-in trainer reports val_iou"),
        (["--trainer", "x {a}", "--profile", "mine"], "'mine': no SLURM here, so no profile"),
        (["--trainer", "x {a}", "-o", "gone/s.yaml"], "gone/s.yaml: there is no folder gone; make it first"),
        (["--trainer", "x {a}", "-o", "."], ".: is a folder; name a file with --output"),
        (["--trainer", "x {a}", "-o", "a b.yaml"], "the file's name 'a b' cannot be the sweep's name"),
    ],
)
def test_a_wrong_request_is_refused_and_nothing_is_written(arguments: list[str], message: str) -> None:
    target = [] if "-o" in arguments else ["-o", "s.yaml"]
    assert message in error(init(*arguments, *target))
    assert files() == []


def test_a_file_that_is_there_is_replaced_only_if_the_user_says_so() -> None:
    Path("fit.yaml").write_text("mine")
    assert "fit.yaml: exists already; " in error(init("--trainer", COMMAND))
    assert "exists already" in error(init("--trainer", COMMAND, answers="\n\n"))
    assert Path("fit.yaml").read_text() == "mine"
    assert init("--trainer", COMMAND, answers="\ny\n\n\n").exit_code == 0
    submitted("fit.yaml")
    Path("fit.yaml").write_text("mine")
    assert init("--trainer", COMMAND, "--force").exit_code == 0
    submitted("fit.yaml")
    Path("link.yaml").symlink_to("nowhere")
    assert "exists already" in error(init("--trainer", COMMAND, "-o", "link.yaml"))


def test_a_file_that_appears_meanwhile_is_kept(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster()

    def create(path: Path, text: str, *, mode: int) -> bool:
        if path.name == "fit.yaml":
            path.write_text("of another command")
        return create_text(path, text, mode=mode)

    monkeypatch.setattr(init_app, "create_text", create)
    assert "fit.yaml: was made by another command meanwhile" in error(init("--trainer", COMMAND))
    assert Path("fit.yaml").read_text() == "of another command"
    assert files() == ["work/fit.yaml"], "the profile is removed again"


def test_a_full_disk_leaves_nothing(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster()

    def create(path: Path, text: str, *, mode: int) -> bool:
        if path.name == "fit.yaml":
            raise OSError(28, "No space left on device", str(path))
        return create_text(path, text, mode=mode)

    monkeypatch.setattr(init_app, "create_text", create)
    assert isinstance(init("--trainer", COMMAND).exception, OSError)
    assert files() == []


# ---- questions


def test_on_a_terminal_each_question_has_a_default() -> None:
    done = init("--trainer", COMMAND, answers="\n\n\n")
    assert done.exit_code == 0
    for question in ("Sweep file to write [fit.yaml]: ", "result.json [score]: ", "better (minimize, maximize) [maxi"):
        assert question in done.stderr
    assert submitted("fit.yaml").metric.name == "score"


def test_answers_take_the_place_of_options() -> None:
    done = init("--trainer", COMMAND, answers="mine.yaml\nrmse\nless\nminimize\n")
    assert "found 'less'; one of minimize, maximize" in done.stderr
    spec = submitted("mine.yaml")
    assert (spec.metric.name, spec.metric.direction) == ("rmse", "minimize")


def test_ctrl_c_leaves_nothing(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster()
    for typed in range(5):
        done = init("--trainer", COMMAND, answers="\n" * typed)  # the input ends at the next question
        assert (done.exit_code, isinstance(done.exception, SystemExit)) == (1, True)
        assert files() == []

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(click, "prompt", interrupt)
    assert "Aborted!" in init("--trainer", COMMAND, answers="").stderr
    assert files() == []


@pytest.mark.parametrize("option", ["-y", "--yes"])
def test_with_yes_a_terminal_is_not_asked(option: str) -> None:
    assert init("--trainer", COMMAND, option, answers="").exit_code == 0
    assert files() == ["work/fit.yaml"]


# ---- the profile of a cluster


def test_a_cluster_with_gpus_gets_a_profile_of_its_best_partition(cluster: Cluster) -> None:
    cluster()
    done = init("--trainer", COMMAND)
    assert files() == [".config/unetsweep/alpha.yaml", "work/fit.yaml"]
    assert "alpha.yaml: written; `unetsweep doctor --profile alpha` tests it" in done.stderr
    spec, text = submitted("fit.yaml", "slurm"), Path("~/.config/unetsweep/alpha.yaml").expanduser().read_text()

    slurm = spec.slurm
    assert (slurm.profile, slurm.partition, slurm.account) == ("alpha", "gpu", "lab")
    assert (slurm.gpus, slurm.cpus, slurm.mem, slurm.time_min) == (1, 4, "16G", 120)
    assert "account: lab   # you also have guest\n" in text
    assert "# qos: long   # you may use long, normal\n" in text
    assert "#   cpu (default): 20 nodes with 64 CPUs + 250G; at most 168h\n" in text
    gpus = "2 nodes with 64 CPUs + 500G + 4 a100 GPUs, 4 nodes with 16 CPUs + 93G + 2 v100 GPUs; at most 48h"
    assert f"#   gpu: {gpus}\n" in text
    assert "#   old (not up): " in text
    assert "time: 2h   # the partition allows 48h; " in text
    assert '# gpus: "a100:1"   # only this type of GPU' in text


def test_a_cluster_without_gpus_and_accounting_gets_a_small_cpu_profile(cluster: Cluster) -> None:
    cluster(CPU_NODES, accounting=False)
    init("--trainer", COMMAND)
    slurm, text = submitted("fit.yaml", "slurm").slurm, (Path.home() / ".config/unetsweep/alpha.yaml").read_text()

    assert (slurm.partition, slurm.account, slurm.gpus, slurm.cpus) == ("main", None, 0, 1)
    assert (slurm.mem, slurm.time_min) == ("1G", 60)
    assert "# account: my-project" in text
    assert "qos" not in text


def test_a_partition_that_the_accounts_may_not_use_is_not_chosen(cluster: Cluster) -> None:
    cluster(partitions="echo 'PartitionName=gpu AllowAccounts=physics'")
    init("--trainer", COMMAND)
    assert submitted("fit.yaml", "slurm").slurm.partition == "debug"


def test_options_and_answers_choose_partition_account_and_name(cluster: Cluster) -> None:
    cluster()
    init("--trainer", COMMAND, "--profile", "mine", "--partition", "cpu", "--account", "guest")
    slurm = submitted("fit.yaml", "slurm").slurm
    assert (slurm.profile, slurm.partition, slurm.account, slurm.gpus) == ("mine", "cpu", "guest", 0)
    done = init("--trainer", COMMAND, "-o", "b.yaml", answers="\n\nbeta\nnowhere\ncpu\nguest\n")
    assert (
        "Partition (gpu, debug, cpu, old) [gpu]: nowhere\nfound 'nowhere'; one of gpu, debug, cpu, old\n" in done.stderr
    )
    slurm = submitted("b.yaml", "slurm").slurm
    assert (slurm.profile, slurm.partition, slurm.account) == ("beta", "cpu", "guest")


def test_a_profile_that_is_there_is_used_and_not_changed(cluster: Cluster) -> None:
    cluster()
    there = Path("slurm/profiles/alpha.yaml")
    there.parent.mkdir(parents=True)
    there.write_text("gpus: 4\nmem: 2G\npack: 2\n")
    done = init("--trainer", COMMAND)

    assert "the profile alpha is there already, and the sweep uses it" in done.stderr
    assert there.read_text() == "gpus: 4\nmem: 2G\npack: 2\n"
    assert files() == ["work/fit.yaml", "work/slurm/profiles/alpha.yaml"]
    slurm = submitted("fit.yaml", "slurm").slurm
    assert (slurm.profile, slurm.gpus, slurm.processes, slurm.mem) == ("alpha", 1, 1, "2G")
    refused = init("--trainer", COMMAND, "-o", "b.yaml", "--profile", "alpha", "--partition", "cpu")
    assert "--partition: the profile alpha is there already, and is not changed" in error(refused)
    there.write_text("gpus: many\n")
    assert "--profile: slurm/profiles/alpha.yaml" in error(init("--trainer", COMMAND, "-o", "b.yaml"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--partition", "gpuu"], "--partition: found 'gpuu'; the cluster has gpu, debug, cpu, old"),
        (["--profile", "a/b.yaml"], "--profile: there is no file a/b.yaml; a new profile has a name of letters"),
        (["--account", "a\nb: 1"], "as it would be written"),
    ],
)
def test_a_wrong_option_of_a_profile_is_refused_and_nothing_is_written(
    cluster: Cluster, options: list[str], message: str
) -> None:
    cluster()
    assert message in error(init("--trainer", COMMAND, *options))
    assert files() == []


def test_a_slurm_that_does_not_answer_gets_no_profile(cluster: Cluster) -> None:
    cluster()
    (Path.home() / "bin/sinfo").write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2; exit 1\n")
    done = init("--trainer", COMMAND)

    assert "no profile, because SLURM does not answer: sinfo: Unable to contact slurm controller" in done.stderr
    assert files() == ["work/fit.yaml"]
    submitted("fit.yaml")
