"""The types of the names that `__init__.py` imports when they are used first."""

from unetsweep.api import Sweep as Sweep
from unetsweep.api import Trial as Trial
from unetsweep.api import open as open
from unetsweep.errors import UnetsweepError as UnetsweepError

__version__: str
