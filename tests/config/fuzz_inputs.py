"""Inputs of the fuzzer: valid sweeps, profiles, configs and command lines, and what is done to them."""

import copy
import json
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import yaml

COMMAND = {"command": "true {config} {out}"}
GRID = {"epochs": [8, 16], "batch_size": [4], "learning_rate": [1e-3, 1e-4]}
RANGE = {"epochs": [8], "batch_size": 4, "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True}}
CONDITIONS = {
    "epochs": [8, 16],
    "optimizer": ["adam", "sgd"],
    "momentum": {"values": [0.8, 0.9], "when": {"optimizer": "sgd"}},
}
WIDE = {**RANGE, "depth": {"low": 2, "high": 4}, "augment": ["none", {"name": "flip", "value": ["HorizontalFlip"]}]}
POINT = {"epochs": 8, "batch_size": 4, "learning_rate": 1e-3, "seed": 7}
SLURM = {
    "partition": "gpu",
    "account": "eyes",
    "gpus": 0,
    "pack": 1,
    "cpus": 2,
    "mem": "4G",
    "mem_max": 8000,
    "time": "1h30m",
    "python": "python3",
    "setup": ["module load cuda"],
    "sbatch": {"reservation": "eyes", "nice": 5, "exclusive": True},
    "reconciler": {"partition": "cpu", "mem": 500, "time": 90},
}
SWEEPS: tuple[dict[str, Any], ...] = (
    {"space": GRID, "trainer": COMMAND},
    {"space": GRID, "trainer": COMMAND, "slurm": SLURM, "study": {"pruner": {"name": "asha", "min_epochs": 2}}},
    {"space": RANGE, "trainer": COMMAND, "study": {"sampler": {"name": "tpe", "n_startup_trials": 5}, "trials": 6}},
    {
        "space": RANGE,
        "trainer": COMMAND,
        "study": {"sampler": {"name": "NSGAIISampler", "population_size": 8, "crossover_prob": 0.5}, "trials": 3},
        "run": {"parallel": 2, "driver": "cli", "retries": {"node": 1, "hang": 0}, "reconcile_interval": 30},
    },
    {
        "space": GRID,
        "trainer": COMMAND,
        "study": {
            "seed": 3,
            "metric": "val_loss",
            "sampler": "none",
            "pruner": {"name": "PercentilePruner", "percentile": 25.0, "n_warmup_steps": 2},
        },
        "points": [POINT, {**POINT, "seed": 8}],
        "added": [{**POINT, "epochs": 3}],
    },
    {"points": [POINT, {**POINT, "sigma": "x"}], "trainer": COMMAND},
    {"points": [POINT, POINT, {**POINT, "base": 8, "augment": {"name": "a", "value": ["HorizontalFlip"]}}]},
    {
        "name": "eyes",
        "data": {"root": "images", "split": {"val": 0.25, "groups": "none"}, "image_size": 64, "also_score_at": [0]},
        "space": GRID,
        "model": {"base": 8, "depth": 3, "norm": "none", "dropout": 0.1},
        "trainer": {"loss": "bce_dice", "precision": 32, "val_every": 2, "augment": "none"},
        "slurm": {"profile": "site", "time": 10},
    },
    {
        "space": CONDITIONS,
        "exclude": [{"momentum": 0.8}],
        "trainer": {**COMMAND, "batch_size": 4, "learning_rate": 1e-3},
    },
    {"space": WIDE, "trainer": COMMAND, "study": {"sampler": "tpe", "trials": 5}},
)
CONFIG: dict[str, Any] = {
    "data": {"root": "images", "split": {"val": 0.3, "seed": 1}, "image_size": 64},
    "epochs": 2,
    "batch_size": 4,
    "learning_rate": 1e-3,
    "model": {"base": 4, "depth": 2},
    "trainer": {"loss": "bce", "threads": 1},
    "seed": 3,
    "processes": 1,
    "accelerator": "cpu",
}
COMMAND_LINES: tuple[tuple[str, ...], ...] = (
    ("submit", "s.yaml", "--executor", "local", "--dry-run", "--profile", "site", "--results", "results"),
    ("add", "kept", "learning_rate=3e-4", "epochs=3", "--dry-run"),
    ("status", "kept"),
    ("status", "kept", "--json"),
    ("report", "kept", "--format", "csv", "--columns", "trial,val_iou", "--sort", "val_iou", "--top", "3"),
    ("logs", "kept", "0"),
    ("retry", "kept", "0", "1"),
    ("cancel", "kept", "0"),
    ("repair", "kept", "--dry-run"),
    ("adopt", "kept"),
    ("confirm", "kept", "--top", "2", "--seeds", "5", "--dry-run"),
    ("train", "config.json", "--out", "out"),
    ("data", "check", "images", "--image-size", "64"),
)
"""`kept` is a sweep that exists."""

TEXTS = (
    *("", " ", "x", "\x1b[31mred", "\u202etxt", "é" * 50, "a" * 5000, "1e-4", "~root/x", "~nobody-has-this-name/x"),
    *(
        "/" * 300,
        "../" * 100,
        "a/" * 3000,
        "%j",
        "$HOME",
        "'",
        '"',
        "a\nb",
        "a\tb",
        "=1+1",
        "4GB",
        "00:10",
        "-1",
        "{out}",
    ),
    *(
        "{config} {out} {x}",
        "(",
        "(a)",
        "[",
        "tpe",
        "GridSampler",
        "CmaEsSampler",
        "NopPruner",
        "grid",
        "list",
        "none",
        "null",
    ),
    *("s.yaml", ".", "/", "/dev/null", "/dev/zero", "-", "--", "1" * 400, "0x1f", "٣", "٣m", "on", "a.csv", "a" * 300),
    *("\ufeff", "\x85", "\u2028", "<<", "=", "#", "!!int x", "2026-01-01", "12:30:00", "NaN", "none", "default"),
)
NUMBERS = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        3,
        7,
        999,
        10**6,
        10**6 + 1,
        10**9,
        10**12,
        2**31,
        2**32,
        2**63 - 1,
        2**63,
        10**400,
    ),
    *(0.0, -0.0, 0.5, 1.0, 1.5, -1.5, 1e-5, 1e19, 1e300, 5e-324, 1e-300, float("inf"), float("-inf"), float("nan")),
)
KEYS = (
    *("", " ", "<<", "x", "name", "low", "high", "step", "log", "profile", "seed", "points", "command", "sbatch"),
    *("1", "null", "a.b", "a#1", "k" * 101, "\x1b[31m", "__class__", "manifest", "n_ei_candidates", "percentile"),
)


