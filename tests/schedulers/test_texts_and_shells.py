"""No shell interprets a text of a sweep file or a path, except the lines of `slurm.setup`, which are the user's."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from unetsweep.config.load import load
from unetsweep.core import paths
from unetsweep.core.ports import ReconcilerRequest, Submission
from unetsweep.core.spec import Resources
from unetsweep.errors import RefusedError, SpecError
from unetsweep.schedulers.slurm.batch_script import (
    ENVIRONMENT,
    code_lines,
    environment_lines,
    reconciler_script,
    setup_lines,
)
from unetsweep.schedulers.slurm.submitit_jobs import script

HOSTILE = """a b$(touch pwned)`touch pwned`'"; touch pwned; # | touch pwned & ${IFS} \\ *"""
FOLDER = HOSTILE.replace("/", "").replace("\\", "")
TOKEN = "0123456789ab"  # noqa: S105
TOOLS = ("bash", "env", "timeout", "seq", "sleep", "find", "id", "stat", "date", "hostname", "ln", "touch", "mkdir")
STUB = '#!/bin/bash\nprintf "%s\\n" "$(basename "$0")" "$@" "PYTHONPATH=$PYTHONPATH" >> "$CALLS"\n'
SWEEP = "space: {epochs: [8], batch_size: [4], learning_rate: [1e-3]}\ntrainer: {command: 't {config} {out}'}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A submission_dir with an srun, an scontrol and interpreters that only log how they were called."""
    tools, odd = tmp_path / "bin", tmp_path / FOLDER
    tools.mkdir()
    odd.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(shutil.which(name) or "")
    for stub in (tools / "srun", tools / "scontrol", odd / "python", odd / "submitter"):
        stub.write_text(STUB.replace("basename", shutil.which("basename") or ""))
        stub.chmod(0o700)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setattr(sys, "executable", str(odd / "submitter"))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return odd


def hostile(folder: Path) -> Resources:
    """Resources with hostile texts, as the loader accepts them."""
    options = {"comment": HOSTILE, "exclude": [HOSTILE, "n1"], "hold": True, "nice": 3}
    about = {
        **dict.fromkeys(("partition", "account", "qos", "constraint"), HOSTILE),
        "python": str(folder / "python"),
        "sbatch": options,
        "reconciler": {"partition": HOSTILE, "comment": HOSTILE},
    }
    path = folder.parent / "s.yaml"
    lines = [f"  {key}: {quoted(value)}" for key, value in about.items()]
    path.write_text(SWEEP + "slurm:\n" + "\n".join(lines) + "\n")
    return load(path).slurm


def quoted(value: object) -> str:
    """The value as JSON, which is valid YAML."""

    return json.dumps(value)


