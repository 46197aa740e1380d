"""How often a confirmation names a winner that is none, and how often it finds one that is.

`python -m benchmarks.winners [SWEEPS]` prints the tables of docs/statistics.md: SWEEPS drawn sweeps a row (default
2000; some minutes), the same on every machine. Equal configs give false winners (the set of the best has one member),
a planted gain gives found ones. `tests/analysis/drawn_sweeps.py` draws them, `unetsweep.analysis.significance` judges.
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


def sets(draw: Draw, sweeps: int, groups: Mapping[str, str] | None = None) -> Sets:
    """The set of the best in each drawn sweep, by each judge. The draws are the same for every call."""
    found: Sets = {name: [] for name in JUDGES}
    for number in range(sweeps):
        confirmed = draw(np.random.default_rng(number))
        for name, judge in JUDGES.items():
            with drawn.judged_by(judge):
                found[name].append(drawn.best_set(significance.contenders(confirmed, groups=groups)))
    return found


def singles(found: Sequence[set[int]]) -> str:
    """Share of the sweeps whose set has one member."""
    return share(sum(len(each) == 1 for each in found), len(found))


def share(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %"


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def heading(title: str, *cells: str) -> None:
    print(f"\n{title}\n")
    row(*cells)
    row(*("---" for _ in cells))


def false_winners_of_recorded(sweeps: int) -> None:
    heading("False winners, recorded", "configs", "seeds", "images", OURS, "any left out", OVER_IMAGES, OVER_SEEDS)
    for configs in (2, 3, 5):
        for seeds in (3, 5, 10):
            for images in ("kept", "resampled", "eyes"):
                found = sets(partial(drawn.recorded, configs=configs, seeds=seeds, images=images), sweeps)
                left_out = share(sum(len(each) < configs for each in found[OURS]), sweeps)
                naive = (singles(found[name]) for name in (OVER_IMAGES, OVER_SEEDS))
                row(configs, seeds, images, singles(found[OURS]), left_out, *naive)


def false_winners_of_handmade(sweeps: int) -> None:
    heading("False winners of two, handmade", "config by eye", "seeds", "images", *JUDGES)
    for by_eye, by_seed in ((0.01, 0.01), (0.02, 0.005)):
        for seeds in (2, 3, 5, 10):
            for eyes in (4, 10, 20):
                draw = partial(drawn.handmade, configs=2, seeds=seeds, eyes=eyes, by_eye=by_eye, by_seed=by_seed)
                found = sets(draw, sweeps)
                row(f"{by_eye} (seed {by_seed})", seeds, eyes, *(singles(found[name]) for name in JUDGES))


def false_winners_of_duplicates(sweeps: int) -> None:
    heading("False winners of two, five eyes in four copies, handmade", "judged as", "seeds", *JUDGES)
    for said, groups in (("20 images", None), ("5 eyes", drawn.groups(5, 4))):
        for seeds in (3, 5, 10):
            found = sets(partial(drawn.handmade, configs=2, seeds=seeds, eyes=5, duplicates=4), sweeps, groups)
            row(said, seeds, *(singles(found[name]) for name in JUDGES))


def power(sweeps: int) -> None:
    heading("Planted gains found", "scores", "configs", "seeds", "gain", *JUDGES)
    plain, augmented = drawn.recorded, partial(drawn.recorded, of="augmented")
    small_and_large = (0.01, 0.02, 0.03)
    for said, draw, configs, gains in (
        ("recorded", plain, 3, small_and_large),
        ("recorded", plain, 5, (0.03,)),
        ("recorded, one run in 15 lost", augmented, 3, (0.03,)),
        ("handmade, 20 eyes", partial(drawn.handmade, eyes=20), 3, small_and_large),
    ):
        for seeds in (3, 5, 10):
            for gain in gains:
                found = sets(partial(draw, configs=configs, seeds=seeds, planted=gain), sweeps)
                shares = (share(sum(each == {0} for each in found[name]), sweeps) for name in JUDGES)
                row(said, configs, seeds, f"+{gain}", *shares)


def about_recorded() -> None:
    for name, runs in drawn.RECORDED["configs"].items():
        means = [statistics.fmean(run["per_image"].values()) for run in runs]
        mean, sd = statistics.fmean(means), statistics.stdev(means)
        print(f"recorded {name}: {len(runs)} runs, {len(drawn.EYES)} images, mean IoU {mean:.3f}, sd of seeds {sd:.3f}")


def main(sweeps: int) -> None:
    print(f"{sweeps} sweeps a row")
    about_recorded()
    for table in (false_winners_of_recorded, false_winners_of_handmade, false_winners_of_duplicates, power):
        table(sweeps)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 2000)
