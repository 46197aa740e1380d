"""`python -m unetsweep.worker …`: what supervisors and `unetsweep train` start. Not for people."""

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from unetsweep.errors import UnetsweepError
from unetsweep.worker.claim import Start
from unetsweep.worker.rank import run_rank, train_by_hand
from unetsweep.worker.supervisor import supervise


def main(words: Sequence[str]) -> None:
    match words:
        case ["supervise", root, token, index, job_id, driver]:
            supervise(Path(root), token, int(index), job_id, driver)
        case ["rank", root, token, index, job_id, rank, size]:
            run_rank(Start(Path(root), token, int(index), 0, job_id), int(rank), int(size))
        case ["slot", root, token, index, job_id, restart, rank, size]:
            run_rank(Start(Path(root), token, int(index), int(restart), job_id), int(rank), int(size), limited=True)
        case ["hand", config, out, rank, size, port]:
            train_by_hand(Path(config), Path(out), int(rank), int(size), int(port))
        case _:
            raise SystemExit(f"unetsweep.worker: not for people; got {list(words)}")


def end(said: str) -> NoReturn:
    """End this process at once: another rank may be gone, and the threads of the process group wait for it."""
    print(said.rstrip(), file=sys.stderr)  # noqa: T201
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UnetsweepError as error:  # it is in the error file with its traceback
        end(f"unetsweep: {error}")
    except Exception:
        end(traceback.format_exc())
