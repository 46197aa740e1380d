"""The documentation is correct: examples run, tables are complete, links have targets."""

import dataclasses
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import write_commands
from pages import DOCS, ROOT, prose, rows
from workspace import Workspace

from unetsweep import contract, limits
from unetsweep.analysis.rows import SweepRecord
from unetsweep.api import Sweep, Trial
from unetsweep.config.names import OUR_PRUNERS, PRUNERS, SAMPLERS
from unetsweep.config.slurm_keys import SlurmKeys
from unetsweep.core import spec
from unetsweep.core.space import REQUIRED, Choices, Space
from unetsweep.report.columns import COLUMNS, COSTS, TABLE_COLUMNS, columns_of
from unetsweep.store.repair.table import TABLE

SETTINGS, SWEEPS, FILES, PYTHON = (DOCS / f"{name}.md" for name in ("settings", "sweeps", "files", "python"))
START = DOCS / "get-started.md"
README = ROOT / "README.md"


# ---- tables


def test_every_name_of_a_sweep_in_python_is_documented() -> None:
    documented = {name for row in rows(PYTHON) for name in re.findall(r"`(\w+)(?:\(\))?`", f"`{row[0]}`")}
    names = {field.name for cls in (Sweep, Trial) for field in dataclasses.fields(cls)} | {"study", "to_dataframe"}

    assert documented == {name for name in names if not name.startswith("_")}


def test_every_setting_is_documented_with_its_default() -> None:
    sections = ("The sweep's name", "data", "space", "exclude", "study", "model", "trainer", "run", "slurm")
    found = {row[0]: row[2].strip("`") for section in sections for row in rows(SETTINGS, section)}

    assert found == _settings()


def test_every_value_of_a_choice_is_documented() -> None:
    documented = {row[0]: row[1] for row in rows(SETTINGS)}
    for prefix, cls in (
        ("model.", contract.ModelConfig),
        ("trainer.", contract.TrainerConfig),
        ("", contract.TrialConfig),
    ):
        for name, hint in typing.get_type_hints(cls).items():
            if typing.get_origin(hint) is typing.Literal:
                assert set(re.findall("`([^`]+)`", documented[prefix + name])) == set(typing.get_args(hint)), name


def test_every_field_of_a_config_and_of_a_result_is_documented() -> None:
    config = {row[0]: row[2].strip("`") for row in rows(SETTINGS, "config.json")}
    result = {row[0]: row[1].strip("`") for row in rows(SETTINGS, "result.json")}

    sections = ("data", "model", "trainer")
    expected = {name: text for name, text in _flat(contract.TrialConfig) if name.split(".")[0] not in sections}
    assert config == expected
    assert result == dict(_flat(contract.Result))


def test_every_limit_of_a_number_is_documented() -> None:
    assert {name: (int(low), int(high)) for name, low, high in rows(SETTINGS, "Limits")} == limits.BOUNDS
    text = " ".join(prose(SETTINGS).split())
    numbers = (limits.MAX_CHARACTERS, limits.MAX_NODES, limits.MAX_TRIALS, limits.MAX_VALUES, limits.MAX_LEARNING_RATE)
    assert all(f"{number:,}" in text for number in (*numbers, limits.MAX_ARGUMENT, limits.MAX_STEPS))
    assert f"{limits.MAX_DEPTH} levels" in text
    assert f"more for each {limits.TEXT_OF_ONE_NODE} characters" in text
    assert f"{limits.MAX_MINUTES // 1440} days" in text


def _settings() -> dict[str, str]:
    """Every key of a sweep's YAML file with its default as YAML writes it."""
    found = {"name": "the file's stem"}
    for section, cls in (("data", contract.DataConfig), ("model", contract.ModelConfig), ("run", spec.RunSpec)):
        found |= dict(_flat(cls, f"{section}."))
    found |= dict(_flat(contract.TrainerConfig, "trainer.")) | dict(_flat(spec.StudySpec, "study."))
    del found["study.sampler_args"], found["study.pruner_args"]  # part of study.sampler and study.pruner
    found |= {f"space.{path}": "required" for path in REQUIRED}
    found["exclude"] = "[]"
    plain = spec.Resources()
    for field in dataclasses.fields(SlurmKeys):
        value = f"{plain.time_min // 60}h" if field.name == "time" else getattr(plain, field.name)
        found[f"slurm.{field.name}"] = _as_text(value)
    return found


