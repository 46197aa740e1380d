"""When each attempt was sent and when it was over, from the times of a sweep's files."""

from datetime import datetime
from pathlib import Path

from unetsweep.bounded_json import read_json
from unetsweep.core import paths
from unetsweep.core.idle import Spell
from unetsweep.errors import StateError
from unetsweep.store.observation import listed, numbered


def spells_and_ends(root: Path, now: float) -> tuple[list[Spell], list[float]]:
    """The spells of all attempts (open ones until `now`), and the end of each run whose trials have all ended; seconds
    since 1970."""
    spells: list[Spell] = []
    ended = [(number, folder / paths.RESULT) for number, folder in numbered(root / paths.TRIALS)]
    ends: dict[int, float] = {}
    still: set[int] = set()
    for number, path in ended:
        run = _run(number, path.parent)
        if path.exists():
            ends[run] = max(path.stat().st_mtime, ends.get(run, 0.0))
        else:
            still.add(run)
    over = ends.keys() - still
    for number, folder in numbered(root / paths.RUNS):
        names = listed(folder / "attempts")
        results = [path.lstat().st_mtime for path in (folder / "milestones").glob("*.json")]
        attempts = sorted(int(name[:-5]) for name in names if name[:-5].isdecimal())
        begins = [_at(root / paths.attempt(number, each)) for each in attempts]
        for at, each in enumerate(attempts):
            lost = f"{each}.lost.json" in names
            end = _at(root / paths.attempt_lost(number, each)) if lost else max(results, default=None)
            if end is None:  # it is at work, or failed by an error of its own
                left = f"{each}.exit-"
                exits = [(folder / "attempts" / name).stat().st_mtime for name in names if name.startswith(left)]
                end = max(exits, default=now) if number in over else now
            later = begins[at + 1] if at + 1 < len(begins) else now
            spells.append(Spell(begins[at], min(end, later)))
    return spells, [ends[run] for run in over]


def _run(number: int, folder: Path) -> int:
    try:
        return int(read_json(folder / paths.TRIAL)["runs"][0]["run"])
    except (StateError, FileNotFoundError, KeyError, TypeError):
        return number


def _at(path: Path) -> float:
    try:
        return datetime.fromisoformat(read_json(path)["at"]).timestamp()
    except (StateError, FileNotFoundError, KeyError, ValueError):
        return path.stat().st_mtime if path.exists() else 0.0
