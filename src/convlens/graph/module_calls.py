"""Which module is running: hooks on every call, only while recording and only for the recorded module's own tree."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from convlens.graph.interception import Recorder


@contextmanager
def watched_calls(recorder: Recorder) -> Iterator[None]:
    """Tell `recorder` when each module of its tree begins and ends; other threads are not listened to."""
    thread = threading.get_ident()

    def begins(module: nn.Module, arguments: Any) -> None:
        if threading.get_ident() == thread and recorder.knows(module):
            recorder.enter(module, arguments)

    def ends(module: nn.Module, _arguments: Any, results: Any) -> None:
        if threading.get_ident() == thread and recorder.knows(module):
            recorder.leave(module, results)

    hooks = [register_module_forward_pre_hook(begins), register_module_forward_hook(ends)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
