"""The wheel contains everything that the command needs, and works without a checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from unetsweep.package import digest, sources

ROOT = Path(__file__).parents[2]

SWEEP = """
space: {epochs: [1], batch_size: [1], learning_rate: [1e-3]}
trainer: {command: "python3 trainer.py {config} {out}"}
"""
TRAINER = "import sys; open(sys.argv[2] + '/result.json', 'w').write('{\"val_iou\": 0.5}')"


def run(*command: object, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # PYTHONPATH may name a checkout
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_works_outside_a_checkout(tmp_path: Path):
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    run(sys.executable, "-m", "zipfile", "-e", wheel, site, cwd=tmp_path)
    # the dependencies of this interpreter; the link of an editable install in there is not followed
    assert digest(sources(site / "unetsweep")) == digest(sources(ROOT / "unetsweep"))  # templates too
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    here = tmp_path / "here"
    here.mkdir()
    (here / "s.yaml").write_text(SWEEP)
    (here / "trainer.py").write_text(TRAINER)
    where = run(python, "-c", "import unetsweep; print(unetsweep.__file__)", cwd=here)
    assert str(site) in where
    run(python, "-m", "unetsweep", "submit", "s.yaml", "--executor", "local", "--watch", cwd=here)
    assert "0.5" in run(python, "-m", "unetsweep", "report", "--format", "markdown", cwd=here)
