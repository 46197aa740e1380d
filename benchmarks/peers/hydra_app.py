"""The work as a Hydra application: `python hydra_app.py -m …`, in Hydra's environment."""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from benchmarks.peers import work


@hydra.main(version_base=None)  # type: ignore[untyped-decorator] # hydra is not installed here
def main(config: DictConfig) -> float:
    if "epochs" in config:
        return work.count(config.log, int(config.epochs))
    number = int(HydraConfig.get().job.num)
    return work.run_trial(config.log, work.lengths(float(config.scale))[number % work.TRIALS], float(config.rate))


if __name__ == "__main__":
    main()
