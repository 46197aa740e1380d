"""Copies of runs in experiment trackers. `tracker` is the interface, `table` lists the trackers."""
