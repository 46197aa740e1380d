"""The experiment trackers, and which of them a config switches on."""

from dataclasses import replace
from typing import Any

from unetsweep.contract import TrainerConfig
from unetsweep.training.trackers.comet import Comet
from unetsweep.training.trackers.tracker import Mode, Tracker

TRACKERS: dict[str, Tracker] = {"comet": Comet()}
"""Every tracker by the name that messages use."""
DEFAULT = "comet"
"""The tracker to which `unetsweep sync` uploads a sweep that switches none on."""


def mode(tracker: Tracker, config: TrainerConfig) -> Mode:
    """How the config uses this tracker."""
    found: Mode = getattr(config, tracker.setting)
    return found


def switched_on(config: TrainerConfig) -> dict[str, Tracker]:
    """The trackers that the config uses, by name."""
    return {name: tracker for name, tracker in TRACKERS.items() if mode(tracker, config) != "off"}


def with_all_off(config: TrainerConfig) -> TrainerConfig:
    """The config without any tracker."""
    off: dict[str, Any] = {tracker.setting: "off" for tracker in TRACKERS.values()}
    return replace(config, **off)
