"""A page of results in sections, of which a later run may replace some: each says when and how it was measured."""

from collections.abc import Sequence
from pathlib import Path


def replace(page: Path, name: str, text: str, order: Sequence[str]) -> None:
    """Give the section `name` this text; sections are in this order, and none stays that is not in it."""
    found = _sections(page) | {name: text}
    parts = (f"## {name}\n\n{found[name]}\n" for name in order if name in found)
    page.write_text("\n".join(["# Results\n", *parts]))


def _sections(page: Path) -> dict[str, str]:
    parts = page.read_text().split("\n## ")[1:] if page.exists() else []
    return {name: text.strip() for name, _, text in (part.partition("\n") for part in parts)}
