"""What a sweep sends to its scheduler: requests for training jobs and for reconciler jobs."""

from dataclasses import dataclass
from pathlib import Path

from unetsweep.config.units import minutes, slurm_minutes
from unetsweep.core.actions import Submit, SubmitReconciler
from unetsweep.core.ports import RECONCILER_MIN, Payload, ReconcilerRequest, Submission
from unetsweep.core.retry_policy import with_memory
from unetsweep.core.spec import SweepSpec
from unetsweep.worker import Allocation, ElementPayload


@dataclass(frozen=True, slots=True)
class JobRequests:
    """Makes the requests of one sweep from the actions of its plan."""

    spec: SweepSpec
    root: Path
    code: Path | None
    """The copied package that jobs run; None: they run the installed one."""
    exit_timeout_s: int

    def submission(self, token: str, action: Submit) -> Submission:
        """The request for the training jobs of `action`, under `token`."""
        resources = self.spec.slurm
        return Submission(
            token=token,
            sweep=self.spec.name,
            sweep_dir=self.root,
            elements=len(action.elements),
            resources=resources if action.mem is None else with_memory(resources, action.mem),
            throttle=action.throttle,
            slots=action.slots,
            jobs=action.jobs,
            jobs_reconcile=self.spec.run.driver == "jobs",
            reconcile_interval_s=self.spec.run.reconcile_interval,
            exit_timeout_s=self.exit_timeout_s,
            exclude=action.exclude,
            code=self.code,
            resumes=self.spec.trainer.command is None or self.spec.trainer.resumes,
            is_built_in=self.spec.trainer.command is None,
        )

    def reconciler_request(self, token: str, action: SubmitReconciler) -> ReconcilerRequest:
        """The request for a reconciler job, under `token`."""
        resources = self.spec.slurm
        own_time = resources.reconciler.get("time")
        limit = None if own_time is None else minutes(str(own_time)) or slurm_minutes(str(own_time))
        return ReconcilerRequest(
            token=token,
            sweep=self.spec.name,
            sweep_dir=self.root,
            resources=resources,
            after=action.after,
            delay_s=action.delay_s,
            exclude=action.exclude,
            code=self.code,
            limit_min=limit or min(RECONCILER_MIN, resources.time_min),
        )


def payload_of(submission: Submission) -> Payload:
    """What each element of a submission runs; in a packed submission, what each job runs."""
    where = (str(submission.sweep_dir), submission.token)
    if submission.slots is None:
        return ElementPayload(*where)
    resources = submission.resources
    return Allocation(
        *where,
        resources.processes,
        resources.time_min,
        submission.jobs_reconcile,
        submission.exit_timeout_s,
        submission.resumes,
        submission.is_built_in,
    )
