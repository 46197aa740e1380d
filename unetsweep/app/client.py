"""The source of the client, for environments in which this package is not installed."""

from unetsweep import package
from unetsweep.regular_files import read_bytes


def client_source() -> str:
    """Return the source of unetsweep/client.py."""
    return read_bytes(package.folder() / "client.py").decode()
