"""Names that come from Optuna and SLURM, listed here because an import of Optuna is slow. Tests compare them."""

SHORT_NAMES = ("grid", "list", "random", "tpe")
"""Samplers with a short name: `grid` and `list` are ours, `random` and `tpe` are Optuna's."""

LIST_ARGUMENTS = ("points",)

SAMPLERS: dict[str, tuple[str, ...]] = {
    "BruteForceSampler": ("avoid_premature_stop",),
    "CmaEsSampler": (
        "x0",
        "sigma0",
        "n_startup_trials",
        "warn_independent_sampling",
        "consider_pruned_trials",
        "popsize",
        "use_separable_cma",
        "with_margin",
        "lr_adapt",
    ),
    "GPSampler": ("n_startup_trials", "deterministic_objective", "warn_independent_sampling"),
    "NSGAIIISampler": ("population_size", "mutation_prob", "crossover_prob", "swapping_prob", "dividing_parameter"),
    "NSGAIISampler": ("population_size", "mutation_prob", "crossover_prob", "swapping_prob"),
    "QMCSampler": ("qmc_type", "scramble", "warn_asynchronous_seeding", "warn_independent_sampling"),
    "RandomSampler": (),
    "TPESampler": (
        "n_startup_trials",
        "n_ei_candidates",
        "multivariate",
        "group",
        "warn_independent_sampling",
        "constant_liar",
    ),
}
"""Optuna 5's samplers that a YAML file can name, each with the arguments that can be written in YAML.
The seed comes from `study.seed`. Left out: GridSampler (ours never repeats a point), PartialFixedSampler and the base
classes (they need Python objects), and arguments that Optuna 5 no longer reads."""

OUR_PRUNERS: dict[str, tuple[str, ...]] = {
    "asha": ("min_epochs", "reduction_factor", "min_early_stopping_rate"),
    "hyperband": ("min_epochs", "max_epochs", "reduction_factor"),
    "median": ("startup_trials", "warmup_epochs", "every"),
}
"""Our pruners with their arguments."""

PRUNERS: dict[str, tuple[str, ...]] = {
    "HyperbandPruner": ("min_resource", "max_resource", "reduction_factor", "bootstrap_count"),
    "MedianPruner": ("n_startup_trials", "n_warmup_steps", "interval_steps", "n_min_trials"),
    "PatientPruner": ("patience", "min_delta"),
    "PercentilePruner": ("percentile", "n_startup_trials", "n_warmup_steps", "interval_steps", "n_min_trials"),
    "SuccessiveHalvingPruner": ("min_resource", "reduction_factor", "min_early_stopping_rate", "bootstrap_count"),
    "ThresholdPruner": ("lower", "upper", "n_warmup_steps", "interval_steps"),
}
"""Optuna 5's pruners that a YAML file can name; PatientPruner wraps no other pruner."""

UNSUPPORTED_PRUNERS = {
    "NopPruner": "leave study.pruner out, and nothing is pruned",
    "WilcoxonPruner": "it compares folds of a cross-validation, and a training has none; use asha or median",
}

UNSUPPORTED_SAMPLERS = {
    "GridSampler": "use grid, which never repeats a point",
    "PartialFixedSampler": "give the fixed axis one value instead",
}

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


def gpus_in_gres(gres: object) -> int | None:
    """Return how many GPUs the sbatch option `gres` asks for; None: it asks for none.

    >>> gpus_in_gres("gpu:a100:2"), gpus_in_gres(["gpu", "shard:4"]), gpus_in_gres("shard:4"), gpus_in_gres(None)
    (2, 1, None, None)
    """
    found = []
    for item in ",".join(map(str, gres if isinstance(gres, list | tuple) else [gres])).split(","):
        name, *rest = item.strip().removeprefix("gres/").removeprefix("gres:").split(":")
        if name == "gpu":
            found.append(int(rest[-1]) if rest and rest[-1].isdecimal() else 1)
    return sum(found) if found else None


def rivals(option: str) -> tuple[str, ...]:
    """Return the options that a request cannot have together with this one.

    >>> rivals("mem-per-cpu"), rivals("time")
    (('mem', 'mem-per-gpu'), ())
    """
    family = next((each for each in _FAMILIES if option in each), ())
    return tuple(each for each in family if each != option)
