"""The text of an answer of SLURM's commands, without what sites add to it. Pure functions: nothing runs here.

Rule 1: a site may print its own lines before, after and around an answer, and may hide that a command failed. So
        squeue and sinfo print our marks around each row and around their header: the rest is not read, and an answer
        without a mark is none (ValueError), even if the command succeeded.
"""

import re

MARK = "unetsweep"


def row_format(fields: str) -> str:
    """Return the option that lets squeue or sinfo print these fields between our marks."""
    return f"--format={MARK}|{fields}|{MARK}"


_ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")  # a site may print in colours


def readable(output: bytes) -> str:
    r"""Return what a command printed as text, without colours.

    >>> readable(b"\x1b[32mSubmitted batch job 57\x1b[0m\r\n").split()
    ['Submitted', 'batch', 'job', '57']
    """
    return _ESCAPE.sub(b"", output).decode(errors="replace")


def marked(text: str) -> list[str]:
    """Return what is between our marks in each line, the header included; ValueError if there is no mark."""
    found = re.findall(rf"{MARK}\|(.*)\|{MARK}", text)
    if not found:
        raise ValueError(f"it gave no answer that can be read, but {quoted(text)}")
    return found


def quoted(text: str) -> str:
    """Return a text from outside as one short line in quotation marks, for a message."""
    line = " ".join(text.split())
    return repr(line if len(line) <= 200 else f"{line[:120]} … {line[-60:]}")


def join_messages(stderr: str) -> str:
    """Return the messages of a command on one line, without its name and "error:".

    >>> join_messages("sbatch: error: invalid partition: x\\nsbatch: error: Invalid partition name specified\\n")
    'invalid partition: x; Invalid partition name specified'
    """
    lines = [re.sub(r"^(\w+: )?((error|fatal): )?", "", line.strip(), count=1) for line in stderr.splitlines()]
    return "; ".join(dict.fromkeys(line for line in lines if line))
