"""The API reference shows the examples of docstrings as code; its parser wants a heading above them."""

from typing import Any

import griffe


class Examples(griffe.Extension):
    """Puts what follows the first `>>>` of a docstring under a heading of its own."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one module, class, function or attribute."""
        if obj.docstring is None or "\n>>> " not in obj.docstring.value:
            return
        text, examples = obj.docstring.value.split("\n>>> ", 1)
        lines = f">>> {examples}".splitlines()
        obj.docstring.value = "\n".join([text, "Examples:", *(f"    {line}" for line in lines)])
