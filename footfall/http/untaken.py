"""Answers that a client does not take: what they cost, and for how long."""

import fcntl
import struct
import termios
from typing import Any

from footfall.http import limits
from footfall.http.limits import ConnectionRoom, LimitedConnection
from footfall.model.times import Seconds


class Untaken:
    """Of one connection, from when its transport is full until it is not: bytes that wait for the client.

    The client has a minute, and a second more for every 4 KiB that it takes: a byte now and then is nothing.
    """

    __slots__ = ("_connection", "_left", "_patience", "_room", "_transport")

    def __init__(self, connection: LimitedConnection, room: ConnectionRoom, transport: Any) -> None:
        self._connection = connection
        self._room = room
        self._transport = transport
        self._patience = limits.UNREAD_SECONDS
        self._left = self._measure()

    def tick(self, seconds: Seconds) -> bool:
        """So much time went by. Whether it was too much."""
        left = self._measure()
        gained = max(0, self._left - left) / limits.LOWEST_ANSWER_RATE
        self._left = left
        self._patience = min(limits.UNREAD_SECONDS, self._patience + gained) - seconds
        return self._patience <= 0

    def _measure(self) -> int:
        """Bytes on their way, those in the system's buffers among them. Only ours are counted as memory."""
        ours = self._transport.get_write_buffer_size()
        self._room.untaken(self._connection, ours)
        return ours + _in_system(self._transport)


def _in_system(transport: Any) -> int:
    """Bytes that the other side has not acknowledged yet; the system's buffers may take megabytes."""
    sock = transport.get_extra_info("socket")
    try:
        return struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]
    except (AttributeError, OSError, ValueError):  # closed
        return 0
