"""Checks every file of a sweep against a table (`table`), and repairs the damaged ones."""
