"""YAML as people write it: `1e-3` is a number, and a key that stands twice is a mistake."""

import re
from collections.abc import Hashable
from typing import Any

import yaml

# YAML 1.2, section 10.3.2; PyYAML reads YAML 1.1, where a float needs a point and its exponent a sign
_FLOAT = re.compile(
    r"^[-+]?(\.[0-9]+|[0-9][0-9_]*(\.[0-9_]*)?)([eE][-+]?[0-9]+)?$|^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$"
)


def read_yaml(text: str | bytes) -> Any:
    """Read plain values; no objects are made and no code runs.

    Raises:
        yaml.YAMLError: what is no YAML, or a mapping in which a key stands twice.

    >>> read_yaml("lr: 1e-3")
    {'lr': 0.001}
    """
    return yaml.load(text, _Loader)


class _Loader(yaml.SafeLoader):
    """The safe loader, with numbers as in YAML 1.2 and each key once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Any, yaml.Node] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.MarkedYAMLError(problem=f"{key!r} stands twice; keep one", problem_mark=key_node.start_mark)
            seen[key] = key_node
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
