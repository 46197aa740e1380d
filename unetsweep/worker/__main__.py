"""`python -m unetsweep.worker …`: what supervisors and `unetsweep train` start. Not for people."""

import sys
from collections.abc import Sequence
from pathlib import Path

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
        case ["place", root, token, index, job_id, restart, rank, size]:
            run_rank(Start(Path(root), token, int(index), int(restart), job_id), int(rank), int(size), limited=True)
        case ["hand", config, out, rank, size, port]:
            train_by_hand(Path(config), Path(out), int(rank), int(size), int(port))
        case _:
            raise SystemExit(f"unetsweep.worker: not for people; got {list(words)}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except UnetsweepError as error:  # it is in the error file with its traceback
        sys.exit(f"unetsweep: {error}")
