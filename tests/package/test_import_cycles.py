"""No module imports itself, neither directly nor through others: each can be read, imported and tested alone."""

import graphlib

import grimp  # comes with import-linter


def test_no_import_cycle() -> None:
    """Imports in functions and for the type checker count as well."""
    graph = grimp.build_graph("unetsweep", "benchmarks", cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert "unetsweep.core.observation" in imports["unetsweep.core.plan"]
    graphlib.TopologicalSorter(imports).prepare()  # CycleError names the modules of a cycle
