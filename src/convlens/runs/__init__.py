"""The run folder: write, read, validate."""

from convlens.runs.description import DataSummary, Description, NetworkChoice, RunError
from convlens.runs.run_folder import RunFolder, Which, create_folder, is_run, numbered, open_folder, read_folder

__all__ = [
    "DataSummary",
    "Description",
    "NetworkChoice",
    "RunError",
    "RunFolder",
    "Which",
    "create_folder",
    "is_run",
    "numbered",
    "open_folder",
    "read_folder",
]
