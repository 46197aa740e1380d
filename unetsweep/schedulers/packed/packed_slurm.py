"""SLURM with several trainings in each job: every one of them is listed as if it were a job of its own.

Rule 1: its id is its job's number, a point, and its number on the board (`packed_files`): known when it is sent, kept.
Rule 2: nothing here is decided: a training is as its job is, once one has taken it, until the board says it is over.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from unetsweep.core import paths
from unetsweep.core.observation import Job, JobState
from unetsweep.core.ports import Payload, ReconcilerRequest, Submission
from unetsweep.errors import SchedulerError, StateError
from unetsweep.schedulers.packed.slot_table import SlotTable, SlotTableDir, is_published, list_packed_tokens
from unetsweep.schedulers.slurm.scheduler import Slurm

_Tasks = Mapping[int, Job]
"""Jobs of one array, by index."""


class PackedSlurm(Slurm):
    """A `core.ports.Scheduler` for a sweep that packs, or did once."""

    def __init__(
        self,
        payload: Callable[[Submission], Payload],
        root: Path,
        *,
        timeout: float = 60.0,
        sbatch_timeout: float = 60.0,
    ) -> None:
        """`root`: the sweep's directory; the rest as for `Slurm`."""
        super().__init__(payload, timeout=timeout, sbatch_timeout=sbatch_timeout)
        self._root = root
        self._slot_tables: dict[str, SlotTableDir] = {}
        self._listed: dict[str, _Tasks] = {}
        """By token: the jobs of packed submissions, as they were listed last."""

    def jobs(self, tokens: Collection[str]) -> tuple[Job, ...]:
        if not tokens:
            return ()
        slot_tables, tokens = self._look(), frozenset(tokens)
        found = super().jobs(tokens | slot_tables.keys())
        plain = [job for job in found if job.token not in slot_tables]
        self._listed = {token: _tasks(token, found) for token in slot_tables}
        packed = [
            _as_job(slots, number, self._listed[token])
            for token, slots in slot_tables.items()
            for number in slots.numbers
            if self._listed[token] and slots.element(number)[0] in tokens - (slot_tables.keys() - {token})
        ]
        return (*plain, *(job for job in packed if job is not None))

    def submit(self, submission: Submission) -> tuple[str, ...]:
        """The id of each element, in their order. Where our jobs have places for all of them, no new one is sent."""
        if submission.pack == 1:
            return super().submit(submission)
        return self._invited(submission) or self._sent(submission)

    def _sent(self, submission: Submission) -> tuple[str, ...]:
        count = submission.elements
        places = min(submission.pack, submission.throttle or count)
        SlotTableDir(self._root, submission.token).create(count, places, submission.resources.mem)
        base = super().submit(replace(submission, elements=submission.jobs, throttle=None))[0].partition("_")[0]
        return tuple(f"{base}.{number}" for number in range(count))

    def _invited(self, submission: Submission) -> tuple[str, ...] | None:
        """The ids, where all of it found a place in jobs that run; None: nothing was done."""
        wanted = submission.resources
        for token, slots in self._look().items():
            tasks = self._listed.get(token, {})
            nodes = {job.node for job in tasks.values()}
            if slots.mem != wanted.mem or nodes & set(submission.exclude):
                continue
            published = {number for number in slots.taken if is_published(self._root, slots.element(number))}
            if count_free_slots(slots, tasks, published) < submission.elements:
                continue
            host, base = self._slots(token), _base(tasks)
            numbers = [host.reuse_slot((submission.token, index)) for index in range(submission.elements)]
            if _open(host.slots(), tasks):  # closed in between: their number stays, and nobody takes it
                return tuple(f"{base}.{number}" for number in numbers)
            for number in numbers:
                host.cancel(number)
        return None

    def cancel(self, job_ids: Collection[str]) -> None:
        """Of a packed job that runs other trainings too, only those; of one that runs no others, all of it."""
        plain, packed = self._parted(job_ids)
        for token, numbers in packed.items():
            for number in numbers:
                self._slots(token).cancel(number)
            plain |= self._idle(token)
        super().cancel(plain)

    def end(self, job_id: str) -> None:
        plain, packed = self._parted([job_id])
        for token, numbers in packed.items():
            for number in numbers:
                self._slots(token).stop(number)
            super().cancel(self._idle(token))
        for each in plain:
            super().end(each)

    def _idle(self, token: str) -> set[str]:
        """The jobs of a submission, where all that they were sent for is over or called off."""
        slots = self._slots(token).slots()
        over = slots.ended.keys() | slots.cancelled | (slots.stopped - slots.taken.keys())
        jobs = self._listed[token].values() if not set(slots.numbers) - over else ()
        return {job.job_id for job in jobs if job.state.is_live}

    def final_states(self, jobs: Mapping[str, str]) -> dict[str, tuple[JobState, str]]:
        """Of one that ended beside others that go on, its job's accounts tell nothing."""
        asked: dict[str, str] = {}
        behind: dict[str, list[str]] = {}
        for job_id, token in jobs.items():
            behind[job_id], host = self._behind(job_id, token)
            asked |= dict.fromkeys(behind[job_id], host)
        words = super().final_states(asked)
        return {job_id: words[each] for job_id, some in behind.items() for each in some if each in words}

    def _behind(self, job_id: str, token: str) -> tuple[list[str], str]:
        """Real jobs by one of which the accounts know it, and their token."""
        base, _, number = job_id.partition(".")
        if not number:
            return [job_id], token
        for host, slots in self._look().items():
            taken = slots.taken.get(int(number))
            if slots.element(int(number))[0] == token and taken is not None and int(number) not in slots.ended:
                return [f"{base}_{taken.task}", base], host
        return [], token

    def submit_reconciler(self, reconciler: ReconcilerRequest) -> str:
        """It waits for the jobs in which its trainings are."""
        plain, packed = self._parted(reconciler.after)
        for token, numbers in packed.items():
            slots, tasks = self._slots(token).slots(), self._listed[token]
            plain |= {tasks[t.task].job_id for n in numbers if (t := slots.taken.get(n)) and t.task in tasks}
        return super().submit_reconciler(replace(reconciler, after=tuple(sorted(plain))))

    def _parted(self, job_ids: Collection[str]) -> tuple[set[str], dict[str, list[int]]]:
        """Real jobs; and numbers on boards whose jobs were listed last."""
        tokens = {_base(tasks): token for token, tasks in self._listed.items() if tasks}
        plain: set[str] = set()
        packed: dict[str, list[int]] = {}
        for job_id in job_ids:
            base, _, number = job_id.partition(".")
            if not number:
                plain.add(job_id)
            elif base in tokens:
                packed.setdefault(tokens[base], []).append(int(number))
        return plain, packed

    def _slots(self, token: str) -> SlotTableDir:
        return self._slot_tables.setdefault(token, SlotTableDir(self._root, token))

    def _look(self) -> dict[str, SlotTable]:
        """StateError and its like would be the end of a reconciliation; this way nothing changes, and `status` says
        why."""
        try:
            return {token: self._slots(token).slots() for token in list_packed_tokens(self._root)}
        except (StateError, OSError, KeyError, TypeError, ValueError) as error:
            raise SchedulerError(f"{self._root / paths.PACKED}: {error}; see `unetsweep repair`") from error


