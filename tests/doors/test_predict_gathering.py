"""One thread answers all connections that are busy, and nobody waits for whom it waits for."""

from __future__ import annotations

import http.client
import json
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared.serving.gathering import Gathered
from tests.doors.test_predict_server import PATIENCE_SECONDS, Server, until
from tests.support.predictor import RECORD

# Whoever gathers does it until it is told otherwise; the thread of each answer is told.
MORE = """
import resource, signal
import shared.serving.gathering as gathering
gathering.MOMENT_SECONDS = gathering.TERM_SECONDS = gathering._QUEUE_SECONDS = 3600.0
gathering.STUCK_SECONDS = {stuck}
answers = app.wsgi_app

def told(environ, start_response):
    what = environ.get("HTTP_X_TEST", "")
    if what == "aside":
        load.aside()
    if what == "files":
        most = max(map(int, os.listdir("/proc/self/fd"))) + 6
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        (FOLDER / "files").write_text(f"{os.getpid()} {most}")
    elif what:
        (FOLDER / "entered").touch()
        while not (FOLDER / "go").exists():
            time.sleep(0.01)
    if what == "wait":  # from now on nothing is, however busy the machine
        gathering.STUCK_SECONDS = 3600.0
    if what == "end":  # the process, while this one is stuck
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
        gathering.STUCK_SECONDS = 0.05
        while not (FOLDER / "answered").exists():
            time.sleep(0.01)

    def start(status, headers):
        start_response(status, [*headers, ("X-Thread", str(threading.get_ident()))])

    return answers(environ, start)

app.wsgi_app = told
"""
LINES = 6
MOST = 20  # connections, where they are few


class Line:
    """A connection that stays open. Requests leave in one piece: whoever stops in the middle is
    waited for."""

    def __init__(self, server: Server) -> None:
        self.sock = socket.create_connection(("127.0.0.1", server.port), PATIENCE_SECONDS)

    def send(self, what: str = "") -> None:
        body = json.dumps(RECORD)
        head = f"POST /models/adult/predict HTTP/1.1\r\nHost: x\r\nX-Test: {what}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.sock.sendall(f"{head}{body}".encode())

    def response(self) -> http.client.HTTPResponse:
        found = http.client.HTTPResponse(self.sock, method="POST")
        found.begin()
        return found

    def thread(self) -> str:
        """Of the answer to what was sent."""
        response = self.response()
        assert response.status == 200
        assert len(json.loads(response.read())["predictions"]) == 1
        return response.getheader("X-Thread") or ""

    def ask(self) -> str:
        self.send()
        return self.thread()


def kill(server: Server) -> None:
    if server.process.poll() is None:
        server.end(signal.SIGKILL)


@pytest.fixture
def lines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, list[Line]]]:
    """Connections that one thread answers."""
    stuck = getattr(request, "param", 3600.0)
    server = Server(tmp_path, "off", MORE.replace("{stuck}", str(stuck)))
    with ExitStack() as stack:
        stack.callback(kill, server)
        found = [Line(server) for _ in range(LINES)]
        for line in found:
            stack.enter_context(closing(line.sock))
            line.ask()
        yield server, found


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUNICORN_CMD_ARGS", f"--worker-connections {MOST}")


def threads_of(lines: list[Line]) -> set[str]:
    return {line.ask() for _ in range(5) for line in lines}


def test_one_thread_answers_all_connections(lines: tuple[Server, list[Line]]) -> None:
    """As long as each request is answered at once: threads that are after Python's lock together
    cost more than what they do."""
    _, found = lines
    assert len(threads_of(found)) == 1


@pytest.mark.parametrize("lines", [0.05], indirect=True)
def test_a_request_that_gets_stuck_keeps_nobody_waiting(lines: tuple[Server, list[Line]]) -> None:
    """Whatever it is that takes so long: other threads answer the others meanwhile, and in the end
    one answers all again."""
    server, (stuck, *others) = lines
    stuck.send("wait")
    until((server.folder / "entered").exists)
    meanwhile = threads_of(others)
    (server.folder / "go").touch()
    assert stuck.thread() not in meanwhile
    until(lambda: len(threads_of([stuck, *others])) == 1)


