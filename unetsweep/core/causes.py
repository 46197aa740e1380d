"""Why an attempt came to nothing: the class of each loss, and what follows from it.

Rule 1: a class is chosen by evidence, the most certain first: what we did ourselves, the error file, the
        scheduler's word (refined by its accounts and its lines in the log), whether it ever started.
Rule 2: whose fault it is decides what it costs: the cluster's is bounded generously, the training's tightly.
"""

from enum import Enum


class Cause(Enum):
    """A class of loss."""

    REQUEUE = "it stopped in good order"
    """The time limit or an announced preemption; it could not be requeued under its own id."""
    TIME = "time limit"
    PREEMPTED = "preempted"
    NODE = "node failure"
    """Its node or its boot failed."""
    START = "it ended before it began"
    """No process of it ever claimed the run: a bad node, or an environment in which nothing starts."""
    VANISHED = "the queue forgot it"
    MEMORY = "out of memory"
    GPU_MEMORY = "out of GPU memory"
    DISK = "the disk is full"
    HANG = "no progress"
    PAUSED = "the sweep was stopped"
    """It had not begun; we took it back."""
    UNEXPLAINED = "no result and no reason"


WORDS = {
    "TIMEOUT": Cause.TIME,
    "DEADLINE": Cause.TIME,
    "PREEMPTED": Cause.PREEMPTED,
    "NODE_FAIL": Cause.NODE,
    "BOOT_FAIL": Cause.NODE,
    "OUT_OF_MEMORY": Cause.MEMORY,
}
"""The scheduler's words that give a class by themselves."""

KINDS = {"gpu_memory": Cause.GPU_MEMORY, "disk": Cause.DISK, "network": Cause.START}
"""The kinds of error files that do."""

SUSPECT = frozenset({Cause.NODE, Cause.START, Cause.HANG})
"""Losses after which the next attempt keeps away from the node."""