def odd_value(chance: random.Random, depth: int = 0) -> Any:
    """Return a value of any type, some of them huge."""
    kind = chance.randrange(10 if depth < 3 else 7)
    if kind < 3:
        return chance.choice(TEXTS)
    if kind < 7:
        return chance.choice(NUMBERS)
    if kind == 7:
        return [odd_value(chance, depth + 1) for _ in range(chance.choice((0, 1, 2, 5)))]
    if kind == 8:
        return {chance.choice(KEYS): odd_value(chance, depth + 1) for _ in range(chance.choice((0, 1, 3)))}
    return chance.choice((list(range(1, chance.choice((50, 12_000)))), _nested(chance.choice((5, 19, 30)))))


def _nested(levels: int) -> Any:
    return [_nested(levels - 1)] if levels else 1


def change_tree(tree: Any, chance: random.Random) -> None:
    """Change one value, key or item of a tree of mappings and lists, in place."""
    node = tree
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            break
        key = chance.choice(keys)
        if not isinstance(node[key], dict | list) or chance.random() < 0.3:
            _change(node, key, chance)
            return
        node = node[key]
    if isinstance(node, dict):
        node[chance.choice(KEYS)] = odd_value(chance)
    else:
        node.append(odd_value(chance))


def _change(node: Any, key: Any, chance: random.Random) -> None:
    kind = chance.randrange(8)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[chance.choice((*KEYS, 1, None, 2.5, True))] = node.pop(key)
    elif kind == 2:
        node[key] = [node[key]] * chance.choice((1, 2, 300))
    elif kind == 3 and isinstance(node, dict):
        node[chance.choice(KEYS)] = odd_value(chance)
    else:
        node[key] = odd_value(chance)


