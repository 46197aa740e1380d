"""Make the pictures of the documentation from one sweep: its live view, its report page, and a panel.

`python -m benchmarks.pictures [--data data/chase_db1] [--into docs/pictures]` (`make pictures`) runs a sweep of some five
minutes on two cores, on the photographs of CHASE_DB1 (`unetsweep data import chase_db1 FOLDER`). It needs Chromium.

    watch.svg      the live view while trials run
    report.png     the top of the page that `report --format html` writes
    panel.jpg      the worst test photograph of the best trial: input, truth, prediction, difference
    overview.png   watch.svg beside report.png
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
TERMINAL = Terminal(100, 24)
PAGE_SIZE = (1000, 720)
OVERVIEW_SIZE = (1800, 660)
PANEL_WIDTH, JPEG_QUALITY = 1200, 80
MAX_BYTES = 300_000
"""Of each picture: the repository keeps them."""
MIN_EPOCHS = 6
"""Epochs of a running trial before its curve is worth a picture."""
OVERVIEW = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 20px; display: flex; gap: 20px; align-items: center; background: #fff }}
img {{ flex: 1; min-width: 0; height: 620px; object-fit: contain; object-position: top }}
img + img {{ border: 1px solid #ccc; border-radius: 8px; flex: 0.8 }}
</style><img src="{watch}"><img src="{report}">"""


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
    screenshot(chromium, work / "page.html", into / "report.png", PAGE_SIZE)
    unetsweep(work, "predict", f"{NAME}/best", str(data), "--out", "out")
    write_panel(min((work / "out" / "panels").iterdir()), into / "panel.jpg")  # the names begin with the IoU
    pictures = {name: data_url(into / file) for name, file in (("watch", "watch.svg"), ("report", "report.png"))}
    (work / "overview.html").write_text(OVERVIEW.format(**pictures))
    screenshot(chromium, work / "overview.html", into / "overview.png", OVERVIEW_SIZE)


def busiest(states: Iterator[LiveSweep]) -> tuple[Line, ...]:
    """Follow the sweep to its end, and return the view at the time when most was to be seen."""
    best, frame = -1, tuple[Line, ...]()
    for sweep in states:
        count = sum(len(trial.curve) >= MIN_EPOCHS for trial in sweep.running)
        seen = count + len(sweep.counts) if count and sweep.waiting else 0
        if seen > best:
            best, frame = seen, live_frame(sweep, TERMINAL, utc_now())
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


def write_panel(panel: Path, to: Path) -> None:
    """Write a smaller copy of a panel as JPEG."""
    pixels = cv2.imread(str(panel))
    assert pixels is not None
    cv2.imwrite(str(to), shrunk(pixels, PANEL_WIDTH), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def data_url(picture: Path) -> str:
    kind = {".svg": "svg+xml", ".png": "png"}[picture.suffix]
    return f"data:image/{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"


def unetsweep(work: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "unetsweep", *arguments], cwd=work, check=True)


if __name__ == "__main__":
    main()
