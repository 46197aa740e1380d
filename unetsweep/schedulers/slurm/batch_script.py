"""What the batch shells of our jobs do around the training: texts only, nothing runs here.

Rule 1: bash, because dash runs no EXIT trap on a signal.
Rule 2: a reconciliation beside or after the training runs in the environment as it is before the profile's lines, and
        how it goes never changes how the job ends.
"""

import shlex
from pathlib import Path
from typing import Any

from unetsweep.core import paths
from unetsweep.core.ports import ReconcilerRequest, Submission
from unetsweep.process import program
from unetsweep.store.permissions import permission_check_lines

GENERIC = "generic.pkl"
"""The one pickle of a submission."""
EXIT_HOOK_S = 30
STEP_END_S = 10
PERIODIC_END_S = 15
"""How long a periodic reconciliation may go on when the training has ended."""


def setup_lines(submission: Submission, folder: Path, python: str) -> list[str]:
    """Lines of the batch shell before srun; bash, because dash runs no EXIT trap on a signal."""
    exit_hook = shlex.join(program("unetsweep", "exit-hook", str(submission.sweep_dir), submission.token))
    no_reconcile, which = (
        "" if submission.jobs_reconcile else " --no-reconcile",
        "--index" if submission.pack == 1 else "--task",
    )
    here = shlex.quote(str(folder))
    quoted = shlex.quote(python)
    return [
        *permission_check_lines(submission.sweep_dir),
        *code_lines(submission.code),
        "# the pickle is in place whether or not the submitter lived to see the job's id",
        "US_JOB=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}}; US_JOB=${US_JOB:-$SLURM_JOB_ID}",
        f'[ -e {here}/"$US_JOB"_submitted.pkl ] || ln -s {GENERIC} {here}/"$US_JOB"_submitted.pkl',
        "# when the training's processes are gone, in the environment as it is before the profile's lines;",
        "# how it goes never changes how the job ends",
        'US_ENV=("PATH=$PATH" "LD_LIBRARY_PATH=${LD_LIBRARY_PATH-}" '
        '"PYTHONPATH=${PYTHONPATH-}" "PYTHONHOME=${PYTHONHOME-}")',
        "us_exit_hook() {",
        "  local status=$?",
        "  # a periodic reconciliation may be at work: killed with us it would leave a submission half done",
        '  if [ -n "${US_PERIODIC:-}" ] && kill "$US_PERIODIC" 2>/dev/null; then',
        f'    for _ in $(seq {PERIODIC_END_S * 5}); do kill -0 "$US_PERIODIC" 2>/dev/null || break; sleep 0.2; done',
        "  fi",
        f'  env "${{US_ENV[@]}}" timeout -k 5 {EXIT_HOOK_S} {exit_hook} {which} "${{SLURM_ARRAY_TASK_ID:-0}}"'
        f' --restart "${{SLURM_RESTART_COUNT:-0}}" --status "$status"{no_reconcile} </dev/null 2>&1 || true',
        "}",
        "trap us_exit_hook EXIT",
        *_beat(submission),
        "# bash runs a trap only between commands, so srun must be waited for",
        'srun() { command srun "$@" & US_STEP=$!; wait "$US_STEP"; }',
        "us_term() {",
        f"  for _ in $(seq {STEP_END_S * 5}); do",
        '    [ -n "${US_STEP:-}" ] && kill -0 "$US_STEP" 2>/dev/null || break; sleep 0.2',
        "  done",
        "  exit 143",
        "}",
        "trap us_term TERM",
        """trap '[ -z "${US_STEP:-}" ] || kill -TERM "$US_STEP" 2>/dev/null; us_term' HUP""",
        *submission.resources.setup,
        *code_lines(submission.code),
        f"command -v {quoted} >/dev/null || {{ echo {quoted}\" not found on $(hostname): it is slurm.python's word, "
        'or the submitting one"; exit 127; }',
    ]


def code_lines(code: Path | None) -> list[str]:
    """The pinned package before all others, and nothing from the working directory; repeated after lines of the user's,
    which may say PYTHONPATH anew."""
    lines = [
        "# an empty element of PYTHONPATH would be the working directory",
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
        "# the package as it was at submission",
        f'case "${{PYTHONPATH-}}:" in {first}:*) ;; *) {export} ;; esac',
    ]


