"""The texts of the batch scripts that SLURM runs for our jobs. Nothing runs here.

Rule 1: the scripts need bash, because dash runs no EXIT trap on a signal.
Rule 2: a site may start jobs without the environment of sbatch (`--export=NONE`). Then the script itself sets what the
        commands of SLURM and Python need to be found.
Rule 3: a reconciliation during or after the training has the environment from before the profile's `setup` lines, and
        its result never changes the exit status of the job.
"""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unetsweep.config.names import rivals
from unetsweep.config.units import minutes
from unetsweep.core import paths
from unetsweep.core.ports import ReconcilerRequest, Submission
from unetsweep.process import program
from unetsweep.store.permissions import permission_check_lines

GENERIC = "generic.pkl"
"""The pickle that all jobs of a submission start from."""
ENVIRONMENT = "UNETSWEEP_ENVIRONMENT"
"""A variable that sbatch gets and that a job does not have if it does not get the environment of sbatch."""
_SET = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME")
_SET_IF_MISSING = ("HOME", "USER", "SLURM_CONF")  # a node's own values are better
EXIT_HOOK_S = 30
"""Time limit of the exit hook, so that a slow file system or controller holds the job's GPUs no longer than this."""
STEP_END_S = 10
"""How long the batch shell waits for a cancelled training. SLURM kills all processes of a cancelled job after KillWait,
30 s by default, and the exit hook must run before that."""
PERIODIC_END_S = 15
"""How long a periodic reconciliation may continue after the training has ended. Most take a few seconds."""


def setup_lines(submission: Submission, folder: Path, python: str) -> list[str]:
    """Return the lines of the batch script before `srun`."""
    exit_hook = shlex.join(program("unetsweep", "exit-hook", str(submission.sweep_dir), submission.token))
    no_reconcile = "" if submission.jobs_reconcile else " --no-reconcile"
    which = "--index" if submission.slots is None else "--task"
    here = shlex.quote(str(folder))
    quoted = shlex.quote(python)
    return [
        *environment_lines(os.environ),
        *permission_check_lines(submission.sweep_dir),
        *code_lines(submission.code),
        "# submitit expects the pickle under the job's id, which a submitter that is killed after sbatch never learns",
        "US_JOB_ID=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}",
        "US_JOB_ID=${US_JOB_ID:-$SLURM_JOB_ID}",
        f'[ -e {here}/"$US_JOB_ID"_submitted.pkl ] || ln -s {GENERIC} {here}/"$US_JOB_ID"_submitted.pkl',
        "# the exit hook runs when the training's processes are gone, with the environment from before the setup lines",
        'US_ENV=("PATH=$PATH" "LD_LIBRARY_PATH=${LD_LIBRARY_PATH-}" '
        '"PYTHONPATH=${PYTHONPATH-}" "PYTHONHOME=${PYTHONHOME-}")',
        "US_LOG_SIZE=$(stat -L -c %s /proc/$$/fd/1 2>/dev/null || echo 0)",
        "us_exit_hook() {",
        r"  local status=$? how=() IFS=$' \t\n'",
        "  set +eu  # the setup lines may have set them",
        '  [ -n "${US_STEP_PID:-}" ] || how=(--setup-from "$US_LOG_SIZE")  # the training never began',
        "  # a training that ignores SIGTERM: SLURM kills it after KillWait, and until then its end is not recorded",
        '  [ -n "${US_STEP_PID:-}" ] && kill -0 "$US_STEP_PID" 2>/dev/null && how=(--alive)',
        "  # let a periodic reconciliation finish: killed with this shell it would leave a submission incomplete",
        '  if [ -n "${US_PERIODIC_PID:-}" ] && kill "$US_PERIODIC_PID" 2>/dev/null; then',
        f"    for _ in $(seq {PERIODIC_END_S * 5}); do",
        '      kill -0 "$US_PERIODIC_PID" 2>/dev/null || break; sleep 0.2',
        "    done",
        "  fi",
        f'  env "${{US_ENV[@]}}" timeout -k 5 {EXIT_HOOK_S} {exit_hook} {which} "${{SLURM_ARRAY_TASK_ID:-0}}"'
        f' --restart "${{SLURM_RESTART_COUNT:-0}}" --status "$status" "${{how[@]}}"{no_reconcile}'
        " </dev/null 2>&1 || true",
        "}",
        *_periodic_lines(submission),  # started before the traps are set, which its process must not have
        "trap us_exit_hook EXIT",
        "# bash runs a trap between commands and during `wait`, so srun runs in the background",
        'srun() { command srun "$@" & US_STEP_PID=$!; wait "$US_STEP_PID"; }',
        "us_terminate() {",
        f"  for _ in $(seq {STEP_END_S * 5}); do",
        '    [ -n "${US_STEP_PID:-}" ] && kill -0 "$US_STEP_PID" 2>/dev/null || break; sleep 0.2',
        "  done",
        "  exit 143",
        "}",
        "trap us_terminate TERM",
        """trap '[ -z "${US_STEP_PID:-}" ] || kill -TERM "$US_STEP_PID" 2>/dev/null; us_terminate' HUP""",
        *submission.resources.setup,
        "# if the setup lines have set a trap of their own, it runs after the exit hook",
        'US_TRAP=$(trap -p EXIT); US_TRAP=${US_TRAP#"trap -- "}; eval "US_TRAP=${US_TRAP% EXIT}"',
        """[ "$US_TRAP" = us_exit_hook ] || trap 'us_exit_hook; eval "$US_TRAP"' EXIT""",
        *code_lines(submission.code),
        f'command -v {quoted} >/dev/null || {{ echo {quoted}" not found on $(hostname): set slurm.python to a '
        'Python that the nodes have"; exit 127; }',
    ]


