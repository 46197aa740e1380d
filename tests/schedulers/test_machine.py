"""What this machine has, from its files."""

from pathlib import Path

import pytest

from unetsweep.schedulers.local.machine import memory

MIB = 1 << 20


@pytest.mark.parametrize(
    ("groups", "limits", "found"),
    [
        (None, {}, 64),
        ("0::/\n", {}, 64),
        ("0::/user/job\n", {"user/job/memory.max": "max", "user/memory.max": str(16 * MIB)}, 16),
        ("0::/user/job\n", {"user/job/memory.max": str(8 * MIB), "user/memory.max": str(16 * MIB)}, 8),
        ("0::/user\n", {"user/memory.max": str(256 * MIB)}, 64),
        ("0::/outside/of/the/container\n", {"memory.max": str(4 * MIB)}, 4),
        (
            "2:cpu,cpuacct:/job\n1:memory:/job\n0::/\n",
            {"memory/job/memory.limit_in_bytes": str(2 * MIB), "memory/memory.limit_in_bytes": str(2**63 - 4096)},
            2,
        ),
    ],
)
def test_the_memory_is_the_machines_or_the_limit_of_a_control_group(
    tmp_path: Path, groups: str | None, limits: dict[str, str], found: int
) -> None:
    files = {f"sys/fs/cgroup/{name}": limit for name, limit in limits.items()}
    files["proc/meminfo"] = f"MemTotal:       {64 << 10} kB\nMemFree:        1 kB\n"
    if groups is not None:
        files["proc/self/cgroup"] = groups
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory(tmp_path) == found * MIB
