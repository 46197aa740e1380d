"""Write a sweep with every default filled in: the `sweep.yaml` of its directory."""

import json
from typing import Any

from unetsweep import __version__
from unetsweep.config.gpu_requests import GpuRequest
from unetsweep.config.load import spec_from
from unetsweep.config.units import time_text
from unetsweep.config.yaml12 import dump
from unetsweep.contract import encode
from unetsweep.core import paths
from unetsweep.core.space import Choices, Domain, NamedValue, Parameter, Point, Space
from unetsweep.core.spec import SweepSpec
from unetsweep.errors import SpecError


def as_yaml(spec: SweepSpec, *, commit: str | None = None) -> str:
    """Return the spec as YAML that `load` reads back equal, whatever the profiles contain by then.

    `commit` of the code goes into the header.
    """
    code = f", code {commit}" if commit else ""
    header = f"# {spec.name} as it was submitted, every default written out; unetsweep {__version__}{code}\n"
    return header + dump(tree(spec))


def checked_yaml(spec: SweepSpec, *, commit: str | None = None) -> str:
    """Return `as_yaml` after reading it back; SpecError if it cannot be read, or if it is another sweep.

    A sweep's folder with such a file would be of no use.
    """
    text = as_yaml(spec, commit=commit)
    try:
        again = spec_from(text, paths.SPEC)
    except SpecError as error:
        raise SpecError(f"{paths.SPEC} as it would be written", error.problems) from error
    wanted, read = tree(spec), tree(again)
    changed = [key for key in wanted if _json(wanted[key]) != _json(read[key])]
    if changed:
        message = f"would be read back with another {' and '.join(changed)}; nothing was written: please report this"
        raise SpecError(f"{paths.SPEC} as it would be written", [message])
    return text


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def tree(spec: SweepSpec) -> dict[str, Any]:
    """Return the spec under the keys of the YAML file."""
    study = encode(spec.study)
    sampler = _with_arguments(spec.study.sampler, study.pop("sampler_args"))
    pruner = _with_arguments(spec.study.pruner, study.pop("pruner_args"))
    slurm = encode(spec.slurm)
    slurm["gpus"] = GpuRequest(spec.slurm.gpus, slurm.pop("gpu_type")).written
    slurm["setup"] = list(spec.slurm.setup)
    return {
        "name": spec.name,
        "data": {name: value for name, value in encode(spec.data).items() if name != "manifest"},
        "space": {parameter.path: parameter_tree(parameter) for parameter in spec.space.parameters},
        "points": [_point_tree(spec.space, point) for point in spec.points],
        "exclude": [dict(each) for each in spec.space.excluded],
        "study": {**study, "sampler": sampler, "pruner": pruner},
        "model": encode(spec.model),
        "trainer": encode(spec.trainer),
        "run": encode(spec.run),
        "slurm": {
            ("time" if k == "time_min" else k): (time_text(v) if k == "time_min" else v) for k, v in slurm.items()
        },
        **({"added": [_point_tree(spec.space, point) for point in spec.added]} if spec.added else {}),
    }


def _point_tree(space: Space, point: Point) -> dict[str, Any]:
    """Return a listed point as it is written in YAML: a list or mapping that is not in the space with its value."""
    tree: dict[str, Any] = dict(point)
    for path, value in point.items():
        domain = space.domains().get(path)
        if isinstance(domain, Choices) and value not in domain.values:
            extra = next((each for each in domain.named if each.name == value), None)
            tree[path] = value if extra is None else _named_tree(extra)
    return tree


def _named_tree(value: NamedValue) -> dict[str, Any]:
    return {"name": value.name, "value": encode(value.value)}


def _with_arguments(name: str | None, arguments: dict[str, Any]) -> Any:
    return {"name": name, **arguments} if arguments else name


def parameter_tree(parameter: Parameter) -> Any:
    """Return the domain and the conditions of a parameter as they are written in YAML."""
    tree = _domain_tree(parameter.domain)
    if not parameter.when:
        return tree
    when = {condition.path: list(condition.values) for condition in parameter.when}
    return {**(tree if isinstance(tree, dict) else {"values": tree}), "when": when}


def _domain_tree(domain: Domain) -> Any:
    """Return a domain as it is written in YAML."""
    if isinstance(domain, Choices):
        named = {each.name: _named_tree(each) for each in domain.named}
        return [named.get(value, value) if isinstance(value, str) else value for value in domain.values]
    return {"low": domain.low, "high": domain.high, "log": domain.log, "step": domain.step}
