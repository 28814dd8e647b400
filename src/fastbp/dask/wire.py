"""What workers say to each other in a fit: numbers through process 0, over TCP, without the scheduler.

Process 0 listens before the others are told where; who connects shows the fit's token first. A worker that dies closes
its connections, so that all others see it at once.
"""

from __future__ import annotations

import hmac
import socket
import struct
import threading
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from ..core.shards import EndedWithOthers

Doubles = npt.NDArray[np.float64]

TOKEN_BYTES = 32
HELLO_SECONDS = 5.0
"""How long who connects may take to show the token."""

KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Seconds and tries after which a machine that does not answer counts as lost, where the system can be told."""

_open: dict[bytes, list[socket.socket]] = {}
"""Sockets of the fits that this process takes part in, by their tokens; the first of process 0 is the one it listens
with."""
_stopped: deque[bytes] = deque(maxlen=1000)
"""Tokens of fits that have been stopped: what asks to listen for one of these comes late."""
_lock = threading.Lock()


def listen(token: bytes, dask_worker: Any = None) -> tuple[str, int]:
    """Begin to listen at the worker's address; return host and port.

    Raises ValueError on a cluster that is encrypted, as these messages are not, and EndedWithOthers if the fit has been
    stopped.
    """
    parts = urlsplit("" if dask_worker is None else dask_worker.address)
    if parts.scheme in ("tls", "wss"):
        raise ValueError(f"the cluster is encrypted ({parts.scheme}), but sums would go from worker to worker as they "
                         "are: use a cluster of tcp:// in a network that you trust, or fastbp.mpi")
    host = "127.0.0.1" if parts.scheme in ("", "inproc") or not parts.hostname else parts.hostname
    server = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    _keep(token, server)
    return host, int(server.getsockname()[1])


def stop(token: bytes) -> None:
    """Close the connections of a fit, which ends wherever it waits for the others."""
    with _lock:
        sockets = _open.pop(token, [])
        _stopped.append(token)
    for each in sockets:
        try:
            each.shutdown(socket.SHUT_RDWR)  # wakes who waits in recv, as close alone does not
        except OSError:
            pass
        each.close()


def _keep(token: bytes, each: socket.socket) -> None:
    """Have a socket closed with the others of its fit."""
    with _lock:
        if token not in _stopped:
            _open.setdefault(token, []).append(each)
            return
    each.close()
    raise EndedWithOthers("the fit was stopped")


class Wire:
    """Connections of one process of a fit to the others: all to process 0.

    Parameters
    ----------
    token : bytes
    rank, size : int
    address : pair (str, int)
        Where process 0 listens.
    seconds : float
        How long to wait for the others.

    Raises
    ------
    EndedWithOthers
        If they have not come by then.
    """

    def __init__(self, token: bytes, rank: int, size: int, address: tuple[str, int], seconds: float) -> None:
        self.token, self.rank, self.size, self.peers = token, rank, size, dict[int, socket.socket]()
        self._own: list[socket.socket] = []
        try:
            self._connect(address, seconds)
        except OSError as error:  # of a socket that `stop` has closed meanwhile
            self.close()
            raise EndedWithOthers(f"process {rank} of {size} was stopped while it connected to the others "
                                  f"({error})") from error
        except BaseException:
            self.close()
            raise

    def _connect(self, address: tuple[str, int], seconds: float) -> None:
        """Connect to process 0, which waits for all others."""
        deadline = time.monotonic() + seconds
        if self.rank == 0:
            with _lock:
                server = _open.get(self.token, [None])[0]
            if server is None:
                raise EndedWithOthers("the worker of process 0 has been started anew, or the fit was stopped")
            self._own.append(server)
            while len(self.peers) < self.size - 1:
                self._accept(server, deadline, seconds)
        else:
            try:
                peer = socket.create_connection(address, timeout=seconds)
                self._own.append(peer)
                peer.sendall(self.token + struct.pack("<Q", self.rank))
            except OSError as error:
                raise EndedWithOthers(f"process {self.rank} cannot reach process 0 at {address[0]}:{address[1]}: "
                                      f"{error}") from error
            self._add(0, peer)

    def _accept(self, server: socket.socket, deadline: float, seconds: float) -> None:
        """Accept a connection, and keep it if it shows the token."""
        server.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            peer, _ = server.accept()
        except OSError as error:
            missing = sorted(set(range(1, self.size)) - set(self.peers))
            raise EndedWithOthers(f"processes {missing} of {self.size} have not come within {seconds:g} s: their "
                                  "workers may be busy with other tasks, or may not reach each other") from error
        peer.settimeout(HELLO_SECONDS)
        try:
            hello = _read(peer, TOKEN_BYTES + 8)
        except OSError:
            peer.close()
            return
        rank = struct.unpack("<Q", hello[TOKEN_BYTES:])[0]
        if hmac.compare_digest(hello[:TOKEN_BYTES], self.token) and 0 < rank < self.size and rank not in self.peers:
            self._own.append(peer)
            self._add(rank, peer)
        else:
            peer.close()

    def _add(self, rank: int, peer: socket.socket) -> None:
        peer.settimeout(None)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):
                peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        _keep(self.token, peer)
        self.peers[rank] = peer

    def close(self) -> None:
        """Close this process's connections; what has been sent arrives."""
        with _lock:
            others = [each for each in _open.pop(self.token, []) if each not in self._own]
            if others:
                _open[self.token] = others
        for each in self._own:
            each.close()

    def talk(self, mine: Doubles) -> list[Doubles]:
        """Send numbers to all processes, and return those of each, in the order of ranks: see `together.Talk`."""
        try:
            if any(each.fileno() < 0 for each in self._own):
                raise ConnectionError("it was stopped")
            if self.rank:
                _send(self.peers[0], mine)
                return [_receive(self.peers[0]) for _ in range(self.size)]
            heard = [mine, *(_receive(self.peers[rank]) for rank in range(1, self.size))]
            for rank in range(1, self.size):
                for each in heard:
                    _send(self.peers[rank], each)
            return heard
        except OSError as error:
            raise EndedWithOthers(f"process {self.rank} of {self.size} has lost the connection to the others: a worker "
                                  f"has died, or the fit was stopped ({error})") from error


def _send(peer: socket.socket, numbers: Doubles) -> None:
    peer.sendall(struct.pack("<Q", numbers.size) + np.ascontiguousarray(numbers, "<f8").tobytes())


def _receive(peer: socket.socket) -> Doubles:
    count = struct.unpack("<Q", _read(peer, 8))[0]
    return np.frombuffer(_read(peer, 8 * count), "<f8").astype(np.float64)


def _read(peer: socket.socket, count: int) -> bytearray:
    """Return so many bytes; ConnectionError if the other end closes before."""
    found = bytearray()
    while len(found) < count:
        part = peer.recv(min(count - len(found), 2**20))
        if not part:
            raise ConnectionError("the other end has closed it")
        found += part
    return found
