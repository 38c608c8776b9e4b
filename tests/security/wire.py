"""What a stranger does: bytes over a socket, and looking at what became of the process."""

import contextlib
import re
import socket
import time
from pathlib import Path

HOST = b"Host: localhost\r\n"
CLOSE = b"Connection: close\r\n"
PATIENCE = 90  # seconds: on a busy machine everything takes its time
MB = 1 << 20


def connect(port, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE, source_address=(source, 0))


def push(sock, data, most=5.0):
    """Send as much as is taken; a server may close, or stop reading."""
    sock.settimeout(most)
    with contextlib.suppress(OSError):
        sock.sendall(data)
    sock.settimeout(PATIENCE)


def rest(sock):
    """All that comes until the server closes, or `b"...reset"`. Fails when it never does."""
    received = b""
    sock.settimeout(PATIENCE)
    try:
        while data := sock.recv(1 << 16):
            received += data
    except TimeoutError:
        raise AssertionError(f"the connection stays open after {received[-300:]!r}") from None
    except OSError:
        received += b"...reset"
    return received


def ask(port, *parts):
    """Send, pausing between the parts, and read until the server closes."""
    with connect(port) as sock:
        for index, part in enumerate(parts):
            if index:
                time.sleep(0.05)  # so that they come apart
            push(sock, part)
        return rest(sock)


def statuses(received):
    """The statuses of the answers in it."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]


def answer(sock):
    """The next answer of a connection that goes on: its status, head and body."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = sock.recv(1 << 16)
        assert data, f"closed after {received!r}"
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    length = int(found[1]) if found else 0
    while len(body) < length:
        body += sock.recv(1 << 16)
    return int(head[9:12]), head, body


def is_closed(sock):
    """Whether the server has closed, without waiting."""
    sock.setblocking(False)
    try:
        return sock.recv(1 << 16, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def forget_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak(pid):
    """The most memory that the process had since `forget_peak`, in MB."""
    return _megabytes(pid, "VmHWM")


def memory(pid):
    """What it has now, in MB."""
    return _megabytes(pid, "VmRSS")


def _megabytes(pid, name):
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name)) // 1024
