"""What clients do to the server below HTTP's surface: slowly, falsely, in pieces, or not at all."""

from __future__ import annotations

import json
import re
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.doors.test_predict_server import Server, until
from tests.support.predictor import RECORD

THREADS = 8
# Whatever gunicorn would wait for is waited for in vain, unless our worker does not.
PATCHED = """
import gunicorn.util, gunicorn.workers.gthread
import shared.serving.patient as worker
worker.HEAD_SECONDS = worker.BODY_SECONDS = 0.5
gunicorn.workers.gthread.DEFAULT_WORKER_DATA_TIMEOUT = 3600.0
gunicorn.util.close_graceful.__defaults__ = (3600.0, 65536)
"""
BODY = json.dumps(RECORD).encode()
HOST = b"Host: x\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
PREDICT = b"POST /models/adult/predict HTTP/1.1\r\n"
GOOD = PREDICT + HOST + LENGTH + b"\r\n" + BODY
CHUNKS = b"5\r\n" + BODY[:5] + b"\r\n%x\r\n" % (len(BODY) - 5) + BODY[5:] + b"\r\n0\r\n\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("wire"), "off", PATCHED)
    yield found
    found.end(signal.SIGKILL)


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=60)


def told(line: socket.socket) -> bytes:
    """Everything until the server closes."""
    found = b""
    while piece := line.recv(1 << 16):
        found += piece
    return found


def statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


# --- slowly --------------------------------------------------------------------------------------

SLOW = {
    "nothing": b"",
    "half a head": PREDICT + b"Host: x",
    "half a body": PREDICT + HOST + LENGTH + b"\r\n" + BODY[:5],
    "half a chunk": PREDICT + HOST + CHUNKED + b"\r\n5\r\n" + BODY[:3],
    "a length of chunks alone": PREDICT + HOST + CHUNKED + b"\r\n5",
    "an answer, and never closed": GOOD.replace(b"Host", b"Connection: close\r\nHost"),
}


@pytest.mark.parametrize("what", SLOW)
def test_slow_clients_do_not_stop_the_server(server: Server, what: str) -> None:
    """More connections than threads, that send this much and then nothing: others get answers."""
    with ExitStack() as stack:
        for _ in range(THREADS + 2):
            line = stack.enter_context(closing(connected(server)))
            line.sendall(SLOW[what])
        for _ in range(3):
            assert server.ask(RECORD)[0] == 200


def test_a_body_that_does_not_come_is_refused(server: Server) -> None:
    """Whoever still listens hears that the request was no request; nothing is predicted."""
    for what in ("half a body", "half a chunk"):
        with closing(connected(server)) as line:
            line.sendall(SLOW[what])
            assert statuses(told(line)) in ([400], [])


def test_a_client_that_sends_in_drops_is_answered(server: Server) -> None:
    """Pieces of a few bytes are a request all the same, while they come in time."""
    with closing(connected(server)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(GOOD), 7):
            line.sendall(GOOD[at : at + 7])
        assert line.recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_requests_that_come_together_are_answered_in_their_order(server: Server) -> None:
    """Three in one piece, on one connection, one of them in chunks and one refused."""
    chunked = PREDICT + HOST + CHUNKED + b"\r\n" + CHUNKS
    bad = PREDICT + HOST + b"Content-Length: 1\r\n\r\n{"
    last = GOOD.replace(b"Host", b"Connection: close\r\nHost")
    with closing(connected(server)) as line:
        line.sendall(GOOD + chunked + bad + last)
        assert statuses(told(line)) == [200, 200, 400, 200]


def test_a_client_that_is_gone_at_once_is_no_error_of_ours(server: Server) -> None:
    """Who resets the connection in the middle of a body has sent a bad request: counted as 400,
    not as 500, which would tell people of a broken server."""

    def counted(status: int) -> int:
        with closing(connected(server)) as line:
            line.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            lines = [text for text in told(line).splitlines() if b'status="%d"' % status in text]
        return sum(int(float(text.split()[-1])) for text in lines)

    refused = counted(400)
    with closing(connected(server)) as line:
        line.sendall(PREDICT + HOST + b"Expect: 100-continue\r\n" + LENGTH + b"\r\n" + BODY[:5])
        assert statuses(line.recv(1 << 16)) == [100]  # the body is being read
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: counted(400) > refused or counted(500))
    assert counted(500) == 0


# --- falsely -------------------------------------------------------------------------------------

