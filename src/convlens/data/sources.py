"""Which source a name, a path or an address means."""

from pathlib import Path

from convlens.data.cifar import is_cifar, list_cifar
from convlens.data.dataset import DataError, ImageSource
from convlens.data.digits import list_digits
from convlens.data.downloads import Downloads, version_of
from convlens.data.idx import is_idx, list_idx
from convlens.data.image_files import FileSource
from convlens.data.image_folder import holds_images, list_images
from convlens.data.image_table import TABLE_SUFFIXES, Columns, list_table
from convlens.data.listing import Listing
from convlens.data.packed import index_of, list_packed
from convlens.data.parquet import image_column, list_parquet, parquet_files
from convlens.data.reaching import is_address
from convlens.data.remote import RemoteFileSource, is_remote_file, remote_tree
from convlens.data.shards import is_shards, list_shards
from convlens.data.tree import File, Folder, local_tree

EXPECTED = "a folder of images, a .csv or .parquet table, a .tar shard, or digits"


def list_source(source: str | Path, columns: Columns) -> Listing:
    """List what a source holds, before anything is split or checked; `columns` are a table's.

    Raises:
        DataError: it is not there, or nothing that is understood.
    """
    if str(source) == "digits":
        return list_digits()
    if is_address(source):
        return _list_address(str(source), columns)
    path = Path(source)
    if path.is_dir() and (index := index_of(path)):
        return list_packed(index, path)
    if not path.exists():
        raise DataError(f"{source} does not exist; give {EXPECTED}")
    if path.is_dir():
        return _list_folder(local_tree(path), FileSource(), str(path.resolve()), str(source), columns)
    return _list_file(path, str(path.resolve()), columns, base="")


def _list_address(address: str, columns: Columns) -> Listing:
    downloads = Downloads(address)
    if is_remote_file(address):
        file = downloads.fetched(address, version=version_of(address))
        return _list_file(file, address, columns, base=address.rpartition("/")[0])
    if index := index_of(address):
        return list_packed(index, address)
    tree = remote_tree(address)
    if _holds_containers(tree):
        return _list_folder(downloads.mirrored(tree), FileSource(), address, address, columns)
    return list_images(tree, RemoteFileSource(downloads), address, address)


def _list_folder(root: Folder, source: ImageSource, location: str, given: str, columns: Columns) -> Listing:
    if is_idx(root):
        return list_idx(root, location)
    if is_cifar(root):
        return list_cifar(root, location)
    if any(map(holds_images, root.folders.values())):  # whatever else lies there is beside the point
        return list_images(root, source, location, given)
    if is_shards(root):
        return list_shards(root, location)
    if files := parquet_files(root):
        return list_parquet(root.name, files, location, columns)
    return list_images(root, source, location, given)


def _holds_containers(root: Folder) -> bool:
    packed = not any(map(holds_images, root.folders.values())) and (is_shards(root) or parquet_files(root))
    return is_idx(root) or is_cifar(root) or bool(packed)


def _list_file(path: Path, location: str, columns: Columns, *, base: str) -> Listing:
    """List a single file; `base` is the address that a fetched table's paths are relative to."""
    suffix = path.suffix.lower()
    alone = File(path.name, str(path), path.stat().st_size)
    if suffix == ".tar":
        return list_shards(Folder(path.stem, files=[alone]), location)
    if suffix == ".parquet" and image_column(path):
        return list_parquet(path.stem, [((), alone)], location, columns)
    if suffix in TABLE_SUFFIXES:
        return list_table(path, location, columns, base=base)
    raise DataError(f"{location} is nothing to train on; give {EXPECTED}")
