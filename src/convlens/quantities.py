"""How numbers are written for people."""

from collections.abc import Sequence


def count(number: int | None) -> str:
    """A whole number in three digits and a letter: 25.6 M; "?" for what is not known.

    >>> count(25557032), count(999), count(None)
    ('25.6 M', '999', '?')
    """
    if number is None:
        return "?"
    for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.3g} {letter}" if number / limit < 999.5 else f"{number / limit:.0f} {letter}"
    return str(number)


def size_in_bytes(number: int | None) -> str:
    """Bytes with a decimal prefix: 102 MB.

    >>> size_in_bytes(102_228_128), size_in_bytes(512)
    ('102 MB', '512 B')
    """
    text = count(number)
    return f"{text}B" if text[-1].isalpha() else f"{text} B"


def shape(sizes: Sequence[int]) -> str:
    """A shape with multiplication signs: 1×64×56×56."""
    return "×".join(str(size) for size in sizes) if sizes else "scalar"


def percent(value: float | None) -> str:
    """A share that is given in percent, with two decimals; a dash for what nobody stated.

    >>> percent(76.13), percent(None)
    ('76.13 %', '–')
    """
    return "–" if value is None else f"{value:.2f} %"
