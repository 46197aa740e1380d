"""The digest of the running code does not depend on foreign files beside the package."""

from pathlib import Path

import pytest

from unetsweep import package


@pytest.mark.parametrize("note", ['{"language": "python"}', "[1]", "null", '"text"', "corrupt {", '{"package": 3}'])
def test_a_foreign_code_json_beside_the_package_is_ignored(tmp_path: Path, note: str) -> None:
    folder = tmp_path / "unetsweep"
    folder.mkdir()
    (folder / "a.py").write_text("1\n")
    (tmp_path / "code.json").write_text(note)

    assert package.code(folder) == {"package": package.digest({"a.py": b"1\n"})}
