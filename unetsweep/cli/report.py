"""`unetsweep report`: what the sweep has come to, as a table."""

import contextlib
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unetsweep.errors import UsageError

if TYPE_CHECKING:
    from unetsweep.analysis.rows import SweepRecord
    from unetsweep.report.formats import Format

FORMATS = ("table", "markdown", "csv", "json", "latex")


@click.command("report")
@click.argument("sweep", required=False)
@click.option("--format", "form", type=click.Choice(FORMATS), default="table", help="How it is written [table].")
@click.option("--columns", metavar="A,B,…", help="Which columns, in this order; a wrong name lists all that there are.")
@click.option("--sort", metavar="COLUMN", help="Order of the rows; -COLUMN for descending [the job id].")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the N best complete trials.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write it there instead.")
@click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Folder of the sweeps [results]."
)
def command(
    sweep: str | None,
    form: str,
    columns: str | None,
    sort: str | None,
    top: int | None,
    output: Path | None,
    results: Path,
) -> None:
    """Print the results of SWEEP (its name, YAML file or folder; default: the newest sweep).

    What trials cost is read only for `--format json` without `--columns`, and for columns that say it: attempts,
    job_seconds, job_gpu_seconds, job_cpu_seconds, lost_seconds, job_memory_mb.
    """
    from unetsweep.analysis.records import records
    from unetsweep.app.report import refresh_report
    from unetsweep.app.sweeps import resolve
    from unetsweep.report import formats
    from unetsweep.store.home import warning

    with _kept():
        sweep_dir = resolve(sweep, results, to_read=True)
        if (said := warning(sweep_dir)) is not None:
            click.echo(f"warning: {said}", err=True)
        record = records(sweep_dir)
        chosen = columns.split(",") if columns else None
        text = formats.render(
            _with_costs(record, sweep_dir, formats.Format(form), [*(chosen or ()), sort or ""], asked=bool(chosen)),
            formats.Format(form),
            columns=chosen,
            sort=sort,
            top=top,
            base=str(Path.cwd()),
            colour=output is None and _has_colour(),
        )
        refresh_report(record, sweep_dir)
    if output is None:
        click.echo(text, nl=False)
    else:
        write(output, text)


def _with_costs(
    record: "SweepRecord", sweep_dir: Path, form: "Format", named: Sequence[str], *, asked: bool
) -> "SweepRecord":
    """The record with what the trials cost, where the report shows it."""
    from unetsweep.report.formats import Format
    from unetsweep.report.view import is_cost

    if not any(map(is_cost, named)) and (asked or form is not Format.JSON):
        return record
    from unetsweep.app.costs import with_costs
    from unetsweep.store.sweep_dir import SweepDir

    return with_costs(record, SweepDir(sweep_dir))


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    """All that is read is kept to the end: looking for garbage takes a sixth of the time and finds none."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def write(path: Path, text: str) -> None:
    """Write the user's file whole or not at all; raises UsageError where it cannot be written.

    Unlike the files of a sweep, which are the user's alone, it gets the usual permissions.
    """
    target = path.resolve()
    try:
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")  # a device or pipe, such as /dev/stdout, has nothing to rename
            return
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}; name a file that can be written") from error


def _has_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
