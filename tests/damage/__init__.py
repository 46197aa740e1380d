"""The damage campaign: every file of a sweep is damaged in every way, and the commands are judged by what they do."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # for fakes.py, as pytest does
