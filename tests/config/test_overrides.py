"""`--set KEY=VALUE`: other values for keys of a sweep's file, checked like the file."""

from pathlib import Path
from typing import Any

import pytest

from unetsweep.config.load import spec_from
from unetsweep.config.overrides import override, still_kept, to_keep
from unetsweep.config.yaml12 import Document, read
from unetsweep.core.space import Choices, Range
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import SpecError

FILE = """\
data: {root: images}
space:
  epochs: [4, 8]
  batch_size: [4]
  learning_rate: {low: 1e-4, high: 1e-2}
  trainer.weight_decay: [0, 1e-4]
study: {sampler: tpe, trials: 4}
slurm: {time: 10m, mem: 4G}
"""


def load(*overrides: str, text: str = FILE) -> SweepSpec:
    return spec_from(text, "s.yaml", working=Path("/w"), home=Path("/h"), overrides=overrides)


def problems(*overrides: str, text: str = FILE) -> list[str]:
    with pytest.raises(SpecError) as error:
        load(*overrides, text=text)
    return str(error.value).splitlines()


def test_a_key_gets_another_value_of_the_type_that_yaml_gives_it() -> None:
    spec = load("slurm.time=2h", "study.trials=6", "model.norm=none", "run={parallel: 3}", "name=other", "slurm.mem=")

    assert (spec.slurm.time_min, spec.study.trials, spec.model.norm) == (120, 6, "none")
    assert (spec.run.parallel, spec.name, spec.slurm.mem) == (3, "other", None)
    assert load().slurm.time_min == 10


@pytest.mark.parametrize(
    ("text", "path", "domain"),
    [
        ("space.epochs=[2, 4]", "epochs", Choices((2, 4))),
        ("space.weight_decay=[0.5]", "trainer.weight_decay", Choices((0.5,))),
        ("space.trainer.weight_decay=[0.5]", "trainer.weight_decay", Choices((0.5,))),
        ("space.learning_rate.low=1e-3", "learning_rate", Range(1e-3, 1e-2)),
        ("space.optimizer=[adam, sgd]", "trainer.optimizer", Choices(("adam", "sgd"))),
        ("space.model.base=[8]", "model.base", Choices((8,))),
    ],
)
def test_a_parameter_is_named_by_its_path_or_its_short_name(text: str, path: str, domain: Any) -> None:
    space = load(text).space

    assert space.domain(path) == domain
    assert len(space.paths) == len({*load().space.paths, path})


def test_the_document_that_was_read_stays_as_it_is_even_if_sections_are_the_same_mapping() -> None:
    document = read("slurm: &a {time: 10m}\nrun: *a\n")
    assert isinstance(document, Document)
    found = override(document, ["slurm.time=2h"]).document.value

    assert found == {"slurm": {"time": "2h"}, "run": {"time": "10m"}}
    assert document.value["slurm"] == {"time": "10m"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("slurm.time=soon", "--set: slurm.time: found 'soon'; "),
        ("slurm.tiem=2h", "--set: slurm.tiem: unknown key 'tiem'; did you mean 'time'?"),
        ("slrum.time=2h", "--set: slrum: unknown key 'slrum'; did you mean 'slurm'?"),
        ("model.depth=nine", "--set: model.depth: found the text 'nine'; allowed: a whole number"),
        ("space.epochs=[0]", "--set: space.epochs: found 0"),
        ("space.epohcs=[4]", "--set: space.epohcs: unknown key 'epohcs'; did you mean 'epochs'?"),
        ("space.epochs.low=4", "--set: space.epochs.low: the file has [4, 8] as space.epochs, which has no keys; "),
        ("slurm.time", "--set: slurm.time: has no value; write KEY=VALUE, such as slurm.time=2h"),
        ("=2h", "--set: =2h: has no value; write KEY=VALUE, such as slurm.time=2h"),
        ("slurm.time=[2h", "--set: slurm.time: found '[2h'; this is not YAML: "),
        ("study.trials=.inf", "--set: study.trials: found .inf; a finite number"),
        ("slurm..time=2h", "--set: slurm.: unknown key ''"),
    ],
)
def test_a_problem_of_a_value_names_the_option_and_not_a_line(text: str, message: str) -> None:
    (found,) = problems(text)
    assert found.startswith(message)


def test_all_problems_of_the_option_and_of_the_file_are_reported_at_once() -> None:
    text = FILE.replace("trials: 4", "trials: 4, seed: -1").replace("10m", "soon")
    found = problems("slurm.time=2h", "model.depth=nine", "trainer.los=bce", "name", text=text)

    assert [line.split(": ")[:2] for line in found] == [
        ["--set", "name"],
        ["--set", "trainer.los"],
        ["--set", "model.depth"],
        ["s.yaml:7:34", "study.seed"],
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a." * 30_000 + "a=1",
        "a=" + "[" * 30_000,
        "a=&x [*x]",
        "a=\udcff",
        "\udcff=1",
        "a=\x1b[2J",
        "\n=1",
        ".=1",
        "a= b: c: d",
    ],
)
def test_whatever_is_set_the_message_is_one_short_line(text: str) -> None:
    (found,) = problems(text)

    assert found.startswith("--set: ")
    assert len(found) < 3000
    assert found.isprintable()


def test_a_key_is_set_once() -> None:
    (found,) = problems("slurm.time=2h", "slurm.time=3h")
    assert found == "--set: slurm.time: is set twice; keep one"


def test_a_problem_of_another_key_keeps_its_line() -> None:
    (found,) = problems("slurm.gpus=3")
    assert found.startswith("s.yaml:4:16: space.batch_size: found 4, which 3 processes cannot share equally")


def document() -> Document:
    found = read(FILE)
    assert isinstance(found, Document)
    return found


@pytest.mark.parametrize(
    ("kept", "given", "holds"),
    [
        (("slurm.time=2h",), (), ("slurm.time=2h",)),
        (("slurm.time=2h", "run.parallel=3"), ("slurm.time=3h",), ("run.parallel=3",)),
        (("space.weight_decay=[1]",), ("space.trainer.weight_decay=[2]",), ()),
        (("slurm.time=2h", "slurm.mem=1G"), ("slurm={time: 1h}",), ()),
        (("slurm={time: 1h}",), ("slurm.time=3h",), ("slurm={time: 1h}",)),
        (("slurm.time=2h",), ("slurm.time", "slurm.times=1", "=", "space.epochs.low=3"), ()),
    ],
)
def test_an_earlier_value_holds_until_its_key_is_set_again(kept: Any, given: Any, holds: Any) -> None:
    assert still_kept(document(), kept, given) == holds


def test_a_sweep_keeps_what_differs_from_the_file_but_not_its_name() -> None:
    texts = ("name=other", "slurm.time=10m", "slurm.mem=8G", "run.parallel=null", "space.epochs=[4, 8]")
    assert to_keep(document(), texts) == ("slurm.mem=8G",)
    assert to_keep(document(), ("slurm={time: 1h}", "slurm.time=10m")) == ("slurm={time: 1h}", "slurm.time=10m")
