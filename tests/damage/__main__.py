"""`python -m tests.damage [--all] [--count N] [--seed N] [--only TEXT] [--part K/N]`: run cases, print findings."""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from .campaign import Campaign, sample


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.damage")
    parser.add_argument("--all", action="store_true", help="run every case")
    parser.add_argument("--seed", type=int, default=0, help="which cases are drawn [0]")
    parser.add_argument("--count", type=int, default=200, help="how many are drawn [200]")
    parser.add_argument("--only", default="", help="only cases with this text")
    parser.add_argument("--part", default="1/1", help="part K of N of them, for one process per core [1/1]")
    given = parser.parse_args()
    part, parts = (int(number) for number in given.part.split("/"))
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder))
        cases = [case for case in campaign.cases() if given.only in str(case)]
        chosen = (cases if given.all else sample(cases, given.count, given.seed))[part - 1 :: parts]
        findings = []
        for case in chosen:
            for finding in campaign.run(case):
                print(f"{finding.case}\n    {finding.kind}: {finding.text}", flush=True)
                findings.append(finding)
    counts = Counter(finding.kind for finding in findings)
    for kind, count in sorted(Counter(case.kind.partition(" = ")[2] or case.kind for case in chosen).items()):
        print(f"  {kind:40} {count}")
    for kind, count in counts.items():
        print(f"{kind}: {count}")
    named = (
        f"tracebacks {counts['traceback']}, hangs {counts['hang']}, silent differences {counts['silent difference']}"
    )
    print(
        f"cases {len(chosen)} of {len(cases)}, {named}, findings {len(findings)}, {time.perf_counter() - begin:.0f} s"
    )
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
