"""Whole histories of a sweep in memory: the real passes, on a simulated clock, with faults."""
