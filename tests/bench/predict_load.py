"""Requests as fast as a server answers them, over connections that stay open.

    python tests/bench/predict_load.py < {"port", "path", "body", "connections", "seconds"}

A process of its own with one thread and raw sockets, far cheaper than any server here. How busy it
was is reported with its result, and so are some of the answers. `wrk` is used instead where it is
installed.
"""

from __future__ import annotations

import json
import re
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

SAMPLED = 20
_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


@dataclass(frozen=True, slots=True)
class Load:
    """`failed` are answers other than 200 and connections that broke; `late` are answers after the
    end, which do not count; `busy` is the client's share of a core; `bodies` are some of the
    answers."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failed: int
    late: int
    busy: float
    bodies: list[str] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


class _Connection:
    """One request after the other on one socket."""

    def __init__(self, port: int, request: bytes) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request, self._found, self._wanted, self._sent = request, bytearray(), 0, 0.0

    def send(self) -> None:
        self._found.clear()
        self._wanted = 0
        self._sent = time.perf_counter()
        self.socket.sendall(self._request)

    def receive(self) -> float:
        """Seconds that the answer took, 0 while it is not complete. Raises ConnectionError."""
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise ConnectionError
        self._found += piece
        if not self._wanted:
            head = self._found.find(_END)
            if head < 0:
                return 0.0
            length = _LENGTH.search(self._found, 0, head + 2)
            if length is None:
                raise RuntimeError("an answer without Content-Length")
            self._wanted = head + len(_END) + int(length[1])
        return time.perf_counter() - self._sent if len(self._found) >= self._wanted else 0.0

    @property
    def is_good(self) -> bool:
        return self._found.startswith(b"HTTP/1.1 200")

    @property
    def body(self) -> str:
        return self._found[self._found.find(_END) + len(_END) :].decode(errors="replace")


class _Run:
    """Connections that ask until the time is up; what was asked by then is waited for, so that the
    next server has the machine to itself."""

    def __init__(self, port: int, request: bytes, connections: int) -> None:
        self._port, self._request = port, request
        self.times: list[float] = []
        self.bodies: list[str] = []
        self.failed = self.late = 0
        self._selector, self._waiting = selectors.DefaultSelector(), connections
        for _ in range(connections):
            self._connect()

    def go(self, seconds: float) -> tuple[float, float]:
        """Seconds until the end, and of them those that this process worked."""
        started, cpu = time.perf_counter(), time.process_time()
        over = (0.0, 0.0)
        for key in self._selector.get_map().values():
            key.data.send()
        while self._waiting:
            for key, _ in self._selector.select(timeout=1.0):
                connection = key.data
                try:
                    if not self._took(connection, late=bool(over[0])):
                        continue
                except ConnectionError:
                    self.failed += 1
                    self._selector.unregister(connection.socket)
                    connection.socket.close()
                    connection = self._connect()
                elapsed = time.perf_counter() - started
                if not over[0] and elapsed >= seconds:
                    over = elapsed, time.process_time() - cpu
                if over[0]:
                    self._waiting -= 1
                else:
                    connection.send()
        for key in list(self._selector.get_map().values()):
            key.data.socket.close()
        self._selector.close()
        return over

    def _connect(self) -> _Connection:
        connection = _Connection(self._port, self._request)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        return connection

    def _took(self, connection: _Connection, *, late: bool) -> bool:
        """Whether an answer is complete; it is counted then. Raises ConnectionError."""
        seconds = connection.receive()
        if not seconds:
            return False
        self.failed += not connection.is_good
        if late:
            self.late += 1
            return True
        self.times.append(seconds)
        # Of the first answers all, then one in a hundred.
        count = len(self.times)
        if len(self.bodies) < SAMPLED and (count < SAMPLED // 2 or count % 100 == 0):
            self.bodies.append(connection.body)
        return True


def ask(port: int, path: str, body: bytes, connections: int, seconds: float) -> Load:
    """In this process."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    run = _Run(port, request, connections)
    elapsed, busy = run.go(seconds)
    times = sorted(run.times)
    p99 = times[int(len(times) * 0.99)] if times else 0.0
    p50 = statistics.median(times) if times else 0.0
    share, failed = busy / elapsed, run.failed
    return Load(len(times), elapsed, p50 * 1e3, p99 * 1e3, failed, run.late, share, run.bodies)


def run(port: int, path: str, body: bytes, connections: int, seconds: float) -> Load:
    """In a process of its own."""
    if shutil.which("wrk"):
        return _wrk(port, path, body, connections, seconds)
    asked = [port, path, body.decode(), connections, seconds]
    command = [sys.executable, __file__]
    done = subprocess.run(
        command, input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    return Load(**json.loads(done.stdout))


def _wrk(port: int, path: str, body: bytes, connections: int, seconds: float) -> Load:
    """Whole seconds only. Answers are sampled before and after, because wrk keeps none."""
    before = ask(port, path, body, 1, 0.0001).bodies
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "body").write_bytes(body)
        script = Path(folder) / "post.lua"
        script.write_text(
            'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\n'
            f'local file = io.open("{folder}/body", "rb")\nwrk.body = file:read("*a")\n'
        )
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency"]
        command += ["-s", str(script), f"http://127.0.0.1:{port}{path}"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = ask(port, path, body, 1, 0.0001).bodies
    count, elapsed = re.findall(r"(\d+) requests in ([\d.]+)s", said)[0]
    failed = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", said)))
    broken = re.findall(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said
    )
    failed += sum(int(number) for found in broken for number in found)
    return Load(
        int(count),
        float(elapsed),
        _percentile(said, "50%"),
        _percentile(said, "99%"),
        failed,
        0,
        0.0,
        before + after,
    )


def _percentile(said: str, which: str) -> float:
    number, unit = re.findall(rf"{which} +([\d.]+)(us|ms|s|m)\b", said)[0]
    return float(number) * _UNITS[unit]


if __name__ == "__main__":
    port, path, body, connections, seconds = json.load(sys.stdin)
    json.dump(asdict(ask(port, path, body.encode(), connections, seconds)), sys.stdout)
