"""Make the pictures of the documentation from one sweep: its live view, its report page, and a panel.

`python -m benchmarks.pictures [--data data/chase_db1] [--into docs/pictures]` (`make pictures`) runs a sweep of some
minutes on the photographs of CHASE_DB1 (`unetsweep data import chase_db1 FOLDER`). It needs Chromium.

    watch.svg      the live view while trials run
    report.png     the table and the learning curves of the page that `report --format html` writes
    panel.jpg      the worst test photograph of the best trial: input, truth, prediction, difference
    overview.jpg   the three of them
"""

import argparse
import base64
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
from rich.console import Console
from rich.text import Text

from unetsweep.app.watch import watch
from unetsweep.clock import utc_now
from unetsweep.core.live import LiveSweep
from unetsweep.datasets.panels import shrunk
from unetsweep.report.live_frame import live_frame
from unetsweep.report.terminal_text import Line, Terminal
from unetsweep.store.sweep_dir import SweepDir

SWEEP = """
data: {root: data, split: {val: 0.25, groups: 'Image_(\\d+)'}, image_size: 256}
space: {epochs: [8, 24], learning_rate: [1e-3, 3e-3, 1e-2], base: [4, 8], batch_size: 1}
study: {pruner: {name: asha, min_epochs: 8}}
model: {depth: 3}
trainer: {loss: bce_dice, score_test: false}
run: {parallel: 2, reconcile_interval: 5}
"""
NAME = "eyes"
TERMINAL = Terminal(100, 22)
EXCERPT = "<style>section, #history { display: none } #results, #search { display: block }</style></head>"
"""Shows only two sections of the page: the table and the learning curves."""
PAGE_SIZE, OVERVIEW_SIZE = (1100, 1290), (1800, 900)
PANEL_WIDTH, JPEG_QUALITY = 1200, 85
MAX_BYTES = 300_000
"""Of each picture: the repository keeps them."""
OVERVIEW = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 20px; display: flex; gap: 20px; height: 860px; align-items: center; background: #fff }}
div {{ display: flex; flex-direction: column; gap: 20px; width: 1000px }}
.page {{ height: 858px; border: 1px solid #ccc; border-radius: 8px }}
</style><div><img src="{watch}"><img src="{panel}"></div><img class="page" src="{report}">"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures")
    parser.add_argument("--data", type=Path, default=Path("data/chase_db1"), help="images [data/chase_db1]")
    parser.add_argument(
        "--into", type=Path, default=Path("docs/pictures"), help="folder of the pictures [docs/pictures]"
    )
    given = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None or not given.data.is_dir():
        sys.exit(
            f"this needs Chromium (found {chromium}), and the images in {given.data}: see docs/tutorials/real-eyes.md"
        )
    given.into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        make_pictures(Path(folder), given.data.resolve(), given.into, chromium)
    for picture in sorted(given.into.iterdir()):
        size = picture.stat().st_size
        print(f"{picture}  {size:,} bytes")
        if size > MAX_BYTES:
            sys.exit(f"{picture} is larger than {MAX_BYTES:,} bytes")


def make_pictures(work: Path, data: Path, into: Path, chromium: str) -> None:
    """Run the sweep in the folder `work`, and write the four pictures."""
    (work / "data").symlink_to(data)
    (work / f"{NAME}.yaml").write_text(SWEEP)
    unetsweep(work, "submit", f"{NAME}.yaml", "--executor", "local")
    frame = busiest(watch(SweepDir(work / "results" / NAME), reconciles=True))
    (into / "watch.svg").write_text(as_svg(frame))
    unetsweep(work, "report", NAME, "--format", "html", "--output", "page.html")
    page = (work / "page.html").read_text()
    (work / "excerpt.html").write_text(page.replace("</head>", EXCERPT, 1))
    screenshot(chromium, work / "excerpt.html", into / "report.png", PAGE_SIZE)
    unetsweep(work, "predict", f"{NAME}/best", str(data), "--out", "out")
    worst = min((work / "out" / "panels").iterdir())  # the names begin with the IoU
    write_jpeg(worst, into / "panel.jpg", PANEL_WIDTH)
    (work / "overview.html").write_text(
        OVERVIEW.format(**{Path(name).stem: data_url(into / name) for name in ("watch.svg", "report.png", "panel.jpg")})
    )
    screenshot(chromium, work / "overview.html", work / "overview.png", OVERVIEW_SIZE)
    write_jpeg(work / "overview.png", into / "overview.jpg", OVERVIEW_SIZE[0])


def busiest(states: Iterator[LiveSweep]) -> tuple[Line, ...]:
    """Follow the sweep to its end, and return the view when the curves of the running trials were longest."""
    most, frame = 0, tuple[Line, ...]()
    for sweep in states:
        epochs = sum(len(trial.curve) for trial in sweep.running)
        if epochs > most:
            most, frame = epochs, live_frame(sweep, TERMINAL, utc_now())
    return frame


def as_svg(frame: tuple[Line, ...]) -> str:
    """Return the lines of a terminal as a picture."""
    console = Console(
        record=True, width=TERMINAL.width, file=io.StringIO(), force_terminal=True, color_system="standard"
    )
    for line in frame:
        console.print(Text.assemble(*((span.text, span.style) for span in line)), no_wrap=True, crop=True)
    drawn = console.export_svg(title=f"unetsweep watch {NAME}")
    return re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # they would be loaded from the network


def screenshot(chromium: str, page: Path, to: Path, size: tuple[int, int]) -> None:
    """Write the top of a page, of (width, height) pixels, as PNG."""
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--screenshot={to.resolve()}")
    command = [chromium, *options, "--window-size={},{}".format(*size), page.resolve().as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


def write_jpeg(picture: Path, to: Path, width: int) -> None:
    """Write a copy that is at most `width` pixels wide."""
    small = shrunk(cv2.imread(str(picture)), width)  # type: ignore[arg-type]  # uint8
    cv2.imwrite(str(to), small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def data_url(picture: Path) -> str:
    kind = {".svg": "svg+xml", ".png": "png", ".jpg": "jpeg"}[picture.suffix]
    return f"data:image/{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"


def unetsweep(work: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "unetsweep", *arguments], cwd=work, check=True)


if __name__ == "__main__":
    main()
