"""YAML as people write it: `1e-3` is a number, a key that stands twice is a mistake, and nothing in it multiplies."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

# YAML 1.2, section 10.3.2; PyYAML reads YAML 1.1, where a float needs a point and its exponent a sign
_FLOAT = re.compile(
    r"^[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"
)


_DEEPEST = 40


def read_yaml(text: str | bytes) -> Any:
    """Read plain values; no objects are made and no code runs.

    Raises:
        yaml.YAMLError: what is no YAML, is too deep, has an alias, or a mapping in which a key stands twice.
        ValueError: a value that YAML knows and Python does not, such as the 30th of February.

    >>> read_yaml("lr: 1e-3")
    {'lr': 0.001}
    """
    return yaml.load(text, _Loader)


class _Loader(yaml.SafeLoader):
    """The safe loader, with numbers as in YAML 1.2 and each key once."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        # ten lines of aliases to aliases stand for more values than fit into memory
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="it has an alias; write it out", problem_mark=self.get_mark())
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.MarkedYAMLError(problem="it is too deep", problem_mark=self.get_mark())
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Any, yaml.Node] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"{key!r} stands twice; keep one", problem_mark=key_node.start_mark)
            seen[key] = key_node
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
