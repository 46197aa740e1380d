"""Measure how long `unetsweep --help` takes against a bare interpreter, and check that it imports no heavy library."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.timing import command_runner, medians, print_row, time_in_turns

ROUNDS = 21
BUDGET = 6.0
HEAVY = ("torch", "optuna", "submitit", "pydantic", "rich", "numpy")


def imported_libraries() -> list[str]:
    """Return which of HEAVY are imported once the help was printed."""
    script = (
        "import sys, json, io, contextlib\n"
        "from unetsweep.cli.main import main\n"
        "sys.argv = ['unetsweep', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main()\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))\n"
    )
    process = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return list(json.loads(process.stdout))


def console_script() -> str:
    """Return the console script of this interpreter, or else the first one on PATH."""
    own = Path(sys.executable).with_name("unetsweep")
    found = str(own) if own.exists() else shutil.which("unetsweep")
    if found is None:
        sys.exit("there is no `unetsweep` beside this Python or on PATH; install it first: pip install -e .")
    return found


def main() -> bool:
    subjects = {
        "help": command_runner(console_script(), "--help"),
        "bare": command_runner(sys.executable, "-c", "pass"),
    }
    took = medians(time_in_turns(ROUNDS, subjects))
    ratio, heavy = took["help"] / took["bare"], imported_libraries()
    return print_row(
        "`unetsweep --help` against `python -c pass`",
        f"{ratio:.1f} times ({1000 * took['help']:.0f} / {1000 * took['bare']:.0f} ms, medians of {ROUNDS}); "
        f"imported of {', '.join(HEAVY)}: {', '.join(heavy) or 'none'}",
        f"{BUDGET:.0f} times, none",
        ratio <= BUDGET and not heavy,
    )


if __name__ == "__main__":
    sys.exit(not main())