BOMB = "\n".join(
    ["a: &a [x, x, x, x, x, x, x, x, x]"] + [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in pairwise("abcdefgh")]
)
LINES = (
    BOMB,
    *(
        "x: &x {epochs: [3]}",
        "<<: {run: {parallel: 2}}",
        "<<: [{study: {}}]",
        "<<: 3",
        "1: 2",
        "? [a]\n: 1",
        "run: {<<: *no}",
    ),
    *(
        "trainer: {command: x}",
        "space: {}",
        "\tname: x",
        "name: a\nname: b",
        "---",
        "...",
        "%YAML 1.1",
        "name: !!python/x y",
    ),
    *(
        "run: &r {<<: *r}",
        "slurm: {sbatch: {<<: {nice: .inf}}}",
        "space: {<<: {epochs: [1e400]}}",
        "name: !!int x",
        "[" * 60,
    ),
    *(
        "slurm: {sbatch: {1: 2}}",
        "a: &a [*a]",
        "- " * 60,
        "data: {root: !!bool x}",
        "'" + "k" * 2000 + "': 1",
        "? " * 50,
    ),
)
PIECES = (*"[]{}:,!|>%@`#\t\n'\"\\\r", "&a ", "*a ", "- ", "? ")
ODD_CHARACTERS = "\x00\x07\x1b\x85\u2028\ufeff\ud800é٣\U0001f441"


def change_text(text: str, chance: random.Random) -> str:
    """Return a text with one change to its characters or lines."""
    at = chance.randrange(len(text) + 1)
    changes: list[Callable[[], str]] = [
        lambda: text[:at] + chance.choice(PIECES) + text[at:],
        lambda: text[:at] + chance.choice(ODD_CHARACTERS) + text[at:],
        lambda: text[:at] + text[at + chance.choice((1, 1, 5, 30)) :],
        lambda: text[:at],
        lambda: f"{text}\n{chance.choice(LINES)}\n",
        lambda: f"{chance.choice(LINES)}\n{text}",
        lambda: text.replace("\n", "\r\n"),
        lambda: text.replace("  ", "\t"),
        lambda: "\ufeff" + text,
        lambda: text + "".join(chance.sample(text.splitlines(keepends=True), 1) if text else ""),
        lambda: text + "\n" + "".join(f"key{n}: {n}\n" for n in range(chance.choice((20, 3000)))),
        lambda: chance.choice(("[", "{a: ", "- ", "? ", "!", "-", "&a ", "\n", "x")) * chance.choice((100, 50_000)),
    ]
    return chance.choice(changes)()


DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def yaml_text(tree: Any, chance: random.Random) -> str:
    """Return a tree as YAML, in one of its styles."""
    style = chance.choice((True, False, None))
    return str(yaml.dump(tree, Dumper=DUMPER, default_flow_style=style, allow_unicode=True, sort_keys=False))


def json_text(tree: Any, chance: random.Random) -> str:
    """Return a tree as JSON, with NaN and infinity as Python writes them."""
    return json.dumps(tree, indent=chance.choice((None, 1)), ensure_ascii=chance.random() < 0.5)


def mutated(base: Any, chance: random.Random, write: Callable[[Any, random.Random], str]) -> bytes:
    """Return a file like `base` with one to three changes; some have none."""
    tree = copy.deepcopy(base)
    for _ in range(chance.choice((0, 0, 1, 1, 1, 2))):
        change_tree(tree, chance)
    text = write(tree, chance)
    for _ in range(chance.choice((0, 0, 0, 0, 1, 2))):
        text = change_text(text, chance)
    content = text.encode("utf-8", "surrogatepass")
    return content if chance.random() < 0.98 else text.encode("utf-16", "surrogatepass")


def mutated_line(chance: random.Random) -> list[str]:
    """Return a command line with one or two changes."""
    line = list(chance.choice(COMMAND_LINES))
    for _ in range(chance.choice((1, 1, 2))):
        at = chance.randrange(1, len(line) + 1)
        odd = str(chance.choice((*TEXTS, *NUMBERS)))
        if chance.random() < 0.7:
            line[at : at + 1] = [odd]
        else:
            line.insert(at, odd)
    return [each for each in line if "\x00" not in each and "--watch" not in each]
