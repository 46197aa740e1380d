"""Names that come from Optuna and SLURM, listed here because an import of Optuna is slow. Tests compare them."""

from collections.abc import Mapping
from typing import Any

SHORT_NAMES = ("grid", "none", "random", "tpe")
"""Samplers with a short name: `grid` and `none` are ours, `random` and `tpe` are Optuna's."""

SAMPLERS: dict[str, dict[str, Any]] = {
    "BruteForceSampler": {"avoid_premature_stop": bool},
    "CmaEsSampler": {
        "x0": Mapping[str, Any] | None,
        "sigma0": float | None,
        "n_startup_trials": int,
        "warn_independent_sampling": bool,
        "consider_pruned_trials": bool,
        "popsize": int | None,
        "use_separable_cma": bool,
        "with_margin": bool,
        "lr_adapt": bool,
    },
    "GPSampler": {"n_startup_trials": int, "deterministic_objective": bool, "warn_independent_sampling": bool},
    "NSGAIIISampler": {
        "population_size": int,
        "mutation_prob": float | None,
        "crossover_prob": float,
        "swapping_prob": float,
        "dividing_parameter": int,
    },
    "NSGAIISampler": {
        "population_size": int,
        "mutation_prob": float | None,
        "crossover_prob": float,
        "swapping_prob": float,
    },
    "QMCSampler": {
        "qmc_type": str,
        "scramble": bool,
        "warn_asynchronous_seeding": bool,
        "warn_independent_sampling": bool,
    },
    "RandomSampler": {},
    "TPESampler": {
        "n_startup_trials": int,
        "n_ei_candidates": int,
        "multivariate": bool,
        "group": bool,
        "warn_independent_sampling": bool,
        "constant_liar": bool,
    },
}
"""Optuna 5's samplers that a YAML file can name, each with the arguments that can be written in YAML and their types.
The seed comes from `study.seed`. Left out: GridSampler (ours never repeats a point), PartialFixedSampler and the base
classes (they need Python objects), and arguments that Optuna 5 no longer reads."""

OUR_PRUNERS: dict[str, tuple[str, ...]] = {
    "asha": ("min_epochs", "reduction_factor", "min_early_stopping_rate"),
    "hyperband": ("min_epochs", "max_epochs", "reduction_factor"),
    "median": ("startup_trials", "warmup_epochs", "every"),
}
"""Our pruners with their arguments."""

PRUNERS: dict[str, dict[str, Any]] = {
    "HyperbandPruner": {
        "min_resource": int,
        "max_resource": str | int,
        "reduction_factor": int,
        "bootstrap_count": int,
    },
    "MedianPruner": {"n_startup_trials": int, "n_warmup_steps": int, "interval_steps": int, "n_min_trials": int},
    "PatientPruner": {"patience": int, "min_delta": float},
    "PercentilePruner": {
        "percentile": float,
        "n_startup_trials": int,
        "n_warmup_steps": int,
        "interval_steps": int,
        "n_min_trials": int,
    },
    "SuccessiveHalvingPruner": {
        "min_resource": str | int,
        "reduction_factor": int,
        "min_early_stopping_rate": int,
        "bootstrap_count": int,
    },
    "ThresholdPruner": {
        "lower": float | None,
        "upper": float | None,
        "n_warmup_steps": int,
        "interval_steps": int,
    },
}
"""Optuna 5's pruners that a YAML file can name; PatientPruner wraps no other pruner."""

UNSUPPORTED_PRUNERS = {
    "NopPruner": "leave study.pruner out, and nothing is pruned",
    "WilcoxonPruner": "it compares folds of a cross-validation, and a training has none; use asha or median",
}

UNSUPPORTED_SAMPLERS = {
    "GridSampler": "use grid, which never repeats a point",
    "PartialFixedSampler": "give the fixed parameter one value, or list partial points under points: instead",
}

NO_SAMPLERS = {
    "list": "write the points under the key points: of the file, such as points: [{epochs: 8, batch_size: 4}]; without "
    "space: they are the whole sweep",
}
"""Names that users may take for a sampler, each with what to write instead."""

SBATCH_OURS: dict[str, str] = {
    "partition": "slurm.partition",
    "account": "slurm.account",
    "qos": "slurm.qos",
    "constraint": "slurm.constraint",
    "time": "slurm.time",
    "mem": "slurm.mem",
    "cpus-per-task": "slurm.cpus",
    "gpus": "slurm.gpus",
    "gpus-per-node": "slurm.gpus",
    "gpus-per-task": "slurm.gpus",
    "ntasks": "slurm.processes",
    "ntasks-per-node": "slurm.processes",
    "nodes": "",
    "array": "",
    "job-name": "",
    "output": "",
    "error": "",
    "open-mode": "",
    "signal": "",
    "requeue": "",
    "no-requeue": "",
    "chdir": "",
    "export": "",
    "parsable": "",
    "wrap": "",
    "wait": "",
    "test-only": "",
    "export-file": "",
    "clusters": "a shell with that cluster's SLURM_CONF",  # jobs of another cluster would not be found here
    "cluster-constraint": "a shell with that cluster's SLURM_CONF",
}
"""Options of sbatch that `slurm.sbatch` may not set, each with what to set instead; empty: unetsweep sets it."""
MEMORY_OPTIONS = ("mem", "mem-per-cpu", "mem-per-gpu")
_FAMILIES = (MEMORY_OPTIONS, ("cpus-per-task", "cpus-per-gpu"))
"""Options of which SLURM accepts only one in a request."""


def rivals(option: str) -> tuple[str, ...]:
    """Return the options that a request cannot have together with this one.

    >>> rivals("mem-per-cpu"), rivals("time")
    (('mem', 'mem-per-gpu'), ())
    """
    family = next((each for each in _FAMILIES if option in each), ())
    return tuple(each for each in family if each != option)
