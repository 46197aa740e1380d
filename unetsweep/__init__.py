"""unetsweep: hyperparameter sweeps of a vessel-segmentation U-Net on SLURM."""

__version__ = "0.1.0"