def _beat(submission: Submission) -> list[str]:
    """A reconciliation beside the training, when the last one is old: never in a rank, and ended with the job's shell.
    With or without reconciliations: a step that lives on long after its last result is stuck, and holds a place for
    nothing."""
    root = shlex.quote(str(submission.sweep_dir))
    periodic = shlex.join(program("unetsweep", "periodic", str(submission.sweep_dir)))
    command = f'env "${{US_ENV[@]}}" timeout -k 5 300 {periodic}' if submission.jobs_reconcile else "true"
    half = max(1, submission.reconcile_interval_s // 2)
    return [
        "us_linger() {",
        f"  for _ in $(seq {submission.exit_timeout_s}); do sleep 1 & us_wait $! ''; done",
        f'  echo "unetsweep: the result has been there for {submission.exit_timeout_s} s and the processes still run;'
        ' the job is ended"',
        "  kill -HUP $$",
        "}",
        # a signal is heeded between commands, and at once in a wait: a sleep is left, a reconciliation comes to its end
        "us_wait() {",
        '  while ! wait "$1" && kill -0 "$1" 2>/dev/null; do [ -n "$2" ] || break; done',
        '  [ -z "$US_OVER" ] || exit 0',
        "}",
        # whether all results are there that it was sent for
        "us_through() {",
        '  local file; [ -s "$1" ] || return 1',
        '  while IFS= read -r file || [ -n "$file" ]; do [ -e "$file" ] || return 1; done <"$1"',
        "}",
        'us_pass() { "$@" </dev/null 2>&1 & us_wait $! whole; }',
        "us_periodic() {",
        "  trap - EXIT HUP; US_OVER=; trap 'US_OVER=1' TERM",
        f"  local run=({command}) left",
        "  while :; do",
        f"    left=$(({half} + RANDOM % {half + 1}))",
        '    while [ "$left" -gt 0 ]; do',
        "      sleep 1 & us_wait $! ''; left=$((left - 1))",
        *_tidings(submission),
        "    done",
        f"    US_AGE=$(($(date +%s) - $(stat -c %Y {root}/{paths.LAST_RECONCILIATION} 2>/dev/null || echo 0)))",
        # a clock that differs from the file server's: the command itself looks again by that one
        f'    [ "$US_AGE" -ge 0 ] && [ "$US_AGE" -lt {submission.reconcile_interval_s} ] && continue',
        '    us_pass "${run[@]}"',
        "  done",
        "}",
        "us_periodic & US_PERIODIC=$!",
    ]


def _tidings(submission: Submission) -> list[str]:
    """What, each second, reconciles at once: all results are there, or in a packed job another training ended."""
    if submission.pack > 1:
        slots = shlex.quote(str(submission.sweep_dir / paths.packed(submission.token) / "task-"))
        return [
            f'      local told={slots}"${{SLURM_ARRAY_TASK_ID:-0}}"; [ -e "$told.completed" ] || continue',
            '      mv -f "$told.completed" "$told.processing"; us_pass "${run[@]}" --now; rm -f "$told.processing"',
        ]
    awaited = shlex.quote(str(submission.sweep_dir / paths.awaited(submission.token, "")).removesuffix(".awaited"))
    return [  # while its processes go down, its place is given on
        f'      us_through {awaited}"${{SLURM_ARRAY_TASK_ID:-0}}.awaited" || continue',
        '      us_pass "${run[@]}" --now; us_linger; return',
    ]


def reconciler_script(reconciler: ReconcilerRequest) -> str:
    """What sbatch is given for a reconciler job. Where the reconciliation fails it tries again, and at last requeues
    itself."""
    resources, folder = reconciler.resources, reconciler.sweep_dir / paths.RECONCILERS
    options: dict[str, Any] = {
        "job-name": paths.job_name(reconciler.sweep, reconciler.token),
        "output": str(folder / f"{reconciler.token}.log"),
        "open-mode": "append",
        "ntasks": 1,
        "cpus-per-task": 1,
        "mem": "1G",
        "time": reconciler.limit_min,
        "begin": f"now+{reconciler.delay_s}",
        "dependency": "afterany:" + ":".join(reconciler.after) if reconciler.after else None,
        "partition": resources.partition,
        "account": resources.account,
        "qos": resources.qos,
        **{str(name).lstrip("-").replace("_", "-"): value for name, value in resources.reconciler.items()},
    }
    lines = [_option(key, value) for key, value in options.items() if value is not None and value is not False]
    reconcile = shlex.join(program("unetsweep", "reconciler-job", str(reconciler.sweep_dir), reconciler.token))
    return "\n".join(
        [
            "#!/bin/bash",
            *lines,
            "#SBATCH --requeue",
            *permission_check_lines(reconciler.sweep_dir),
            *code_lines(reconciler.code),
            f'while [ "$SECONDS" -lt {_keeps_s(reconciler.limit_min)} ]; do',
            f"  timeout -k 5 300 {reconcile} </dev/null 2>&1 && exit 0",
            "  sleep 60",
            "done",
            "# before its own limit ends it, which SLURM does not start again from",
            'until scontrol requeue "$SLURM_JOB_ID"; do sleep 10; done',
            "",
        ]
    )


def _keeps_s(limit_min: int) -> int:
    """How long a reconciler job tries, of its time limit: the last reconciliation that begins may take five minutes."""
    allowed = 60 * limit_min
    return max(allowed - 600, allowed // 3)


def _option(name: str, value: Any) -> str:
    if value is True:
        return f"#SBATCH --{name}"
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"#SBATCH --{name}={shlex.quote(text)}"
