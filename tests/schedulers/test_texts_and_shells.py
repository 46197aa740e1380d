"""No text of a sweep file or of a path is read by a shell, but the lines of `slurm.setup`, which are one's own."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from unetsweep.config.load import load
from unetsweep.core import paths
from unetsweep.core.ports import ReconcilerRequest, Submission
from unetsweep.core.spec import Resources
from unetsweep.errors import RefusedError, SpecError
from unetsweep.schedulers.slurm.batch_script import code_lines, reconciler_script
from unetsweep.schedulers.slurm.submitit_jobs import script

HOSTILE = """a b$(touch pwned)`touch pwned`'"; touch pwned; # | touch pwned & ${IFS} \\ *"""
FOLDER = HOSTILE.replace("/", "")
TOKEN = "0123456789ab"  # noqa: S105
TOOLS = ("bash", "env", "timeout", "seq", "sleep", "find", "id", "stat", "date", "hostname", "ln", "touch", "mkdir")
SHOW = '#!/bin/bash\nprintf "%s\\n" "$(basename "$0")" "$@" "PYTHONPATH=$PYTHONPATH" >> "$CALLS"\n'
SWEEP = "space: {epochs: [8], batch_size: [4], learning_rate: [1e-3]}\ntrainer: {command: 't {config} {out}'}\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which srun, sbatch and python only write down how they were called."""
    tools, odd = tmp_path / "bin", tmp_path / FOLDER
    tools.mkdir()
    odd.mkdir()
    for name in TOOLS:
        (tools / name).symlink_to(shutil.which(name) or "")
    for stub in (tools / "srun", tools / "scontrol", odd / "python", odd / "submitter"):
        stub.write_text(SHOW.replace("basename", shutil.which("basename") or ""))
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


def hostile(place: Path) -> Resources:
    """As the loader lets it through."""
    options = {"comment": HOSTILE, "exclude": [HOSTILE, "n1"], "hold": True, "nice": 3}
    about = {
        **dict.fromkeys(("partition", "account", "qos", "constraint"), HOSTILE),
        "python": str(place / "python"),
        "sbatch": options,
        "reconciler": {"partition": HOSTILE, "comment": HOSTILE},
    }
    path = place.parent / "s.yaml"
    lines = [f"  {key}: {quoted(value)}" for key, value in about.items()]
    path.write_text(SWEEP + "slurm:\n" + "\n".join(lines) + "\n")
    return load(path).slurm


def quoted(value: object) -> str:
    """In YAML, which takes JSON."""

    return json.dumps(value)


def ran(text: str, place: Path, *, seconds: float = 20) -> str:
    """What was called, after bash has read all of it and run it; fails where a text was taken for a command."""
    file = place.parent / "script.sh"
    file.write_text(text)
    bash = str(place.parent / "bin" / "bash")
    subprocess.run([bash, "-n", file], check=True)
    subprocess.run([bash, file], check=False, timeout=seconds, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert not [path for path in place.parent.rglob("*") if path.name == "pwned"]
    calls = place.parent / "calls"
    return calls.read_text() if calls.exists() else ""


def options(text: str) -> dict[str, str]:
    """What sbatch reads of it: each line one word."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#SBATCH "):
            (word,) = shlex.split(line.removeprefix("#SBATCH "))
            name, _, value = word.partition("=")
            found[name] = value
    return found


def test_no_text_of_a_sweep_or_path_is_read_by_a_jobs_shell(place: Path):
    sweep_dir = place / "results" / "s"
    folder = sweep_dir / paths.submission(TOKEN)
    folder.mkdir(parents=True)
    for each in (sweep_dir, folder.parent):
        each.chmod(0o700)
    sent = Submission(
        TOKEN,
        "s",
        sweep_dir,
        2,
        hostile(place),
        reconcile_interval_s=2,
        exclude=(HOSTILE,),
        code=sweep_dir / "code" / "0123",
    )
    text = script(sent, folder)
    said = options(text)
    for name in ("partition", "account", "qos", "constraint", "comment"):
        assert said[f"--{name}"] == HOSTILE
    assert said["--exclude"] == f"{HOSTILE},n1,{HOSTILE}"
    assert Path(said["--output"]).parent == folder
    calls = ran(text, place)
    assert f"srun\n--unbuffered\n--output\n{folder}/" in calls
    assert f"\n{place}/python\n-P\n-u\n-m\nsubmitit.core._submit\n{folder}\n" in calls
    assert f"submitter\n-P\n-m\nunetsweep\nexit-hook\n{sweep_dir}\n{TOKEN}\n" in calls
    assert f"PYTHONPATH={sweep_dir}/code/0123\n" in calls


@pytest.mark.parametrize("given", [":/lib", "/lib:", "/lib::", "::/lib", "/lib::/opt:", ":", "", None])
@pytest.mark.parametrize("code", [None, Path("/code")])
def test_an_empty_element_of_pythonpath_brings_nobody_the_working_directory(
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


def test_nor_by_a_reconcilers(place: Path):
    sweep_dir = place / "s"
    (sweep_dir / paths.RECONCILERS).mkdir(parents=True)
    for each in (sweep_dir, sweep_dir / paths.RECONCILERS):
        each.chmod(0o700)
    text = reconciler_script(ReconcilerRequest(TOKEN, "s", sweep_dir, hostile(place), ("7", "8_1"), 60))
    said = options(text)
    assert (said["--partition"], said["--comment"], said["--qos"]) == (HOSTILE, HOSTILE, HOSTILE)
    assert f"submitter\n-P\n-m\nunetsweep\nreconciler-job\n{sweep_dir}\n{TOKEN}\n" in ran(text, place)


def test_a_set_up_line_is_a_line_of_the_users_shell(place: Path):
    sweep_dir = place / "s"
    (sweep_dir / paths.submission(TOKEN)).mkdir(parents=True)
    sweep_dir.chmod(0o700)
    (sweep_dir / paths.SUBMISSIONS).chmod(0o700)
    resources = replace(hostile(place), setup=('touch "$CALLS.set-up"',))
    ran(script(Submission(TOKEN, "s", sweep_dir, 1, resources), sweep_dir / paths.submission(TOKEN)), place)
    assert (place.parent / "calls.set-up").exists()


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
def test_what_would_begin_a_new_line_of_a_script_is_refused_at_its_line(tmp_path: Path, line: str):
    path = tmp_path / "s.yaml"
    path.write_text(f"{SWEEP}slurm:\n  {line}\n")
    with pytest.raises(SpecError) as refused:
        load(path)
    assert {problem.line for problem in refused.value.problems} == {4}


@pytest.mark.parametrize("name", ["a\\nb", "$(touch pwned)", "a b", "`a`", "../a", "a;b", "-a"])
def test_a_name_is_a_word(tmp_path: Path, name: str):
    path = tmp_path / "s.yaml"
    path.write_text(f'name: "{name}"\n{SWEEP}')
    with pytest.raises(SpecError) as refused:
        load(path)
    assert [problem.line for problem in refused.value.problems] == [1]


def test_a_results_path_of_two_lines_is_refused(place: Path):
    sweep_dir = place / "a\ntouch pwned" / "s"
    with pytest.raises(RefusedError, match="not a path on one line"):
        script(Submission(TOKEN, "s", sweep_dir, 1, Resources()), sweep_dir / paths.submission(TOKEN))
    assert os.listdir() == []
