"""Find the images that cannot be read, before anything depends on them."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from convlens.data.dataset import BadFile, ImageSource, Record
from convlens.images import ImageError

_SMALL = (1, 1)  # a JPEG is decoded at an eighth of its size, which still reads every byte


def find_bad(source: ImageSource, records: Sequence[Record]) -> tuple[BadFile, ...]:
    """Decode every image once, in parallel, and return those that fail, in the order of `records`."""

    def reason(record: Record) -> str | None:
        try:
            source.read(record, channels=1, at_least=_SMALL)
        except ImageError as error:
            return str(error)
        return None

    # Pillow lets go of the interpreter while it decodes, so threads are enough.
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        reasons = pool.map(reason, records)
        return tuple(BadFile(key=r.key, reason=why) for r, why in zip(records, reasons, strict=True) if why)
