"""Whole histories of a sweep in memory: real reconciliations on a simulated clock, with faults."""
