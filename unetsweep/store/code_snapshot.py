"""Copies the package into a sweep. Jobs run the copy, so an edit of the checkout does not change queued jobs.

Rule 1: a copy appears by rename() under its own hash, and is complete. What is whole in it is never touched: jobs
        import from it, and others may be copying too. Only a damaged file is replaced, in its place.
Rule 2: only commands of a user copy the package. Jobs submit with the copy that was pinned last.
"""

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import unetsweep
from unetsweep import package
from unetsweep.atomic import flush, named, rename_folder, temporary_path, write_bytes, write_json
from unetsweep.clock import utc_now
from unetsweep.core import paths
from unetsweep.errors import StateError, UsageError
from unetsweep.package import digest, sources
from unetsweep.record_files import read_record, write_record
from unetsweep.records import CodeFile
from unetsweep.regular_files import quarantine_file


def pin(root: Path, source: Path | None = None) -> Path:
    """Copy the package into the sweep, for the jobs from now on, and return the folder for PYTHONPATH.

    Raises OSError if it cannot be copied, UsageError if PYTHONPATH cannot contain the folder.
    """
    if os.pathsep in str(root):
        raise UsageError(f"{root}: PYTHONPATH cannot name a folder with {os.pathsep!r} in it")
    source = package.folder() if source is None else source
    files = sources(source)
    name = digest(files)
    folder = root / paths.CODE / name
    commit = _commit(source)
    if digest(sources(folder / source.name)) != name:
        _copy(files, folder, source.name, commit, _diff(source) if commit else "")
    if pinned_hash(root) != name:
        write_record(root / paths.CODE_NOTE, CodeFile(name, unetsweep.__version__, commit, utc_now()))
    return folder


def unpin(root: Path) -> None:
    """Let the jobs from now on run the installed package."""
    try:
        (root / paths.CODE_NOTE).unlink(missing_ok=True)
    except IsADirectoryError:
        quarantine_file(root / paths.CODE_NOTE)


def pinned(root: Path) -> Path | None:
    """Return the folder that new jobs have first on PYTHONPATH; None: they run the installed package."""
    name = pinned_hash(root)
    folder = root / paths.CODE / name if name else None
    return folder if folder is not None and (folder / "unetsweep" / "__init__.py").is_file() else None


def with_code(environment: Mapping[str, str], code: Path | None) -> dict[str, str]:
    """Return the variables with the copy first on PYTHONPATH."""
    if code is None:
        return dict(environment)
    rest = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part and part != str(code)]
    return {**environment, "PYTHONPATH": os.pathsep.join([str(code), *rest])}


def without_code(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without the running copy on PYTHONPATH, for a program of the user."""
    mine = str(package.folder().parent)
    rest = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part and part != mine]
    outer = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    return {**outer, "PYTHONPATH": os.pathsep.join(rest)} if rest else outer


def running_snapshot(root: Path) -> Path | None:
    """Return the copy in this sweep that the current process runs; None: it runs another package."""
    folder = package.folder().parent
    return folder if folder.parent == root.absolute() / paths.CODE else None


def pinned_hash(root: Path) -> str:
    """Return the hash of the copy that new jobs run; empty: none."""
    try:
        name = read_record(CodeFile, root / paths.CODE_NOTE).hash
    except (FileNotFoundError, StateError):  # the next submit writes it again
        return ""
    return name


def _copy(files: Mapping[str, bytes], folder: Path, name: str, commit: str | None, diff: str) -> None:
    """Write the sources, and next to them the commit and the changes that they come from."""
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    made = temporary_path(folder)
    made.mkdir(mode=0o700)
    try:
        written = [made / name / each for each in files]
        for path, content in zip(written, files.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            with named(path):
                path.write_bytes(content)
        origin = {"package": folder.name, "commit": commit}
        if diff:
            with named(made / package.DIFF):
                (made / package.DIFF).write_text(diff, encoding="utf-8")
            origin["diff"] = hashlib.sha256(diff.encode()).hexdigest()[: package.DIGITS]
        write_json(made / package.NOTE, origin)
        for path in written:  # all are written before the first is flushed, so a file system commits its journal once
            flush(path)
        if not rename_folder(made, folder):
            _restore(files, folder / name)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _restore(files: Mapping[str, bytes], folder: Path) -> None:
    """Replace the damaged sources of a copy. It may be whole, since another process may just have made it."""
    found = sources(folder)
    for each, content in files.items():
        if found.get(each) != content:
            (folder / each).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(folder / each, content)
    for each in found.keys() - files.keys():
        (folder / each).unlink(missing_ok=True)


def _commit(source: Path) -> str | None:
    """Return the commit of the checkout in which the package is tracked; None: it is in none."""
    output = ""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        for arguments in (("ls-files", "--error-unmatch", "__init__.py"), ("rev-parse", "HEAD")):
            done = subprocess.run(
                ["git", "-C", str(source), *arguments], capture_output=True, text=True, check=False, timeout=10
            )
            if done.returncode != 0:
                return None
            output = done.stdout.strip()
    return output or None


def _diff(source: Path) -> str:
    """Return the changes of the package that are not committed; empty: there are none, or git fails."""
    command = ["git", "-C", str(source), "diff", "--no-color", "--no-ext-diff", "HEAD", "--", "."]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, timeout=10)
        return done.stdout if done.returncode == 0 else ""
    return ""
