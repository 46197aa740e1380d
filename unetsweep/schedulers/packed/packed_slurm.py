"""SLURM with several trainings in each job. Each training is listed as if it were a job.

Rule 1: the id of a training is its array's id, a dot, and its number in the slot table. It is known when the training
        is submitted, and never changes.
Rule 2: nothing is decided here. Once a job has taken a training, the training has the state of that job, until the slot
        table records its end.
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
    """A `core.ports.Scheduler` for a sweep that packs trainings, or did so earlier."""

    def __init__(
        self,
        payload: Callable[[Submission], Payload],
        root: Path,
        *,
        timeout: float = 60.0,
        sbatch_timeout: float = 60.0,
    ) -> None:
        """`root` is the sweep's directory; the rest is as for `Slurm`."""
        super().__init__(payload, timeout=timeout, sbatch_timeout=sbatch_timeout)
        self._root = root
        self._table_dirs: dict[str, SlotTableDir] = {}
        self._listed: dict[str, _Tasks] = {}
        """The jobs of each packed submission, by token, from the last query."""

    def jobs(self, tokens: Collection[str]) -> tuple[Job, ...]:
        if not tokens:
            return ()
        tables, tokens = self._read_tables(), frozenset(tokens)
        found = super().jobs(tokens | tables.keys())
        plain = [job for job in found if job.token not in tables]
        self._listed = {token: _tasks(token, found) for token in tables}
        packed = [
            _as_job(table, number, self._listed[token])
            for token, table in tables.items()
            for number in table.numbers
            if self._listed[token] and table.element(number)[0] in tokens - (tables.keys() - {token})
        ]
        return (*plain, *(job for job in packed if job is not None))

    def submit(self, submission: Submission) -> tuple[str, ...]:
        """Return the id of each element, in order. If running jobs have slots for all of them, no job is submitted."""
        if submission.slots is None:
            return super().submit(submission)
        return self._reuse_slots(submission) or self._submit_jobs(submission, submission.slots)

    def _submit_jobs(self, submission: Submission, slots: int) -> tuple[str, ...]:
        count = submission.elements
        slots = min(slots, submission.throttle or count)
        SlotTableDir(self._root, submission.token).create(count, slots, submission.resources.mem)
        base = super().submit(replace(submission, elements=submission.jobs, throttle=None))[0].partition("_")[0]
        return tuple(f"{base}.{number}" for number in range(count))

    def _reuse_slots(self, submission: Submission) -> tuple[str, ...] | None:
        """Give all elements a slot in running jobs, and return their ids; None if no array has enough free slots."""
        wanted = submission.resources
        for token, table in self._read_tables().items():
            tasks = self._listed.get(token, {})
            nodes = {job.node for job in tasks.values()}
            if table.mem != wanted.mem or nodes & set(submission.exclude):
                continue
            published = {number for number in table.taken if is_published(self._root, table.element(number))}
            if count_free_slots(table, tasks, published) < submission.elements:
                continue
            table_dir, base = self._table_dir(token), _base(tasks)
            numbers = [table_dir.reuse_slot((submission.token, index)) for index in range(submission.elements)]
            if _open_jobs(table_dir.read(), tasks):
                return tuple(f"{base}.{number}" for number in numbers)
            for number in numbers:  # all jobs closed in between: the numbers stay, and no job takes them
                table_dir.cancel(number)
        return None

    def cancel(self, job_ids: Collection[str]) -> None:
        """Cancel trainings. A job in which others still run or wait continues; any other job is cancelled."""
        plain, packed = self._split_ids(job_ids)
        errors = []
        for token, numbers in packed.items():
            for number in numbers:
                try:
                    self._table_dir(token).cancel(number)
                except OSError as error:  # a full disk: a job of which nothing else is wanted is cancelled nevertheless
                    errors.append(error)
            plain |= self._idle_jobs(token, numbers)
        super().cancel(plain)
        if errors:
            raise errors[0]

    def end(self, job_id: str) -> None:
        plain, packed = self._split_ids([job_id])
        for token, numbers in packed.items():
            for number in numbers:
                self._table_dir(token).terminate(number)
            super().cancel(self._idle_jobs(token))
        for each in plain:
            super().end(each)

    def _idle_jobs(self, token: str, unwanted: Collection[int] = ()) -> set[str]:
        """The live jobs of a submission, if all of its trainings have ended, will not start, or are `unwanted`."""
        table = self._table_dir(token).read()
        over = table.ended.keys() | table.cancelled | (table.terminated - table.taken.keys())
        jobs = self._listed[token].values() if not set(table.numbers) - over - set(unwanted) else ()
        return {job.job_id for job in jobs if job.state.is_live}

    def final_states(self, jobs: Mapping[str, str]) -> dict[str, tuple[JobState, str]]:
        """As for `Slurm`, but without trainings that ended while their job continued: accounting knows only the job."""
        queried: dict[str, str] = {}
        real_ids: dict[str, list[str]] = {}
        for job_id, token in jobs.items():
            real_ids[job_id], array_token = self._real_jobs(job_id, token)
            queried |= dict.fromkeys(real_ids[job_id], array_token)
        states = super().final_states(queried)
        return {job_id: states[each] for job_id, some in real_ids.items() for each in some if each in states}

    def _real_jobs(self, job_id: str, token: str) -> tuple[list[str], str]:
        """The ids under one of which accounting knows a training's job, and the token of that job."""
        base, _, number = job_id.partition(".")
        if not number:
            return [job_id], token
        for array_token, table in self._read_tables().items():
            taken = table.taken.get(int(number))
            if table.element(int(number))[0] == token and taken is not None and int(number) not in table.ended:
                return [f"{base}_{taken.task}", base], array_token
        return [], token

    def submit_reconciler(self, request: ReconcilerRequest) -> str:
        """Submit a reconciler job that waits for the jobs in which its trainings run."""
        plain, packed = self._split_ids(request.after)
        for token, numbers in packed.items():
            table, tasks = self._table_dir(token).read(), self._listed[token]
            plain |= {tasks[t.task].job_id for n in numbers if (t := table.taken.get(n)) and t.task in tasks}
        return super().submit_reconciler(replace(request, after=tuple(sorted(plain))))

    def _split_ids(self, job_ids: Collection[str]) -> tuple[set[str], dict[str, list[int]]]:
        """Separate ids of real jobs from those of packed trainings; the latter as numbers, by the token of the table.

        Trainings of arrays that the last query did not list are left out.
        """
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

    def _table_dir(self, token: str) -> SlotTableDir:
        return self._table_dirs.setdefault(token, SlotTableDir(self._root, token))

    def _read_tables(self) -> dict[str, SlotTable]:
        """Read all slot tables, by token.

        An unreadable one is a SchedulerError: the reconciliation then changes nothing, and `status` shows why.
        """
        try:
            return {token: self._table_dir(token).read() for token in list_packed_tokens(self._root)}
        except (StateError, OSError, KeyError, TypeError, ValueError) as error:
            raise SchedulerError(f"{self._root / paths.PACKED}: {error}; see `unetsweep repair`") from error


