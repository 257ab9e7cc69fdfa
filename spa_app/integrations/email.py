"""E-mail with a file attached: through the SMTP server of ``SMTP_URL``, or, without one, into a folder."""

import re
import smtplib
import ssl
from contextlib import closing, suppress
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import structlog

from spa_app import clock
from spa_app.errors import UndeliverableError

log = structlog.get_logger()
FOLDER = "outbox-mail"
TIMEOUT = 20  # seconds that the server may keep silent
_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True)
class Mail:
    """A mail to one address. ``message_id`` is the same however often it is tried: who gets it twice can tell."""

    recipient: str
    sender_name: str
    subject: str
    text: str
    filename: str
    pdf: bytes
    message_id: str


class Gateway(Protocol):
    """What takes a mail in."""

    def send(self, mail: Mail) -> None:
        """Hand the mail over, or raise: :class:`UndeliverableError` where there is no use in trying again."""


@dataclass(frozen=True)
class SmtpGateway:
    """The server of ``smtp://user:password@host:587?from=desk@spa.example``.

    ``smtps://`` speaks TLS from the start. With ``smtp://`` TLS is used where the server offers it, and a password is
    never sent without. The certificate is checked. Without ``from``, the user is the sender.
    """

    url: str

    def send(self, mail: Mail) -> None:
        """Hand the mail to the server. Raises OSError or smtplib's errors where another try may help."""
        message = compose(mail, sender_of(self.url))
        parts = urlsplit(self.url)
        context = ssl.create_default_context()
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        server = (
            smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=context)
            if parts.scheme == "smtps"
            else smtplib.SMTP(host, port, timeout=TIMEOUT)
        )
        with closing(server):
            server.ehlo()
            if parts.scheme == "smtp" and server.has_extn("starttls"):
                server.starttls(context=context)
            if parts.username:
                if not isinstance(server.sock, ssl.SSLSocket):
                    raise ConnectionError("the mail server offers no encryption: the password was not sent")
                server.login(unquote(parts.username), unquote(parts.password or ""))
            try:
                server.send_message(message, to_addrs=[mail.recipient])
            except smtplib.SMTPRecipientsRefused as error:
                raise _refusal(*error.recipients[mail.recipient]) from error
            except smtplib.SMTPDataError as error:
                raise _refusal(error.smtp_code, error.smtp_error) from error
            with suppress(smtplib.SMTPException, OSError):  # it has been taken in: a bad farewell changes nothing
                server.quit()


@dataclass(frozen=True)
class RecordingGateway:
    """For where no server is set up: each mail becomes a file that a mail program opens."""

    folder: Path

    def send(self, mail: Mail) -> None:
        """Write the mail, readable by its owner only."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{re.sub(r'[^A-Za-z0-9.-]', '-', mail.message_id)}.eml"
        path.touch(mode=0o600)
        path.write_bytes(compose(mail, "desk@localhost").as_bytes())
        log.info("mail_recorded", file=str(path))


def gateway(smtp_url: str | None, data_dir: Path) -> Gateway:
    """What mails go through."""
    return SmtpGateway(smtp_url) if smtp_url else RecordingGateway(data_dir / FOLDER)


def is_smtp_url(url: str) -> bool:
    """Whether mails can be sent through it: a server and a sender are named."""
    with suppress(ValueError):
        parts = urlsplit(url)
        return parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0 and "@" in sender_of(url)
    return False


def sender_of(url: str) -> str:
    """The address that mails come from."""
    parts = urlsplit(url)
    return parse_qs(parts.query).get("from", [unquote(parts.username or "")])[0]


def compose(mail: Mail, sender: str) -> EmailMessage:
    """The mail as it is sent. What would break out of its header is refused by the library (``ValueError``)."""
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(_line(mail.sender_name), addr_spec=sender)
    message["To"] = Address(addr_spec=mail.recipient)
    message["Subject"] = _line(mail.subject)
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = f"<{mail.message_id}@{sender.rpartition('@')[2]}>"
    message.set_content(mail.text)
    message.add_attachment(mail.pdf, maintype="application", subtype="pdf", filename=mail.filename)
    return message


def _line(text: str) -> str:
    return " ".join(text.split())


def _refusal(code: int, text: bytes | str) -> Exception:
    words = f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"
    return UndeliverableError(words) if code >= 500 else ConnectionError(words)
