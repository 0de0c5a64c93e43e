"""The ways in which a request is turned down."""

from collections.abc import Mapping


class RefusalError(Exception):
    """A request that gets no answer.

    Args:
        status: the HTTP status.
        message: one line: what was wrong, its value, what to do.
        headers: what the status calls for, such as Retry-After.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})


def overloaded(message: str, retry_after_s: float) -> RefusalError:
    """Build the refusal of a full server, saying in whole seconds when to try again."""
    return RefusalError(429, message, {"Retry-After": str(max(1, round(retry_after_s)))})
