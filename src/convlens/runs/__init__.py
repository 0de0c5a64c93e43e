"""The run folder: write, read, validate."""
