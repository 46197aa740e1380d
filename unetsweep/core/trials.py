"""What a trial asks of the trainer."""

from collections.abc import Mapping

from unetsweep.contract import TrialConfig
from unetsweep.core.spec import SweepSpec


def trial_config(spec: SweepSpec, point: Mapping[str, float]) -> TrialConfig:
    """The config of one point of the space (`epochs`, `batch_size`, `learning_rate`), with its own `seed` if it has
    one."""
    return TrialConfig(
        data=spec.data,
        epochs=int(point["epochs"]),
        batch_size=int(point["batch_size"]),
        learning_rate=float(point["learning_rate"]),
        model=spec.model,
        trainer=spec.trainer,
        seed=int(point.get("seed", spec.study.seed)),
        processes=spec.slurm.processes,
        accelerator="gpu" if spec.slurm.gpus else "cpu",
    )
