"""Who may ask an HTTP service of ours (loopback only, or whoever knows its password), and its end."""

import base64
import secrets
import signal
from collections.abc import Callable

from fastapi import FastAPI, HTTPException, Request

from deployments.exits import UsageError


def gatekeeper(password: str) -> Callable[[Request], None]:
    """A check of HTTP authentication: basic (any user, that password), or the password as bearer."""

    def check(request: Request) -> None:
        if not password:
            return
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        said = given.encode() if kind.lower() == "bearer" else b""
        if kind.lower() == "basic":
            try:
                said = base64.b64decode(given, validate=True).partition(b":")[2]
            except ValueError:
                said = b""
        if not secrets.compare_digest(said, password.encode()):
            raise HTTPException(401, "wrong or no password", {"WWW-Authenticate": "Basic"})

    return check


def check_host(host: str, password: str, variable: str) -> None:
    """Raise UsageError where other machines could ask without a password."""
    if host not in ("127.0.0.1", "::1", "localhost") and not password:
        raise UsageError(
            f"--host {host} lets other machines ask; set {variable} first, or leave it out"
        )


def answer(app: FastAPI, *, host: str, port: int) -> None:
    """Answer until Ctrl-C or SIGTERM; what has begun is answered to its end."""
    import uvicorn

    # uvicorn raises the signal again once it has ended in good order: no reason to die by it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    uvicorn.run(app, host=host, port=port, log_level="warning")
