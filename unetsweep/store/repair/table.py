"""The files of a sweep: for each kind, its path, how it is checked, and how it is recovered.

Paths are relative to the sweep's directory; their capital letters are those of docs/files.md.

Rule 1: the order matters. What a file is rebuilt from comes before it: a submission before its attempts, the split
        (data.json) before the configs, trials before runs.
"""

from unetsweep.datasets.predicted_masks import read_predictions
from unetsweep.records import (
    ClaimFile,
    CodeFile,
    ErrorFile,
    ExitFile,
    JobFile,
    LocalJobFile,
    LostFile,
    MarkFile,
    PackFile,
    ProcessFile,
    PruneFile,
    ReconcilerFile,
    RequeueFile,
    SlotReuseFile,
    SlotTakenFile,
    TerminationFile,
    ThrottleFile,
)
from unetsweep.store.repair.find_damage import FileRule
from unetsweep.store.repair.recoveries import (
    check_lines,
    delete,
    drop_corrupt_lines,
    is_folder,
    is_record,
    quarantine,
    rebuild_marker,
    remake_folder,
)
from unetsweep.store.repair.run_files import (
    check_attempt,
    check_checkpoint,
    check_job,
    check_milestone,
    check_progress,
    recover_attempt,
    recover_claim,
    recover_last_checkpoint,
    submitted_attempts,
)
from unetsweep.store.repair.submission_files import (
    attempted_submissions,
    check_submission,
    recover_local_job,
    recover_packed,
    recover_process,
    recover_reconciler,
    recover_submission,
)
from unetsweep.store.repair.sweep_files import (
    check_code,
    check_leftover,
    check_spec,
    check_sweep_json,
    recover_data,
    recover_spec,
    recover_sweep_json,
)
from unetsweep.store.repair.trial_files import (
    check_trial_config,
    check_trial_result,
    recover_trial,
    recover_trial_config,
    recover_trial_result,
)
from unetsweep.store.sweep_dir import read_data
from unetsweep.store.trials import read_trial

NEXT_RECONCILER = quarantine("another reconciler job is submitted when one is needed")
FOUND_BY_TOKEN = quarantine("the job is found again by its token")
ASK_QUEUE = quarantine("the queue says how its job ended")
WRITTEN_AGAIN = quarantine("the process that needs it writes it again")
PUBLISH_AGAIN = quarantine("the training publishes it again, from its checkpoint")

