"""A page of results in sections; a later run may replace some of them. Each says when and how it was measured."""

from collections.abc import Sequence
from pathlib import Path


def replace_section(page: Path, name: str, text: str, order: Sequence[str]) -> None:
    """Write the text of the section `name`. The page keeps the sections in `order` and drops all others."""
    sections = _read_sections(page) | {name: text}
    parts = (f"## {name}\n\n{sections[name]}\n" for name in order if name in sections)
    page.write_text("\n".join(["# Results\n", *parts]))


def _read_sections(page: Path) -> dict[str, str]:
    parts = page.read_text().split("\n## ")[1:] if page.exists() else []
    return {name: text.strip() for name, _, text in (part.partition("\n") for part in parts)}
