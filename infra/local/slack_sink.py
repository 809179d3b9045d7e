"""A Slack webhook on this machine: keeps every message as a file and shows it."""

from __future__ import annotations

import html
import json
import threading
from pathlib import Path
from typing import Any

from infra.local.web import HttpServer, Request, Response, Routes, json_response
from shared.adapters.memory.clock import rfc3339
from shared.ports import Clock
from shared.telling.render import as_html

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Slack messages</title>
<style>body{{font:15px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em}}
article{{border-left:4px solid #4a154b;margin:1em 0;padding:.2em 1em;background:#f8f8f8}}
time{{color:#666;font-size:.85em}}</style>
<h1>What people would read in Slack</h1>{messages}</html>"""


class SlackSink:
    """`url` takes webhook posts on any path; `messages()` is what came, oldest first."""

    def __init__(self, folder: Path, clock: Clock, host: str = "127.0.0.1", port: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._clock = folder, clock
        self._lock = threading.Lock()
        routes = Routes()
        routes.add("GET", "/messages", lambda _request: json_response(self.messages()))
        routes.add("GET", "/", lambda _request: self._page())
        routes.add("POST", "/.*", self._receive)
        self._http = HttpServer(routes, host, port)
        self.url = self._http.url

    def close(self) -> None:
        self._http.close()

    def messages(self) -> list[dict[str, Any]]:
        """Each with `received` and `message`."""
        return [json.loads(file.read_text()) for file in sorted(self._folder.glob("*.json"))]

    def _receive(self, request: Request) -> Response:
        # The two refusals and their words are Slack's.
        try:
            message = json.loads(request.read())
        except ValueError:
            return Response(400, b"invalid_payload")
        if not isinstance(message, dict) or not (message.get("text") or message.get("blocks")):
            return Response(400, b"no_text")
        with self._lock:
            number = 1 + len(list(self._folder.glob("*.json")))
            kept = {"received": rfc3339(self._clock.now()), "message": message}
            draft = self._folder / f"{number:06d}.draft"
            draft.write_text(json.dumps(kept, indent=1))
            draft.rename(self._folder / f"{number:06d}.json")
        return Response(200, b"ok", {"Content-Type": "text/html"})

    def _page(self) -> Response:
        parts = []
        for kept in reversed(self.messages()):
            stamp = html.escape(kept["received"])
            shown = as_html(kept["message"])
            parts.append(f"<article><time>{stamp}</time>{shown}</article>")
        page = _PAGE.format(messages="".join(parts) or "<p>Nothing yet.</p>")
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
        }
        return Response(200, page.encode(), headers)
