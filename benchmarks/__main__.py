"""Run all benchmarks and write benchmarks/RESULTS.md; exit with status 1 when a budget was missed.

`python -m benchmarks [NAME …]`: with names, run only those and replace only their sections.
"""

import sys
from pathlib import Path
from types import ModuleType

from benchmarks import (
    data_check,
    help_ratio,
    idle_slots,
    live_view,
    machine,
    many_parameters,
    packing,
    pruned_search,
    report_page,
    report_ratio,
    results_page,
    shared_epochs,
    start_up,
    submit_many,
    timing,
    training_step,
    warm_start,
)

BENCHMARKS = (
    help_ratio,
    report_ratio,
    report_page,
    many_parameters,
    data_check,
    live_view,
    submit_many,
    start_up,
    training_step,
    warm_start,
    shared_epochs,
    pruned_search,
    idle_slots,
    packing,
)
RESULTS = Path(__file__).with_name("RESULTS.md")


def name_of(benchmark: ModuleType) -> str:
    return benchmark.__name__.rpartition(".")[2]


def main(names: list[str]) -> bool:
    """Run the named benchmarks, or all, and return whether all budgets were met."""
    known = [name_of(benchmark) for benchmark in BENCHMARKS]
    unknown = sorted(set(names) - set(known))
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(unknown)}; choose from {', '.join(known)}")
    selected, sys.argv[1:] = [each for each in BENCHMARKS if not names or name_of(each) in names], []
    met = []
    print(timing.HEADING, flush=True)
    for benchmark in selected:
        name = name_of(benchmark)
        timing.rows.clear()
        met.append(benchmark.main())
        if timing.rows:
            table = "\n".join([timing.HEADING, *timing.rows])
            about = machine.describe(f"python -m benchmarks.{name}")
            results_page.replace_section(RESULTS, name, f"{about}\n\n{table}", known)
    return all(met)


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1:]))
