"""`unetsweep submit` that dies (as by kill -9) after one of its effects: MODULE OWNER NAME, then its own words."""

import importlib
import os
import sys
from typing import Any


def main(module: str, owner: str, name: str, *words: str) -> None:
    place: Any = importlib.import_module(module)
    place = getattr(place, owner) if owner else place
    effect = getattr(place, name)

    def dying(*args: Any, **kwargs: Any) -> None:
        effect(*args, **kwargs)
        os._exit(9)

    setattr(place, name, dying)
    sys.argv = ["unetsweep", "submit", *words]
    importlib.import_module("unetsweep.cli.main").main()


if __name__ == "__main__":
    main(*sys.argv[1:])
