"""A webhook receiver: a real HTTP server that keeps what it is sent."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from typing import Any


class Receiver(ThreadingHTTPServer):
    """Keeps each JSON document that is posted to it, and answers with `status`."""

    def __init__(self, token: str, status: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[dict[str, Any]] = []
        self.token = token
        self.status = status

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook?token={self.token}"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        assert isinstance(self.server, Receiver)
        self.server.received.append({"path": self.path, **json.loads(content)})
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Nothing on the tests' stderr."""


@contextmanager
def answering(server: BaseServer) -> Iterator[None]:
    """It answers until the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def receiving(token: str = "s3cret", status: int = 204) -> Iterator[Receiver]:
    """A receiver that listens until the block ends."""
    with Receiver(token, status) as server, answering(server):
        yield server