def count_free_slots(table: SlotTable, tasks: _Tasks, published: Collection[int] = ()) -> int:
    """How many more trainings the running jobs could start now. Trainings in `published` are about to exit."""
    running = _open_jobs(table, tasks)
    busy = sum(
        taken.task in running and number not in table.ended and number not in published
        for number, taken in table.taken.items()
    )
    return len(running) * table.pack - busy - len(table.waiting)


def _open_jobs(table: SlotTable, tasks: _Tasks) -> set[int]:
    """The running jobs that take more trainings."""
    return {task for task, job in tasks.items() if job.state is JobState.RUNNING and task not in table.closed}


def _tasks(token: str, jobs: Sequence[Job]) -> _Tasks:
    """The jobs of one token by index. If an index occurs twice, because sbatch submitted twice, the live job counts."""
    found: dict[int, Job] = {}
    for job in jobs:
        other = found.get(job.index)
        if job.token == token and (other is None or (job.state.is_live and not other.state.is_live)):
            found[job.index] = job
    return found


def _base(tasks: _Tasks) -> str:
    """The id of the array."""
    return next(iter(tasks.values())).job_id.partition("_")[0]


def _as_job(table: SlotTable, number: int, tasks: _Tasks) -> Job | None:
    """A training as a job of its own; None if the queue does not list the job that took it."""
    token, index = table.element(number)
    taken = table.taken.get(number)
    if taken is None:
        job = _expected_job(list(tasks.values()))
    elif taken.task in tasks:
        job = tasks[taken.task]
    else:
        return None
    job = replace(job, job_id=f"{_base(tasks)}.{number}", token=token, index=index)
    if number in table.ended or (taken is None and number in table.cancelled | table.terminated):
        state = JobState.CANCELLED if number in table.cancelled else JobState.ENDED
        return replace(job, state=state, raw_state=state.name, reason="", ended_at=table.ended.get(number))
    return job


def _expected_job(jobs: Sequence[Job]) -> Job:
    """The state of a training that no job has taken: that of the job most likely to take it, else of an ended one."""
    queued = next((job for job in jobs if job.state is JobState.QUEUED), None)
    if queued is not None:
        return queued
    alive = next((job for job in jobs if job.state.is_live), None)
    if alive is not None:
        reason = f"waits for a free slot in job {alive.job_id}"
        return replace(alive, state=JobState.QUEUED, raw_state="PENDING", reason=reason, node=None)
    order = (JobState.CANCELLED, JobState.NODE_FAILED, JobState.ENDED)
    return min(jobs, key=lambda job: order.index(job.state))
