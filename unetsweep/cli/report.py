"""`unetsweep report`: the results of a sweep as a table."""

import os
import sys
from pathlib import Path

import click

from unetsweep.app.compare import compare_sweeps
from unetsweep.app.report import ReportRequest, report, write_output
from unetsweep.app.sweeps import resolve
from unetsweep.cli.echo import echo, echo_log
from unetsweep.cli.output import results_option, warn
from unetsweep.errors import UsageError
from unetsweep.report.formats import Format


@click.command("report")
@click.argument("sweeps", nargs=-1, metavar="[SWEEP]...")
@click.option(
    "--format", "form", type=click.Choice([form.value for form in Format]), default="table", help="Format [table]."
)
@click.option("--columns", metavar="A,B,…", help="Columns, in this order; a wrong name lists all columns.")
@click.option("--sort", metavar="COLUMN", help="Order of the rows; -COLUMN for descending [the job id].")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="Only the N best complete trials.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE, not to the terminal.")
@results_option
def command(
    sweeps: tuple[str, ...],
    form: str,
    columns: str | None,
    sort: str | None,
    top: int | None,
    output: Path | None,
    results: Path,
) -> None:
    """Print the results of SWEEP (its name, YAML file or folder; default: the newest sweep).

    Several sweeps are compared: what came out of each, the settings in which they differ, and the points that all have
    trained.

    What trials cost is read only for `--format html`, for `--format json` without `--columns`, and for the columns
    attempts, job_seconds, job_gpu_seconds, job_cpu_seconds, lost_seconds and job_memory_mb.

    `--format html` writes one page for a browser, which needs no network, into the sweep's folder
    (report/index.html). It is also made when a sweep ends. On a terminal only its path is printed.
    """
    chosen = tuple(columns.split(",")) if columns else ()
    colour = output is None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    page = None
    if len(sweeps) > 1:
        if given := [name for name, value in (("--columns", columns), ("--sort", sort), ("--top", top)) if value]:
            raise UsageError(f"{' and '.join(given)}: only for one sweep; found {len(sweeps)}: {', '.join(sweeps)}")
        text = compare_sweeps(sweeps, results, Format(form), colour=colour)
    else:
        request = ReportRequest(Format(form), chosen, sort, top, base=str(Path.cwd()), colour=colour)
        found = report(resolve(sweeps[0] if sweeps else None, results, to_read=True), request)
        if found.warning is not None:
            warn(found.warning)
        text, page = found.text, found.page
    if output is not None:
        write_output(output, text)
    elif page is not None and sys.stdout.isatty():
        echo(f"The page is {page}: open it in a browser, or write it elsewhere with --output FILE")
    else:
        echo_log([text])
