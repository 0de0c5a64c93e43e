"""Files of YAML, small ones, read and written."""

from pathlib import Path
from typing import Any

import yaml

from convlens import plain_yaml
from convlens.untrusted.untrusted_bytes import UntrustedFileError, read_whole

_MOST_BYTES = 10_000_000


def read_document(path: Path) -> Any:
    """Read a YAML file of plain values.

    Raises:
        UntrustedFileError: it is too large, or `plain_yaml` refuses it.
        OSError: it cannot be opened.
    """
    try:
        return plain_yaml.read_yaml(read_whole(path, most=_MOST_BYTES).decode("utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UntrustedFileError(f"{path} cannot be read ({reason}); mend it or copy it again") from None


def to_yaml(content: Any) -> str:
    """Write plain values as YAML that `read_document` reads: in their order, without aliases."""
    return str(yaml.dump(content, Dumper=_WithoutAliases, sort_keys=False, allow_unicode=True, width=120))


class _WithoutAliases(yaml.SafeDumper):
    """The safe dumper, writing what is used twice twice."""

    def ignore_aliases(self, _: Any) -> bool:
        return True
