"""Addresses as they may be shown: what a person reads or stores holds no password."""

import re
from urllib.parse import unquote

_USERINFO = re.compile(r"(?<=://)(?:(?<!hf://)[^\s/?#]*|[^\s/:@]*:[^\s@]*)@")
"""`user:password@` behind a scheme; SQLAlchemy takes a password with slashes too.

`hf://dataset@revision` names nobody.
"""

SCHEMA_OF_SECRETS = {
    "type": "string",
    "pattern": r"://[^\s/:@]*:[^\s@]*@|^(?!hf://).*://[^\s/?#]*@",
}
"""What a form must not take, as JSON Schema; its patterns cannot look behind."""


def without_userinfo(text: str) -> str:
    """The text, an address or a message with addresses in it, without anybody's name and password."""
    return _USERINFO.sub("", text)


def holds_userinfo(text: str) -> bool:
    """Whether there is somebody's name or password in an address of the text."""
    return _USERINFO.search(text) is not None


def userinfo(address: str) -> tuple[str, str]:
    """Name and password in an address; empty where there is none."""
    found = _USERINFO.search(address)
    name, _, password = found.group()[:-1].partition(":") if found else ("", "", "")
    return unquote(name), unquote(password)
