"""A search of 12 trials on a cluster as some site runs it, that nobody watches: it is submitted once, without --watch,
and then only its jobs reconcile.

A test starts a cluster of its own with the fixture `start` of test_slurm_sites.py, with the site's settings, and calls
`search`, which checks the end:

    cluster = start("dbd", TESTBED_SET="KillWait=30")
    sites.search(cluster, workspace, "time: 1m, mem: 200M, qos: few")
"""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from slurm_cluster import Cluster
from slurm_sweeps import TRAINER, starts, unetsweep, until_ended, until_queue_is_empty

TRIALS = 12
SWEEP = """
name: search
space: {epochs: [4], batch_size: [4], learning_rate: {low: 1e-4, high: 1, log: true}}
trainer: {command: "python3 trainer.py {config} {out}"}
study: {sampler: tpe, trials: TRIALS}
run: {parallel: 3, reconcile_interval: 10}
slurm: {SLURM}
"""


def search(
    cluster: Cluster,
    folder: Path,
    slurm: str = "time: 5m, mem: 200M",
    *,
    wrappers: Path | None = None,
    seconds: float = 80.0,
    sleep_s: float = 0.3,
) -> str:
    """Run the search in this working directory, and check that it has ended right; return what `submit` printed.

    `slurm` holds the keys of the profile, `wrappers` the site's own SLURM commands; a training takes `sleep_s`.
    """
    (folder / "trainer.py").write_text(TRAINER.replace("SLEEP", str(sleep_s)))
    (folder / "search.yaml").write_text(SWEEP.replace("TRIALS", str(TRIALS)).replace("SLURM", slurm))
    with pytest.MonkeyPatch.context() as site:
        if wrappers is not None:
            site.setenv("PATH", f"{wrappers}:{os.environ['PATH']}")
        submitted = unetsweep("submit", "search.yaml")
    assert "on slurm" in submitted.stdout
    results = until_ended("search", seconds)
    _check(results)
    until_queue_is_empty(cluster)  # the last reconciler job is cancelled too
    return submitted.stdout + submitted.stderr


def _check(results: list[dict[str, object]]) -> None:
    """All trials are complete, each was trained once, and the report has the number of each."""
    assert [result["state"] for result in results] == ["complete"] * TRIALS
    assert starts() == Counter({f"{number:04}": 1 for number in range(TRIALS)})
    rows = json.loads(unetsweep("report", "search", "--format", "json").stdout)["rows"]
    assert len(rows) == TRIALS
    for result in results:
        config = json.loads(Path(f"results/search/trials/{result['trial']:04}/config.json").read_bytes())
        assert result["val_iou"] == pytest.approx(config["learning_rate"])
