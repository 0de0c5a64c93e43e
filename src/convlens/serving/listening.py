"""The sockets that a server listens on, bound before anything is loaded, so that a port in use is said at once."""

import ctypes
import errno
import os
import socket
import struct
import sys

from convlens.errors import ConvlensError

_SO_ATTACH_FILTER = 26  # of Linux; Python's socket module does not name it


def bind(host: str, port: int) -> socket.socket:
    """Bind an address, and let clients wait there until they are answered.

    Args:
        host: an address or name of this machine.
        port: 0 takes a free one.

    Raises:
        ConvlensError: the port is in use or not allowed, or the host is not this machine's.
    """
    return _listening(host, port, shared=False)


def bind_each(host: str, port: int, workers: int) -> list[socket.socket]:
    """Bind an address once for each worker.

    Linux then deals the connections out evenly; from one socket that all share, the first worker to wake takes most.

    Raises:
        ConvlensError: as `bind`.
    """
    with bind(host, port) as alone:  # sharing would hide that somebody else is there
        if sys.platform != "linux":
            return [alone.dup() for _ in range(workers)]
        port = alone.getsockname()[1]
    return [_listening(host, port, shared=True) for _ in range(workers)]


def refuse_new(listener: socket.socket) -> None:
    """Have the kernel begin no new connections, while those that it has begun can still be accepted.

    A socket that is closed resets whoever waits in its queue. So on Linux a filter first drops the packets that ask for
    a new connection (SYN without ACK), as if they were lost on the way; a client sends its packet again after a second
    and is refused by then. Elsewhere the queue is made as short as it can be.
    """
    if sys.platform != "linux":
        listener.listen(0)
        return
    # classic BPF on the TCP header: load the byte of flags, keep SYN and ACK, drop if SYN alone, else take all
    program = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in program))
    try:
        listener.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code))
        )
    except OSError:  # a sandbox that knows no filters
        listener.listen(0)


def _listening(host: str, port: int, *, shared: bool) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise ConvlensError(f"host is {host!r}, which is not an address; use 127.0.0.1 or 0.0.0.0") from None
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise _explain(error, host, port) from None
    listener.setblocking(False)
    return listener


def _explain(error: OSError, host: str, port: int) -> ConvlensError:
    if error.errno == errno.EADDRINUSE:
        return ConvlensError(
            f"port {port} on {host} is in use; stop the other program, or choose another with --port (0: any free one)"
        )
    if error.errno == errno.EACCES:
        return ConvlensError(f"port {port} on {host} needs privileges; choose one above 1023 with --port")
    if error.errno == errno.EADDRNOTAVAIL:
        return ConvlensError(f"host is {host!r}, which is not an address of this machine; use 127.0.0.1 or 0.0.0.0")
    return ConvlensError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --host or --port")
