"""Observe a sweep: its files, one query to the scheduler, and how ended jobs ended."""

from collections.abc import Mapping
from dataclasses import replace

from unetsweep.core.causes import CAUSE_OF_STATE, Cause
from unetsweep.core.observation import Attempt, Ending, Job, JobState, Observation
from unetsweep.core.ports import Scheduler
from unetsweep.errors import SchedulerError
from unetsweep.reconcile.context import SweepContext
from unetsweep.store.logs import last_message_in, names_full_disk

JobKey = tuple[str, int]
"""Token and index of an attempt."""
Jobs = Mapping[JobKey, Job]


def observe(context: SweepContext) -> Observation:
    """The sweep as its files and the scheduler show it."""
    return with_jobs(*collect(context))


def collect(context: SweepContext) -> tuple[Observation, Jobs, str | None]:
    """The files, the jobs, and why the scheduler could not be asked (None: it could, or there was nothing to ask)."""
    files = context.directory.observe(context.spec.metric)
    jobs, scheduler_error = ask(context.scheduler, files)
    if scheduler_error is None:
        jobs = {**jobs, **_jobs_without_clear_end(context, files, jobs), **_jobs_at_time_limit(context, files, jobs)}
    if not all(job.state.is_live for job in jobs.values()):
        # read once more after the query: everything that an ended job wrote is there now
        files = context.directory.observe(context.spec.metric)
    return _with_full_disks(context, files, jobs), jobs, scheduler_error


def _with_full_disks(context: SweepContext, files: Observation, jobs: Jobs) -> Observation:
    """The observation, with the ends of attempts that a full disk kept from recording them; their logs may say so."""
    runs = dict(files.runs)
    for number, run in files.runs.items():
        last = run.last
        if last is None or last.lost is not None or last.ending is not None:
            continue
        job, job_id = jobs.get((last.token, last.index)), last.claimed_by or last.job_id
        if job_id is None or (job is not None and job.state.is_live):
            continue
        message = last_message_in(context.directory.log_tail(last.token, last.index, job_id))
        if message is not None and names_full_disk(message):
            ended = replace(last, ending=Ending("disk", message))
            runs[number] = replace(run, attempts=(*run.attempts[:-1], ended))
    return replace(files, runs=runs)


def ask(scheduler: Scheduler, files: Observation) -> tuple[Jobs, str | None]:
    """The jobs of all last attempts that are not marked as lost and of the last reconciler job.

    Or why the scheduler did not answer; None: it did, or there was nothing to ask.
    """
    tokens = {run.last.token for run in files.runs.values() if run.last is not None and run.last.lost is None}
    last = files.last_reconciler_job
    if last is not None and not last.lost:
        tokens.add(last.token)
    if not tokens:
        return {}, None
    try:
        listed = scheduler.jobs(tokens)
    except SchedulerError as error:
        return {}, str(error)
    found: dict[JobKey, Job] = {}
    for job in listed:  # sbatch may have submitted a token twice: a live job counts, else the first one
        other = found.get((job.token, job.index))
        if other is None or (job.state.is_live and not other.state.is_live):
            found[job.token, job.index] = job
    return found, None


def with_jobs(files: Observation, jobs: Jobs, scheduler_error: str | None) -> Observation:
    """The observation of the files, with the job of each attempt and of the reconciler job."""
    runs = {
        number: replace(run, attempts=tuple(_with_job(attempt, jobs) for attempt in run.attempts))
        for number, run in files.runs.items()
    }
    last = files.last_reconciler_job
    if last is not None:
        last = replace(last, job=jobs.get((last.token, 0)))
    # a job that only accounting or a log knows does not prove that the queue still lists its array
    listed = frozenset(job.token for job in jobs.values() if not job.is_unlisted)
    return replace(files, runs=runs, scheduler_error=scheduler_error, last_reconciler_job=last, listed=listed)


def _with_job(attempt: Attempt, jobs: Jobs) -> Attempt:
    job = jobs.get((attempt.token, attempt.index))
    if job is None:
        return attempt
    return replace(attempt, job=job) if job.raw_state else replace(attempt, began=True)


def _jobs_without_clear_end(context: SweepContext, files: Observation, jobs: Jobs) -> dict[JobKey, Job]:
    """The jobs that ended although the queue does not say why, with the state from accounting or the job's log.

    If neither has a state, a job that is not listed is left out, unless it has a log. Then its state is empty: the job
    has begun, and nothing says how it ended.
    """
    unclear = {}
    since = context.clock.now() - context.timeouts.unlisted_grace
    for last in (run.last for run in files.runs.values()):
        if last is None or last.lost is not None or (last.ending is not None and last.ending.is_final):
            continue
        key = (last.token, last.index)
        job, job_id = jobs.get(key), last.claimed_by or last.job_id
        if job is None and job_id is not None and last.at <= since:
            unclear[job_id] = Job(job_id, *key, JobState.ENDED, "", is_unlisted=True)
        elif job is not None and job.state is JobState.ENDED and job.raw_state not in CAUSE_OF_STATE:
            unclear[job.job_id] = job
    if not unclear:
        return {}
    accounts = context.scheduler.final_states({job_id: job.token for job_id, job in unclear.items()})
    found = [_with_clearest_state(context, job, accounts.get(job_id)) for job_id, job in unclear.items()]
    return {
        (job.token, job.index): job
        for job in found
        if job.raw_state or context.directory.has_log(job.token, job.job_id)
    }


def _jobs_at_time_limit(context: SweepContext, files: Observation, jobs: Jobs) -> dict[JobKey, Job]:
    """The jobs that the time limit has ended, although the queue lists them until their exit hooks have run.

    Their processes are gone, since their exits are recorded. SLURM never starts such a job again.
    """
    found = {}
    for last in (run.last for run in files.runs.values()):
        if last is None or last.lost is not None or last.ending is None or last.ending.is_final:
            continue
        key = (last.token, last.index)
        job = jobs.get(key)
        if job is None or job.state is not JobState.RUNNING:
            continue
        state = context.scheduler.state_in_log(context.directory.log_tail(*key, job.job_id))
        if state is not None and CAUSE_OF_STATE.get(state[1]) is Cause.TIME:
            found[key] = replace(job, state=state[0], raw_state=state[1], ended_at=context.clock.now())
    return found


def _with_clearest_state(context: SweepContext, job: Job, account: tuple[JobState, str] | None) -> Job:
    """The job with the clearest reported state: one that names a cause, else a cancellation, else any."""
    log = context.scheduler.state_in_log(context.directory.log_tail(job.token, job.index, job.job_id))
    reported = [each for each in (account, log) if each is not None]
    best = next((each for each in reported if each[1] in CAUSE_OF_STATE), None)
    best = best or next((each for each in reported if each[0] is JobState.CANCELLED), None)
    if best is None and not job.raw_state:
        best = account
    return job if best is None else replace(job, state=best[0], raw_state=best[1])
