"""The written sweep equals the submitted one; which settings may change later, and which may not."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetsweep.config.changes import difference, refused
from unetsweep.config.load import spec_from
from unetsweep.config.names import SAMPLERS
from unetsweep.config.written import as_yaml, checked_yaml
from unetsweep.contract import DataConfig, ModelConfig, Split, TrainerConfig
from unetsweep.core.space import Choices, Range, Space, largest
from unetsweep.core.spec import Resources, Retries, RunSpec, StudySpec, SweepSpec
from unetsweep.core.spending import Limits
from unetsweep.errors import SpecError

NOWHERE = Path("/nowhere")
printable = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs", "Cf", "Co", "Cn"]), min_size=1)
few = st.integers(1, 9)
finite = st.floats(1e-9, 1e6)


@st.composite
def axes(draw: st.DrawFn, whole: bool) -> Choices | Range:
    numbers = st.integers(1, 10**6) if whole else finite
    if draw(st.booleans()):
        return Choices(tuple(draw(st.lists(numbers, min_size=1, max_size=5, unique=True))))
    low, high = sorted([draw(numbers), draw(numbers)])
    step = draw(st.none() | st.just(high - low)) if high > low and whole else None
    return Range(low, high, False if step else draw(st.booleans()), step)


@st.composite
def sweeps(draw: st.DrawFn) -> SweepSpec:
    space = Space.of(epochs=draw(axes(True)), batch_size=draw(axes(True)), learning_rate=draw(axes(False)))
    sampler = draw(st.sampled_from(["tpe", "random", *SAMPLERS]).filter(lambda name: name != "BruteForceSampler"))
    arguments = {"n_startup_trials": draw(few)} if sampler in ("tpe", "TPESampler") and draw(st.booleans()) else {}
    study = StudySpec(sampler, arguments, draw(few), draw(st.sampled_from(["val_iou", "val_loss"])), draw(few))
    if all(isinstance(axis, Choices) for axis in space.domains().values()) and draw(st.booleans()):
        study = StudySpec("grid", {}, None, study.metric, study.seed)
    study = replace(study, repeats=draw(few))
    has_epochs = largest(space.domain("epochs")) > 1  # a program's pruner needs several
    pruner = draw(st.sampled_from([None, "asha", "median", "PatientPruner"] if has_epochs else [None]))
    given = {"asha": {"reduction_factor": 4}, "median": {"every": draw(few)}, "PatientPruner": {"patience": draw(few)}}
    if pruner is not None:
        study = replace(study, pruner=pruner, pruner_args=given[pruner])
    split = Split(draw(st.floats(0.01, 0.99)), draw(few), draw(st.sampled_from(["none", r"(\d+)", "é.csv", "(1e-4)"])))
    threshold = draw(st.just("half") | st.floats(0, 254.5))
    data = DataConfig("/" + draw(printable).strip("/."), split, draw(st.none() | st.integers(16, 999)), threshold)
    augment = draw(
        st.sampled_from(["default", "none", ["HorizontalFlip", {"Affine": {"rotate": [-30, 1e-4], "x": "1e-4"}}]])
    )
    trainer = TrainerConfig(
        weight_decay=draw(finite),
        comet=draw(st.sampled_from(["off", "offline", "online"])),
        augment=augment,
        command=draw(st.none() | st.just("python -c 'x: # y' {config} {out}")),
    )
    slurm = Resources(
        profile=draw(printable),
        partition=draw(st.none() | printable),
        account=draw(st.sampled_from([None, "1e-4", "12345", "on", "~", "12:30:00"])),
        cpus=draw(st.none() | few),
        mem=draw(st.sampled_from([None, "4G", "500M"])),
        time_min=draw(st.integers(1, 99999)),
        setup=tuple(draw(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3))),
        sbatch=draw(st.dictionaries(st.sampled_from(["comment", "nice", "licenses"]), printable | few | st.just(True))),
    )
    run = RunSpec(
        draw(st.none() | few), draw(st.sampled_from(["jobs", "cli"])), Retries(draw(few), draw(few), draw(few))
    )
    return SweepSpec("a-sweep_1", data, space, study, ModelConfig(base=draw(few)), trainer, run, slurm)


@given(sweeps())
def test_a_written_sweep_is_read_back_equal(spec: SweepSpec) -> None:
    assert spec_from(as_yaml(spec), "results/x/sweep.yaml", working=NOWHERE, home=NOWHERE) == spec


def sweep(**changes: object) -> SweepSpec:
    space = Space.of(epochs=Choices((4, 8)), batch_size=Choices((4,)), learning_rate=Choices((1e-3,)))
    return replace(SweepSpec("s", DataConfig("/d"), space), **changes)  # type: ignore[arg-type]


def test_the_header_names_the_code() -> None:
    text = as_yaml(sweep(), commit="0f3a9c2")

    assert text.startswith("# s as it was submitted, every default written out; unetsweep ")
    assert text.splitlines()[0].endswith(", code 0f3a9c2")


def test_a_written_sweep_needs_no_profile(tmp_path: Path) -> None:
    spec = sweep(slurm=Resources(profile="gone", gpus=2, processes=2))

    text = as_yaml(spec).replace("batch_size: [4]", "batch_size: [4, 8]")

    assert spec_from(text, "s.yaml", working=tmp_path, home=tmp_path).slurm == spec.slurm


def test_equal_sweeps_have_no_difference() -> None:
    assert difference(sweep(), sweep()) == ()
    assert not refused(sweep(), sweep())


def test_a_difference_names_the_field_and_both_values() -> None:
    new = sweep(trainer=TrainerConfig(loss="bce_dice"), slurm=Resources(time_min=90, mem="4G"))

    assert difference(sweep(), new) == (
        "trainer.loss: 'bce' -> 'bce_dice'",
        "slurm.mem: none -> '4G'",
        "slurm.time: '1h' -> '1h30m'",
    )
    assert refused(sweep(), new) == ("trainer.loss: 'bce' -> 'bce_dice'",)
    assert refused(sweep(), new)


def test_a_grid_may_grow_in_any_order_but_not_shrink() -> None:
    def epochs(*values: int) -> SweepSpec:
        return sweep(space=Space.of(epochs=Choices(values), batch_size=Choices((4,)), learning_rate=Choices((1e-3,))))

    assert difference(epochs(4, 8), epochs(16, 8, 4)) == ("space.epochs: [4, 8] -> [16, 8, 4]",)
    assert not refused(epochs(4, 8), epochs(16, 8, 4))
    assert not refused(epochs(4, 8), epochs(8, 4))
    assert refused(epochs(4, 8), epochs(4, 16))
    assert refused(epochs(4, 8), epochs(4))


def test_an_adaptive_search_may_have_more_trials_but_no_other_space() -> None:
    def tpe(trials: int | None, *values: int) -> SweepSpec:
        space = Space.of(epochs=Choices(values), batch_size=Choices((4,)), learning_rate=Choices((1e-3, 1e-2)))
        return sweep(study=StudySpec("tpe", trials=trials), space=space)

    assert not refused(tpe(2, 4, 8), tpe(3, 4, 8))
    assert not refused(tpe(2, 4, 8), tpe(None, 4, 8))
    assert refused(tpe(3, 4, 8), tpe(2, 4, 8))
    assert refused(tpe(2, 4, 8), tpe(2, 4, 8, 16))


def test_settings_that_change_no_training_may_change() -> None:
    run = RunSpec(parallel=3, driver="cli", retries=Retries(9, 9, 9))
    free = Resources(
        *("x", "p", "a", "q", "c", 0, None, "gres", 4, True, 1, 9, "9G", None, None, "99G", 9),
        *("/python", ("module load x",), {"nice": 1}),
    )

    assert not refused(sweep(), sweep(run=run, slurm=free))
    assert len(difference(sweep(), sweep(run=run, slurm=free))) == 5 + 15
    assert refused(sweep(), sweep(slurm=Resources(gpus=1))) == ("slurm.gpus: 0 -> 1",)
    assert not refused(sweep(slurm=Resources(gpus=1)), sweep(slurm=Resources(gpus=1, gpu_type="h100")))
    assert not refused(sweep(), sweep(trainer=TrainerConfig(workers=4)))
    assert refused(sweep(), sweep(slurm=Resources(processes=2))) == ("slurm.processes: 1 -> 2",)
    assert refused(sweep(), sweep(study=StudySpec(seed=1))) == ("study.seed: 0 -> 1",)


def test_the_limit_of_a_sweep_may_be_set_raised_lowered_and_removed() -> None:
    none, low, high = (sweep(study=StudySpec(limits=Limits(cpu_hours=each))) for each in (None, 10.0, 20.0))
    for was, now in ((none, low), (low, high), (high, low), (low, none)):
        assert not refused(was, now)
    assert difference(low, high) == ("study.limits.cpu_hours: 10.0 -> 20.0",)
    assert spec_from(checked_yaml(high), "a-sweep.yaml", working=NOWHERE, home=NOWHERE) == high


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "two words"}, "sweep.yaml as it would be written:2:1: name: found 'two words'"),
        ({"slurm": Resources(mem="4X")}, "slurm.mem: found '4X'"),
        ({"data": DataConfig("relative")}, "would be read back with another data"),
        ({"study": StudySpec("random", {}, 1, seed=2**40)}, "study.seed: found 1099511627776"),
    ],
)
def test_a_sweep_that_could_not_be_read_again_is_not_written(change: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        checked_yaml(sweep(**change))

    assert checked_yaml(sweep()) == as_yaml(sweep())
