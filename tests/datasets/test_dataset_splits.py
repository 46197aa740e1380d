"""No group is ever on both sides, and the shares are as near as whole groups allow."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetsweep.contract import Split
from unetsweep.datasets.layout import Pair
from unetsweep.datasets.splits import groups_of, split
from unetsweep.errors import DataError


def pairs(*names: str) -> tuple[Pair, ...]:
    return tuple(Pair(name, Path(f"train/image/{name}.png"), Path(f"train/mask/{name}.png")) for name in names)


EIGHTY = pairs(*(f"{number:02d}" for number in range(1, 81)))


def groups_csv(root: Path, lines: list[str], first: str = "file,group") -> str:
    (root / "groups.csv").write_text("\n".join([first, *lines]) + "\n", encoding="utf-8")
    return "groups.csv"


@pytest.mark.parametrize("seed", range(5))
def test_80_images_in_20_groups_of_4_give_60_and_20(tmp_path: Path, seed: int) -> None:
    groups = groups_csv(tmp_path, [f"{n:02d}.png,eye-{(n - 1) // 4}" for n in range(1, 81)])
    training, validation = split(EIGHTY, Split(0.25, seed, groups), tmp_path)
    assert (len(training), len(validation)) == (60, 20)
    eyes = [{(int(p.name) - 1) // 4 for p in side} for side in (training, validation)]
    assert (len(eyes[0]), len(eyes[1])) == (15, 5)
    assert not eyes[0] & eyes[1]


def test_a_split_never_changes() -> None:
    _, validation = split(EIGHTY, Split(0.05, 0, "none"), Path())
    assert [p.name for p in validation] == ["14", "49", "57", "60"]


def test_the_order_of_the_files_does_not_matter_and_the_seed_does() -> None:
    first, turned = (split(p, Split(0.25, 3, "none"), Path()) for p in (EIGHTY, EIGHTY[::-1]))
    assert first == turned
    assert first != split(EIGHTY, Split(0.25, 4, "none"), Path())


@given(
    st.lists(st.integers(1, 7), min_size=2, max_size=12),
    st.floats(0.01, 0.99),
    st.integers(0, 5),
)
def test_no_choice_of_whole_groups_comes_nearer(sizes: list[int], val: float, seed: int) -> None:
    names = [f"g{group}_{n}" for group, size in enumerate(sizes) for n in range(size)]
    training, validation = split(pairs(*names), Split(val, seed, r"(g\d+)_"), Path())
    assert training
    assert validation
    assert sorted(p.name for p in training + validation) == sorted(names)
    assert not {p.name.split("_")[0] for p in training} & {p.name.split("_")[0] for p in validation}
    sums = {0}
    for size in sizes:
        sums |= {s + size for s in sums}
    nearest = min(abs(s - val * len(names)) for s in sums if 0 < s < len(names))
    assert abs(len(validation) - val * len(names)) == pytest.approx(nearest)


def test_a_regex_takes_its_first_group() -> None:
    found = groups_of(pairs("Image_01L", "Image_01R", "Image_02L"), Split(groups=r"Image_(\d+)"), Path())
    assert found == {"Image_01L": "01", "Image_01R": "01", "Image_02L": "02"}


def test_a_csv_may_list_stems_paths_and_test_images(tmp_path: Path) -> None:
    name = groups_csv(tmp_path, ["train/image/a.png,1", "b,2", "test/image/a.png,9", "c.png,2"])
    assert groups_of(pairs("a", "b"), Split(groups=name), tmp_path) == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (r"Image_\d+", "has no group in brackets"),
        (r"Image_(\d+", "is not a regular expression"),
        (r"(\d)R", "finds nothing in Image_01L.png"),
        ("eyes.csv", "eyes.csv is not there"),
        (r"(Image)", "are in one group ('Image')"),
    ],
)
def test_groups_that_cannot_be_used_are_refused_by_name(tmp_path: Path, groups: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        split(pairs("Image_01L", "Image_01R"), Split(groups=groups), tmp_path)
    assert message in str(caught.value)
    assert "data.split.groups" in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "first", "message"),
    [
        (["a.png,1"], "file,group", "groups.csv: no row for b.png"),
        (["a.png,1", "b.png,2", "a,2"], "file,group", "groups.csv:4: 'a' is in group '1' already"),
        (["a.png,1", "b.png,"], "file,group", "groups.csv:3: 'b.png' has no group"),
        (["a.png,1"], "name,eye", "groups.csv:1: its first line has name, eye"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_with_its_line(
    tmp_path: Path, lines: list[str], first: str, message: str
) -> None:
    groups_csv(tmp_path, lines, first)
    with pytest.raises(DataError) as caught:
        groups_of(pairs("a", "b"), Split(groups="groups.csv"), tmp_path)
    assert message in str(caught.value)
