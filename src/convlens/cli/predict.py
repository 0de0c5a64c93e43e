"""What `convlens predict` takes, and its help."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def predict(
    source: str,
    *paths: str,
    top: int = 5,
    batch: int = 32,
    device: str = "auto",
    runtime: str | None = None,
    threads: int | None = None,
    weights: str | None = None,
    classes: Path | None = None,
    csv_: Annotated[bool, Parameter(name="--csv", negative="")] = False,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    out: str | None = None,
    ray: str | None = None,
    map_: Annotated[Path | None, Parameter(name="--map")] = None,
    quiet: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Predict the classes of images, by name.

    Example: convlens predict runs/train/photos holiday/ --top 3 --json, or, without a training of your own:
    convlens predict resnet50 holiday/ --weights imagenet1k_v2

    A file that cannot be read gives a row with the error, and exit code 1; the other files are predicted.

    For a million images: convlens predict runs/train/photos s3://archive/2026/ --out answers.parquet. They are read,
    predicted and written in parts; after an interruption, the same command continues.

    Args:
        source: What answers: a run folder, an artifact, a network's name (its weights must be installed), or
            my_net.py:Net.
        paths: Image files, folders, patterns, http://, https:// and s3:// addresses, or - for standard input: an image,
            or names of images, one per line. With --out also .tar and .parquet files of images, packed shards, tables
            of paths, and folders of these.
        top: Number of classes to print per file.
        batch: Number of images in one pass through the network.
        device: Device to compute on: auto, cpu, cuda or cuda:1.
        runtime: Runtime that computes: torch, onnxruntime, openvino, engine, or auto for the fastest on this machine.
            Default: torch for a run, its own for an artifact.
        threads: Number of processor threads. Default: as many as the container has processors.
        weights: Weights for a network's name or code: a published name, such as imagenet1k_v1, or a file.
        classes: Text file of class names for a file of weights: one name per line, in the order of the outputs.
        csv_: Print CSV with the columns file, rank, label, probability, error; --csv answers.csv writes it to that
            file.
        json_: Print the result as JSON and nothing else; --json answers.json writes it to that file.
        out: File to write the answers to: .parquet, .csv or .jsonl. Memory stays bounded for any number of images.
        ray: Predict on a Ray cluster, with --out: host:port of its head node. Without a value: the cluster of this
            machine, or a new one on this machine.
        map_: Folder for heat maps of each image's classes; not available for artifacts.
        quiet: Show no progress.
    """
