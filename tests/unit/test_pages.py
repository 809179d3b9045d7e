"""Every page leads somewhere: its links, the files and commands that it names; and it is found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from posixpath import normpath

import click
import pytest

from infra.bundle import REPOSITORY
from shared.cli.main import cli

PAGES = {
    path.relative_to(REPOSITORY).as_posix(): path.read_text(encoding="utf-8")
    for pattern in ("*.md", "infra/**/*.md")
    for path in sorted(REPOSITORY.glob(pattern))
    if not path.name.endswith(".template.md")  # another page is made of it
}
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
NAMED = re.compile(r"`((?:\.ci|functions|infra|jobs|shared|tests)(?:/[\w.-]+)+)/?`")
CALL = re.compile(r"\./millrace ([^\n`\"'#;|&<)]*)")
# What whoever reads the page makes, and where one word stands for a list.
THEIRS = {"infra/terraform/settings/prod.tfvars", "jobs/-"}
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def links(page: str) -> Iterator[tuple[str, str]]:
    """File and heading of each link within the repository."""
    for one, other in LINK.findall(PAGES[page]):
        path, _, heading = (one or other).partition("#")
        if ":" not in path:
            yield normpath(str(Path(page).parent / path)) if path else page, heading


def headings(page: str) -> set[str]:
    """As GitHub makes them of a page's titles."""
    text = re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """To a file that is there, and to a heading that it has."""
    found = list(links(page))
    assert [path for path, _ in found if not (REPOSITORY / path).exists()] == []
    asked = [(path, heading) for path, heading in found if heading and path in PAGES]
    assert [link for link in asked if link[1] not in headings(link[0])] == []


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_are_there(page: str) -> None:
    """A path in backticks can be opened."""
    named = set(NAMED.findall(PAGES[page])) - THEIRS
    assert {path for path in named if not (REPOSITORY / path).exists()} == set()


def test_every_page_is_found_from_the_readme() -> None:
    """By links alone: what nobody leads to is read by nobody."""
    found, ahead = {"README.md"}, ["README.md"]
    while ahead:
        fresh = {path for path, _ in links(ahead.pop()) if path in PAGES} - found
        found |= fresh
        ahead += fresh
    assert PAGES.keys() - found == set()


def test_the_readmes_layout_names_every_folder() -> None:
    """Of the two that hold most: whoever opens one knows what it is for."""
    text = PAGES["README.md"]
    layout = text[text.index("## Layout") : text.index("## Pages")]
    folders = [
        path.relative_to(REPOSITORY).as_posix()
        for pattern in ("shared/*/", "infra/*/")
        for path in REPOSITORY.glob(pattern)
        if path.is_dir() and path.name != "__pycache__" and any(path.rglob("*.*"))
    ]
    assert [folder for folder in folders if f"`{folder}/`" not in layout] == []


def misunderstood(call: str) -> str | None:
    """The first word of a call that the command line does not know."""
    command: click.Command = cli
    value = False
    for word in (word.rstrip(".,:") for word in call.split()):
        option = word.partition("=")[0]
        if value:
            value = False
        elif option.startswith("--"):
            params = command.params
            known = {name: item for item in params for name in (*item.opts, *item.secondary_opts)}
            if option not in {*known, "--help"}:
                return option
            item = known.get(option)
            value = isinstance(item, click.Option) and not item.is_flag and "=" not in word
        elif isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            if found is None:
                return None if word == "..." else word
            command = found
    return None


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_a_page_names_exist(page: str) -> None:
    """What people are told to type is understood when they type it, options and all."""
    calls = set(CALL.findall(PAGES[page]))
    assert {call: word for call in calls if (word := misunderstood(call))} == {}
    assert set(re.findall(r"`make ([a-z][a-z-]+)", PAGES[page])) <= TARGETS


def test_a_command_that_does_not_exist_is_noticed() -> None:
    """Whatever is wrong with it."""
    assert misunderstood("rollback adult_income --reason 'slow'") is None
    assert misunderstood("rolback adult_income") == "rolback"
    assert misunderstood("versions throw adult_income") == "throw"
    assert misunderstood("--context prod status --jsn") == "--jsn"
