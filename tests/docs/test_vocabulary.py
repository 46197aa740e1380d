"""The check of the vocabulary finds the words that the project no longer uses."""

import re
from collections.abc import Iterable

import pytest
from check_vocabulary import ROOT, Rules, findings, findings_in_path

RULES = Rules(frozenset({"look", "deed"}), frozenset({"World"}), re.compile(r"\ba pass\b", re.I), frozenset())


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        pytest.param("a.md", "One.\nIt makes a pass.\n", ["a.md:2: the phrase 'a pass'"], id="a phrase"),
        pytest.param("a.md", "last_look and World\n", [], id="names count only in Python"),
        pytest.param("a.py", "def last_look(x): ...\n", ["a.py:1: the name 'last_look'"], id="a function"),
        pytest.param("a.py", "def f(deed): ...\n", ["a.py:1: the name 'deed'"], id="an argument"),
        pytest.param("a.py", "x = 1\nfirstDeed = 2\n", ["a.py:2: the name 'firstDeed'"], id="a variable"),
        pytest.param("a.py", "class World: ...\n", ["a.py:1: the name 'World'"], id="a class"),
        pytest.param("a.py", "import os as look\n", ["a.py:1: the name 'look'"], id="an import"),
        pytest.param("a.py", "world_size = overlook = indeed = 1\n", [], id="parts of other words"),
        pytest.param("a.py", "library.look()\n", [], id="a name of another library"),
    ],
)
def test_forbidden_names_and_phrases_are_found(name: str, text: str, found: Iterable[str]):
    assert list(findings(name, text, RULES)) == found


def test_the_name_of_a_file_is_checked():
    assert findings_in_path("unetsweep/last_look.py", RULES) == ["unetsweep/last_look.py: the name of the file"]
    assert findings_in_path("unetsweep/overlook.py", RULES) == []


def test_the_list_of_the_project_finds_the_old_vocabulary():
    rules = Rules.read(ROOT / "pyproject.toml")
    text = "Start a sweep, or bring it on. Another pass is at work. It came to nothing.\n"
    assert len(list(findings("a.md", text, rules))) == 3