TABLE = (
    FileRule("trials", is_folder, quarantine(advice="with it every trial is lost; put it back from a backup")),
    FileRule("runs", is_folder, remake_folder, required=True),
    FileRule("submissions", is_folder, remake_folder, required=True),
    *(FileRule(name, is_folder, quarantine()) for name in ("reconcilers", "packed", "code", "jobs", "collectable")),
    FileRule("sweep.yaml", check_spec, recover_spec, required=True),
    FileRule("PATH.tmp", check_leftover, delete),
    FileRule("PATH.probe", check_leftover, delete),
    FileRule("PATH.stale", check_leftover, delete),
    FileRule("submissions/TOKEN", is_folder, quarantine("its intent is rebuilt; its logs are lost")),
    FileRule("submissions/TOKEN/intent.json", check_submission, recover_submission, expected=attempted_submissions),
    FileRule("submissions/TOKEN/I.process.json", is_record(ProcessFile), recover_process),
    FileRule("sweep.json", check_sweep_json, recover_sweep_json, required=True),
    FileRule("cancelled.json", is_record(MarkFile), rebuild_marker),
    FileRule("data.json", lambda file: read_data(file.path), recover_data),
    FileRule("jobs/JOB.json", is_record(LocalJobFile), recover_local_job),
    FileRule("reconcilers/K.json", is_record(ReconcilerFile), recover_reconciler),
    FileRule("reconcilers/K.job.json", is_record(JobFile), NEXT_RECONCILER),
    FileRule("reconcilers/K.lost.json", is_record(LostFile), NEXT_RECONCILER),
    FileRule("packed/TOKEN/about.json", is_record(PackFile), recover_packed),
    FileRule("packed/TOKEN/N.reused.json", is_record(SlotReuseFile), WRITTEN_AGAIN),
    FileRule("packed/TOKEN/N.taken.json", is_record(SlotTakenFile), WRITTEN_AGAIN),
    FileRule("packed/TOKEN/NAME.json", is_record(MarkFile), WRITTEN_AGAIN),
    FileRule("code/HASH", check_code, quarantine("jobs that were submitted with it run the installed package")),
    FileRule("code.json", is_record(CodeFile), quarantine("the next `unetsweep submit` copies the package again")),
    FileRule("ledger.jsonl", check_lines, drop_corrupt_lines),
    FileRule("trials/NNNN", is_folder, quarantine("the trial counts as lost")),
    FileRule("trials/NNNN/trial.json", lambda file: read_trial(file.path.parent), recover_trial, required=True),
    FileRule("trials/NNNN/config.json", check_trial_config, recover_trial_config, required=True),
    FileRule("trials/NNNN/result.json", check_trial_result, recover_trial_result),
    FileRule("trials/NNNN/cancelled.json", is_record(MarkFile), rebuild_marker),
    FileRule("runs/NNNN", is_folder, quarantine("its attempts are rebuilt; its progress and checkpoints are lost")),
    FileRule("runs/NNNN/attempts", is_folder, quarantine("its attempts are rebuilt")),
    FileRule("runs/NNNN/attempts/K.json", check_attempt, recover_attempt, expected=submitted_attempts),
    FileRule("runs/NNNN/attempts/K.job.json", check_job, FOUND_BY_TOKEN),
    FileRule(
        "runs/NNNN/attempts/K.lost.json",
        is_record(LostFile),
        quarantine("the next reconciliation finds the reason again"),
    ),
    FileRule(
        "runs/NNNN/attempts/K.throttle.json",
        is_record(ThrottleFile),
        quarantine("the next reconciliation sets the throttle of the array again"),
    ),
    FileRule("runs/NNNN/attempts/K.end.json", is_record(TerminationFile), ASK_QUEUE),
    FileRule("runs/NNNN/attempts/K.exit-R.json", is_record(ExitFile), ASK_QUEUE),
    FileRule("runs/NNNN/attempts/K.retries-reset.json", is_record(MarkFile), rebuild_marker),
    FileRule("runs/NNNN/attempts/K.retry-exempt.json", is_record(MarkFile), rebuild_marker),
    FileRule("runs/NNNN/claims", is_folder, quarantine("the next job of the run claims it again")),
    FileRule("runs/NNNN/claims/K-R", is_record(ClaimFile), recover_claim),
    FileRule("runs/NNNN/milestones", is_folder, PUBLISH_AGAIN),
    FileRule("runs/NNNN/milestones/E.json", check_milestone, PUBLISH_AGAIN),
    FileRule(
        "runs/NNNN/milestones/E.predictions.json",
        lambda file: read_predictions(file.path),
        quarantine("the report shows no pictures of this trial; its numbers stay"),
    ),
    FileRule("runs/NNNN/error-P.json", is_record(ErrorFile), quarantine("the exit status is still known")),
    FileRule("runs/NNNN/requeue-K-R.json", is_record(RequeueFile), ASK_QUEUE),
    FileRule(
        "runs/NNNN/prune.json",
        is_record(PruneFile),
        quarantine("the pruner decides again"),
    ),
    FileRule("runs/NNNN/progress-K-R.jsonl", check_progress, drop_corrupt_lines),
    FileRule("runs/NNNN/checkpoints/last.ckpt", check_checkpoint, recover_last_checkpoint),
    FileRule(
        "runs/NNNN/checkpoints/NAME.ckpt",
        check_checkpoint,
        quarantine("`unetsweep predict` cannot use it; the numbers in the results stay"),
    ),
)
