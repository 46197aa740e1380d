"""Each module of the package can be imported first: there is no cycle, and none relies on the imports of another."""

import subprocess
import sys

SCRIPT = """
import importlib, os, pkgutil, sys
import click, cv2, numpy, optuna, submitit, yaml  # libraries only, once for all forks
import optuna.storages.journal
import unetsweep
names = [m.name for m in pkgutil.walk_packages(unetsweep.__path__, "unetsweep.") if not m.name.endswith("__main__")]
names = [name for name in names if not name.startswith("unetsweep.training")]  # need torch: tests/training has them
print(len(names))
for name in names:
    for module in [module for module in sys.modules if module.startswith("unetsweep.")]:
        del sys.modules[module]  # pkgutil imported them to list their modules
    pid = os.fork()
    if pid == 0:
        try:
            importlib.import_module(name)
        except BaseException as error:
            print(f"{name}: {type(error).__name__}: {error}", flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
"""


def test_every_module_can_be_imported_first() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    count, *errors = done.stdout.splitlines()
    assert int(count) > 150
    assert errors == []
