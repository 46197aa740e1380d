"""Pure decisions: no clock, no file, no process, no third-party package."""
