"""/metrics, /health and /ready over HTTP, in threads of their own: a scrape waits for the worker, never the other way."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from prometheus_client.exposition import CONTENT_TYPE_LATEST

from neotorch.observe.health import Sign, as_json

log = logging.getLogger("neotorch.observe")
TIMEOUT_SECONDS = 10
"""A client that is silent for so long is let go."""


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_SECONDS
    server_version, sys_version = "neotorch", ""
    server: _Server

    def do_GET(self) -> None:
        """Answer one of the three pages."""
        match self.path.partition("?")[0]:
            case "/health":
                self._json(HTTPStatus.OK, {"alive": True})
            case "/ready":
                answer = as_json(self.server.signs())
                self._json(HTTPStatus.OK if answer["ready"] else HTTPStatus.SERVICE_UNAVAILABLE, answer)
            case "/metrics":
                self._send(HTTPStatus.OK, CONTENT_TYPE_LATEST, self.server.metrics())
            case _:
                self._json(HTTPStatus.NOT_FOUND, {"there are": ["/metrics", "/health", "/ready"]})

    def _json(self, status: HTTPStatus, value: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(value).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature of http.server
        """Say nothing: a line per scrape helps nobody."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], signs: Callable[[], list[Sign]], metrics: Callable[[], bytes]) -> None:
        self.signs, self.metrics = signs, metrics
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the signature of socketserver
        """Log what went wrong with one request, in a line. Somebody who hangs up early is no news."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            log.warning("a request for metrics or health failed: %s", type(error).__name__)


class Watch:
    """The pages of one process. Use as a context manager; `port` 0 takes any free one."""

    def __init__(
        self, host: str, port: int, signs: Callable[[], list[Sign]], metrics: Callable[[], bytes]
    ) -> None:  # fmt: skip
        """Listen at once. OSError if that cannot be."""
        self._server = _Server((host, port), signs, metrics)
        self.address = f"http://{host}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Answer from now on."""
        threading.Thread(target=self._server.serve_forever, name="neotorch-watch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