def calls_of(
    text: str, folder: Path, *, environment: Mapping[str, str] | None = None, status: int | None = None
) -> str:
    """The calls that bash makes when it runs this script; fails if it calls a hostile text as a command."""
    file = folder.parent / "script.sh"
    file.write_text(text)
    bash = str(folder.parent / "bin" / "bash")
    subprocess.run([bash, "-n", file], check=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    done = subprocess.run([bash, file], check=False, timeout=20, env=environment, **quiet)
    assert status in (None, done.returncode)
    assert not [path for path in folder.parent.rglob("*") if path.name == "pwned"]
    calls = folder.parent / "calls"
    return calls.read_text() if calls.exists() else ""


def options(text: str) -> dict[str, str]:
    """The options that sbatch reads from the script; each line is one word."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#SBATCH "):
            (word,) = shlex.split(line.removeprefix("#SBATCH "))
            name, _, value = word.partition("=")
            found[name] = value
    return found


def test_the_shell_of_a_job_interprets_no_text_of_a_sweep_or_path(folder: Path):
    sweep_dir = folder / "results" / "s"
    submission_dir = sweep_dir / paths.submission(TOKEN)
    submission_dir.mkdir(parents=True)
    for each in (sweep_dir, submission_dir.parent):
        each.chmod(0o700)
    submission = Submission(
        TOKEN,
        "s",
        sweep_dir,
        2,
        hostile(folder),
        reconcile_interval_s=2,
        exclude=(HOSTILE,),
        code=sweep_dir / "code" / "0123",
    )
    text = script(submission, submission_dir)
    parsed = options(text)
    for name in ("partition", "account", "qos", "constraint", "comment"):
        assert parsed[f"--{name}"] == HOSTILE
    assert parsed["--exclude"] == f"{HOSTILE},n1,{HOSTILE}"
    assert Path(parsed["--output"]).parent == submission_dir
    calls = calls_of(text, folder)
    assert f"srun\n--unbuffered\n--output\n{submission_dir}/" in calls
    assert f"\n{folder}/python\n-P\n-u\n-m\nsubmitit.core._submit\n{submission_dir}\n" in calls
    assert f"submitter\n-P\n-m\nunetsweep\nexit-hook\n{sweep_dir}\n{TOKEN}\n" in calls
    assert f"PYTHONPATH={sweep_dir}/code/0123\n" in calls


@pytest.mark.parametrize("is_alive", [False, True])
def test_the_exit_hook_knows_whether_the_training_still_runs(folder: Path, is_alive: bool):
    submission = Submission(TOKEN, "s", folder, 1, Resources())
    text = "\n".join(setup_lines(submission, folder, "python"))
    hook = text[text.index("us_exit_hook() {") : text.index("trap us_exit_hook")]
    end = ":" if is_alive else 'kill "$US_STEP_PID"; wait "$US_STEP_PID"'
    step = f"{shutil.which('sleep', path='/bin:/usr/bin')} 20 & US_STEP_PID=$!; {end}"
    calls = calls_of(f'set -eu; US_ENV=("A=b"); {hook}\n{step} || true; us_exit_hook; kill "$US_STEP_PID"', folder)
    assert ("\n--alive\n" in calls) == is_alive
    assert "\n--status\n" in calls


@pytest.mark.parametrize("given", [":/lib", "/lib:", "/lib::", "::/lib", "/lib::/opt:", ":", "", None])
@pytest.mark.parametrize("code", [None, Path("/code")])
def test_an_empty_element_of_pythonpath_does_not_add_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, given: str | None, code: Path | None
):
    if given is None:
        monkeypatch.delenv("PYTHONPATH", raising=False)
    else:
        monkeypatch.setenv("PYTHONPATH", given)
    lines = ["set -eu", *code_lines(code), *code_lines(code), 'printf %s "$PYTHONPATH"']
    found = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True).stdout
    elements = ["/code"] * (code is not None) + [part for part in (given or "").split(":") if part]
    assert found == ":".join(elements)


def test_the_shell_of_a_reconciler_job_interprets_no_text_of_a_sweep_or_path(folder: Path):
    sweep_dir = folder / "s"
    (sweep_dir / paths.RECONCILERS).mkdir(parents=True)
    for each in (sweep_dir, sweep_dir / paths.RECONCILERS):
        each.chmod(0o700)
    text = reconciler_script(ReconcilerRequest(TOKEN, "s", sweep_dir, hostile(folder), ("7", "8_1"), 60))
    parsed = options(text)
    assert (parsed["--partition"], parsed["--comment"], parsed["--qos"]) == (HOSTILE, HOSTILE, HOSTILE)
    assert f"submitter\n-P\n-m\nunetsweep\nreconciler-job\n{sweep_dir}\n{TOKEN}\n" in calls_of(text, folder)


def test_a_setup_line_is_run_by_the_shell(folder: Path):
    sweep_dir = folder / "s"
    (sweep_dir / paths.submission(TOKEN)).mkdir(parents=True)
    sweep_dir.chmod(0o700)
    (sweep_dir / paths.SUBMISSIONS).chmod(0o700)
    resources = replace(hostile(folder), setup=('touch "$CALLS.set-up"',))
    calls_of(script(Submission(TOKEN, "s", sweep_dir, 1, resources), sweep_dir / paths.submission(TOKEN)), folder)
    assert (folder.parent / "calls.set-up").exists()


@pytest.fixture
def submission(folder: Path) -> Submission:
    """A submission with hostile texts, whose folders exist."""
    sweep_dir = folder / "s"
    (sweep_dir / paths.submission(TOKEN)).mkdir(parents=True)
    (sweep_dir / paths.RECONCILERS).mkdir()
    for each in (sweep_dir, sweep_dir / paths.SUBMISSIONS, sweep_dir / paths.RECONCILERS):
        each.chmod(0o700)
    return Submission(TOKEN, "s", sweep_dir, 1, hostile(folder))


def test_a_job_that_gets_no_environment_finds_the_submitters_commands_and_packages(
    folder: Path, submission: Submission, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTHONPATH", HOSTILE)
    nothing = {"SLURM_JOB_ID": "7", "CALLS": str(folder.parent / "calls"), "HOME": "/home of the node"}
    calls = calls_of(script(submission, submission.sweep_dir / paths.submission(TOKEN)), folder, environment=nothing)
    assert "srun\n--unbuffered\n" in calls
    assert "--export=ALL\n" in calls  # without it srun gives its processes as little as sbatch gave the job
    assert f"unetsweep\nexit-hook\n{submission.sweep_dir}\n" in calls
    assert calls.count(f"PYTHONPATH={HOSTILE}\n") == calls.count("PYTHONPATH=") == 2
    request = ReconcilerRequest(TOKEN, "s", submission.sweep_dir, submission.resources, (), 0)
    calls = calls_of(reconciler_script(request), folder, environment=nothing).removeprefix(calls)
    assert f"unetsweep\nreconciler-job\n{submission.sweep_dir}\n{TOKEN}\nPYTHONPATH={HOSTILE}\n" in calls


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"PATH": "/node"}, "/submitter /home"),
        ({"PATH": "/node", "HOME": "/node"}, "/submitter /node"),
        ({"PATH": "/node", ENVIRONMENT: "sbatch"}, "/node "),
    ],
)
def test_only_a_job_without_the_submitters_environment_sets_it(environment: dict[str, str], found: str):
    lines = ["set -eu", *environment_lines({"PATH": "/submitter", "HOME": "/home"}), 'echo "$PATH ${HOME-}"']
    command = ["/bin/bash", "-c", "\n".join(lines)]
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == f"{found}\n"


@pytest.mark.parametrize(
    ("lines", "status"),
    [(("set -e", "false"), 1), (("set -eu", 'echo "$nope"'), 1), (("exit 3",), 3), (("set -e", "no-such-module"), 127)],
)
def test_setup_lines_that_end_the_job_are_reported_once_with_their_status(
    folder: Path, submission: Submission, lines: tuple[str, ...], status: int
):
    failing = replace(submission, resources=replace(submission.resources, setup=lines))
    calls = calls_of(script(failing, submission.sweep_dir / paths.submission(TOKEN)), folder, status=status)
    assert calls.count("exit-hook\n") == 1
    assert f"--status\n{status}\n--setup-from\n0\n" in calls
    assert "srun" not in calls


@pytest.mark.parametrize(
    "lines",
    [
        ("set -eu",),
        ("set -euo pipefail", "IFS=x"),
        ("trap - EXIT",),
        ("set -eu", """own="a'b"; trap 'touch "$CALLS.$own"; false' EXIT"""),
    ],
)
def test_options_and_traps_of_setup_lines_change_nothing_else(
    folder: Path, submission: Submission, lines: tuple[str, ...]
):
    careful = replace(submission, resources=replace(submission.resources, setup=lines))
    calls = calls_of(script(careful, submission.sweep_dir / paths.submission(TOKEN)), folder, status=0)
    assert "srun\n--unbuffered\n" in calls
    assert "--status\n0\nPYTHONPATH=" in calls  # the exit hook, and the training had begun
    assert (folder.parent / "calls.a'b").exists() is ("own" in lines[-1])


@pytest.mark.parametrize(
    "line",
    [
        *(f'{key}: "a\\n#SBATCH --wrap=id"' for key in ("partition", "account", "qos", "constraint", "python", "mem")),
        'time: "10m\\ntouch pwned"',
        'sbatch: {comment: "a\\ntouch pwned"}',
        'sbatch: {exclude: [n1, "a\\ntouch pwned"]}',
        'sbatch: {"comment\\ntouch pwned": a}',
        'reconciler: {comment: "a\\rtouch pwned"}',
        'reconciler: {"comment=$(touch pwned)": a}',
        'sbatch: {"comment=$(touch pwned)": a}',
    ],
)
def test_a_value_with_a_line_break_is_refused_with_its_line(tmp_path: Path, line: str):
    path = tmp_path / "s.yaml"
    path.write_text(f"{SWEEP}slurm:\n  {line}\n")
    with pytest.raises(SpecError) as refused:
        load(path)
    assert {problem.line for problem in refused.value.problems} == {4}


@pytest.mark.parametrize("name", ["a\\nb", "$(touch pwned)", "a b", "`a`", "../a", "a;b", "-a"])
def test_a_sweep_name_must_be_a_plain_word(tmp_path: Path, name: str):
    path = tmp_path / "s.yaml"
    path.write_text(f'name: "{name}"\n{SWEEP}')
    with pytest.raises(SpecError) as refused:
        load(path)
    assert [problem.line for problem in refused.value.problems] == [1]


@pytest.mark.parametrize("character", ["%", "\\"])
def test_a_results_path_that_slurm_reads_as_a_pattern_is_refused(folder: Path, character: str):
    sweep_dir = folder / f"a{character}b" / "s"
    with pytest.raises(RefusedError, match=f"SLURM reads the {re.escape(character)} in it as a part of a pattern"):
        script(Submission(TOKEN, "s", sweep_dir, 1, Resources()), sweep_dir / paths.submission(TOKEN))


def test_a_results_path_with_a_line_break_is_refused(folder: Path):
    sweep_dir = folder / "a\ntouch pwned" / "s"
    with pytest.raises(RefusedError, match="not a path on one line"):
        script(Submission(TOKEN, "s", sweep_dir, 1, Resources()), sweep_dir / paths.submission(TOKEN))
    assert os.listdir() == []
