"""`ports.Messenger` on any SMTP relay: the same message as plain text and simple HTML."""

from __future__ import annotations

import hashlib
import json
import smtplib
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from shared.errors import Retryable
from shared.ports import Clock
from shared.telling.render import as_html, as_text, subject_of

# Of the 30 s that a function has for all channels.
_TIMEOUT_SECONDS = 9.0


class MailUnavailable(Retryable):
    """The relay did not take the mail. The message has its answer, never the password."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Where mails go. `security` is `starttls` (refused by a relay without it: a fault, not a mail
    in the clear), `tls` from the first byte, or `none`."""

    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    security: str = "starttls"

    @property
    def trouble(self) -> str:
        """What is wrong with these settings, empty if nothing is."""
        if self.security not in ("starttls", "tls", "none"):
            return f"SMTP_SECURITY is {self.security!r}, expected starttls, tls or none"
        if not self.sender or not self.recipients:
            return "SMTP_HOST needs MILLRACE_MAIL_FROM and MILLRACE_MAIL_TO"
        return ""


class MailMessenger:
    """Implements `ports.Messenger`.

    One mail per call to all recipients. Its Message-ID is made of what it says: of two that a crash
    doubled, mail programs show one. A recipient whom the relay refuses while it takes the others is
    not tried again, since the others would get it twice.
    """

    def __init__(
        self,
        relay: Relay,
        clock: Clock,
        *,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        context: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._relay, self._clock = relay, clock
        self._timeout, self._monotonic = timeout_seconds, monotonic
        self._context = context

    def post(self, message: Mapping[str, object]) -> None:
        """Raises MailUnavailable, also for settings that cannot work: they must not keep other
        channels from posting."""
        if self._relay.trouble:
            raise MailUnavailable(self._relay.trouble)
        try:
            self._send(_mail(message, self._relay, self._clock))
        except (smtplib.SMTPException, OSError) as error:  # refused, cut, too slow, no TLS
            raise MailUnavailable(f"{self._relay.host} did not take the mail: {_why(error)}") from (
                error
            )

    def _send(self, mail: EmailMessage) -> None:
        relay, end = self._relay, self._monotonic() + self._timeout
        context = self._context or ssl.create_default_context()
        smtp: smtplib.SMTP
        if relay.security == "tls":
            smtp = smtplib.SMTP_SSL(relay.host, relay.port, timeout=self._timeout, context=context)
        else:
            smtp = smtplib.SMTP(relay.host, relay.port, timeout=self._timeout)
        try:
            if relay.security == "starttls":
                self._hurry(smtp, end)
                smtp.starttls(context=context)
            if relay.user:
                self._hurry(smtp, end)
                smtp.login(relay.user, relay.password)
            self._hurry(smtp, end)
            smtp.send_message(mail, parseaddr(relay.sender)[1], list(relay.recipients))
            # It is sent: whatever happens now is no reason to send it again.
            with suppress(smtplib.SMTPException, OSError):
                self._hurry(smtp, end)
                smtp.quit()
        finally:
            smtp.close()

    def _hurry(self, smtp: smtplib.SMTP, end: float) -> None:
        """What is left of the time is all that the next step may take. Raises TimeoutError."""
        left = end - self._monotonic()
        if left <= 0 or smtp.sock is None:
            raise TimeoutError("too slow")
        smtp.sock.settimeout(left)


def _mail(message: Mapping[str, object], relay: Relay, clock: Clock) -> EmailMessage:
    said = hashlib.sha256(json.dumps(message, sort_keys=True).encode()).hexdigest()
    mail = EmailMessage()
    mail["Subject"] = f"[Millrace] {subject_of(message)}"
    mail["From"] = relay.sender
    mail["To"] = ", ".join(relay.recipients)
    mail["Date"] = format_datetime(clock.now())
    mail["Message-ID"] = f"<{said[:32]}@millrace>"
    mail["Auto-Submitted"] = "auto-generated"
    page = f"<!DOCTYPE html><html><body>{as_html(message)}</body></html>"
    mail.set_content(_encodable(f"{as_text(message)}\n"))
    mail.add_alternative(_encodable(page), "html")
    return mail


def _encodable(text: str) -> str:
    """JSON can hold half a character, a mail cannot."""
    return text.encode("utf-8", "replace").decode()


def _why(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        told = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        return f"{error.smtp_code} {told[:200]}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"no recipient was accepted ({', '.join(map(str, error.recipients))})"
    return f"{type(error).__name__}: {error}"[:200]
