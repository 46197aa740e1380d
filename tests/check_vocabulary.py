"""Find words that the project no longer uses: `python tests/check_vocabulary.py`.

The lists are in pyproject.toml, under `tool.vocabulary`:

- `name_parts`: a Python name that a file defines may not have one of these words in it (`last_look`, `BoardError`).
- `names`: a Python name may not be one of these, in full.
- `phrases`: regular expressions that no line of a text file may match. Case does not matter.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


class Rules(NamedTuple):
    """What the project does not write."""

    name_parts: frozenset[str]
    names: frozenset[str]
    phrases: re.Pattern[str]
    excluded: frozenset[str]

    @classmethod
    def read(cls, pyproject: Path) -> "Rules":
        table = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["vocabulary"]
        phrases = re.compile("|".join(f"(?:{phrase})" for phrase in table["phrases"]), re.IGNORECASE)
        return cls(frozenset(table["name_parts"]), frozenset(table["names"]), phrases, frozenset(table["excluded"]))


def findings(name: str, text: str, rules: Rules) -> Iterator[str]:
    """Yield `file:line: message` for each name or phrase in the text of the file `name` that `rules` forbid."""
    for number, line in enumerate(text.splitlines(), 1):
        for match in rules.phrases.finditer(line):
            yield f"{name}:{number}: the phrase {match.group()!r}"
    if name.endswith(".py"):
        for number, defined in sorted(_defined(ast.parse(text))):
            parts = {part.lower() for part in _PART.findall(defined)}
            if defined in rules.names or parts & rules.name_parts:
                yield f"{name}:{number}: the name {defined!r}"


def _defined(tree: ast.Module) -> set[tuple[int, str]]:
    """Return the names that the file defines: functions, classes, arguments, variables, attributes and imports."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add((node.lineno, name))
            case ast.arg(arg=name):
                found.add((node.lineno, name))
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                found.add((node.lineno, name))
            case ast.alias(asname=str(name)):
                found.add((node.lineno, name))
    return found


def main() -> int:
    """Print what was found in the files that git tracks. Return the exit status: 1 if there was something."""
    rules = Rules.read(ROOT / "pyproject.toml")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    count = 0
    for name in listed.split("\0"):
        path = ROOT / name
        if name in rules.excluded or not path.is_file():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # an image
            continue
        for finding in [*findings(name, text, rules), *findings_in_path(name, rules)]:
            print(finding)
            count += 1
    if count:
        print(f"{count} uses of words that docs/design.md replaces (tool.vocabulary in pyproject.toml has the list)")
    return int(count > 0)


def findings_in_path(name: str, rules: Rules) -> list[str]:
    """Return a finding if a folder or the file itself is named with a forbidden word."""
    parts = {part.lower() for part in _PART.findall(name)}
    return [f"{name}: the name of the file"] if parts & rules.name_parts else []


if __name__ == "__main__":
    sys.exit(main())
