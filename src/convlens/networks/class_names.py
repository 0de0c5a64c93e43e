"""What the classes of published weights are called."""

from pathlib import Path

from convlens.errors import ConvlensError, unknown_name
from convlens.networks.cards import card


def class_names(name: str, weights: str | Path) -> tuple[str, ...]:
    """Return the class names of a network's weights, in the order of its outputs.

    Args:
        name: a network of the catalogue.
        weights: the name of published weights, or a file of weights.

    Returns:
        Empty where nothing is known: a file says only how many classes there are, unless it is a copy of published one.

    Raises:
        ConvlensError: no network is called that, or there are no such weights, or they are published without classes.

    >>> class_names("resnet50", "imagenet1k_v2")[207]
    'golden retriever'
    """
    sheet, path = card(name), Path(weights).expanduser()
    published = sheet.published(weights)
    if published is not None and not published.class_names:
        others = [each.name for each in sheet.weights.values() if each.class_names]
        raise ConvlensError(f"the weights {str(weights)!r} of {name} do not classify; choose {' or '.join(others)}")
    if published is not None:
        return published.class_names
    if not path.is_file() and not path.suffix:
        raise unknown_name(f"weights of {name}", str(weights), sheet.weights)
    if not path.is_file():
        raise ConvlensError(f"there is no file of weights {str(weights)!r}; check the path")
    return ()
