"""What `make docs` adds to mkdocs: pages for the files outside docs/ that a page links to, and a check for requests.

On a code-hosting page, links such as `../unetsweep/core/plan.py` lead to the file. In the site they lead to a page in
`repository/` with the text of that file. A link to a folder becomes plain text.
"""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
COPIES = "repository"
"""Folder of the site for files outside docs/."""
HIDDEN = "---\nsearch: {exclude: true}\n---\n\n"
"""The head of such a page: the search finds the documentation only."""

_LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_REQUEST = re.compile(r"""<(?:script|img|link|iframe)[^>]*\s(?:src|href)=["']?(?:https?:)?//[^"'\s>]+""")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file outside docs/ that a page links to, also from such a page."""
    waiting = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    known = set(waiting)
    while waiting:
        page = waiting.pop()
        for target in _targets(page):
            if target not in known and (ROOT / target).is_file() and not target.startswith("docs/"):
                known.add(target)
                copy = File.generated(
                    config, _page_of(target), content=_content(target), inclusion=InclusionLevel.NOT_IN_NAV
                )
                files.append(copy)
                if target.endswith(".md"):
                    waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links to files outside docs/ to their pages."""
    return rewritten(markdown, page.file.src_uri)


def on_post_build(config: MkDocsConfig) -> None:
    """Fail if a page would load something from the network."""
    for page in Path(config.site_dir).rglob("*.html"):
        found = _REQUEST.search(page.read_text(encoding="utf-8"))
        if found and 'rel="canonical"' not in found[0]:
            raise PluginError(f"{page} loads something from the network: {found[0]}")


def rewritten(markdown: str, page: str) -> str:
    """Return the text of a page of the site (its path below docs/) with links that work in the site."""

    def link(match: re.Match[str]) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        if re.match(r"[a-z]+:", target):
            return match[0]
        path = _resolved(_source_of(page), target)
        if (ROOT / path).is_dir():
            return label
        return f"[{label}]({relpath(_page_of(path), PurePosixPath(page).parent.as_posix())}{anchor})"

    parts, end = [], 0
    for block in _FENCE.finditer(markdown):
        parts += [_LINK.sub(link, markdown[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, _LINK.sub(link, markdown[end:])])


def _targets(page: str) -> list[str]:
    """Return the files that a page links to; all paths are relative to the repository."""
    text = _FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    return [_resolved(page, match[2]) for match in _LINK.finditer(text) if not re.match(r"[a-z]+:", match[2])]


def _resolved(page: str, target: str) -> str:
    return normpath(f"{PurePosixPath(page).parent}/{target}")


def _page_of(path: str) -> str:
    """Return the page of the site, relative to docs/, for a file of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{COPIES}/{path}" if path.endswith((".md", ".png", ".jpg", ".svg")) else f"{COPIES}/{path}.md"


def _source_of(page: str) -> str:
    """Return the file of the repository that a page of the site shows; the inverse of `_page_of`."""
    prefix = f"{COPIES}/"
    return page.removeprefix(prefix).removesuffix(".md") + ".md" if page.startswith(prefix) else f"docs/{page}"


def _content(path: str) -> str:
    """Return the Markdown of the page that shows a file of the repository."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        return HIDDEN + text
    suffix = PurePosixPath(path).suffix[1:] or "text"
    return f"{HIDDEN}# {path}\n\n````{suffix}\n{text}````\n"
