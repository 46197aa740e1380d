"""Read the space: a domain for each parameter, which is named by its path or by the end of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from unetsweep.config.domains import FORMS, domain_from
from unetsweep.config.parameters import resolve
from unetsweep.config.yaml12 import Document
from unetsweep.core.space import REQUIRED, Domain, Parameter, Space
from unetsweep.decode import joined
from unetsweep.errors import Problem


@dataclass(frozen=True, slots=True)
class Axes:
    """What could be read of the space."""

    domains: Mapping[str, Domain]
    """By path; those with problems are left out."""
    is_complete: bool = False
    """Whether none is left out."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Where the file has each parameter, for messages: `space.base` of `model.base`."""

    def space(self) -> Space | None:
        """Return the space; None if a part of it could not be read."""
        if not self.is_complete:
            return None
        return Space(tuple(Parameter(path, domain) for path, domain in self.domains.items()))

    def place(self, path: str) -> str:
        """Return where the file has this parameter."""
        return self.fields.get(path, f"space.{path}")


def axes_from(raw: object, problems: list[Problem], fixed: Mapping[str, object] | None = None) -> Axes:
    """Read the parameters under `space:`, in their order; what does not fit is added to `problems`.

    `fixed`: those of the section `trainer` that have one value there.
    """
    before = len(problems)
    written: dict[str, tuple[object, str]] = {}
    for path, value in (fixed or {}).items():
        written[path] = (value, f"trainer.{path}")
        if isinstance(value, list | Mapping):
            problems.append(Problem(f"found {value!r}; one number, and several under space"[:200], f"trainer.{path}"))
    if not isinstance(raw, Mapping) and (raw is not None or len(written) < len(REQUIRED)):
        found = "is missing" if raw is None else f"found {raw!r}"
        problems.append(Problem(f"{found}; a mapping with keys {', '.join(REQUIRED)} is expected", "space"))
        return Axes({})
    for key, value in (raw if isinstance(raw, Mapping) else {}).items():
        at = joined("space", str(key))
        found_path = resolve(str(key), at)
        if isinstance(found_path, Problem):
            problems.append(found_path)
        elif found_path in written:
            problems.append(Problem(f"is {found_path}, which {written[found_path][1]} sets too; remove one", at))
        elif value is not None or found_path not in REQUIRED:
            written[found_path] = (value, at)
    missing = [path for path in REQUIRED if path not in written]
    problems += [Problem(f"is missing; {FORMS}, or one value as trainer.{path}", f"space.{path}") for path in missing]
    domains = {path: domain_from(path, value, problems, at) for path, (value, at) in written.items()}
    read = {path: domain for path, domain in domains.items() if domain is not None}
    return Axes(read, len(problems) == before, {path: at for path, (_, at) in written.items()})


def field_in(document: Document, name: str) -> str:
    """Return where a user's file has a field of the space, which checks name by its path: `space.base` for
    `space.model.base`, `trainer.epochs` for `space.epochs`."""
    raw = document.value.get("space") if isinstance(document.value, Mapping) else None
    for key in raw if isinstance(raw, Mapping) else ():
        path = resolve(str(key), "")
        if isinstance(path, str) and f"{name}.".replace("#", ".").startswith(f"space.{path}."):
            return f"space.{key}{name.removeprefix(f'space.{path}')}"
    fixed = f"trainer.{name.removeprefix('space.')}"
    return fixed if name.startswith("space.") and fixed.partition("#")[0] in document.positions else name
