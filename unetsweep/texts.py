"""Texts for people: what comes from outside is made safe to print, and counts and scores are written alike.

A text comes from outside if a trainer, a log, a scheduler or the name of a file wrote it. It may contain line breaks,
terminal sequences, invisible characters or bytes that are no UTF-8, which would forge rows or control the terminal.
"""

import math
import re
from collections.abc import Iterable, Iterator

_SEQUENCE = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, and movements of the cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"  # texts for the terminal: its title
    r"|\x1b[ -/]*[0-~]"
)
_TERMINAL = re.compile(_SEQUENCE)
_IN_LOG = re.compile(rf"{_SEQUENCE}|[^\n\t\r -~\x80-\x9f]+|[^\n\t\r -~]")
_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_UNFINISHED = re.compile(
    r"(?:\x1b|(?:\x1b\[|\x9b)[0-?]*[ -/]*|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*\x1b?)\Z"
)
_LONGEST = 300
"""A terminal sequence that is longer is not waited for."""


def printable(text: str) -> str:
    r"""The text on one line: line breaks and tabs become spaces, terminal sequences vanish, and any other character
    that is not printable becomes its escape.

    >>> printable("a\tb\x1b[31mred\x1b[0m"), printable("\u202eevil\udcff")
    ('a bred', '\\u202eevil\\udcff')
    """
    return text if text.isprintable() else "".join(map(_visible, _TERMINAL.sub("", text)))


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else character.encode("unicode_escape").decode()


def one_line(text: str) -> str:
    r"""The printable text, with a single space between its words.

    >>> one_line("CUDA error:\n\tout of\x1b[0m memory ")
    'CUDA error: out of memory'
    """
    return " ".join(printable(text).split())


def printable_log(chunks: Iterable[str]) -> Iterator[str]:
    r"""The chunks of a log with its lines, tabs, progress bars and colours, but without other control of the terminal.

    >>> "".join(printable_log(["\x1b]0;title\x07\x1b[3", "1mred\x1b[0m\r\n", "\x1b[2Jend\x1b["]))
    '\x1b[31mred\x1b[0m\r\nend'
    """
    rest = ""
    for chunk in chunks:
        text = rest + chunk
        unfinished = _UNFINISHED.search(text, max(0, len(text) - _LONGEST))
        end = unfinished.start() if unfinished else len(text)
        rest = text[end:]
        yield _IN_LOG.sub(_in_log, text[:end])
    yield _IN_LOG.sub(_in_log, rest)


def _in_log(match: re.Match[str]) -> str:
    text = match[0]
    return text if _COLOUR.fullmatch(text) else printable(text)


def shortened(text: str, characters: int) -> str:
    """The text with its middle left out if it is longer than so many characters.

    >>> shortened("ValueError: 3 channels are expected", 20)
    'ValueErro … expected'
    """
    if len(text) <= characters:
        return text
    end = (characters - 3) // 2
    return f"{text[: characters - 3 - end]} … {text[-end:].lstrip()}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """The number with its noun.

    >>> counted(1, "trial"), counted(0, "trial"), counted(2, "process", "processes")
    ('1 trial', '0 trials', '2 processes')
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def age_text(seconds: float) -> str:
    """How long ago something was, in its largest unit.

    >>> age_text(-3), age_text(59), age_text(3599), age_text(3600), age_text(2 * 86400), age_text(400 * 86400)
    ('0 s', '59 s', '59 min', '1 h', '2 d', '400 d')
    """
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"


def score_text(value: float) -> str:
    """A score, loss or probability with four decimals.

    >>> score_text(0.70096), score_text(0.125), score_text(-0.00001), score_text(float("nan"))
    ('0.7010', '0.1250', '0.0000', 'nan')
    """
    return f"{round(value, 4) + 0.0:.4f}" if math.isfinite(value) else str(value)
