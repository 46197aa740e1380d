"""The page that compares several sweeps."""

from unetsweep.report.comparison import Comparison
from unetsweep.report.page.render import fill

MOST_ROWS = 200
"""Rows of a table; JSON has all."""


def render(comparison: Comparison) -> str:
    """A comparison as HTML."""
    return fill("comparison.html", "Sweeps compared", comparison=comparison, most_rows=MOST_ROWS)