def environment_lines(environ: Mapping[str, str]) -> list[str]:
    """Return lines that set what a job needs of the submitter's environment, if it did not get that environment."""
    known = {name: shlex.quote(value) for name, value in environ.items() if value and value.isprintable()}
    return [
        "# a site may start jobs without the environment of the submitter",
        f'if [ -z "${{{ENVIRONMENT}-}}" ]; then',
        f"  export {ENVIRONMENT}=script",
        *(f"  export {name}={known[name]}" for name in _SET if name in known),
        *(f'  [ -n "${{{name}-}}" ] || export {name}={known[name]}' for name in _SET_IF_MISSING if name in known),
        "fi",
    ]


def code_lines(code: Path | None) -> list[str]:
    """Return lines that put the pinned package first on PYTHONPATH, and remove the working directory from it.

    They are repeated after the user's `setup` lines, which may set PYTHONPATH.
    """
    lines = [
        "# remove empty elements, which stand for the working directory",
        "PYTHONPATH=${PYTHONPATH-}",
        "while [[ $PYTHONPATH == *::* ]]; do PYTHONPATH=${PYTHONPATH//::/:}; done",
        "PYTHONPATH=${PYTHONPATH#:} && export PYTHONPATH=${PYTHONPATH%:}",
    ]
    if code is None:
        return lines
    first = shlex.quote(str(code))
    export = f'export PYTHONPATH={first}"${{PYTHONPATH:+:$PYTHONPATH}}"'
    return [
        *lines,
        "# the package as it was when the job was submitted",
        f'case "${{PYTHONPATH-}}:" in {first}:*) ;; *) {export} ;; esac',
    ]


