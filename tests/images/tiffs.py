"""A plain TIFF writer, for variants that no library writes by default: uncompressed, one strip, any tags."""

import struct

import numpy as np


def tiff(samples_HWS, *, bits, photometric, planar=1, big_endian=False, **tags):
    """The bytes of a TIFF file (TIFF 6.0): `samples_HWS` are unsigned, signed or floats, as many a pixel as there are.

    Args:
        bits: of a sample: 8, 16 or 32; 1 packs eight into a byte.
        photometric: None leaves it out; 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 5 CMYK, 6 YCbCr, 8 CIELab.
        planar: 1 sample after sample, 2 plane after plane.
        tags: `extra` (338), `sample_format` (339), `palette` (320).
    """
    order = ">" if big_endian else "<"
    height, width, count = samples_HWS.shape
    values = samples_HWS if planar == 1 else samples_HWS.transpose(2, 0, 1)
    if bits == 1:
        pixels = np.packbits(values[..., 0].astype(bool), axis=1).tobytes()
    else:
        pixels = np.ascontiguousarray(values).astype(values.dtype.newbyteorder(order)).tobytes()
    planes = 1 if planar == 1 else count
    size = len(pixels) // planes
    entries = {
        256: ("H", [width]),
        257: ("H", [height]),
        258: ("H", [bits] * count),
        259: ("H", [1]),
        262: ("H", [photometric]),
        273: ("I", [0] * planes),
        277: ("H", [count]),
        278: ("H", [height]),
        279: ("I", [size] * planes),
        284: ("H", [planar]),
    }
    if photometric is None:
        del entries[262]
    for name, number in (("palette", 320), ("extra", 338), ("sample_format", 339)):
        if name in tags:
            entries[number] = ("H", list(tags[name]))
    after = 8 + 2 + 12 * len(entries) + 4
    room = sum(struct.calcsize(kind) * len(values) for kind, values in entries.values())
    entries[273] = ("I", [after + room + plane * size for plane in range(planes)])
    table, extra = b"", b""
    for number in sorted(entries):
        kind, values = entries[number]
        content = struct.pack(f"{order}{len(values)}{kind}", *values)
        if len(content) <= 4:
            where = content.ljust(4, b"\0")
        else:
            where = struct.pack(f"{order}I", after + len(extra))
            extra += content
        table += struct.pack(f"{order}HHI", number, 3 if kind == "H" else 4, len(values)) + where
    head = (b"MM" if big_endian else b"II") + struct.pack(f"{order}HI", 42, 8) + struct.pack(f"{order}H", len(entries))
    return head + table + b"\0\0\0\0" + extra.ljust(room, b"\0") + pixels
