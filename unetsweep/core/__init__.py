"""The pure middle: no clock, no file, no process, no third party."""
