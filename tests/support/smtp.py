"""A mail relay on a socket: answers as told, keeps what it accepted, and can die after that."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Relay:
    """`answers` replaces what it says to a verb (`MAIL`, `RCPT`, `.` after the data; "" cuts the
    connection, "hang" says nothing); `tls` is its side of STARTTLS, without one it has none."""

    answers: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    extensions: tuple[str, ...] = ("AUTH PLAIN",)
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._over = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # wakes up who accepts
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection, suppress(OSError):  # the client went away
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        connection.sendall(b"220 relay\r\n")
        lines = connection.makefile("rb")
        while line := lines.readline():
            text = line.decode().rstrip("\r\n")
            verb = text.partition(" ")[0].upper()
            self.heard.append(text if verb != "AUTH" else "AUTH")
            answer = self._answer(verb, text)
            if answer == "hang":
                self._over.wait()
                return
            if answer:
                connection.sendall(answer.encode() + b"\r\n")
            if not answer or verb == "QUIT":
                break
            if verb == "STARTTLS" and self.tls is not None:
                lines.close()
                connection = self.tls.wrap_socket(connection, server_side=True)
                lines = connection.makefile("rb")
            if verb == "DATA" and answer.startswith("354") and not self._take(connection, lines):
                break
        lines.close()
        connection.close()  # the one over TLS is another object

    def _answer(self, verb: str, text: str) -> str:
        told: Mapping[str, str] = {
            "EHLO": "\r\n".join(f"250-{one}" for one in self._offered()) + "\r\n250 HELP",
            "STARTTLS": "220 go ahead" if self.tls else "502 no",
            "AUTH": "235 welcome",
            "DATA": "354 go on",
            "QUIT": "221 bye",
        }
        if verb == "RCPT" and "RCPT" not in self.answers:
            self.recipients.append(text.partition(":")[2].strip("<>"))
        return self.answers.get(verb, told.get(verb, "250 fine"))

    def _offered(self) -> list[str]:
        return ["relay", *(("STARTTLS",) if self.tls else ()), *self.extensions, "SIZE"]

    def _take(self, connection: socket.socket, lines: object) -> bool:
        """The mail; whether the conversation goes on."""
        data = b""
        while (line := lines.readline()) not in (b".\r\n", b""):  # type: ignore[attr-defined]
            data += line[1:] if line.startswith(b".") else line
        answer = self.answers.get(".", "250 accepted")
        if answer.startswith("250") or not answer:
            found = message_from_bytes(data, policy=policy.default)
            assert isinstance(found, EmailMessage)
            self.mails.append(found)
        if answer:
            connection.sendall(answer.encode() + b"\r\n")
        return bool(answer) and "CUT" not in self.answers
