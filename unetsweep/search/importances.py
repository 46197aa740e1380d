"""How much each parameter matters for the best results, by Optuna's PED-ANOVA.

PED-ANOVA (Watanabe, Bansal, Hutter: IJCAI 2023) compares the parameters of the best tenth of the trials with those of
all. It needs neither a model nor scikit-learn, and knows parameters with conditions.
"""

import contextlib
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence

import optuna
from optuna.trial import create_trial

from unetsweep.core.space import is_fixed
from unetsweep.core.spec import SweepSpec
from unetsweep.search.distributions import study_distributions
from unetsweep.search.optuna_trials import direction
from unetsweep.trial_config import ParameterValue

ENOUGH = 20
"""Points with a score. Of fewer, less than two are the best tenth, and their parameters are chance."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


def parameter_importances(
    spec: SweepSpec, scored: Sequence[tuple[Mapping[str, ParameterValue], float]]
) -> dict[str, float]:
    """Return the share of each parameter that varies, the largest first; they add up to 1. Empty: nothing varies.

    `scored`: points with their metric, at least `ENOUGH`.
    """
    varied = {path for path, domain in spec.reported_space.domains().items() if not is_fixed(domain)}
    kinds = study_distributions(spec, [point for point, _ in scored])
    study = optuna.create_study(direction=direction(spec))
    for point, value in scored:
        params = {path: each for path, each in point.items() if path in varied}
        study.add_trial(create_trial(params=params, distributions={path: kinds[path] for path in params}, value=value))
    if len({path for point, _ in scored for path in point if path in varied}) < 1 or len({v for _, v in scored}) < 2:
        return {}
    with _without_sklearn():
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a feature of Optuna is new
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    return dict(found)


@contextlib.contextmanager
def _without_sklearn() -> Iterator[None]:
    """Let imports here find no scikit-learn: Optuna imports it for its other evaluators, which takes over a second."""
    if "sklearn" in sys.modules:
        yield
        return
    sys.modules["sklearn"] = None  # type: ignore[assignment]  # as Python documents it
    try:
        yield
    finally:
        del sys.modules["sklearn"]
