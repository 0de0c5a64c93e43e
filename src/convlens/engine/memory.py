"""Where values lie: one arena for an image, bytes used again once nobody reads them, concatenation without copying."""

from dataclasses import dataclass, field

from convlens.engine.draft import BLOCK, Draft, Layer, Value

ALIGNMENT = 64


@dataclass
class _Buffer:
    """Bytes that are taken and given back together: values that lie in one another."""

    size: int
    values: dict[int, int] = field(default_factory=dict)  # value -> its offset inside
    first: int = 0
    last: int = 0
    offset: int = 0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The layers that are left, and where their values lie.

    Attributes:
        layers: `arrange` is taken apart: nothing where parts lie in place, copies of channels where they do not.
        offsets: value -> bytes from the beginning of the arena.
        arena: bytes for one image.
    """

    layers: tuple[Layer, ...]
    offsets: dict[int, int]
    arena: int


def lay_out(draft: Draft, *, item_bytes: int, outside: frozenset[int], aliases: dict[int, int]) -> Layout:
    """Lay out the values of a draft by their lifetimes.

    Args:
        draft: fused.
        item_bytes: of a number in a map; vectors are float32.
        outside: values that are not in the arena, being inputs, outputs or rows of a batch.
        aliases: value -> the value whose bytes it is.
    """
    planner = _Planner(draft, item_bytes, outside)
    planner.place_arrangements()
    planner.take_arrangements_apart()
    planner.place_aliases(aliases)
    return planner.assign()


def nbytes(value: Value, item_bytes: int) -> int:
    """Bytes of a value in blocks of channels."""
    return -(-value.channels // BLOCK) * BLOCK * value.height * value.width * value.item_bytes(item_bytes)


def aligned(size: int) -> int:
    """As many bytes, up to the next place where a value may begin."""
    return -(-size // ALIGNMENT) * ALIGNMENT


class _Planner:
    def __init__(self, draft: Draft, item_bytes: int, outside: frozenset[int]) -> None:
        self.draft = draft
        self.item_bytes = item_bytes
        self.outside = outside
        self.layers = list(draft.layers)
        self.buffers: list[_Buffer] = []
        self.home: dict[int, _Buffer] = {}

    def place_arrangements(self) -> None:
        """Parts are made where the whole will lie, and slices are read where they lie, wherever blocks allow it."""
        for layer in self.layers:
            if layer.op == "arrange" and layer.y not in self.outside and self._as_one(layer):
                layer.settings["in_place"] = True

    def take_arrangements_apart(self) -> None:
        """Copy the channels of what could not be made in place."""
        layers = []
        for layer in self.layers:
            if layer.op != "arrange":
                layers.append(layer)
            elif not layer.settings.get("in_place"):
                begin = 0
                for part, channels in zip(layer.settings["parts"], layer.settings["channels"], strict=True):
                    settings = {"channels": channels, "y_channel": begin}
                    values = {"x": part, "y": layer.y}
                    layers.append(Layer(op="gather_channels", values=values, settings=settings, names=layer.names))
                    begin += len(channels)
        self.layers = layers

    def place_aliases(self, aliases: dict[int, int]) -> None:
        """Put other names of the same bytes where they are."""
        for value, same in aliases.items():
            home = self._buffer(same)
            self._put(value, home, home.values[same])

    def assign(self) -> Layout:
        """Give each buffer an offset: the largest first, at the lowest place that is free while it lives."""
        for position, layer in enumerate(self.layers):
            for value in {*layer.reads, *layer.writes} - self.outside:
                buffer = self._buffer(value)
                buffer.first = min(buffer.first, position)
                buffer.last = max(buffer.last, position)
        placed: list[_Buffer] = []
        for buffer in sorted(self.buffers, key=lambda each: -each.size):
            others = [each for each in placed if each.first <= buffer.last and buffer.first <= each.last]
            offset = 0
            for other in sorted(others, key=lambda each: each.offset):
                if offset + aligned(buffer.size) <= other.offset:
                    break
                offset = max(offset, other.offset + aligned(other.size))
            buffer.offset = offset
            placed.append(buffer)
        offsets = {value: home.offset + home.values[value] for value, home in self.home.items()}
        arena = max((each.offset + aligned(each.size) for each in placed), default=0)
        return Layout(layers=tuple(self.layers), offsets=offsets, arena=arena)

    def _buffer(self, value: int) -> _Buffer:
        """The buffer of a value; one of its own unless it lies in another."""
        if value not in self.home:
            size = self._bytes(value)
            self.home[value] = _Buffer(size, {value: 0}, first=len(self.layers), last=-1)
            self.buffers.append(self.home[value])
        return self.home[value]

    def _bytes(self, value: int) -> int:
        return nbytes(self.draft.values[value], self.item_bytes)

    def _as_one(self, layer: Layer) -> bool:
        parts, channels = layer.settings["parts"], layer.settings["channels"]
        if any(part in self.outside for part in parts):
            return False
        if len(parts) == 1 and self._is_slice(parts[0], channels[0]):
            home = self._buffer(parts[0])
            offset = home.values[parts[0]] + self._per_channel(parts[0]) * channels[0][0]
            if offset % ALIGNMENT:
                return False
            self._put(layer.y, home, offset)
            return True
        return self._joined(layer.y, parts, channels)

    def _is_slice(self, part: int, channels: list[int]) -> bool:
        first, last, count = channels[0], channels[-1] + 1, self.draft.values[part].channels
        consecutive = channels == list(range(first, last))
        return consecutive and first % BLOCK == 0 and (last % BLOCK == 0 or last == count)

    def _joined(self, y: int, parts: list[int], channels: list[list[int]]) -> bool:
        """Put whole values side by side: in a buffer of their own, or behind those that lie so already."""
        counts = [self.draft.values[part].channels for part in parts]
        whole = all(picked == list(range(count)) for picked, count in zip(channels, counts, strict=True))
        if not whole or len(set(parts)) != len(parts) or any(count % BLOCK for count in counts[:-1]):
            return False
        starts = [sum(self._bytes(part) for part in parts[:number]) for number in range(len(parts))]
        if any(start % ALIGNMENT for start in starts):
            return False
        there = [(self.home[part], start, part) for part, start in zip(parts, starts, strict=True) if part in self.home]
        if not there:
            home, begin = self._buffer(y), 0
        else:
            home = there[0][0]
            begin = home.values[there[0][2]] - there[0][1]
            moved = any(each is not home or home.values[part] - start != begin for each, start, part in there)
            new = [
                (begin + start, self._bytes(part))
                for part, start in zip(parts, starts, strict=True)
                if part not in self.home
            ]
            if moved or begin < 0 or any(self._taken(home, offset, size) for offset, size in new):
                return False
            self._put(y, home, begin)
        for part, start in zip(parts, starts, strict=True):
            if part not in self.home:
                self._put(part, home, begin + start)
        return True

    def _taken(self, home: _Buffer, offset: int, size: int) -> bool:
        return any(
            place < offset + size and offset < place + self._bytes(value) for value, place in home.values.items()
        )

    def _put(self, value: int, home: _Buffer, offset: int) -> None:
        home.values[value] = offset
        home.size = max(home.size, offset + self._bytes(value))
        self.home[value] = home

    def _per_channel(self, value: int) -> int:
        shape = self.draft.values[value]
        return shape.height * shape.width * shape.item_bytes(self.item_bytes)
