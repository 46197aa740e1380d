"""Causes: why an attempt was lost. The cause decides what happens next.

Rule 1: the most certain evidence decides: what a reconciliation did itself, then the error file, then the scheduler's
        answer (with its accounting and its lines in the log), then whether the attempt ever started.
Rule 2: losses that the cluster causes get many retries, those that the training causes get few.
"""

from enum import Enum


class Cause(Enum):
    """A class of loss; the value is its text in messages."""

    REQUEUE = "it stopped early"
    """The time limit or an announced preemption, if the job could not be requeued under its own id."""
    TIME = "time limit"
    PREEMPTED = "preempted"
    NODE = "node failure"
    """Its node failed, or did not boot."""
    START = "the job ended before its training began"
    """No process of it ever claimed the run: a bad node, or an environment in which nothing starts."""
    DEVICE = "GPU error"
    """The GPU of its node, its driver or NCCL does not work."""
    PORT = "its port was taken"
    """Another process took the port of its ranks before they connected. The node is fine."""
    VANISHED = "the job vanished from the queue"
    MEMORY = "out of memory"
    GPU_MEMORY = "out of GPU memory"
    DISK = "the disk is full"
    HANG = "no progress"
    PAUSED = "the sweep was paused"
    """A reconciliation cancelled its job before the training began, because the sweep was paused."""
    UNEXPLAINED = "no result and no reason"


CAUSE_OF_STATE = {
    "TIMEOUT": Cause.TIME,
    "DEADLINE": Cause.TIME,
    "PREEMPTED": Cause.PREEMPTED,
    "NODE_FAIL": Cause.NODE,
    "BOOT_FAIL": Cause.NODE,
    "OUT_OF_MEMORY": Cause.MEMORY,
}
"""SLURM's job states that name the cause."""

ERROR_KINDS = {"gpu_memory": Cause.GPU_MEMORY, "disk": Cause.DISK, "device": Cause.DEVICE, "network": Cause.PORT}
"""The kinds of error files that name the cause."""

SUSPECT = frozenset({Cause.NODE, Cause.START, Cause.DEVICE, Cause.HANG})
"""Losses after which the next attempt avoids the node."""
