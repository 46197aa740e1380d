"""What the terminal of a command can show."""

import os
import re
import shutil
import sys
from collections.abc import Mapping

from unetsweep.report.terminal_text import Terminal

_NO_SCREEN = ("", "dumb", "unknown")
"""Values of TERM of a terminal whose cursor cannot be moved."""
_NO_COLOURS = re.compile(r"vt\d+.*|.+-m|.+-mono")
"""Values of TERM of a terminal without colours."""


def is_interactive() -> bool:
    """Whether the output goes to a terminal on which a whole screen can be drawn."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in _NO_SCREEN


def has_colours(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether colours are wanted (https://no-color.org) and the terminal has them."""
    name = environment.get("TERM", "")
    return not environment.get("NO_COLOR") and name not in _NO_SCREEN and _NO_COLOURS.fullmatch(name) is None


def shows_blocks(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the output can show the blocks of a curve."""
    locale = next((found for name in ("LC_ALL", "LC_CTYPE", "LANG") if (found := environment.get(name))), "")
    if locale in ("C", "POSIX"):  # Python writes UTF-8 then, which such a terminal may not show
        return False
    try:
        "█│▁…".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def this_terminal() -> Terminal:
    """The terminal of this command, with its current size."""
    size = shutil.get_terminal_size()
    return Terminal(size.columns, size.lines, shows_blocks())
