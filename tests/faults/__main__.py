"""`python tests/faults`: cause the faults, judge, print the table. What is in the results file is not done again."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from bed import Bed, free_port
from campaign import beside, campaign, cases_of, choose, table
from kinds import KINDS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/faults", description=__doc__)
    parser.add_argument("--variant", choices=["none", "dbd", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", nargs="*", default=[], metavar="WORD", help="those with one of these words")
    parser.add_argument("--results", type=Path, default=Path("build/faults.jsonl"))
    parser.add_argument("--lanes", type=int, default=3, help="testbeds of each variant at the same time")
    parser.add_argument("--lane", type=Path, metavar="SHARED", help="be one of them; without a table")
    parser.add_argument("--exactly", nargs="*", default=[], metavar="KIND", help="those of these names")
    parser.add_argument("--list", action="store_true", help="print the kinds, and do nothing")
    parser.add_argument("--table", action="store_true", help="print the table of what is in the results file")
    asked = parser.parse_args()
    asked.results.parent.mkdir(parents=True, exist_ok=True)
    if asked.list:
        print("\n".join(KINDS))
        return 0
    if asked.lane:
        _lane(asked)
        return 0
    broken = 0
    if not asked.table:
        names = [kind.name for kind in choose(asked.kinds, asked.exactly)]
        variants = ["none", "dbd"] if asked.variant == "both" else [asked.variant]
        broken = beside(
            dict.fromkeys(variants, names), dict.fromkeys(variants, asked.lanes), asked.rounds, asked.results
        )
    cases = cases_of(asked.results)
    print("\n" + table(cases))
    trouble = [case for case in cases if not case.get("kept", "left_out" in case)]
    print(f"{len(cases)} cases, {sum(bool(case.get('kept')) for case in cases)} kept; not kept: {len(trouble)}")
    if broken:
        print(f"{broken} lanes failed, and the cases that they had taken were not made; start this again to make them")
    return int(bool(trouble or broken))


def _lane(asked: argparse.Namespace) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the testbed is stopped
    place = Path(tempfile.mkdtemp(prefix="faults-"))
    bed = Bed(asked.variant, place / "bed", free_port())
    campaign(choose(asked.kinds, asked.exactly), range(1, asked.rounds + 1), bed, asked.results, place, asked.lane)
    if any(path for path in place.iterdir() if path != bed.dir):
        print(f"what went wrong lies in {place}")
    else:
        shutil.rmtree(place)


if __name__ == "__main__":
    sys.exit(main())
