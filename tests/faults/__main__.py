"""`python tests/faults`: cause the faults, judge, print the table. What is in the results file is not done again."""

import argparse
import sys
from pathlib import Path

from bed import Bed
from campaign import beside, campaign, cases_of, choose, place_of, table
from kinds import KINDS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/faults", description=__doc__)
    parser.add_argument("--variant", choices=["none", "dbd", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", nargs="*", metavar="WORD", help="those whose names have one of these words")
    parser.add_argument("--results", type=Path, default=Path("build/faults.jsonl"))
    parser.add_argument("--list", action="store_true", help="print the kinds, and do nothing")
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(KINDS))
        return 0
    asked.results.parent.mkdir(parents=True, exist_ok=True)
    if asked.variant == "both":
        words = ["--rounds", str(asked.rounds), "--results", str(asked.results)]
        words += ["--kinds", *asked.kinds] if asked.kinds else []
        beside(["none", "dbd"], words)
        cases = cases_of(asked.results)
        print("\n" + table(cases))
        return int(not all(case.get("kept", "left_out" in case) for case in cases))
    folder, port = place_of(asked.variant)
    bed = Bed(asked.variant, folder / "bed", port)
    made = campaign(choose(asked.kinds), range(1, asked.rounds + 1), bed, asked.results, folder / "cases")
    return int(not all(case.get("kept", "left_out" in case) for case in made))


if __name__ == "__main__":
    sys.exit(main())
