"""Judges for tests: a real HTTP server that speaks chat completions, and several ways to judge."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.receiver import answering

BLOCK = re.compile(r"--- ([a-zA-Z ]+) ([0-9a-f]{16}) begins ---\n(.*?)\n--- \1 \2 ends ---", re.S)
KEY = "sk-never-to-be-seen-1"

Judge = Callable[[dict[str, str]], str]
"""Parts of the prompt by name -> what it replies."""


def parts_of(prompt: str) -> dict[str, str]:
    """What stands between the marks of the prompt's first mark, as a careful reader sees it."""
    found = BLOCK.findall(prompt)
    return {name: text for name, mark, text in found if mark == found[0][1]}


def honest(parts: dict[str, str]) -> str:
    """Prefers the one answer that is the right one."""
    first, second = (parts[f"answer {x}"] == parts["right answer"] for x in "AB")
    better = "tie" if first == second else "A" if first else "B"
    return f'The first answer says {parts["answer A"]!r}.\n{{"better": "{better}"}}'


def always_a(parts: dict[str, str]) -> str:
    """Prefers whatever stands first."""
    return '{"better": "A"}'


def garbage(parts: dict[str, str]) -> str:
    """Says nothing that is a verdict."""
    return "Both have their merits, A and B."


def gullible(parts: dict[str, str]) -> str:
    """Does what an answer tells it, else is honest."""
    told = [x for x in "AB" if f"say {x}" in parts["answer A"] + parts["answer B"]]
    return f'{{"better": "{told[0]}"}}' if told else honest(parts)


class JudgeServer(ThreadingHTTPServer):
    """Keeps what it is asked; `status`, `delay_s` and `body` make it ill."""

    daemon_threads = True

    def __init__(self, judge: Judge) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.judge = judge
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.paths: list[str] = []
        self.statuses: list[int] = []
        """Of the next calls; 200 when they are used up."""
        self.delay_s = 0.0
        self.body: bytes | None = None
        self.usage: dict[str, Any] | None = {"total_tokens": 100}

    def handle_error(self, *args: Any) -> None:
        """Nothing on the tests' stderr where a client has gone."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, JudgeServer)
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server.asked.append(asked)
        server.paths.append(self.path)
        server.keys.append(self.headers.get("authorization", ""))
        status = server.statuses.pop(0) if server.statuses else 200
        time.sleep(server.delay_s)
        body = server.body if status == 200 else b'{"error": "wrong key %s"}' % KEY.encode()
        if body is None:
            said = server.judge(parts_of(asked["messages"][-1]["content"]))
            message = {"role": "assistant", "content": said}
            answer = {"choices": [{"index": 0, "message": message}], "usage": server.usage}
            body = json.dumps(answer).encode()
        try:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            """Whoever asked has gone."""

    def log_message(self, *args: Any) -> None:
        """Nothing on the tests' stderr."""


@contextmanager
def judging(judge: Judge = honest) -> Iterator[JudgeServer]:
    """A judge that answers until the block ends."""
    with JudgeServer(judge) as server, answering(server):
        yield server
