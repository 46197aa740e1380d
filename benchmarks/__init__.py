"""Measurements of what the budgets promise.

Rule 1: what is measured is a package as it is installed, with its modules compiled once.
"""

import os

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
