"""Reading of YAML 1.2: scalars are typed as the standard says, and every value has a position."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unetsweep.config import yaml12, yaml_loader
from unetsweep.config.yaml12 import Document, dump, positions, read
from unetsweep.errors import Problem


def value(text: str) -> Any:
    document = read(text)
    assert isinstance(document, Document), document
    return document.value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-4", 1e-4),
        ("1.0e-4", 1e-4),
        ("1E-04", 1e-4),
        ("'1e-4'", "1e-4"),
        (".5e-3", 5e-4),
        ("5e+3", 5000.0),
        ("10", 10),
        ("010", 10),
        ("08", 8),
        ("0o10", 8),
        ("0x1f", 31),
        ("-3", -3),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("2026-01-01", "2026-01-01"),
        ("1.2.3", "1.2.3"),
        ("~", None),
        ("null", None),
        ("", None),
    ],
)
def test_scalars_are_read_as_in_yaml_1_2(text: str, expected: object) -> None:
    found = value(f"a: {text}")["a"]

    assert (type(found), found) == (type(expected), expected)


def test_merge_keys_and_anchors_are_resolved() -> None:
    assert value("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")["b"] == {"x": 1, "y": 3}


def test_keys_and_items_have_positions() -> None:
    found = positions("a:\n  b: [1,\n      2]\n")

    assert found == {"a": (1, 1), "a.b": (2, 3), "a.b.0": (2, 7), "a.b.1": (3, 7)}


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: b: c",
        "- 1\n---\n- 2",
        "a: !!python/object:os.system x",
        "a: !!binary aGk=",
        "a: \x00",
        "? [a]\n: 1",
        "[" * 5000,
        "a: !!int x",
        "a: *b",
    ],
)
def test_invalid_yaml_is_a_problem_and_no_traceback(text: str) -> None:
    document = read(text)

    assert isinstance(document, Problem) or document.problems


def multiplied(first: str, item: str) -> str:
    """A text of a few hundred bytes that is gigabytes when its aliases are expanded."""
    lines = [f"{name}: &{name} {item % ', '.join([f'*{before}'] * 9)}" for before, name in pairwise("abcdefghij")]
    return "\n".join([f"a: &a {first}", *lines])


TOO_LARGE = {
    "aliases that multiply": (multiplied("[x, y]", "[%s]"), 7, "more than 250000 values"),
    "merge keys that multiply": (multiplied("{x: 1}", "{<<: [%s]}"), 7, "more than 250000 values"),
    "a long text, many times": (f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 300)}]", 2, "more than 250000 values"),
    "aliases that are nested": (
        "a: &a [[[[[[[1]]]]]]]\nb: &b [[[[[[[*a]]]]]]]\nc: [[[[[[[*b]]]]]]]",
        3,
        "more than 20 levels",
    ),
    "brackets": ("[" * 50_000, 1, "more than 20 levels"),
    "braces": ("\n{a: " * 50_000, 22, "more than 20 levels"),
    "items of items": ("- " * 1_000_000, 1, "more than 20 levels"),
    "dashes": ("-" * 10_000_000, 1, "found 10000000 characters; at most 4000000"),
}


@pytest.mark.parametrize("kind", TOO_LARGE)
def test_a_text_that_would_use_up_the_memory_or_the_stack_is_refused_at_its_line(kind: str) -> None:
    text, line, message = TOO_LARGE[kind]
    document = read(text)

    assert isinstance(document, Problem)
    assert message in document.message
    assert document.line == line


def test_the_pure_python_loader_has_the_same_limits() -> None:
    with pytest.raises(yaml_loader.TooLarge):
        yaml12._read("[" * 50_000, yaml_loader.Loader)


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {<<: *a}", "a: &a {b: {<<: [*a]}}"])
def test_a_value_that_contains_itself_is_a_problem_with_its_line(text: str) -> None:
    document = read(text)

    assert isinstance(document, Document)
    assert [(problem.message, problem.line) for problem in document.problems] == [("refers to itself", 1)]


@pytest.mark.parametrize("kind", ["int", "float", "bool"])
def test_a_value_that_is_not_of_its_explicit_type_is_a_problem_with_its_line(kind: str) -> None:
    document = read(f"a: 1\nb: !!{kind} x")

    assert isinstance(document, Document)
    (problem,) = document.problems
    assert (problem.message, problem.field, problem.line) == (f"found 'x', which is not of the type !!{kind}", "b", 2)


def test_a_long_key_is_a_problem_because_the_path_of_every_field_in_it_would_be_as_long() -> None:
    document = read(f"? {'k' * 101}\n: [1, 2]")

    assert isinstance(document, Document)
    assert [problem.message for problem in document.problems] == ["found a key of 101 characters; at most 100"]


def test_a_syntax_error_has_its_line() -> None:
    assert (read("a: 1\nb: \x00").line, read('a: 1\nb: "\x07"').column) == (2, 5)  # type: ignore[union-attr]
    problem = read("a: 1\nb: [1, 2\nc: 3\n")

    assert isinstance(problem, Problem)
    assert (problem.line, problem.column) == (3, 2)


@given(st.text())
def test_any_text_is_a_document_or_a_problem(text: str) -> None:
    document = read(text)

    if isinstance(document, Document) and not document.problems:
        json.dumps(document.value, allow_nan=False)


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(
        ["1e-4", "on", "08", "0o7", "12:30", "1_000", "~", "null", "<<", "=", "2026-01-01", ".inf", "{x}"]
    )
)
_keys = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.recursive(_scalars, lambda inner: st.lists(inner) | st.dictionaries(_keys, inner), max_leaves=20))
@example("\x85 \u2028\u2029")
def test_a_written_value_is_read_back_equal(tree: object) -> None:
    document = read(dump(tree))

    assert isinstance(document, Document), document
    assert document.problems == ()
    assert json.dumps(document.value) == json.dumps(tree)


@pytest.mark.parametrize(
    "text",
    [
        "a: [1, 1e-4, off, .5, 0o17, 'x']\nb: {c: &x 1, d: *x}\nä: ü\nf: |\n  words\n  more\n",
        "base: &base {x: 1}\nmade:\n  <<: *base\n  y: [~, null, true]\n",
        "a: 1\na: 2\n1: x\nb: .inf\n",
        "\ufeffname: x",
        "# nothing\n",
    ],
)
def test_a_text_is_read_the_same_with_and_without_libyaml(text: str) -> None:
    fast, plain = yaml12._read(text, yaml_loader.FastLoader), yaml12._read(text, yaml_loader.Loader)
    assert isinstance(fast, yaml12.Document)
    assert fast == plain


@pytest.mark.parametrize("text", ["a: [1, 2", "a: 1\n b: 2", "a: !thing 1", "a: \x00"])
def test_a_text_that_libyaml_refuses_is_reported_with_the_message_of_pyyaml(text: str) -> None:
    assert isinstance(yaml12._read(text, yaml_loader.FastLoader), Problem)
    assert yaml12.read(text) == yaml12._read(text, yaml_loader.Loader)
