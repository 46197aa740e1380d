"""Measurements of the budgets.

Modules run compiled, as in an installed package: the benchmarks measure what a user gets.
"""

import os

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