def test_whoever_says_that_he_waits_is_not_waited_for(lines: tuple[Server, list[Line]]) -> None:
    """Before a look into storage, a publish or a large batch another thread takes the others."""
    server, (waiting, *others) = lines
    before = waiting.ask()
    waiting.send("aside")
    until((server.folder / "entered").exists)
    assert threads_of(others).isdisjoint({before})
    (server.folder / "go").touch()
    assert waiting.thread() == before
    assert len(threads_of([waiting, *others])) == 1


def test_a_client_that_stops_in_the_middle_keeps_nobody_waiting(
    lines: tuple[Server, list[Line]],
) -> None:
    """Half a request on a connection that was answered before: the others are answered."""
    _, (slow, *others) = lines
    head = b"POST /models/adult/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    slow.sock.sendall(head)
    assert len(threads_of(others)) >= 1
    slow.sock.sendall(json.dumps(RECORD)[1:].encode().ljust(99))
    assert slow.response().status == 415
    assert len(threads_of(others)) == 1


def test_a_number_of_a_closed_connection_may_be_somebody_elses() -> None:
    """What closes a connection in the middle of a request does not tell; the next client that the
    system gives its number to stays among the others."""
    gathered = Gathered()
    with ExitStack() as stack:

        def connected() -> tuple[SimpleNamespace, socket.socket]:
            ours, theirs = map(stack.enter_context, socket.socketpair())
            return SimpleNamespace(sock=ours), theirs

        first, client = connected()
        number = first.sock.fileno()
        assert gathered.add(first)
        client.sendall(b"x")
        assert gathered.asking() == [number]
        assert gathered.begin(number) is first
        first.sock.close()
        second, client = connected()
        assert second.sock.fileno() == number
        assert not gathered.add(second)
        assert gathered.end(keep=False)
        client.sendall(b"x")
        assert gathered.asking() == [number]
        assert gathered.begin(number) is second
        second.sock.close()
        assert gathered.end(keep=False)
        assert gathered.dissolve() == []


def test_connections_are_handed_back_when_the_server_is_told_to_end(
    lines: tuple[Server, list[Line]],
) -> None:
    """The main loop tells their clients to close, and the server ends."""
    server, found = lines
    server.process.send_signal(signal.SIGTERM)
    for line in found:
        told = None
        while told != "close":  # the signal may come later than what is asked here
            line.send()
            response = line.response()
            assert response.read()
            told = response.getheader("Connection")
    assert server.process.wait(PATIENCE_SECONDS) == 0


def test_nobody_waits_for_a_stuck_request_when_the_server_is_told_to_end(
    lines: tuple[Server, list[Line]],
) -> None:
    """Whoever has asked meanwhile is answered by another thread, then as at any other time."""
    server, (stuck, *others) = lines
    stuck.send("end")
    until((server.folder / "entered").exists)
    for line in others:
        line.send()
    (server.folder / "go").touch()
    threads = {line.thread() for line in others}
    (server.folder / "answered").touch()
    assert stuck.thread() not in threads


@pytest.mark.usefixtures("few")
def test_no_more_connections_are_taken_than_are_allowed(lines: tuple[Server, list[Line]]) -> None:
    """Also of many that come at once while a thread gathers: the others wait for room."""
    server, found = lines
    room = MOST - LINES
    with ExitStack() as stack:
        waiting = {line.sock: line for line in (Line(server) for _ in range(2 * room))}
        for sock, line in waiting.items():
            stack.enter_context(closing(sock))
            line.send()
        for _ in range(2):
            answered: list[socket.socket] = []
            while len(answered) < room:
                ready, _, _ = select.select(list(waiting), [], [], PATIENCE_SECONDS)
                assert ready
                answered += [sock for sock in ready if waiting.pop(sock).thread()]
            threads_of(found)
            assert not select.select(list(waiting), [], [], 0)[0]
            assert len(answered) == room
            for sock in answered:
                sock.close()
        assert not waiting


def test_a_server_without_files_for_more_connections_serves_those_it_has(
    lines: tuple[Server, list[Line]],
) -> None:
    """The system allows a process so many; it does not end, and goes on when there is room."""
    server, found = lines
    found[0].send("files")
    found[0].thread()
    process, most = (server.folder / "files").read_text().split()
    with ExitStack() as stack:
        for _ in range(int(most)):
            stack.enter_context(closing(Line(server).sock))
        until(lambda: len(list(Path(f"/proc/{process}/fd").iterdir())) == int(most))
        assert len(threads_of(found)) == 1
    assert server.ask(None, "GET", "/healthz")[0] == 200
    assert len(threads_of(found)) == 1
