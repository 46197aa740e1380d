"""A table in a terminal never wraps, and says what it leaves out."""

from hypothesis import given
from hypothesis import strategies as st

from unetsweep.report.fitted_table import TextColumn, fitted
from unetsweep.report.terminal_curve import terminal_curve


def table(names: list[str]) -> list[TextColumn]:
    """A table of two texts and three numbers."""
    return [
        TextColumn("sweep", names, is_text=True),
        TextColumn("state", ["complete"] * len(names), is_text=True),
        TextColumn("best", ["0.8609"] * len(names)),
        TextColumn("age", ["12 min"] * len(names), dropped=1),
        TextColumn("used", ["1234.56 GPU-h"] * len(names), dropped=2),
    ]


@given(st.lists(st.text("ab_-/\n\x1b", max_size=70), min_size=1, max_size=4), st.integers(45, 130))
def test_no_row_is_wider_than_the_terminal(names: list[str], width: int) -> None:
    lines = [line for line in fitted(table(names), width) if not line.startswith("columns left out")]
    assert len(lines) == len(names) + 1
    assert max(map(len, lines)) <= width
    assert all(line.isprintable() for line in lines)


def test_columns_are_left_out_before_names_are_shortened() -> None:
    name = "a_sweep_with_a_name_of_forty_characters_"
    *rows, last = fitted(table([name]), 70)
    assert rows[1] == f"{name}  complete  0.8609  12 min"
    assert last == "columns left out here: used (a wider terminal or --json shows them)"
    assert fitted(table([name]), None)[1].endswith("1234.56 GPU-h")


def test_a_curve_has_as_many_columns_as_fit_and_averages_the_rest() -> None:
    points = [(epoch, float(epoch % 2)) for epoch in range(1000)]
    *rows, last = terminal_curve(points, width=50)
    assert max(map(len, rows)) == len("1.0000 │") + 50
    assert last.endswith("epoch 0 to 999")
    assert [row.count("█") for row in rows] == [0, 0, 0, 50, 50, 50]  # the mean of each column is in the middle


def test_a_curve_without_numbers_is_no_curve_and_one_without_blocks_is_ascii() -> None:
    assert terminal_curve([]) == terminal_curve([(1, float("nan"))]) == []
    lines = terminal_curve([(1, 0.5), (2, float("inf")), (3, 0.5)], unicode=False)
    assert "\n".join(lines).isascii()
    assert lines[-2].startswith("0.5000 |#")
    assert len(terminal_curve([(1, -1e308), (2, 1e308)])) == 7
