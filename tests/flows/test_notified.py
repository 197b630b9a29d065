"""Where a notification arrives: a mailbox by a real SMTP server, and Slack's own form of a message."""

from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from deployments.local.processes import free_port
from flows.automations import block_for
from tests.receiver import receiving

LINK = "http://127.0.0.1:4200/runs/flow-run/1"
LINE = f"sentiment: Refused: 0.91 < 0.93 & *shown* worse. {LINK}"
TITLE = "refit sentiment"


class Mailbox:
    """Keeps each mail, with who it is for and who sent it."""

    def __init__(self) -> None:
        self.mails: list[tuple[str | None, list[str], Message]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        assert session.authenticated
        who = (envelope.mail_from, envelope.rcpt_tos)
        self.mails.append((*who, message_from_bytes(envelope.content)))
        return "250 OK"


def knows(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:  # fmt: skip
    """Whether this is the one user of the mail server."""
    is_known = isinstance(data, LoginPassword) and data.password == b"s3cret"
    return AuthResult(success=is_known)


@pytest.fixture
def mail_server() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    server = Controller(
        box, hostname="127.0.0.1", port=free_port(), authenticator=knows, auth_require_tls=False
    )  # fmt: skip
    server.start()
    yield box, server.port
    server.stop()


def told(mail: Message) -> str:
    """The body, as a reader without HTML sees it."""
    parts = [part for part in mail.walk() if not part.is_multipart()]
    assert {part.get_content_type() for part in parts} <= {"text/plain", "text/html"}
    content = parts[0].get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode("utf-8")


def test_a_mail_says_the_line_and_the_link(mail_server: tuple[Mailbox, int]) -> None:
    box, port = mail_server
    asked = "from=refit@example.com&to=ann@example.com,bo@example.com&mode=insecure&format=text"
    address = f"mailto://robot:s3cret@127.0.0.1:{port}?{asked}"
    block_for(address).notify(LINE, TITLE)  # type: ignore[attr-defined]
    assert sorted(to for _, receivers, _ in box.mails for to in receivers) == [
        "ann@example.com", "bo@example.com",
    ]  # fmt: skip
    for sender, _, mail in box.mails:
        assert sender == "refit@example.com"
        assert mail["Subject"] == TITLE
        assert told(mail).strip() == LINE
        assert "s3cret" not in mail.as_string()


def test_slack_gets_its_own_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one thing that is not Slack's here is the host."""
    with receiving(status=200) as receiver:
        here = f"http://127.0.0.1:{receiver.server_port}/services"
        monkeypatch.setattr("apprise.plugins.slack.NotifySlack.webhook_url", here)
        keys = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
        block_for(f"https://hooks.slack.com/services/{keys}").notify(LINE, TITLE)  # type: ignore[attr-defined]
    (message,) = receiver.received
    assert message["path"] == f"/services/{keys}"
    (attachment,) = message["attachments"]
    said = "sentiment: Refused: 0.91 &lt; 0.93 &amp; *shown* worse."
    assert (attachment["title"], attachment["text"]) == (TITLE, f"{said} {LINK}")
