"""What a training imports, since every start of a job pays for it."""

import json
import subprocess
import sys
from typing import Any

import pytest

NEEDLESS = (
    "scipy.signal.windows",
    "scipy.optimize",
    "optuna",
    "submitit",
    "pandas",
    "sklearn",
    "matplotlib",
    "comet_ml",
)
USES = {
    "as a module": "import scipy.signal, scipy.signal.windows as w\n"
    "value = scipy.signal.convolve([1, 2], [1, 1]).tolist(), len(w.hann(5))",
    "by a name of it": "from scipy.signal import convolve\nvalue = convolve([1, 2], [1, 1]).tolist()",
    "before": "for name in [n for n in sys.modules if n.startswith(('scipy.signal', 'unetsweep.training'))]:\n"
    "    del sys.modules[name]\n"
    "import scipy.signal, unetsweep.training.run\n"
    "value = type(sys.modules['scipy.signal']).__name__",
}
COLD = f"""
import json, os, sys, unetsweep.training.run
seen = {{"imported": [name for name in {NEEDLESS} if name in sys.modules]}}
for name, code in {USES}.items():  # each in a fork of its own
    read, write = os.pipe()
    if not os.fork():
        exec(code)
        os.write(write, json.dumps(value).encode())
        os._exit(0)
    os.close(write)
    seen[name] = json.load(os.fdopen(read))
print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """The modules and values that a fresh interpreter, like that of a job, has found."""
    done = subprocess.run([sys.executable, "-c", COLD], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_nothing_is_imported_that_libraries_only_look_up(seen: dict[str, Any]) -> None:
    assert seen["imported"] == []


@pytest.mark.parametrize(
    ("use", "value"), [("as a module", [[1, 3, 2], 5]), ("by a name of it", [1, 3, 2]), ("before", "module")]
)
def test_a_lazy_module_is_loaded_when_it_is_used(use: str, value: object, seen: dict[str, Any]) -> None:
    assert seen[use] == value
