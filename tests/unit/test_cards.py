"""Model card and data card: what stands in them, and that data stay data."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from shared import paths
from shared.reporting.markup import html, plain, visible
from shared.reporting.page import Grid, Page, Pairs, Section, Words, as_html, as_markdown
from tests.unit.tabular.world import COLUMNS, MODEL, RUN, World, csv_bytes, rows, spec_of

EVIL = '<script>alert("1")</script>'
TURNED = "\u202eabc\u2066"
SLICED = {
    "slices": {"columns": ["city"], "worst": {"auroc": 0.6}},
    "guardrails": {"f1": {"min": 0}},
}


def _trained(world: World, data: bytes) -> dict[str, str]:
    world.ask(data)
    world.train()
    names = ("card.html", "card.md", "data-card.html", "data-card.md")
    return {name: world.lake.read(paths.version(MODEL, RUN, name)).data.decode() for name in names}


@pytest.fixture(scope="module")
def cards() -> dict[str, str]:
    data = rows(900)
    data[3][0], data[7][0] = "old", "-1"
    return _trained(World(spec_of(promotion=SLICED, title="Who buys")), csv_bytes(data))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def _tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Tags()
    parser.feed(page)
    return parser.tags


def test_the_model_card_says_how_good_and_how_sure(cards: dict[str, str]) -> None:
    """Metrics with intervals, slices, calibration, parity, limits, and where the decision is."""
    text = cards["card.md"]
    assert re.search(r"\| AUROC \| 0\.\d{4} \| 0\.\d{4} to 0\.\d{4} \|", text)
    assert re.search(r"\| city = a \| \d+ \| [\d.]+% \| 0\.\d{3}\u00a0?", text)
    assert "guardrail f1 | ok: F1 is" in text.replace("\\_", "_")
    assert "ok: AUROC by slice: the worst is city=" in text
    for heading in (
        "Purpose",
        "Quality on the holdout",
        "Threshold and mistakes",
        "Calibration",
        "Slices",
        "Against the champion and simple rules",
        "Recipe",
        "What is served",
        "What monitoring holds it against",
        "Limits",
        "Decision and approvals",
    ):
        assert f"## {heading}\n" in text
    assert f"decision show {MODEL} {RUN}" in text.replace("\\_", "_")
    assert "a person for the first version" in text


def test_the_data_card_says_what_it_was_made_of(cards: dict[str, str]) -> None:
    """Sources with generation and hash, sides and salt, target, columns, quarantine, checks."""
    text = cards["data-card.md"].replace("\\_", "_")
    assert "| gs://inbox/m/train/a.csv\\#1 |" in text
    assert "content hash" in text
    assert "898 rows" in text
    assert re.search(r"\| salt \| [0-9a-f]{32}, frozen by the first training", text)
    assert re.search(r"\| yes \| \d+ \([\d.]+%\) \| \d+ \([\d.]+%\) \|", text)
    assert re.search(r"\| age \| number \| 0% \| 18 to 79, mean", text)
    assert re.search(r"\| city \| category \| 0% \| a \d", text)
    assert re.search(r"\| gain \| number \| [\d.]+% \|", text)
    assert "2 of 900 rows break the spec" in text
    assert "age: must be a number" in text


def test_pages_load_and_run_nothing(cards: dict[str, str]) -> None:
    """They can be opened from a mail, offline."""
    for name in ("card.html", "data-card.html"):
        tags = _tags(cards[name])
        assert {"script", "img", "iframe", "object", "link"}.isdisjoint(tag for tag, _ in tags)
        for tag, attributes in tags:
            assert not any(key.startswith("on") for key in attributes)
            assert tag != "a" or str(attributes["href"]).startswith("#")
        assert "default-src 'none'" in cards[name]
        anchors = {str(a["href"])[1:] for tag, a in tags if tag == "a"}
        assert anchors == {str(a["id"]) for tag, a in tags if tag == "h2"}


def test_figures_stand_once_each(cards: dict[str, str]) -> None:
    """Those about calibration and importances in their own sections, the rest with the quality."""
    page = cards["card.html"]
    assert page.count("<svg") == 6
    quality = page[page.index('id="quality-on') : page.index('id="threshold-and')]
    assert quality.count("<svg") == 4


def test_texts_from_data_stay_texts() -> None:
    """Titles, column names, levels and labels with markup, quotes, line breaks and marks that turn
    the direction of writing."""
    name = f"ci{EVIL}|ty"
    columns: dict[str, Any] = {**COLUMNS, name: {}}
    del columns["city"]
    body = {
        "columns": columns,
        "target": {"column": "y", "positive": EVIL},
        "title": f"{EVIL} | [x](y)\n# h {TURNED}",
        "promotion": {"slices": {"columns": [name]}},
    }
    data = [
        [row[0], row[1], EVIL if row[3] == "yes" else "no", f'{row[2]}{TURNED}\n|<i>"{EVIL}']
        for row in rows(400)
    ]
    found = _trained(World(spec_of(**body)), csv_bytes(data, ["age", "gain", "y", name]))
    for kind, text in found.items():
        assert "<script" not in text
        assert "<i>" not in text
        assert "\u202e" not in text
        assert "\u2066" not in text
        if kind.endswith(".html"):
            assert {"script", "b"}.isdisjoint(tag for tag, attributes in _tags(text) if tag != "b")
        else:
            assert "\n# h" not in text
            tables = [line for line in text.splitlines() if line.startswith("|")]
            cells = [len(re.findall(r"(?<!\\)\|", line)) for line in tables]
            assert all(2 < count < 13 for count in cells)


@pytest.mark.parametrize("task", ["regression", "multiclass"])
def test_every_task_has_both_cards(task: str) -> None:
    """Without threshold, and without calibration where there are no probabilities."""
    if task == "regression":
        columns = {**COLUMNS, "y": {"type": "number"}}
        data = [
            [*row[:3], str(float(row[0]) * 500 + float(row[1].replace("?", "9")) * 100)]
            for row in rows(400)
        ]
        spec = spec_of(task=task, target={"column": "y", "scale": 1000}, columns=columns)
    else:
        data = [[*row[:3], "old" if int(row[0]) > 60 else row[2]] for row in rows(600)]
        spec = spec_of(task=task, target="y")
    found = _trained(World(spec), csv_bytes(data))
    assert "## Threshold" not in found["card.md"]
    assert ("## Calibration" in found["card.md"]) == (task == "multiclass")
    assert "## Slices" in found["card.md"]
    if task == "regression":
        assert "In units of 1,000" in found["card.md"]
        assert re.search(r"\| to compare on \| \d+ \| \d+,\d+", found["data-card.md"])


def test_a_page_escapes_wherever_a_text_stands() -> None:
    """Title, subtitle, lead, facts, headings, paragraphs and cells, in both forms."""
    blocks = (Words(EVIL), Pairs([(EVIL, EVIL)]), Grid([f"{EVIL}>"], [[EVIL]]))
    page = Page(EVIL, EVIL, EVIL, [Section(EVIL, blocks)], [(EVIL, EVIL)])
    assert "<script" not in as_html(page)
    assert as_html(page).count("&lt;script&gt;") == 14
    assert "<script" not in as_markdown(page)


def test_marks_that_steer_are_shown() -> None:
    """Nothing turns the line around, ends it or hides in it; `code` is marked."""
    assert visible(f"a\n b{TURNED}\x00") == "a b\\u202eabc\\u2066\\x00"
    assert html("`a<b`") == "<code>a&lt;b</code>"
    assert plain("a|b <c> & [d] *e* f_g # `h`") == (
        "a\\|b &lt;c> &amp; \\[d] \\*e\\* f\\_g \\# `h`"
    )
