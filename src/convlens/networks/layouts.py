"""How other projects name the entries of the same networks: declared beside each family, applied in `loading`."""

from collections.abc import Callable, Mapping

from torch import nn

# Given the network, returns: their name of a module -> our name of it. What a module holds (weight, bias, running_mean)
# is called the same everywhere.
Layout = Callable[[nn.Module], Mapping[str, str]]
