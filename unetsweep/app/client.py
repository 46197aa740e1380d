"""The source of the client, for environments in which this package is not installed."""

from unetsweep import package
from unetsweep.regular_files import read_bytes


def client_source(*, lightning: bool = False) -> str:
    """Return the source of unetsweep/client.py, or of the callback of PyTorch Lightning."""
    return read_bytes(package.folder() / ("lightning.py" if lightning else "client.py")).decode()
