"""Which code runs is told whatever lies beside the package."""

from pathlib import Path

import pytest

from unetsweep import package


@pytest.mark.parametrize("note", ['{"language": "python"}', "[1]", "null", '"text"', "torn {", '{"package": 3}'])
def test_a_stray_code_json_beside_the_package_is_somebody_elses(tmp_path: Path, note: str) -> None:
    folder = tmp_path / "unetsweep"
    folder.mkdir()
    (folder / "a.py").write_text("1\n")
    (tmp_path / "code.json").write_text(note)

    assert package.code(folder) == {"package": package.digest({"a.py": b"1\n"})}
