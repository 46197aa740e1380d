"""Whole reports, compared with files that a person has checked.

After an intended change run `python tests/report/test_golden.py` to write the files again, and check the diff.
"""

from pathlib import Path

import pytest
from report_records import confirmed_sweep, docs_sweep, leaked_sweep, mixed_sweep, other_masks_sweep, sweep, trial

from unetsweep.report.formats import Format, render
from unetsweep.report.page.content import PageContent

GOLDEN = Path(__file__).parent / "golden"

SWEEPS = {
    "docs": docs_sweep,
    "mixed": mixed_sweep,
    "leaked": leaked_sweep,
    "confirmed": confirmed_sweep,
    "masks": other_masks_sweep,
    "nothing": lambda: sweep(trial(0, "waiting"), trial(1, "running", job_id="7")),
    "empty": sweep,
}
ENDINGS = {"table": "txt", "markdown": "md", "csv": "csv", "json": "json", "latex": "tex"}
"""A page is tested in `test_page.py`: a whole one is too long to be checked by a person."""


def rendered(name: str, form: Format) -> str:
    return render(SWEEPS[name](), form, base="/home/ada")


@pytest.mark.parametrize("form", list(map(Format, ENDINGS)))
@pytest.mark.parametrize("name", list(SWEEPS))
def test_a_report_equals_its_golden_file(name: str, form: Format) -> None:
    assert rendered(name, form) == (GOLDEN / f"{name}.{ENDINGS[form]}").read_text()


@pytest.mark.parametrize("form", list(Format))
def test_every_format_says_that_the_images_leaked_whatever_columns_are_named(form: Format) -> None:
    assert "leak" in render(leaked_sweep(), form, columns=["trial", "val_iou"], page=PageContent())


if __name__ == "__main__":
    for each in SWEEPS:
        for each_form in map(Format, ENDINGS):
            (GOLDEN / f"{each}.{ENDINGS[each_form]}").write_text(rendered(each, each_form))
