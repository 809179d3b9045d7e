"""The pages about alerts are what the code says, and the runbook has an entry for every kind."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from infra.docs.alert_examples import messages
from infra.docs.alert_pictures import FOLDER
from infra.docs.alerts import PAGE, pictures, render
from shared.telling.kinds import KINDS
from shared.telling.render import plain, texts

RUNBOOK = PAGE.with_name("runbook.md")
_ENTRY = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_TEXT = "{http://www.w3.org/2000/svg}text"
ENTRIES = dict(_ENTRY.findall(RUNBOOK.read_text(encoding="utf-8")))


def test_the_page_is_current() -> None:
    """Run `make docs` after changing an alert."""
    assert PAGE.read_text(encoding="utf-8") == render()


def test_the_pictures_are_current() -> None:
    """One per kind of message, none left over. Run `make docs`."""
    found = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.iterdir()}
    assert found == pictures()


@pytest.mark.parametrize("name", messages())
def test_a_picture_shows_every_word(name: str) -> None:
    """Wrapped, but nothing is cut off and nothing is taken for markup."""
    root = ET.fromstring(pictures()[f"{name}.svg"])  # noqa: S314 - our own
    shown = "".join("".join(text.itertext()) for text in root.iter(_TEXT))
    for block in messages()[name]["blocks"]:
        for _, text in texts(block):
            words = plain(re.sub(r"<[^|>]*\|([^>]*)>", r"\1", text))
            assert "".join(words.split()) in "".join(shown.split())


def test_every_kind_has_an_entry_in_the_runbook() -> None:
    """What it means, where to look, what to do; in the order of the kinds, and reachable by the
    links in the messages. Behind them are the entries of Cloud Monitoring's alerts."""
    entries = [entry.lower().replace(" ", "_") for entry in ENTRIES]
    assert entries[: len(KINDS)] == list(KINDS)
    assert entries[len(KINDS)] == "messages_are_parked"
    for text in ENTRIES.values():
        marks = ("**What it means.**", "**Look first.**", "**What to do.**")
        assert all(mark in text for mark in marks)
