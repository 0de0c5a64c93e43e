"""Which names a server answers to: a page of anybody can have a browser ask this machine under a name of its own.

A name whose address changes to 127.0.0.1 while the page is open (DNS rebinding) makes the server's answers the page's.
Such a request names a host that is not the server's. A server with a token needs no such look, since no page has it.
"""

import ipaddress
import socket
from collections.abc import Iterable

from convlens.serving.refusals import RefusalError


class Hosts:
    """The names that a server answers to: addresses, localhost, its own name, and what it is told.

    Args:
        listening: the host that the server listens on.
        allowed: further names; `*` for any.
    """

    def __init__(self, listening: str, allowed: Iterable[str]) -> None:
        self._names = {name.lower() for name in ("localhost", listening, socket.gethostname(), *allowed)}

    def check(self, host: bytes | None) -> None:
        """Stop a request that names another host; one that names none comes from no browser.

        Raises:
            RefusalError: 403.
        """
        if host is None or "*" in self._names:
            return
        name = _without_port(host.decode("latin-1").strip().lower())
        if name not in self._names and not name.endswith(".localhost") and not _is_address(name):
            raise RefusalError(
                403,
                f"this server does not answer to the host {name[:80]!r}; its operator adds --allowed-hosts {name[:80]}",
            )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
