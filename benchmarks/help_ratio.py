"""How long `unetsweep --help` takes, against a bare interpreter, and that nothing heavy is imported for it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.timing import in_turns, line, medians, process

ROUNDS = 21
BUDGET = 6.0
HEAVY = ("torch", "optuna", "submitit", "pydantic", "rich", "numpy")


def imported() -> list[str]:
    """Which of HEAVY are there after the command line's module was imported and its help was made."""
    script = (
        "import sys, json, io, contextlib\n"
        "from unetsweep.cli.main import main\n"
        "sys.argv = ['unetsweep', '--help']\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main()\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return list(json.loads(done.stdout))


def command() -> str:
    """The console script beside this interpreter, else the first on PATH."""
    beside = Path(sys.executable).with_name("unetsweep")
    found = str(beside) if beside.exists() else shutil.which("unetsweep")
    if found is None:
        sys.exit("no `unetsweep` beside this python nor on PATH; install it first: pip install -e .")
    return found


def main() -> bool:
    subjects = {"help": process(command(), "--help"), "bare": process(sys.executable, "-c", "pass")}
    took = medians(in_turns(ROUNDS, subjects))
    ratio, heavy = took["help"] / took["bare"], imported()
    return line(
        "`unetsweep --help` against `python -c pass`",
        f"{ratio:.1f} times ({1000 * took['help']:.0f} / {1000 * took['bare']:.0f} ms, medians of {ROUNDS}); "
        f"imported of {', '.join(HEAVY)}: {', '.join(heavy) or 'none'}",
        f"{BUDGET:.0f} times, none",
        ratio <= BUDGET and not heavy,
    )


if __name__ == "__main__":
    sys.exit(not main())
