"""The work as a Hydra application: `python hydra_app.py -m …`, in Hydra's environment."""

import hydra
import work
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig


@hydra.main(version_base=None)
def main(config: DictConfig) -> float:
    if "epochs" in config:
        return work.count(config.log, int(config.epochs))
    number = int(HydraConfig.get().job.num)
    return work.trial(config.log, work.lengths(float(config.scale))[number % work.TRIALS], float(config.rate))


if __name__ == "__main__":
    main()
