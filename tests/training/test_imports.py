"""A training imports only what it needs, because each start of a job pays for it."""

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.train

NOT_NEEDED = (
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
    "by a name from it": "from scipy.signal import convolve\nvalue = convolve([1, 2], [1, 1]).tolist()",
    "imported before": "for name in [n for n in sys.modules if n.startswith(('scipy.signal', 'unetsweep.training'))]:\n"
    "    del sys.modules[name]\n"
    "import scipy.signal, unetsweep.training.run\n"
    "value = type(sys.modules['scipy.signal']).__name__",
}
COLD = f"""
import json, os, sys, unetsweep.training.run
found = {{"imported": [name for name in {NOT_NEEDED} if name in sys.modules]}}
for name, code in {USES}.items():  # each in its own fork
    read, write = os.pipe()
    if not os.fork():
        exec(code)
        os.write(write, json.dumps(value).encode())
        os._exit(0)
    os.close(write)
    found[name] = json.load(os.fdopen(read))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def imports() -> dict[str, Any]:
    """What a new Python process imports, and what the uses of lazy modules return in it."""
    done = subprocess.run([sys.executable, "-c", COLD], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_nothing_is_imported_that_a_training_does_not_need(imports: dict[str, Any]) -> None:
    assert imports["imported"] == []


@pytest.mark.parametrize(
    ("use", "value"), [("as a module", [[1, 3, 2], 5]), ("by a name from it", [1, 3, 2]), ("imported before", "module")]
)
def test_a_lazy_module_is_loaded_when_it_is_used(use: str, value: object, imports: dict[str, Any]) -> None:
    assert imports[use] == value
