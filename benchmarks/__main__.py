"""All benchmarks, one after the other, as one table in benchmarks/RESULTS.md; status 1 when a budget was missed."""

import sys
from pathlib import Path

from benchmarks import (
    data_check,
    help_ratio,
    idle_slots,
    machine,
    packing,
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

if __name__ == "__main__":
    print(timing.HEADING, flush=True)
    kept = []
    for each in ALL:
        kept.append(each.main())
        table = "\n".join([timing.HEADING, *timing.printed])
        RESULTS.write_text(f"# Results\n\n{machine.described('make bench')}\n\n{table}\n")
    sys.exit(not all(kept))
