"""The hooks of the documentation's site: links to files outside docs/, and pages that would load from the network."""

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from mkdocs.exceptions import PluginError
from pages import DOCS


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    found = importlib.util.spec_from_file_location("site_hooks", DOCS / "site_hooks.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "link", "expected"),
    [
        pytest.param("scale.md", "[a](design.md#terms)", "[a](design.md#terms)", id="a page of the site"),
        pytest.param("a/b.md", "[a](../design.md)", "[a](../design.md)", id="from a folder"),
        pytest.param("design.md", "[a](../Makefile)", "[a](repository/Makefile.md)", id="a file outside docs"),
        pytest.param("a/b.md", "[a](../../README.md#x)", "[a](../repository/README.md#x)", id="Markdown outside docs"),
        pytest.param("repository/README.md", "[a](docs/scale.md)", "[a](../scale.md)", id="from outside docs"),
        pytest.param("design.md", "[a](../unetsweep/doctor)", "a", id="a folder"),
        pytest.param("design.md", "[a](https://x.y/z)", "[a](https://x.y/z)", id="an address"),
        pytest.param("design.md", "```\n[a](../Makefile)\n```", "```\n[a](../Makefile)\n```", id="code"),
    ],
)
def test_links_work_in_the_site(hooks: ModuleType, page: str, link: str, expected: str) -> None:
    assert hooks.rewritten(link, page) == expected


@pytest.mark.parametrize(
    ("html", "is_refused"),
    [
        ('<script src="https://example.org/x.js"></script>', True),
        ("<link rel=stylesheet href=//example.org/x.css>", True),
        ('<img alt="x" src="http://example.org/x.png">', True),
        ('<script src="assets/x.js"></script> <a href="https://example.org">x</a>', False),
    ],
)
def test_a_page_that_loads_from_the_network_is_refused(
    hooks: ModuleType, html: str, is_refused: bool, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text(html)
    config = SimpleNamespace(site_dir=str(tmp_path))

    if is_refused:
        with pytest.raises(PluginError, match=r"index\.html loads something from the network"):
            hooks.on_post_build(config)
    else:
        hooks.on_post_build(config)