def _flat(cls: type, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name and the default of every field, also of nested dataclasses."""
    for field in dataclasses.fields(cls):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if default is dataclasses.MISSING:
            required = typing.get_type_hints(cls)[field.name]
            nested = list(_flat(required, f"{prefix}{field.name}.")) if dataclasses.is_dataclass(required) else []
            yield from nested or [(prefix + field.name, "required")]
        elif dataclasses.is_dataclass(default):
            yield from _flat(type(default), f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, _as_text(default)


def _as_text(value: Any) -> str:
    """A default as the pages write it."""
    if isinstance(value, tuple | Mapping):
        return "[]" if isinstance(value, tuple) else "{}"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def test_every_sampler_and_pruner_is_documented() -> None:
    text = SETTINGS.read_text() + SWEEPS.read_text()

    assert [name for name in (*SAMPLERS, *PRUNERS, *OUR_PRUNERS) if f"`{name}`" not in text] == []


def test_the_page_of_the_commands_is_up_to_date() -> None:
    assert write_commands.PAGE.read_text() == write_commands.text(), "run: python tests/docs/write_commands.py"


def test_the_table_in_the_readme_is_that_of_its_page_with_the_headings_of_the_report() -> None:
    heading = "| " + " | ".join(COLUMNS[name].heading for name in TABLE_COLUMNS) + " |"
    table = heading + README.read_text().partition(heading)[2].partition("\n\n")[0]

    assert len(table.splitlines()) > 2
    assert table in (DOCS / "results" / "chase.md").read_text()


def test_the_two_tables_of_the_first_sweep_show_the_same_rows() -> None:
    page = START.read_text()
    printed = re.findall(r"^\*? +\d{4}  complete +(.*)$", page, re.MULTILINE)
    pasted = re.findall(r"^\| +(\d+) \|(.*)\|$", page, re.MULTILINE)

    assert len(printed) == 6
    assert [[job, *cells.replace("*", "").replace("|", " ").split()] for job, cells in pasted] == [
        row.split() for row in printed
    ]


def test_every_column_of_a_report_is_documented_in_order() -> None:
    section = SETTINGS.read_text().partition("## The columns of a report")[2].partition("What trials cost")[0]
    three = Space.of(**dict.fromkeys(("epochs", "batch_size", "learning_rate"), Choices((1,))))
    other = SweepRecord("s", spec.SweepSpec("s", contract.DataConfig("/data", also_score_at=(0.0,)), three), ())

    assert re.findall(r"`(\w+)`", section.replace("`val_iou` less `test_iou`", "")) == list(COLUMNS)
    assert [row[0] for row in rows(SETTINGS, "The columns of a report")] == list(COSTS)
    assert list(columns_of(other))[-2:] == ["val_iou_above_0", "test_iou_above_0"]


# ---- files

PARTS = {
    "NNNN": r"\d{4,}",
    "TOKEN": "[0-9a-f]{12}",
    "JOB": r"\d+(_\d+)?",
    "NAME": "[^/]+",
    "HASH": "[0-9a-f]{12}",
    "…": ".+",
    **dict.fromkeys("KREPIN", r"\d+"),
}
SAMPLES = {"NNNN": "0007", "TOKEN": "0f3a9c2e11d7", "HASH": "0f3a9c2e11d7", "…": "a/b"}
NOT_LEFT_HERE = {
    "runs/NNNN/attempts/K.lost.json",
    "runs/NNNN/attempts/K.throttle.json",
    "runs/NNNN/attempts/K.end.json",
    "runs/NNNN/attempts/K.retries-reset.json",
    "runs/NNNN/attempts/K.retry-exempt.json",
    "runs/NNNN/prune.json",
    "runs/NNNN/requeue-K-R.json",
    "runs/NNNN/decisions-K-R.jsonl",
    "runs/NNNN/deadline-K-R.json",
    "runs/NNNN/comet/NAME.zip",
    "trials/NNNN/result-K.json",
    "runs/NNNN/result-K.json",
    "reproduced/NNNN/…",
    "confirm/…",
    "code/HASH/code.diff",
    "collectable/NNNN",
    "reconcilers/K.json",
    "reconcilers/K.job.json",
    "reconcilers/K.lost.json",
    "reconcilers/TOKEN.sh",
    "reconcilers/TOKEN.log",
    "packed/TOKEN/about.json",
    "packed/TOKEN/N.reused.json",
    "packed/TOKEN/N.taken.json",
    "packed/TOKEN/abandoned.json",
    "packed/TOKEN/N.ended.json",
    "packed/TOKEN/N.cancelled.json",
    "packed/TOKEN/N.terminated.json",
    "packed/TOKEN/task-I.closed.json",
    "packed/TOKEN/task-I.completed",
    "packed/TOKEN/task-I.processing",
    "packed/TOKEN/task-I.more-R",
    "runs/NNNN/comet/NAME.zip.uploaded",
    "submissions/TOKEN/generic.pkl",
    "submissions/TOKEN/TOKEN.sh",
    "submissions/TOKEN/JOB_submitted.pkl",
    "submissions/TOKEN/JOB_P_log.out",
    "submissions/TOKEN/JOB_P_result.pkl",
    "study.journal.outdated",
    "study.journal.corrupt",
    "study.journal.lock",
    "lease",
    "lease.mark-NAME",
}
"""Files of SLURM jobs, of Comet, of a kill, a retry or pruning, and files that exist only during a reconciliation."""
TRAINER = """
import json, sys, time

rate = json.load(open(sys.argv[1]))["learning_rate"]
if rate == 2e-3:
    sys.exit("this one fails")
time.sleep(60 if rate == 3e-3 else 0)
json.dump({"val_iou": rate}, open(sys.argv[2] + "/result.json", "w"))
"""
MIXED = """
space: {epochs: 1, batch_size: 4, learning_rate: [1e-3, 2e-3, 3e-3]}
trainer: {command: "python3 mixed.py {config} {out}"}
run: {parallel: 3}
"""


@pytest.mark.train
def test_every_file_of_a_sweep_is_documented(workspace: Workspace) -> None:
    (workspace.folder / "mixed.py").write_text(TRAINER)
    (workspace.folder / "mixed.yaml").write_text(MIXED)
    workspace.bash("unetsweep submit mixed.yaml --executor local; unetsweep cancel mixed 2")
    workspace.bash("unetsweep submit mixed.yaml --watch || test $? = 1; unetsweep cancel mixed; unetsweep report mixed")
    patterns = {row[0]: _pattern(row[0]) for row in rows(FILES)}
    found = set()

    for file in [*_files(workspace.folder / "results/mixed"), *_files(workspace.folder / "results/quickstart")]:
        fitting = {name for name, pattern in patterns.items() if pattern.fullmatch(file)}
        assert fitting, f"{file} is not in {FILES.name}"
        found |= fitting
    assert set(patterns) - found - NOT_LEFT_HERE == set(), "documented, but no sweep leaves these files"


NOT_REPAIRED = {
    "trials/NNNN/result-K.json",
    "runs/NNNN/result-K.json",
    "runs/NNNN/result.json",
    "runs/NNNN/parameters.json",
    "runs/NNNN/decisions-K-R.jsonl",
    "runs/NNNN/deadline-K-R.json",
    "code/HASH/code.json",
    "report/results.json",
    "report/summary.json",
}
"""Files that only people read, that are made again anyway, or that the user's trainer writes."""


def test_repair_checks_every_json_file_that_is_documented() -> None:
    documented = [row[0] for row in rows(FILES) if row[0].endswith((".json", ".jsonl", ".ckpt"))]
    samples = {name: re.sub("|".join(PARTS), lambda letter: SAMPLES.get(letter[0], "1"), name) for name in documented}
    patterns = [rule.regex for rule in TABLE]

    unknown = {name for name, path in samples.items() if not any(each.fullmatch(path) for each in patterns)}
    assert unknown == NOT_REPAIRED


def _files(sweep: Path) -> list[str]:
    """The files of a sweep that are neither hidden nor temporary."""
    files = [path for path in sweep.rglob("*") if path.is_file()]
    assert files
    return [str(path.relative_to(sweep)) for path in files if path.name[0] != "." and path.suffix != ".tmp"]


def _pattern(name: str) -> re.Pattern[str]:
    """A pattern for the files that a documented name such as `trials/NNNN/trial.json` stands for."""
    parts = re.split(f"({'|'.join(PARTS)})", name)
    return re.compile("".join(PARTS.get(part) or re.escape(part) for part in parts))
