"""What a training imports: a job pays for it at each start."""

import subprocess
import sys


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_does_without_what_its_libraries_only_look_for() -> None:
    names = (
        "scipy.signal.windows",
        "scipy.optimize",
        "optuna",
        "submitit",
        "pandas",
        "sklearn",
        "matplotlib",
        "comet_ml",
    )
    code = f"import sys, unetsweep.training.run; print([name for name in {names} if name in sys.modules])"
    assert run(code) == "[]"


def test_what_was_put_off_is_there_for_whoever_uses_it() -> None:
    code = "import unetsweep.training.run, scipy.signal, scipy.signal.windows as w; "
    assert run(code + "print(scipy.signal.convolve([1, 2], [1, 1]).tolist(), len(w.hann(5)))") == "[1, 3, 2] 5"
    code = "import unetsweep.training.run; from scipy.signal import convolve; "
    assert run(code + "print(convolve([1, 2], [1, 1]).tolist())") == "[1, 3, 2]"
    code = "import scipy.signal, unetsweep.training.run, sys; "
    assert run(code + "print(type(sys.modules['scipy.signal']).__name__)") == "module"