def _periodic_lines(submission: Submission) -> list[str]:
    """Return lines that reconcile from the batch shell, next to the training, whenever the last reconciliation is old.

    Even if jobs do not reconcile, they end a job that keeps running long after its last result: its processes hang, and
    would hold the job's GPUs for nothing.
    """
    root = shlex.quote(str(submission.sweep_dir))
    periodic = shlex.join(program("unetsweep", "periodic", str(submission.sweep_dir)))
    command = f'env "${{US_ENV[@]}}" timeout -k 5 300 {periodic}' if submission.jobs_reconcile else "true"
    half = max(1, submission.reconcile_interval_s // 2)
    return [
        "us_enforce_exit_timeout() {",
        f"  for _ in $(seq {submission.exit_timeout_s}); do sleep 1 & us_wait $! ''; done",
        f'  echo "unetsweep: the result has been there for {submission.exit_timeout_s} s and the processes still run;'
        ' the job is ended"',
        "  kill -HUP $$",
        "}",
        "# us_wait PID COMPLETE: bash handles a signal during `wait`; without COMPLETE it then stops waiting",
        "us_wait() {",
        '  while ! wait "$1" && kill -0 "$1" 2>/dev/null; do [ -n "$2" ] || break; done',
        '  [ -z "$US_TERMINATED" ] || exit 0',
        "}",
        "# us_results_exist FILE: whether every result named in FILE exists",
        "us_results_exist() {",
        '  local file; [ -s "$1" ] || return 1',
        '  while IFS= read -r file || [ -n "$file" ]; do [ -e "$file" ] || return 1; done <"$1"',
        "}",
        'us_reconcile() { "$@" </dev/null 2>&1 & us_wait $! complete; }',
        "us_periodic() {",
        "  trap - EXIT HUP; US_TERMINATED=; trap 'US_TERMINATED=1' TERM",
        f"  local run=({command}) seconds_left",
        "  while :; do",
        f"    seconds_left=$(({half} + RANDOM % {half + 1}))",
        '    while [ "$seconds_left" -gt 0 ]; do',
        "      sleep 1 & us_wait $! ''; seconds_left=$((seconds_left - 1))",
        *_completion_lines(submission),
        "    done",
        f"    US_AGE=$(($(date +%s) - $(stat -c %Y {root}/{paths.LAST_RECONCILIATION} 2>/dev/null || echo 0)))",
        # this node's clock may differ from the file server's, by which the command checks the age once more
        f'    [ "$US_AGE" -ge 0 ] && [ "$US_AGE" -lt {submission.reconcile_interval_s} ] && continue',
        '    us_reconcile "${run[@]}"',
        "  done",
        "}",
        "us_periodic & US_PERIODIC_PID=$!",
    ]


def _completion_lines(submission: Submission) -> list[str]:
    """Return lines that run every second and reconcile at once when the job, or one of its packed trainings, is done.

    So the next training may start while the processes of this one exit.
    """
    if submission.slots is not None:
        slots = shlex.quote(str(submission.sweep_dir / paths.packed(submission.token) / "task-"))
        return [
            f'      local event={slots}"${{SLURM_ARRAY_TASK_ID:-0}}"; [ -e "$event.completed" ] || continue',
            '      mv -f "$event.completed" "$event.processing"; us_reconcile "${run[@]}" --now',
            '      rm -f "$event.processing"',
        ]
    awaited = shlex.quote(str(submission.sweep_dir / paths.awaited(submission.token, "")).removesuffix(".awaited"))
    return [
        f'      us_results_exist {awaited}"${{SLURM_ARRAY_TASK_ID:-0}}.awaited" || continue',
        '      us_reconcile "${run[@]}" --now; us_enforce_exit_timeout; return',
    ]


def reconciler_script(request: ReconcilerRequest, training: Mapping[str, Any] | None = None) -> str:
    """Return the script of a reconciler job, which retries a failed reconciliation, and requeues itself before its
    time limit. `training`: it asks for what a training asks for; these are the options by their long names."""
    folder = request.sweep_dir / paths.RECONCILERS
    options: dict[str, Any] = {
        "job-name": paths.job_name(request.sweep, request.token),
        "output": str(folder / f"{request.token}.log"),
        "open-mode": "append",
        "time": request.limit_min,
        "begin": f"now+{request.delay_s}",
        "dependency": "afterany:" + ":".join(request.after) if request.after else None,
        **(_reconciler_options(request) if training is None else training),
    }
    if request.exclude:
        options["exclude"] = ",".join(filter(None, (options.get("exclude"), *request.exclude)))
    lines = [
        _option(key.replace("_", "-"), value)
        for key, value in options.items()
        if value is not None and value is not False
    ]
    reconcile = shlex.join(program("unetsweep", "reconciler-job", str(request.sweep_dir), request.token))
    return "\n".join(
        [
            "#!/bin/bash",
            *lines,
            "#SBATCH --requeue",
            *environment_lines(os.environ),
            *permission_check_lines(request.sweep_dir),
            *code_lines(request.code),
            f"US_END={_retry_s(request.limit_min)}  # in the seconds of this shell, before the time limit",
            'while US_LEFT=$((US_END - SECONDS)); [ "$US_LEFT" -gt 0 ]; do',
            f"  timeout -k 5 $((US_LEFT < 300 ? US_LEFT : 300)) {reconcile} </dev/null 2>&1 && exit 0",
            '  [ $((SECONDS + 60)) -lt "$US_END" ] || break',
            "  sleep 60",
            "done",
            "# SLURM does not restart a job that reached its time limit",
            'until scontrol requeue "$SLURM_JOB_ID"; do sleep 10; done',
            "",
        ]
    )


def _reconciler_options(request: ReconcilerRequest) -> dict[str, Any]:
    """Return the options for one CPU, overridden by the user's; a null of the user's removes an option."""
    resources, users = request.resources, dict(request.resources.reconciler)
    options: dict[str, Any] = {
        "ntasks": 1,
        "cpus-per-task": 1,
        "mem": "1G",
        "partition": resources.partition,
        "account": resources.account,
        "qos": resources.qos,
    }
    replaced = {rival for option in users for rival in rivals(option)}
    if users.get("time") is not None and minutes(str(users["time"])) is not None:
        users["time"] = request.limit_min  # sbatch does not read `2h`
    return {**{option: value for option, value in options.items() if option not in replaced}, **users}


def _retry_s(limit_min: int) -> int:
    """Return how long a reconciler job works within its time limit, so that it can requeue itself afterwards."""
    allowed = 60 * limit_min
    return allowed - min(60, allowed // 4)


def _option(name: str, value: Any) -> str:
    if value is True:
        return f"#SBATCH --{name}"
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"#SBATCH --{name}={shlex.quote(text)}"
