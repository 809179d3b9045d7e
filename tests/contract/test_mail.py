"""Mails through an SMTP relay: taken, or Retryable; never in the clear where TLS was asked for."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from infra.docs.alert_examples import EXAMPLES, WHERE, name_of
from shared.adapters.mail import MailMessenger, Relay
from shared.adapters.memory import FixedClock
from shared.errors import Retryable
from shared.events import Event
from shared.telling.blocks import message
from tests.support import smtp

SECRET = "hunter2"
MESSAGE = message(EXAMPLES[0], WHERE)


@pytest.fixture
def relay() -> Iterator[smtp.Relay]:
    found = smtp.Relay()
    yield found
    found.close()


def messenger(relay: smtp.Relay, **changes: Any) -> MailMessenger:
    given: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": relay.port,
        "sender": "millrace@example.org",
        "recipients": ("ada@example.org", "bob@example.org"),
        "user": "mill",
        "password": SECRET,
        "security": "none",
    }
    context = changes.pop("context", None)
    settings = Relay(**{**given, **changes})
    return MailMessenger(settings, FixedClock(), timeout_seconds=0.5, context=context)


@pytest.mark.parametrize("event", EXAMPLES, ids=name_of)
def test_every_kind_of_message_arrives_readable(relay: smtp.Relay, event: Event) -> None:
    """To everybody, as text and as HTML, with the header as subject and nothing of a file's name
    taken for markup."""
    said = message(event, WHERE)
    messenger(relay).post(said)
    (mail,) = relay.mails
    assert relay.recipients == ["ada@example.org", "bob@example.org"]
    assert mail["Subject"].strip() == f"[Millrace] {said['blocks'][0]['text']['text']}"
    plain, html = (part.get_content() for part in mail.iter_parts())
    assert "&lt;" not in plain
    assert "*What next*" not in plain
    assert "<script" not in html
    assert "<b>What next</b>" in html or "What next" not in plain
    for text in (plain, html):
        assert "production" in text or "./millrace" not in text


def test_names_from_data_stay_text(relay: smtp.Relay) -> None:
    """HTML, header lines, half characters and right-to-left marks."""
    nasty = "<script>x</script>\r\nBcc: eve@example.org \ud800 \u202e end"
    blocks = [
        {"type": "header", "text": {"type": "plain_text", "text": nasty}},
        {"type": "section", "text": {"type": "mrkdwn", "text": nasty}},
    ]
    messenger(relay).post({"text": nasty, "blocks": blocks})
    (mail,) = relay.mails
    assert mail["Bcc"] is None
    assert relay.recipients == ["ada@example.org", "bob@example.org"]
    _, html = (part.get_content() for part in mail.iter_parts())
    assert "<script>" not in html


def test_a_mail_that_a_crash_doubled_has_the_same_id(relay: smtp.Relay) -> None:
    """Mail programs show one of them; another message is another mail."""
    for said in (MESSAGE, MESSAGE, message(EXAMPLES[1], WHERE)):
        messenger(relay).post(said)
    ids = [mail["Message-ID"] for mail in relay.mails]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("answers", "hint"),
    [
        ({"AUTH": "535 wrong"}, "535 wrong"),
        ({"MAIL": "451 later"}, "451 later"),
        ({"RCPT": "550 nobody"}, "no recipient was accepted"),
        ({"DATA": "452 full"}, "452 full"),
        ({".": "554 spam"}, "554 spam"),
        ({"MAIL": ""}, "Disconnected"),
        ({"MAIL": "hang"}, "imed out"),
        ({"EHLO": "hang"}, "imed out"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_is_not_taken_is_retryable(
    relay: smtp.Relay, answers: dict[str, str], hint: str
) -> None:
    """Refused, cut or silent: the relay's words are in the error, the password is not."""
    relay.answers = answers
    with pytest.raises(Retryable, match=hint) as error:
        messenger(relay).post(MESSAGE)
    assert SECRET not in str(error.value)
    assert relay.mails == []
    relay.answers = {}


@pytest.mark.parametrize("answers", [{"CUT": ""}, {"QUIT": "500 what"}, {"QUIT": "hang"}], ids=str)
def test_what_is_taken_is_not_sent_again(relay: smtp.Relay, answers: dict[str, str]) -> None:
    """After the relay's 250 nothing that goes wrong makes the mail fail."""
    relay.answers = answers
    messenger(relay).post(MESSAGE)
    assert len(relay.mails) == 1


def test_one_recipient_of_two_is_enough(relay: smtp.Relay) -> None:
    """The others would get it again."""
    relay.answers = {}
    original = relay._answer

    def refuse_bob(verb: str, text: str) -> str:
        return "550 nobody" if "bob@" in text else original(verb, text)

    relay._answer = refuse_bob  # type: ignore[method-assign]
    messenger(relay).post(MESSAGE)
    assert (len(relay.mails), relay.recipients) == (1, ["ada@example.org"])


def test_nobody_there_is_retryable(relay: smtp.Relay) -> None:
    """A connection that fails is a fault that may pass."""
    with pytest.raises(Retryable, match="refused"):
        messenger(relay, port=1).post(MESSAGE)


@pytest.mark.parametrize(
    ("changes", "hint"),
    [({"security": "maybe"}, "SMTP_SECURITY"), ({"recipients": ()}, "MILLRACE_MAIL_TO")],
)
def test_settings_that_cannot_work_hold_up_nobody_else(
    relay: smtp.Relay, changes: dict[str, Any], hint: str
) -> None:
    """The other channel posts, this one says which variable is wrong."""
    with pytest.raises(Retryable, match=hint):
        messenger(relay, **changes).post(MESSAGE)


# --- TLS -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate of 127.0.0.1, made now and trusted by nobody."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "relay.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_starttls_before_anything_that_is_secret(relay: smtp.Relay, certificate: Path) -> None:
    """The password and the mail go over TLS, to a relay whose certificate is trusted."""
    relay.tls = server_side(certificate)
    trusting = ssl.create_default_context(cafile=str(certificate))
    messenger(relay, security="starttls", context=trusting).post(MESSAGE)
    assert len(relay.mails) == 1
    assert relay.heard.index("STARTTLS") < relay.heard.index("AUTH")


def test_a_relay_without_tls_gets_nothing(relay: smtp.Relay, certificate: Path) -> None:
    """Neither one that has no STARTTLS nor one that nobody vouches for."""
    with pytest.raises(Retryable):
        messenger(relay, security="starttls").post(MESSAGE)
    relay.tls = server_side(certificate)
    with pytest.raises(Retryable, match="ertificate"):
        messenger(relay, security="starttls").post(MESSAGE)
    assert "AUTH" not in relay.heard
    assert relay.mails == []
