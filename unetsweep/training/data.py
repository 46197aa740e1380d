"""The samples of each step, as a function of (seed, epoch, step) and of nothing that happened before.

Rule 1: the batch of a step is global and divided among the ranks, so 1 and 2 processes see the same samples per step.
Rule 2: the last, partial batch is kept, and every image counts exactly once per epoch.
Rule 3: images are decoded once; batches stay uint8 until they are on the device.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from unetsweep.contract import TrialConfig
from unetsweep.datasets.manifest import divide
from unetsweep.datasets.reading import Images, cut_of, manifest, read_pairs
from unetsweep.errors import ConfigError, DataError, Problem
from unetsweep.texts import counted
from unetsweep.training import augment
from unetsweep.training.augmented_sizes import size_problems

MOST_WORKERS = 8
"""Processes that prepare images for one rank, unless the config has more."""


class Batch(NamedTuple):
    """The samples of one rank in one step; n is its share of the global batch."""

    images: Tensor
    """uint8, n x C x H x W."""
    masks: Tensor
    """uint8, n x H x W, of 0 and 1."""
    weights: Tensor
    """float32, n: weight of each sample in this rank's loss, so that the mean of the ranks' gradients is the gradient
    of the mean loss over the global batch."""
    indices: Tensor
    """int64, n: indices of the training images."""


@dataclass(frozen=True, slots=True)
class TrialImages:
    """All images of a trial, in memory."""

    train: Images
    val: Images
    test: Images
    manifest: dict[str, Any]
    """`{train, val, test, sha256}`: file names, and a digest of the images and masks that were read."""


def read(config: TrialConfig) -> TrialImages:
    """Read the images and split them as the config says. Raises DataError, or ConfigError for the batch size.

    Without `score_test` the test images are neither read nor part of the digest.
    """
    root, parts = Path(config.data.root), divide(config.data, test=config.trainer.score_test)
    count = len(parts["train"])
    if config.batch_size > count:
        found = f"found {config.batch_size}, more than {counted(count, 'training image')}; use at most {count}"
        raise ConfigError("config.json", [Problem(found, "batch_size")])
    how = (config.data.image_size, cut_of(config.data), config.model.in_channels)
    # Training images need no additional masks: those are only scored.
    also = {"train": (), "val": config.data.also_score_at, "test": config.data.also_score_at}
    wanted = parts if config.trainer.score_test else {**parts, "test": ()}
    images = {name: read_pairs(part, *how, also[name]) for name, part in wanted.items()}
    names_by_size: dict[tuple[int, int], list[str]] = {}
    for name, image in zip(images["train"].names, images["train"].images, strict=True):
        names_by_size.setdefault((image.shape[1], image.shape[0]), []).append(name)
    augmented, channels = config.trainer.augment, config.model.in_channels
    sizing = {"batch_size": config.batch_size, "processes": config.processes, "channels": channels}
    if problems := size_problems(augmented, names_by_size, **sizing):
        raise DataError(str(root), problems)
    return TrialImages(images["train"], images["val"], images["test"], manifest(**images))


def steps(count: int, batch: int, seed: int, epoch: int) -> list[list[int]]:
    """The global batches of an epoch (from 0): `count` images in a random order drawn from (seed, epoch)."""
    order = np.random.default_rng([seed, epoch]).permutation(count).tolist()
    return [order[i : i + batch] for i in range(0, count, batch)]


def share(batch: Sequence[int], rank: int, size: int) -> list[tuple[int, float]]:
    """A rank's samples of a global batch, with their weights in its loss.

    A rank's loss is the weighted sum over its samples. DDP averages the ranks' gradients, so the weight
    is size / len(batch). A rank for which no sample is left takes the first one with weight 0, since every rank
    must run the same collective operations.
    """
    mine = [(index, size / len(batch)) for index in batch[rank::size]]
    return mine or [(batch[0], 0.0)]


def parts_of_step(config: TrialConfig, micro_batch: int | None) -> int:
    """The number of parts, of at most `micro_batch` images each, that make up a process's share of a full batch."""
    mine = config.batch_size // config.processes
    return -(-mine // min(micro_batch or mine, mine))


def in_parts(batch: Sequence[int], rank: int, size: int, most: int, parts: int) -> list[list[tuple[int, float]]]:
    """A rank's share in parts of at most `most` samples; every rank has the same number of parts.

    Lightning divides the loss of each part by `parts`, the number in a full batch, so the weights are multiplied by it.
    """
    mine = [(index, weight * parts) for index, weight in share(batch, rank, size)]
    return [mine[at : at + most] or [(batch[0], 0.0)] for at in range(0, -(-len(batch) // size), most)]


class Samples(Dataset[tuple[Tensor, Tensor, float, int]]):
    """Training samples by (epoch, index, weight); the augmentation depends on (seed, epoch, index)."""

    def __init__(self, images: Images, augmentation: object, seed: int) -> None:
        self.images, self.seed = images, seed
        self.transform = augment.build(augmentation)

    def __len__(self) -> int:
        return len(self.images.images)

    def __getitem__(self, key: tuple[int, int, float]) -> tuple[Tensor, Tensor, float, int]:
        epoch, index, weight = key
        image, mask = self.images.images[index], self.images.masks[index]
        if self.transform is not None:
            image, mask = augment.apply(self.transform, image, mask, (self.seed, epoch, index))
        return image_tensor(image), torch.from_numpy(np.ascontiguousarray(mask)), weight, index


class Shares(Sampler[list[tuple[int, int, float]]]):
    """This rank's share of each step of an epoch, which is `epoch()` at the start of the iteration."""

    def __init__(
        self, count: int, config: TrialConfig, rank: int, size: int, epoch: Callable[[], int], micro_batch: int | None
    ) -> None:
        self.count, self.config, self.rank, self.size, self.epoch = count, config, rank, size, epoch
        self.most = micro_batch or config.batch_size
        self.parts = parts_of_step(config, micro_batch)

    def __len__(self) -> int:
        whole, rest = divmod(self.count, self.config.batch_size)
        return whole * self.parts + -(-rest // (self.size * self.most))

    def __iter__(self) -> Iterator[list[tuple[int, int, float]]]:
        epoch = self.epoch()
        for batch in steps(self.count, self.config.batch_size, self.config.seed, epoch):
            for part in in_parts(batch, self.rank, self.size, self.most, self.parts):
                yield [(epoch, index, weight) for index, weight in part]


def loader(
    config: TrialConfig,
    images: Images,
    *,
    rank: int,
    size: int,
    epoch: Callable[[], int],
    gpu: bool = False,
    micro_batch: int | None = None,
) -> DataLoader[Any]:
    """A loader of one epoch's batches, in parts of at most `micro_batch` images.

    The epoch is `epoch()` at the start of the iteration: Lightning's own count is one behind when a resumed run starts
    its worker processes.
    """
    samples = Samples(images, config.trainer.augment, config.seed)
    workers = workers_of(config, cores_of_rank(size, os.environ), gpu=gpu)
    return DataLoader(
        samples,
        batch_sampler=Shares(len(samples), config, rank, size, epoch, micro_batch),
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="fork" if workers else None,  # a fork server's children outlive a killed trainer
        worker_init_fn=_limit_threads if workers else None,
        collate_fn=collate,
        pin_memory=gpu,
        generator=torch.Generator().manual_seed(config.seed),  # so that it does not use torch's global generator
    )


def workers_of(config: TrialConfig, cores: int, *, gpu: bool) -> int:
    """How many processes prepare the images of a rank with so many cores.

    On a GPU all cores but the one of the rank itself, which keeps the GPU busy; on the CPU none, since the cores train.
    """
    if config.trainer.workers is not None:
        return config.trainer.workers
    return max(0, min(cores - config.trainer.threads, MOST_WORKERS)) if gpu else 0


def cores_of_rank(size: int, environment: Mapping[str, str], available: int | None = None) -> int:
    """How many cores a rank has. `available`: those that this process may use (None: ask the system).

    Under srun each rank is a task with `slurm.cpus` cores, also where SLURM does not bind it to them. All other ranks
    of a training share the cores of one process.

    >>> cores_of_rank(2, {"SLURM_NTASKS": "2", "SLURM_CPUS_PER_TASK": "4"}, 64), cores_of_rank(2, {}, 8)
    (4, 4)
    """
    available = len(os.sched_getaffinity(0)) if available is None else available
    tasks = int(environment.get("SLURM_NTASKS", "1"))
    cores = min(available, int(environment.get("SLURM_CPUS_PER_TASK", "0")) or available)
    return max(1, cores // max(1, size // tasks))


def collate(samples: Sequence[tuple[Tensor, Tensor, float, int]]) -> Batch:
    """Combine samples of one size into a batch."""
    images, masks, weights, indices = zip(*samples, strict=True)
    return Batch(torch.stack(images), torch.stack(masks), torch.tensor(weights), torch.tensor(indices))


def image_tensor(image: np.ndarray[Any, Any]) -> Tensor:
    """Convert a uint8 H x W x C (or H x W) array to a uint8 C x H x W tensor."""
    array = image[..., None] if image.ndim == 2 else image
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


def scaled(images: Tensor) -> Tensor:
    """Scale uint8 grey levels to float32 from -1 to 1: the only input normalisation, in training and evaluation."""
    return images.float() / 127.5 - 1.0


def _limit_threads(worker: int) -> None:
    """Use one thread per worker; OpenCV would start one per core in each of them."""
    cv2.setNumThreads(0)