FALSE = {
    "a length that is short": PREDICT + HOST + b"Content-Length: 5\r\n\r\n" + BODY,
    "a negative length": PREDICT + HOST + b"Content-Length: -1\r\n\r\n" + BODY,
    "a length of letters": PREDICT + HOST + b"Content-Length: ten\r\n\r\n" + BODY,
    "a length with a sign": PREDICT + HOST + b"Content-Length: +10\r\n\r\n" + BODY,
    "a length beyond all": PREDICT + HOST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n" + BODY,
    "two lengths": PREDICT + HOST + LENGTH + b"Content-Length: 3\r\n\r\n" + BODY,
    "a length and chunks": PREDICT + HOST + LENGTH + CHUNKED + b"\r\n" + CHUNKS,
    "chunks of no number": PREDICT + HOST + CHUNKED + b"\r\nxyz\r\n" + BODY,
    "chunks of a negative number": PREDICT + HOST + CHUNKED + b"\r\n-5\r\n" + BODY,
    "another transfer encoding": PREDICT + HOST + b"Transfer-Encoding: gzip\r\n\r\n" + BODY,
    "a folded header": PREDICT + HOST + b"X: a\r\n b\r\n" + LENGTH + b"\r\n" + BODY,
    "a header without a colon": PREDICT + HOST + b"nonsense\r\n" + LENGTH + b"\r\n" + BODY,
    "a header with NUL": PREDICT + HOST + b"X-A: a\x00b\r\n" + LENGTH + b"\r\n" + BODY,
    "many headers": PREDICT + HOST + b"X-A: 1\r\n" * 2_000 + LENGTH + b"\r\n" + BODY,
    "a long header": PREDICT + HOST + b"X-A: " + b"a" * 200_000 + b"\r\n" + LENGTH + b"\r\n" + BODY,
    "a long address": b"POST /" + b"a" * 200_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "no version": b"POST /models/adult/predict\r\n\r\n",
    "a trailer that is none": PREDICT + HOST + CHUNKED + b"\r\n" + CHUNKS[:-2] + b"none\r\n\r\n",
    "a trailer of its own": PREDICT
    + HOST
    + CHUNKED
    + b"\r\n"
    + CHUNKS[:-2]
    + b"Trailer: x\r\n\r\n",
    "a version of its own": PREDICT.replace(b"1.1", b"7.3") + HOST + LENGTH + b"\r\n" + BODY,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "noise": bytes(range(256)) * 40,
    "a method of its own": GOOD.replace(b"POST", b"PREDICT"),
    "a method in small letters": GOOD.replace(b"POST", b"post"),
    "CONNECT": b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a GET with a body": GOOD.replace(b"POST", b"GET"),
    "a HEAD": GOOD.replace(b"POST", b"HEAD"),
}
ADDRESSES = [
    b"/models/../models/adult/predict",
    b"/models/%2e%2e/%2e%2e/etc/passwd",
    b"/models//adult/predict",
    b"/models/adult/predict%00",
    b"/models/%00/predict",
    b"/models/adult/predict/",
    b"/models/adult/predict;x=1",
    b"/models/adult\\predict",
    b"/models/%ff%fe/predict",
    b"/models/\xff/predict",
    b"/predict?model=..%2f..%2fserving",
    b"/predict?model=" + b"a" * 2_000,
    b"/predict?" + b"&".join([b"model=a"] * 500),
    b"/v2/models/adult/versions/../infer",
    b"/v2/models/adult/versions/%00/infer",
    b"predict",
    b"?",
    b"#",
]
for spelled in ADDRESSES:
    request = GOOD.replace(b"/models/adult/predict", spelled, 1)
    FALSE[f"POST {spelled.decode('latin-1')[:40]}"] = request


@pytest.mark.parametrize("what", FALSE)
def test_false_requests_are_refused(server: Server, what: str) -> None:
    """Refused or not answered at all, never with 5xx, without a word of the inside, and the next
    client is answered."""
    with closing(connected(server)) as line:
        line.sendall(FALSE[what])
        line.shutdown(socket.SHUT_WR)
        try:
            answer = told(line)
        except ConnectionError:  # closed on what it did not want to read
            answer = b""
    found = statuses(answer)
    assert all(status < 500 for status in found), answer
    assert found[:1] != [200], answer
    assert b"Traceback" not in answer
    assert b"/shared/" not in answer
    assert server.ask(RECORD)[0] == 200


@pytest.mark.parametrize(
    "address",
    [
        "http://elsewhere/models/adult/predict",
        "//models/adult/predict",
        "/models/adult%2Fpredict",
        "/models/%61dult/predict",
    ],
)
def test_one_address_has_several_spellings(server: Server, address: str) -> None:
    """With a host, as proxies send it, and percent-encoded: the same route, of the same model."""
    with closing(connected(server)) as line:
        line.sendall(GOOD.replace(b"/models/adult/predict", address.encode(), 1))
        assert line.recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_a_body_that_is_too_large_is_not_read(server: Server) -> None:
    """413 for one that says so, and for one in chunks that does not, before it is all there."""
    size = 10 * 1024 * 1024 + 1
    with closing(connected(server)) as line:
        line.sendall(PREDICT + HOST + b"Content-Length: %d\r\n\r\n" % size + b"[")
        assert statuses(line.recv(1 << 16)) == [413]
    with closing(connected(server)) as line:
        line.sendall(PREDICT + HOST + CHUNKED + b"\r\n")
        piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        try:
            for _ in range(200):
                line.sendall(piece)
            line.sendall(b"0\r\n\r\n")
            assert statuses(told(line)) == [413]
        except ConnectionError:  # it closed while we still sent
            pass
    assert server.ask(RECORD)[0] == 200


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cuts=st.lists(
        st.tuples(st.integers(0, len(GOOD)), st.integers(0, 20), st.binary(max_size=12)),
        min_size=1,
        max_size=3,
    )
)
def test_requests_with_pieces_that_are_lost_or_others(
    server: Server, cuts: list[tuple[int, int, bytes]]
) -> None:
    """A good request in which bytes are missing, or others, gets no 5xx, and the next one an
    answer."""
    request = GOOD
    for at, lost, instead in cuts:
        request = request[:at] + instead + request[at + lost :]
    with closing(connected(server)) as line:
        line.sendall(request)
        line.shutdown(socket.SHUT_WR)
        try:
            answer = told(line)
        except ConnectionError:
            answer = b""
    assert all(status < 500 for status in statuses(answer)), (request, answer)
    assert server.ask(RECORD)[0] == 200
