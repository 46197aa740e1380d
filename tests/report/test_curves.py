"""Learning curves as SVG."""

import xml.etree.ElementTree as ET

import pytest

from unetsweep.report.curves import COLOURS, OTHER, Curve, learning_curves

SVG = "{http://www.w3.org/2000/svg}"


def picture(*curves: Curve, title: str = "val_IoU by epoch") -> ET.Element:
    return ET.fromstring(learning_curves(curves, title, "val_IoU"))  # noqa: S314  # our own text


def lines(svg: ET.Element) -> list[list[tuple[float, float]]]:
    """The points of each curve, in the order in which they are drawn."""
    texts = [each.attrib["points"].split() for each in svg.iter(f"{SVG}polyline")]
    return [[(float(x), float(y)) for x, y in (point.split(",") for point in text)] for text in texts]


def test_curves_are_to_scale_and_their_best_epoch_has_a_dot() -> None:
    svg = picture(Curve("a", [(1, 0.0), (2, 0.5), (4, 1.0)], best_epoch=4), Curve("b", [(4, 0.5)]))
    [single, rising] = lines(svg)
    assert rising[1][0] - rising[0][0] == pytest.approx((rising[2][0] - rising[1][0]) / 2, abs=0.2)
    assert rising[1][1] == pytest.approx((rising[0][1] + rising[2][1]) / 2, abs=0.2)
    assert rising[2][1] < rising[0][1]  # y grows downwards
    assert single == [(rising[2][0], rising[1][1])]
    dots = [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in svg.iter(f"{SVG}circle")]
    assert dots == [single[0], rising[2]]


def test_further_curves_are_grey_and_counted() -> None:
    svg = picture(*(Curve(f"t{n}", [(1, n / 10), (2, n / 9)]) for n in range(9)))
    drawn = [each.attrib["stroke"] for each in svg.iter(f"{SVG}polyline")]
    assert drawn == [OTHER] * 3 + list(reversed(COLOURS))
    assert "3 others" in [each.text for each in svg.iter(f"{SVG}text")]


def test_texts_from_outside_stay_text() -> None:
    svg = picture(Curve('<script>"&\x00\x1b', [(1, 0.5), (2, 0.6)]), title='</svg><b a="1">')
    assert [each.tag for each in svg.iter() if "script" in each.tag or each.tag.endswith("}b")] == []
    texts = [each.text for each in svg.iter(f"{SVG}text")]
    assert '<script>"&' in texts
    assert '</svg><b a="1">' in texts


def test_values_that_are_not_finite_are_left_out_and_a_picture_without_points_is_refused() -> None:
    assert len(lines(picture(Curve("a", [(1, 0.1), (2, float("nan")), (3, 0.2)])))[0]) == 2
    with pytest.raises(ValueError, match="no point"):
        learning_curves([Curve("a", [(1, float("inf"))])], "t", "m")


@pytest.mark.parametrize(
    "values", [(5e-324, 1e-323), (0.5, 0.5 + 2**-52), (0.5, 0.5 + 1e-13), (1e20, 1e20), (-1e-300, 0.0), (1e300, -1e300)]
)
def test_values_that_hardly_differ_or_are_huge_have_a_picture(values: tuple[float, float]) -> None:
    picture = learning_curves([Curve("trial 0000", list(enumerate(values, 1)))], "by epoch", "val_IoU")
    assert "polyline" in picture
    assert "nan" not in picture
