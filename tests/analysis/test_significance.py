"""The set of the best configs: few false winners, real winners are found, and incomplete sweeps cause no error."""

import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from drawn_sweeps import EYES, Images, best_set, groups, handmade, judged_by, over_images, over_seeds, recorded

from unetsweep.analysis.significance import Repeats, contenders, holm, p_value

pytestmark = pytest.mark.filterwarnings("error")
EQUAL = (*(("plain", images) for images in ("kept", "resampled", "eyes")), ("augmented", "kept"))


def _false_winners(of: str, images: Images, configs: int, sweeps: int = 100) -> int:
    """In how many of so many sweeps one of the equal configs is the only best one."""
    drawn = (recorded(np.random.default_rng(number), configs, 5, images, of=of) for number in range(sweeps))
    return sum(len(best_set(contenders(sweep))) == 1 for sweep in drawn)


# ---- in random sweeps


@pytest.mark.parametrize(("of", "images"), EQUAL)
def test_three_equal_configs_have_a_false_winner_in_at_most_five_of_a_hundred_sweeps(of: str, images: Images) -> None:
    assert _false_winners(of, images, 3) <= 5


@pytest.mark.parametrize(("of", "images"), EQUAL)
def test_two_equal_configs_have_a_false_winner_not_more_often_than_alpha(of: str, images: Images) -> None:
    assert _false_winners(of, images, 2, sweeps=400) <= 0.075 * 400  # 5 % and 2.3 sd


@pytest.mark.parametrize("images", ["kept", "resampled"])
def test_a_test_over_images_alone_would_have_more_false_winners(images: Images) -> None:
    with judged_by(over_images):
        assert _false_winners("plain", images, 3) > 5


@pytest.mark.parametrize("images", ["kept", "resampled"])
def test_a_planted_gain_of_0_03_is_found_in_eighty_of_a_hundred_sweeps(images: Images) -> None:
    drawn = (recorded(np.random.default_rng(number), 3, 5, images, planted=0.03) for number in range(100))

    assert sum(best_set(contenders(sweep)) == {0} for sweep in drawn) >= 80


@pytest.mark.parametrize(("seeds", "eyes"), [(3, 20), (5, 4), (10, 4), (10, 20)])
def test_a_config_that_is_better_only_on_some_images_is_no_winner(seeds: int, eyes: int) -> None:
    drawn = [handmade(np.random.default_rng(n), 2, seeds, eyes, by_eye=0.02, by_seed=0.005) for n in range(400)]

    assert sum(len(best_set(contenders(sweep))) == 1 for sweep in drawn) <= 0.075 * len(drawn)  # 5 % and 2.3 sd


def test_duplicates_of_an_eye_count_as_one_image() -> None:
    drawn = [handmade(np.random.default_rng(n), 2, 10, 5, duplicates=4, by_eye=0.02) for n in range(200)]
    by_image = sum(len(best_set(contenders(sweep))) == 1 for sweep in drawn)
    by_eye = sum(len(best_set(contenders(sweep, groups=groups(5, 4)))) == 1 for sweep in drawn)

    assert by_eye <= 0.085 * len(drawn)
    assert by_image > 2 * by_eye


# ---- one pair, by hand


def test_the_p_value_of_a_table_follows_the_formula() -> None:
    table = [[0.02, 0.05, 0.01], [0.03, 0.06, 0.01]]
    # mean 0.03; MS_s 1/15000, MS_i 21/20000, MS_r 1/60000 in exact fractions of the table
    ms_s, ms_i, ms_r = 6.6666667e-5, 1.05e-3, 1.6666667e-5
    variance = ms_s + ms_i - ms_r
    df = variance**2 / (ms_s**2 / 1 + ms_i**2 / 2 + ms_r**2 / 2)

    assert p_value(table) == pytest.approx(
        max(_p_value_of_t(0.03 / (variance / 6) ** 0.5, df), _p_value_of_t(9.0, 1)), rel=1e-6
    )


def _p_value_of_t(t: float, df: float) -> float:
    """Two-sided, by integrating the density."""
    x = np.linspace(0, t, 200_001)
    density = (1 + x**2 / df) ** (-(df + 1) / 2)
    scale = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)
    return 1 - 2 * scale * float(((density[1:] + density[:-1]) / 2).sum() * (x[1] - x[0]))


