"""Connecting to a host."""

from __future__ import annotations

import socket

from securechat.errors import NetworkError
from securechat.net.listener import format_address
from securechat.net.timers import Deadline

__all__ = ["dial"]


def dial(host: str, port: int, timeout_s: float) -> socket.socket:
    """Return a TCP socket connected to ``host``, trying its addresses in the resolver's order.

    Blocks, for at most ``timeout_s`` beside the name look-up.

    :raises NetworkError: no such host, nobody listens, or nobody answers in time.
    """
    where = format_address(host, port)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NetworkError(f"cannot find the host {host!r}; is the name right?") from error
    deadline = Deadline(timeout_s)
    failure = NetworkError(f"cannot connect to {where}")
    for position, (family, kind, protocol, _, address) in enumerate(found):
        share_s = deadline.left_s() / (len(found) - position)
        if not share_s:
            break
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError:
            continue  # a family that this machine does not have
        sock.settimeout(share_s)
        try:
            sock.connect(address)
        except TimeoutError:
            failure = NetworkError(f"cannot connect to {where}: no answer")
        except ConnectionRefusedError:
            failure = NetworkError(f"cannot connect to {where}: nothing listens on that port")
        except OSError as error:
            failure = NetworkError(f"cannot connect to {where}: {error.strerror}")
        else:
            return sock
        sock.close()
    raise failure
