"""`python tests/faults`: cause faults, judge the sweeps, print a table. Cases in the results file are not repeated."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from bed import Bed, free_port
from campaign import campaign, cases_of, run_lanes, select_kinds, table
from kinds import KINDS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python tests/faults", description=__doc__)
    parser.add_argument("--variant", choices=["none", "dbd", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--kinds", nargs="*", default=[], metavar="TEXT", help="only kinds with one of these texts in their name"
    )
    parser.add_argument("--results", type=Path, default=Path("build/faults.jsonl"))
    parser.add_argument("--lanes", type=int, default=3, help="testbeds of each variant at the same time")
    parser.add_argument("--lane", type=Path, metavar="SHARED", help="run as one of these lanes, without a table")
    parser.add_argument("--exactly", nargs="*", default=[], metavar="KIND", help="only kinds with these names")
    parser.add_argument("--list", action="store_true", help="print the kinds and exit")
    parser.add_argument("--table", action="store_true", help="only print the table of the results file")
    options = parser.parse_args()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    if options.list:
        print("\n".join(KINDS))
        return 0
    if options.lane:
        _lane(options)
        return 0
    failed_lanes = 0
    if not options.table:
        names = [kind.name for kind in select_kinds(options.kinds, options.exactly)]
        variants = ["none", "dbd"] if options.variant == "both" else [options.variant]
        failed_lanes = run_lanes(
            dict.fromkeys(variants, names), dict.fromkeys(variants, options.lanes), options.rounds, options.results
        )
    cases = cases_of(options.results)
    print("\n" + table(cases))
    failed = [case for case in cases if not case.get("kept", "skipped" in case)]
    print(f"{len(cases)} cases, {sum(bool(case.get('kept')) for case in cases)} kept; not kept: {len(failed)}")
    if failed_lanes:
        print(f"{failed_lanes} lanes failed; their open cases were not run, so start this again to run them")
    return int(bool(failed or failed_lanes))


def _lane(options: argparse.Namespace) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # to stop the testbed
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    bed = Bed(options.variant, folder / "bed", free_port())
    campaign(
        select_kinds(options.kinds, options.exactly),
        range(1, options.rounds + 1),
        bed,
        options.results,
        folder,
        options.lane,
    )
    if any(path for path in folder.iterdir() if path != bed.dir):
        print(f"the files of failed cases are in {folder}")
    else:
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main())
