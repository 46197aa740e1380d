"""All benchmarks, one after the other, into benchmarks/RESULTS.md; status 1 when a budget was missed.

`python -m benchmarks [NAME …]`: with names, only those; their sections replace the ones that were there.
"""

import sys
from pathlib import Path
from types import ModuleType

from benchmarks import (
    data_check,
    help_ratio,
    idle_slots,
    machine,
    packing,
    page,
    pruned_search,
    report_ratio,
    shared_epochs,
    start_up,
    submit_many,
    timing,
    training_step,
)

ALL = (
    help_ratio,
    report_ratio,
    data_check,
    submit_many,
    start_up,
    training_step,
    shared_epochs,
    pruned_search,
    idle_slots,
    packing,
)
RESULTS = Path(__file__).with_name("RESULTS.md")


def name_of(benchmark: ModuleType) -> str:
    return benchmark.__name__.rpartition(".")[2]


def main(names: list[str]) -> bool:
    unknown = set(names) - set(map(name_of, ALL))
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(map(name_of, ALL))}")
    wanted, sys.argv[1:] = [each for each in ALL if not names or name_of(each) in names], []
    kept = []
    print(timing.HEADING, flush=True)
    for each in wanted:
        timing.printed.clear()
        kept.append(each.main())
        if timing.printed:
            table = "\n".join([timing.HEADING, *timing.printed])
            about = machine.described(f"python -m benchmarks.{name_of(each)}")
            page.replace(RESULTS, name_of(each), f"{about}\n\n{table}", list(map(name_of, ALL)))
    return all(kept)


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
