"""Addresses as they may be shown: what a person reads or stores holds no password."""

import re

_USERINFO = re.compile(r"(?<=://)(?:[^\s/?#]*|[^\s/:@]*:[^\s@]*)@")
"""`user:password@` behind a scheme; SQLAlchemy takes a password with slashes too."""


def without_userinfo(text: str) -> str:
    """The text, an address or a message with addresses in it, without anybody's name and password."""
    return _USERINFO.sub("", text)