def test_the_p_value_is_never_below_that_over_seeds_alone() -> None:
    rng = np.random.default_rng(0)
    tables = [0.02 + rng.normal(0, 0.01, (2, 1)) + rng.normal(0, 0.01, (1, 20)) for _ in range(50)]

    for table in tables:
        t = abs(table.mean()) / (table.mean(axis=1).std(ddof=1) / math.sqrt(2))
        assert p_value(table.tolist()) >= 1 - 2 * math.atan(t) / math.pi - 1e-9  # a t of one degree of freedom


@pytest.mark.parametrize(
    ("table", "p"),
    [
        ([[0.0, 0.0], [0.0, 0.0]], 1.0),
        ([[0.01, -0.01], [0.01, -0.01]], 1.0),
        ([[0.01, 0.01], [0.01, 0.01]], 0.0),
        ([[1e-17, 0.0], [0.0, 2e-17]], 1.0),
    ],
    ids=["equal", "equal means", "the same difference everywhere", "equal except for rounding"],
)
def test_a_table_without_variance_has_a_p_value(table: list[list[float]], p: float) -> None:
    assert p_value(table) == p


def test_if_images_vary_less_than_the_rest_the_p_value_is_that_over_seeds() -> None:
    table = [[0.02, 0.03, 0.01], [0.01, 0.03, 0.01], [0.01, 0.02, 0.04]]  # MS_i below MS_r

    assert p_value(table) == pytest.approx(over_seeds(table))


def test_if_seeds_change_nothing_the_p_value_is_that_over_images() -> None:
    row = [0.01, 0.02, 0.03, 0.02]

    assert p_value([row, row, row]) == pytest.approx(over_images([row]))


@pytest.mark.parametrize(
    ("p", "configs", "adjusted"),
    [
        ([0.04], 2, [0.04]),
        ([0.04, 0.01, 0.03], 3, [0.04, 0.03, 0.03]),  # 3, then 1 and 1: one pair differs, so at most one is equal
        ([0.9, 0.8], 3, [1.0, 1.0]),
        ([0.01, 0.02], 3, [0.02, 0.02]),  # one pair could not be tested
        ([0.001 * n for n in range(1, 7)], 4, [0.006, 0.006, 0.009, 0.012, 0.012, 0.012]),  # 6, 3, 3, 3, 2, 1
        ([], 1, []),
    ],
)
def test_holm_multiplies_by_the_number_of_pairs_that_may_still_be_equal_and_never_decreases(
    p: list[float], configs: int, adjusted: list[float]
) -> None:
    assert holm(p, configs) == pytest.approx(adjusted)


# ---- contenders


def _config(
    key: int, level: float, seeds: tuple[int, ...] = (1, 2, 3), images: str = "wxyz", test: float | None = None
) -> Repeats:
    """A config with runs that scatter a little around `level`."""
    rng = np.random.default_rng(key)
    rows = level + rng.normal(0, 0.002, (len(seeds), 26))
    per_image = tuple({name: float(row[ord(name) - 97]) for name in images} for row in rows)
    val = tuple(float(np.mean(list(row.values()) or level)) for row in per_image)
    return Repeats(key, seeds, val, (test,) * len(seeds), per_image)


def test_the_best_is_first_and_a_clearly_worse_config_is_not_in_the_set() -> None:
    found = contenders([_config(4, 0.6), _config(7, 0.7), _config(5, 0.6995)])
    means = [contender.val_mean for contender in found]

    assert means == sorted(means, reverse=True)
    assert best_set(found) == {5, 7}
    assert found[-1].p is not None
    assert found[-1].p < 0.05


def test_less_is_better_if_the_sweep_minimises() -> None:
    best, worse = contenders([_config(1, 0.30, test=0.6), _config(2, 0.20, test=0.5)], minimize=True, with_gap=False)

    assert (best.key, best.in_best, worse.in_best) == (2, True, False)
    assert worse.behind == pytest.approx(0.10, abs=0.01)
    assert best.gap is None, "a loss minus an IoU means nothing"


