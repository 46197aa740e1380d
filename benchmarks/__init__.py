"""Measurements of what the budgets promise."""
