"""Whatever one file of a sweep is replaced by, commands name it, and nothing is trained twice; see campaign.py.

`python -m tests.damage --all` runs every case.
"""

import os
import time

import pytest

from .campaign import Campaign, Case, sample

SECONDS = 6.0
"""How long the cases may take together; a busy machine runs fewer of those that are drawn."""
SEED = int(os.environ.get("DAMAGE_SEED", "0"))
"""Selects the cases that are drawn."""
ALWAYS = (
    Case("running", "runs/0003/attempts/1.json", "token = a text"),
    Case("running", "runs/0000/milestones/8.json", "a pipe"),
    Case("running", "runs/0003/attempts/1.job.json", "job_id = an option"),
    Case("running", "runs/0003/claims/1-0", "at = the year 9999"),
    Case("running", "trials/0003/trial.json", "a link to itself"),
    Case("paused", "study.journal", "a pipe"),
    Case("finished", "sweep.json", "removed"),
    Case("finished", "sweep.yaml", "a link to a device"),
    Case("running", "trials/0000/result.json", "job_id = 5000 digits as text"),
    Case("running", "runs", "removed"),
)
"""Cases of each kind that once failed."""


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return Campaign(tmp_path_factory.mktemp("damage"))


def test_commands_name_damaged_files_and_train_nothing_twice(campaign: Campaign) -> None:
    until, cases = time.monotonic() + SECONDS, list(campaign.cases())
    count, findings = 0, []
    for case in (*ALWAYS, *sample(cases, len(cases), SEED)):
        if count >= len(ALWAYS) and time.monotonic() > until:
            break
        findings += campaign.run(case)
        count += 1
    print(f"cases {count} of {len(cases)}, seed {SEED}")  # noqa: T201
    assert findings == []
