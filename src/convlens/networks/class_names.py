"""What the classes of published weights are called."""

from pathlib import Path

from convlens.networks.cards import card


def class_names(name: str, weights: str | Path) -> tuple[str, ...]:
    """Return the class names of a network's weights, in the order of its outputs.

    Args:
        name: a network of the catalogue.
        weights: the name of published weights, or a file of weights.

    Returns:
        Empty where nothing is known: a file says only how many classes there are, unless it is a copy of published one.

    Raises:
        UnknownNameError: no network is called that.

    >>> class_names("resnet50", "imagenet1k_v2")[207]
    'golden retriever'
    """
    published = card(name).published(weights)
    return published.class_names if published else ()
