"""`python -m unetsweep.worker …`: started by supervisors, packed jobs and `unetsweep train`, not by users."""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from unetsweep.errors import UnetsweepError
from unetsweep.worker.claim import ElementStart
from unetsweep.worker.rank import run_rank, train_by_hand
from unetsweep.worker.supervisor import supervise
from unetsweep.worker.warm_server import serve


def main(arguments: Sequence[str]) -> None:
    match arguments:
        case ["supervise", root, token, index, job_id, driver]:
            supervise(Path(root), token, int(index), job_id, driver)
        case ["rank" | "slot" as kind, root, token, index, job_id, restart, rank, size]:
            start = ElementStart(Path(root), token, int(index), int(restart), job_id)
            run_rank(start, int(rank), int(size), limited=kind == "slot")
        case ["hand", config, out, rank, size, port]:
            train_by_hand(Path(config), Path(out), int(rank), int(size), int(port))
        case ["warm", *modules]:
            serve(modules, run)
        case _:
            raise SystemExit(f"unetsweep.worker is started by unetsweep itself; unknown arguments {list(arguments)}")


def end(message: str) -> NoReturn:
    """End this process at once: the threads of its process group would wait for a rank that is gone."""
    print(message.rstrip(), file=sys.stderr)  # noqa: T201
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def run(arguments: Sequence[str]) -> None:
    """Do what the arguments say; after an error this process has ended."""
    try:
        main(arguments)
    except UnetsweepError as error:  # its traceback is in the error file
        end(f"unetsweep: {error}")
    except Exception:
        end(traceback.format_exc())


if __name__ == "__main__":
    run(sys.argv[1:])
