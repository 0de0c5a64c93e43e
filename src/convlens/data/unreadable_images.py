"""Find the images that cannot be read, before anything depends on them."""

from collections.abc import Callable, Sequence

from convlens.data.dataset import BadFile, ImageSource, Record
from convlens.data.digits import DigitsSource
from convlens.data.packed import PackedSource
from convlens.data.parallel import in_order
from convlens.data.remote import readers
from convlens.images import ImageError

_SMALL = (1, 1)  # a JPEG is decoded at an eighth of its size, which still reads every byte


def find_bad(
    source: ImageSource, records: Sequence[Record], *, on_progress: Callable[[int, int], None] | None = None
) -> tuple[BadFile, ...]:
    """Decode every image once, in parallel, and return those that fail, in the order of `records`."""
    # The digits are part of an installed package; packed images were decoded before, and their shards have checksums.
    if isinstance(source, (DigitsSource, PackedSource)):
        return ()

    def reason(record: Record) -> str | None:
        try:
            source.read(record, channels=1, at_least=_SMALL)
        except ImageError as error:
            return str(error)
        return None

    bad = []
    reasons = in_order(reason, records, workers=readers(source))
    for done, (record, why) in enumerate(zip(records, reasons, strict=True), start=1):
        if why:
            bad.append(BadFile(key=record.key, reason=why))
        if on_progress:
            on_progress(done, len(records))
    return tuple(bad)
