"""Measure how often a confirmation names a false winner, and how often it finds a true one.

`python -m benchmarks.winners [SWEEPS]` prints the tables of docs/statistics.md: SWEEPS simulated sweeps a row (default
2000; some minutes), the same on every machine. Among equal configs, a winner is false (the set of the best has one
member); with a planted gain, the winner is the config that has it. `tests/analysis/drawn_sweeps.py` simulates the
sweeps, `unetsweep.analysis.significance` judges them.
"""

import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.random import Generator

from tests.analysis import drawn_sweeps as drawn
from unetsweep.analysis import significance
from unetsweep.analysis.significance import Repeats

OURS, OVER_IMAGES, OVER_SEEDS, HILLIS = "unetsweep", "t over images", "t over seeds", "Hillis's df"
JUDGES: Mapping[str, drawn.Judge] = {
    OURS: significance.p_value,
    OVER_IMAGES: drawn.over_images,
    OVER_SEEDS: drawn.over_seeds,
    HILLIS: drawn.hillis,
}
Draw = Callable[[Generator], list[Repeats]]
Sets = dict[str, list[set[int]]]


def best_sets(draw: Draw, sweeps: int, groups: Mapping[str, str] | None = None) -> Sets:
    """Return the set of the best in each simulated sweep, by each judge. Every call simulates the same sweeps."""
    found: Sets = {name: [] for name in JUDGES}
    for number in range(sweeps):
        confirmed = draw(np.random.default_rng(number))
        for name, judge in JUDGES.items():
            with drawn.judged_by(judge):
                found[name].append(drawn.best_set(significance.contenders(confirmed, groups=groups)))
    return found


def single_share(found: Sequence[set[int]]) -> str:
    """Return the share of the sweeps in which the set has one member."""
    return share(sum(len(each) == 1 for each in found), len(found))


def share(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %"


def print_row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def print_title(title: str, *cells: str) -> None:
    print(f"\n{title}\n")
    print_row(*cells)
    print_row(*("---" for _ in cells))


def print_false_winners_of_recorded(sweeps: int) -> None:
    print_title("False winners, recorded", "configs", "seeds", "images", OURS, "any left out", OVER_IMAGES, OVER_SEEDS)
    for configs in (2, 3, 5):
        for seeds in (3, 5, 10):
            for images in ("kept", "resampled", "eyes"):
                found = best_sets(partial(drawn.recorded, configs=configs, seeds=seeds, images=images), sweeps)
                left_out = share(sum(len(each) < configs for each in found[OURS]), sweeps)
                naive = (single_share(found[name]) for name in (OVER_IMAGES, OVER_SEEDS))
                print_row(configs, seeds, images, single_share(found[OURS]), left_out, *naive)


def print_false_winners_of_handmade(sweeps: int) -> None:
    print_title("False winners of two, handmade", "config by eye", "seeds", "images", *JUDGES)
    for by_eye, by_seed in ((0.01, 0.01), (0.02, 0.005)):
        for seeds in (2, 3, 5, 10):
            for eyes in (4, 10, 20):
                draw = partial(drawn.handmade, configs=2, seeds=seeds, eyes=eyes, by_eye=by_eye, by_seed=by_seed)
                found = best_sets(draw, sweeps)
                print_row(f"{by_eye} (seed {by_seed})", seeds, eyes, *(single_share(found[name]) for name in JUDGES))


def print_false_winners_of_duplicates(sweeps: int) -> None:
    print_title("False winners of two, five eyes in four copies, handmade", "judged as", "seeds", *JUDGES)
    for judged_as, groups in (("20 images", None), ("5 eyes", drawn.groups(5, 4))):
        for seeds in (3, 5, 10):
            found = best_sets(partial(drawn.handmade, configs=2, seeds=seeds, eyes=5, duplicates=4), sweeps, groups)
            print_row(judged_as, seeds, *(single_share(found[name]) for name in JUDGES))


def print_power(sweeps: int) -> None:
    print_title("Planted gains found", "scores", "configs", "seeds", "gain", *JUDGES)
    plain, augmented = drawn.recorded, partial(drawn.recorded, of="augmented")
    small_and_large = (0.01, 0.02, 0.03)
    for scores, draw, configs, gains in (
        ("recorded", plain, 3, small_and_large),
        ("recorded", plain, 5, (0.03,)),
        ("recorded, one run in 15 lost", augmented, 3, (0.03,)),
        ("handmade, 20 eyes", partial(drawn.handmade, eyes=20), 3, small_and_large),
    ):
        for seeds in (3, 5, 10):
            for gain in gains:
                found = best_sets(partial(draw, configs=configs, seeds=seeds, planted=gain), sweeps)
                shares = (share(sum(each == {0} for each in found[name]), sweeps) for name in JUDGES)
                print_row(scores, configs, seeds, f"+{gain}", *shares)


def print_recorded_scores() -> None:
    for name, runs in drawn.RECORDED["configs"].items():
        means = [statistics.fmean(run["per_image"].values()) for run in runs]
        mean, sd = statistics.fmean(means), statistics.stdev(means)
        print(f"recorded {name}: {len(runs)} runs, {len(drawn.EYES)} images, mean IoU {mean:.3f}, sd of seeds {sd:.3f}")


def main(sweeps: int) -> None:
    print(f"{sweeps} sweeps a row")
    print_recorded_scores()
    for table in (
        print_false_winners_of_recorded,
        print_false_winners_of_handmade,
        print_false_winners_of_duplicates,
        print_power,
    ):
        table(sweeps)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 2000)