def test_means_and_sds_are_over_seeds() -> None:
    images: Mapping[str, float] = {"x": 0.5, "y": 0.7}
    (one,) = contenders([Repeats(3, (1, 2), (0.5, 0.7), (0.4, None), (images, images))])

    assert (one.runs, one.val_mean, one.test_mean, one.test_sd) == (2, pytest.approx(0.6), 0.4, None)
    assert one.val_sd == pytest.approx(math.sqrt(0.02))
    assert one.gap == pytest.approx(0.2)
    assert (one.behind, one.p, one.in_best) == (0.0, None, True)


def test_test_scores_do_not_decide() -> None:
    low, high = _config(1, 0.7, test=0.1), _config(2, 0.6, test=0.9)

    assert [contender.key for contender in contenders([high, low]) if contender.in_best] == [1]


def test_two_equal_trainings_are_equally_good() -> None:
    first = _config(1, 0.7)
    found = contenders([_config(2, 0.5), replace(first, key=9), first])

    assert [(each.key, each.behind, each.p, each.in_best) for each in found[:2]] == [
        (1, 0.0, None, True),
        (9, 0.0, 1.0, True),
    ]
    assert not found[2].in_best


@pytest.mark.parametrize(
    "other",
    [
        _config(2, 0.5, seeds=(1,)),
        _config(2, 0.5, seeds=(7, 8, 9)),
        _config(2, 0.5, images="abcd"),
        _config(2, 0.5, images="zabc"),
        _config(2, 0.5, images=""),
    ],
    ids=["one seed", "other seeds", "other images", "one common image", "no images"],
)
def test_a_config_that_cannot_be_tested_stays_in_the_set(other: Repeats) -> None:
    _, found = contenders([_config(1, 0.7), other])

    assert (found.key, found.p, found.in_best) == (2, None, True)


def test_a_pair_is_tested_on_its_common_seeds_and_images() -> None:
    full = _config(1, 0.7, seeds=(1, 2, 3, 4), images="vwxyz")
    part = _config(2, 0.6, seeds=(4, 3, 2), images="xyzab")
    d = [[full.per_image[s - 1][i] - part.per_image[4 - s][i] for i in "xyz"] for s in (2, 3, 4)]

    found = contenders([full, part])[1]

    assert found.p == pytest.approx(p_value(d))
    assert found.behind == pytest.approx(float(np.mean(d)))


def test_values_that_are_not_finite_are_left_out() -> None:
    whole, other = _config(1, 0.7), _config(2, 0.6)
    corrupt = [*other.per_image[:2], {**other.per_image[2], "w": math.nan}]
    lost = Repeats(
        2, (*other.seeds, 4), (*other.val, math.nan), (None,) * 4, (*corrupt, dict.fromkeys("wxyz", math.nan))
    )
    never = Repeats(3, (1, 2), (math.nan, math.inf), (0.5, math.nan), ({}, {}))

    best, second, last = contenders([never, lost, whole])

    assert (best.key, second.key, second.runs) == (1, 2, 3)
    assert second.p == contenders([_config(1, 0.7, images="xyz"), _config(2, 0.6, images="xyz")])[1].p is not None
    assert (last.key, last.runs, last.p, last.behind, last.in_best) == (3, 0, None, None, False)
    assert math.isnan(last.val_mean)


def test_a_config_that_is_better_on_the_images_is_not_worse() -> None:
    first, second = _config(1, 0.6), _config(2, 0.7)
    first = replace(first, val=(0.9, 0.9, 0.9))

    best, other = contenders([first, second])

    assert (best.key, other.in_best) == (1, True)
    assert other.behind is not None
    assert other.behind < 0


def test_without_configs_there_are_no_contenders() -> None:
    assert contenders([]) == ()


def test_the_p_value_of_a_pair_grows_with_the_number_of_pairs() -> None:
    a, b = _config(1, 0.7), _config(2, 0.694)
    alone = contenders([a, b])[1].p
    among = next(each.p for each in contenders([a, b, _config(3, 0.6935), _config(4, 0.6938)]) if each.key == 2)

    assert alone is not None
    assert among is not None
    assert among > alone


def test_the_recorded_images_are_five_eyes_in_four_variants() -> None:
    assert (len(EYES), len(set(EYES.values()))) == (20, 5)


def test_a_report_without_a_confirmation_imports_no_numpy() -> None:
    script = "import sys, unetsweep.analysis.significance; sys.exit('numpy' in sys.modules or 'scipy' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
