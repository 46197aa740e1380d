"""Any file is either a sweep or a list of problems with lines, never a traceback."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unetsweep.config.load import spec_from
from unetsweep.config.written import as_yaml
from unetsweep.config.yaml12 import dump
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import SpecError

NOWHERE = Path("/nowhere")
KEYS = {
    "data": ["root", "split", "image_size", "mask_threshold"],
    "split": ["val", "seed", "groups"],
    "space": ["epochs", "batch_size", "learning_rate"],
    "axis": ["low", "high", "log", "step"],
    "study": ["sampler", "trials", "metric", "seed", "pruner", "sampler_args", "limits"],
    "sampler": ["name", "seed", "n_startup_trials"],
    "limits": ["gpu_hours", "cpu_hours"],
    "model": ["base", "depth", "norm"],
    "trainer": ["command", "augment", "precision", "val_every"],
    "run": ["parallel", "retries", "driver"],
    "retries": ["node", "memory"],
    "slurm": [
        "profile",
        "gpus",
        "pack",
        "reuse",
        "processes",
        "cpus",
        "mem",
        "mem_max",
        "time",
        "python",
        "setup",
        "sbatch",
    ],
    "sbatch": ["nice", "time", "--x", ""],
}
ODD = [
    "",
    " ",
    "1e-4",
    "tpe",
    "grid",
    "none",
    "a.csv",
    "(",
    "(a)",
    "{config}",
    "/",
    "~",
    "../x",
    "4G",
    "2h",
    "\0",
    "~x/y",
]


def mappings(values: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    return st.sampled_from(list(KEYS.values())).flatmap(
        lambda names: st.dictionaries(st.sampled_from(names), values, max_size=5)
    )


scalars = st.none() | st.booleans() | st.integers(-3, 99) | st.floats() | st.sampled_from(ODD) | st.text(max_size=4)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | mappings(inner), max_leaves=20)
valid_space = st.fixed_dictionaries({"epochs": st.just(4), "batch_size": st.just([4]), "learning_rate": st.just(1e-3)})
sections = ["name", "data", "space", "study", "model", "trainer", "run", "slurm", "other"]


def sweep_or_none(raw: object) -> SweepSpec | None:
    """The sweep, or None if it has problems; each of those has a line."""
    try:
        return spec_from(dump(raw), "s.yaml", working=NOWHERE, home=NOWHERE)
    except SpecError as error:
        problems = error.problems
    assert problems
    assert all(problem.message and problem.line for problem in problems)
    return None


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(sections, anything)))
def test_any_content_of_the_sections_is_a_sweep_or_problems(raw: dict[str, object]) -> None:
    sweep_or_none(raw)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "data": st.fixed_dictionaries({"root": st.sampled_from(ODD)}, optional={"split": anything}),
            "space": valid_space,
        },
        optional={
            name: st.fixed_dictionaries(
                {}, optional={key: scalars | st.lists(scalars, max_size=2) for key in KEYS[name]}
            )
            for name in ("study", "model", "trainer", "run", "slurm")
        },
    )
)
def test_odd_values_are_problems_or_a_sweep_that_is_written_and_read_back_equal(raw: dict[str, object]) -> None:
    spec = sweep_or_none(raw)

    if spec is not None:
        assert spec_from(as_yaml(spec), "s.yaml", working=NOWHERE, home=NOWHERE) == spec
