"""`python -m tests.simulation [HISTORIES] [FIRST]`: run the histories with these numbers and print what happened."""

import sys
import time
from collections import Counter

from .histories import draw_history
from .world import SimulatedWorld


def main(count: int, first: int = 0) -> int:
    total: Counter[str] = Counter()
    broken = []
    begin = time.perf_counter()
    for seed in range(first, first + count):
        world = SimulatedWorld(*draw_history(seed))
        try:
            world.run()
        except AssertionError as error:
            broken.append((seed, str(error).splitlines()[0]))
        total += world.counts
    kinds = {name: n for name, n in sorted(total.items()) if name.startswith("fault: ")}
    span = f"seeds {first} to {first + count - 1}"
    print(f"histories {count} ({span}), steps {total['steps']}, reconciliations {total['reconciliations']}")
    print(f"effects {total['effects']}, kills {total['kills']} and sleeps {total['sleeps']} of reconciliations")
    for name, number in kinds.items():
        print(f"  {name.removeprefix('fault: '):45} {number}")
    for seed, invariant in broken[:20]:
        print(f"  broken in history {seed}: {invariant}")
    print(f"invariants broken {len(broken)}, seconds {time.perf_counter() - begin:.1f}")
    return bool(broken)


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[1:]] or [10_000]
    sys.exit(main(*numbers))
