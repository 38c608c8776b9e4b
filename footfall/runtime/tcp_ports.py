"""Ports of this machine: whether they are free, and whether a server answers there."""

import errno
import socket
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from footfall.errors import Misconfigured

# A proxy of the environment is no way to a server on this machine.
_opener = build_opener(ProxyHandler({}))


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now. Raises Misconfigured for a host that is not ours."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror as error:
        raise Misconfigured(f"host: {host!r} cannot be resolved: {error.strerror}") from None
    except PermissionError:
        raise Misconfigured(f"port {port} needs more rights than this user has") from None
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise Misconfigured(f"host: {host!r} is no address of this machine") from None
        return False
    return True


def free_port(host: str) -> int:
    """A port that is free at this moment."""
    family, kind, protocol, _, address = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.bind(address)
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    """Whether a GET of `url` is answered with 200."""
    try:
        with _opener.open(url, timeout=2) as response:
            return response.status == 200
    except (URLError, OSError):
        return False