def count_free_slots(slots: SlotTable, tasks: _Tasks, published: Collection[int] = ()) -> int:
    """How many more trainings the jobs that run could begin now."""
    running = _open(slots, tasks)
    busy = sum(
        taken.task in running and number not in slots.ended and number not in published
        for number, taken in slots.taken.items()
    )
    return len(running) * slots.pack - busy - len(slots.waiting)


def _open(slots: SlotTable, tasks: _Tasks) -> set[int]:
    """The jobs that run and may take more."""
    return {task for task, job in tasks.items() if job.state is JobState.RUNNING and task not in slots.closed}


def _tasks(token: str, jobs: Sequence[Job]) -> _Tasks:
    """Of two with one index, where sbatch sent it twice, the one that lives."""
    found: dict[int, Job] = {}
    for job in jobs:
        other = found.get(job.index)
        if job.token == token and (other is None or (job.state.is_live and not other.state.is_live)):
            found[job.index] = job
    return found


def _base(tasks: _Tasks) -> str:
    return next(iter(tasks.values())).job_id.partition("_")[0]


def _as_job(slots: SlotTable, number: int, tasks: _Tasks) -> Job | None:
    """An element as a job of its own; None: the queue lists the job no more that took it."""
    token, index = slots.element(number)
    taken = slots.taken.get(number)
    if taken is None:
        like = _hoped_for(list(tasks.values()))
    elif taken.task in tasks:
        like = tasks[taken.task]
    else:
        return None
    like = replace(like, job_id=f"{_base(tasks)}.{number}", token=token, index=index)
    if number in slots.ended or (taken is None and number in slots.cancelled | slots.stopped):
        state = JobState.CANCELLED if number in slots.cancelled else JobState.ENDED
        return replace(like, state=state, word=state.name, reason="", ended_at=slots.ended.get(number))
    return like


def _hoped_for(jobs: Sequence[Job]) -> Job:
    """Of an element that no job took: the job from which most can be hoped for, or how the last hope went."""
    queued = next((job for job in jobs if job.state is JobState.QUEUED), None)
    if queued is not None:
        return queued
    alive = next((job for job in jobs if job.state.is_live), None)
    if alive is not None:
        reason = f"waits for a free place in job {alive.job_id}"
        return replace(alive, state=JobState.QUEUED, word="PENDING", reason=reason, node=None)
    order = (JobState.CANCELLED, JobState.NODE_FAILED, JobState.ENDED)
    return min(jobs, key=lambda job: order.index(job.state))
