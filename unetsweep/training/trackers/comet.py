"""The tracker Comet: writes each run as an offline experiment, which `comet_upload` uploads.

comet_ml is imported on rank 0 only, when there is something to write.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from unetsweep.errors import StateError
from unetsweep.training.trackers import comet_upload
from unetsweep.training.trackers.export import RunExport

FOLDER = "comet"
"""Folder of the archives, within a run's folder."""

# Switches off everything that comet_ml would collect about code, machine and user.
_SILENT: dict[str, Any] = dict.fromkeys(
    (
        *("log_code", "log_graph", "parse_args", "log_git_metadata", "log_git_patch", "log_env_details", "log_env_gpu"),
        *("log_env_cpu", "log_env_network", "log_env_disk", "log_env_host", "auto_param_logging"),
        *("auto_metric_logging", "auto_histogram_weight_logging", "auto_histogram_gradient_logging"),
        *("auto_histogram_activation_logging", "auto_histogram_tensorboard_logging", "auto_output_logging"),
        "auto_log_co2",
    ),
    False,
)


class Comet:
    """The tracker Comet. Its methods are described in `Tracker`."""

    setting = "comet"

    def archive_path(self, export: RunExport, out: Path) -> Path:
        return out / FOLDER / f"{export.file_stem}.zip"

    def write_archive(self, export: RunExport, out: Path) -> Path:
        """Write the archive, and delete older archives of the run, whose content it contains.

        Raises StateError if comet_ml writes no archive, and whatever comet_ml raises.
        """
        final = self.archive_path(export, out)
        if final.exists():
            return final
        folder = final.parent
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=folder))
        try:
            _replay(export, scratch)
            written = list(scratch.glob("*.zip"))
            if len(written) != 1:
                raise StateError(f"{scratch}: comet_ml left {len(written)} archives of {export.name}; is it disabled?")
            os.replace(written[0], final)  # comet_ml itself writes the archive, so it cannot go through `atomic`
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        for old in (*folder.glob("*.zip"), *folder.glob("*.zip.uploaded")):  # the new archive contains their content
            if not old.name.startswith(final.name):
                old.unlink(missing_ok=True)
        return final

    def is_uploaded(self, archive: Path) -> bool:
        return comet_upload.is_uploaded(archive)

    def check_reachable(self) -> None:
        comet_upload.check_reachable()

    def upload(self, archive: Path, timeout_s: float) -> None:
        comet_upload.upload(archive, timeout_s)


def _replay(export: RunExport, folder: Path) -> None:
    """Log the whole export as one offline experiment through Lightning's logger."""
    os.environ["COMET_START_ONLINE"] = "0"  # Lightning 2.6.6: CometLogger(online=False) disables the experiment
    os.environ["COMET_ERROR_TRACKING_ENABLE"] = "0"  # it reports errors to Comet, and waits for that at exit
    os.environ.setdefault("COMET_LOGGING_CONSOLE", "ERROR")
    from pytorch_lightning.loggers import CometLogger  # imports comet_ml, which takes seconds

    logger = CometLogger(
        project=os.environ.get("COMET_PROJECT_NAME") or _project(export.name),
        name=export.name,
        experiment_key=export.key,
        mode="get_or_create",
        offline_directory=str(folder),
        display_summary_level=0,
        **_SILENT,
    )
    try:
        logger.log_hyperparams(dict(export.parameters))
        for numbered in (export.curves, export.scores):
            for epoch, metrics in numbered.items():
                logger.log_metrics({**metrics, "epoch": epoch}, step=epoch)
    finally:
        logger.experiment.end()


def _project(name: str) -> str:
    """The Comet project of a run, which is its sweep: `grid` for `grid/0003`."""
    sweep, slash, _ = name.partition("/")
    return sweep if slash else "unetsweep"
