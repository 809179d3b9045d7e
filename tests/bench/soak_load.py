"""One process of the soak's load: connections that ask one request after the other and check each
answer against what the version that it names answers.

    python tests/bench/soak_load.py < {"port", "path", "connections", "requests", "rows", "answers"}

`rows` are records, `answers` their scores by version. Prints what it found as JSON: failures, and
for each answered row and version when the request was sent and answered (CLOCK_MONOTONIC, which all
processes of a machine share).
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import time
from collections import Counter
from typing import Any

MANY = 20  # rows of every tenth request
_END = b"\r\n\r\n"


class Connection:
    def __init__(self, asked: dict[str, Any], name: str) -> None:
        self._asked, self._name, self._number = asked, name, 0
        self.socket = socket.create_connection(("127.0.0.1", asked["port"]), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._found, self._places, self.sent = bytearray(), [0], 0.0

    def send(self) -> None:
        rows, number = self._asked["rows"], self._number
        many = MANY if number % 10 == 9 else 1
        self._places = [(number + at) % len(rows) for at in range(many)]
        body = json.dumps({"instances": [rows[place] for place in self._places]}).encode()
        head = (
            f"POST {self._asked['path']} HTTP/1.1\r\nHost: soak\r\n"
            f"Content-Type: application/json\r\nX-Prediction-Id: {self._name}-{number}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._number += 1
        self._found.clear()
        self.sent = time.monotonic()
        self.socket.sendall(head.encode() + body)

    def receive(self) -> bytes | None:
        """The whole answer, None while it is not complete. Raises ConnectionError."""
        piece = self.socket.recv(1 << 18)
        if not piece:
            raise ConnectionError
        self._found += piece
        head = self._found.find(_END)
        if head < 0:
            return None
        length = int(self._found.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        if len(self._found) < head + len(_END) + length:
            return None
        return bytes(self._found)

    def check(self, answer: bytes) -> tuple[str, Counter[str]]:
        """What is wrong with an answer, if anything, and its rows by version."""
        if not answer.startswith(b"HTTP/1.1 200"):
            return f"answered {answer[:300]!r}", Counter()
        found = json.loads(answer[answer.find(_END) + len(_END) :])["predictions"]
        versions = Counter(row["model_version"] for row in found)
        if len(found) != len(self._places):
            return f"{len(found)} rows for {len(self._places)}", versions
        for place, row in zip(self._places, found, strict=True):
            expected = self._asked["answers"][row["model_version"]][place]
            if abs(row["score"] - expected) > 1e-5:  # one row and a batch of trees differ by less
                return f"{row} where {row['model_version']} answers {expected}", versions
        return "", versions


def run(asked: dict[str, Any]) -> dict[str, Any]:
    selector = selectors.DefaultSelector()
    for number in range(asked["connections"]):
        connection = Connection(asked, f"{os.getpid()}-{number}")
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send()
    left = asked["requests"] - asked["connections"]
    waiting, rows = asked["connections"], 0
    problems: list[str] = []
    seen: list[tuple[float, float, str]] = []
    while waiting:
        for key, _ in selector.select():
            connection = key.data
            try:
                answer = connection.receive()
            except OSError as error:
                problems.append(f"{type(error).__name__}: {error}")
                selector.unregister(connection.socket)
                waiting -= 1
                continue
            if answer is None:
                continue
            now = time.monotonic()
            problem, versions = connection.check(answer)
            rows += versions.total()
            if problem:
                problems.append(problem)
            seen += [(round(connection.sent, 4), round(now, 4), version) for version in versions]
            if left > 0:
                left -= 1
                connection.send()
            else:
                waiting -= 1
                selector.unregister(connection.socket)
    return {"problems": problems[:20], "failed": len(problems), "rows": rows, "seen": seen}


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
