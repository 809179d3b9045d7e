"""Builds an image without a container engine: the Dockerfile's own COPY, RUN, ENV and CMD lines, in
a folder that stands for the container's files.

    <root>/files/        the stage in work, always in one place: a virtual environment's scripts
                         name the path of their interpreter
    <root>/<stage>/      stages that are done
    <root>/bin/python    what the base image has

Paths of the container in RUN and ENV are led into the folder. What this cannot show: the base image
itself, USER, and libraries that this machine has and the base has not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.bundle import REPOSITORY
from infra.images import dockerfile
from infra.images.dockerfile import Ignored, Instruction, Stage, filled

_PATH = re.compile(r"(?<![\w/.:@-])/(?=(?:app|build|opt)\b)")
# Of the machine that builds; none of it is left in the image.
_BUILDERS = ("PIP_", "HTTP", "NO_PROXY", "SSL_", "http", "no_proxy", "LANG", "HOME", "TMPDIR")


class RunFailed(Exception):
    """A RUN line did not end well; the text has what it said."""


@dataclass(frozen=True, slots=True)
class Image:
    """What a container is started from. `files` stands for its root."""

    files: Path
    folder: Path
    env: Mapping[str, str]
    command: tuple[str, ...]

    def start(self, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """The command as a container has it: the image's variables and `env`, nothing else."""
        known = {**self.env, **env}
        program = shutil.which(self.command[0], path=known["PATH"])
        if program is None:
            raise FileNotFoundError(f"{self.command[0]} is not in the image")
        return subprocess.Popen(
            [program, *self.command[1:]],
            cwd=self.folder,
            env=known,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def build(target: str, root: Path, arguments: Mapping[str, str]) -> Image:
    """`docker build --target` with `--build-arg`s. Raises RunFailed, FileNotFoundError."""
    before, stages = dockerfile.read(dockerfile.FILE.read_text(encoding="utf-8"))
    names = dict(one.value.split("=", 1) for one in before if one.name == "ARG")
    wanted = dockerfile.chain(stages, target)
    used = {one.flags["from"] for stage in wanted for one in stage.all_of("COPY") if one.flags}
    builder = _Builder(root, {**names, **arguments})
    for stage in stages:
        if stage.name in used:
            builder.make(dockerfile.chain(stages, stage.name))
            (root / "files").rename(root / stage.name)
    return builder.make(wanted)


def context_files() -> Iterator[str]:
    """What a build gets to see of the repository."""
    ignored = Ignored((REPOSITORY / ".dockerignore").read_text(encoding="utf-8"))
    for top in ("functions", "jobs", "shared", "infra"):
        for path in sorted((REPOSITORY / top).rglob("*")):
            name = path.relative_to(REPOSITORY).as_posix()
            if path.is_file() and name not in ignored:
                yield name


class _Builder:
    def __init__(self, root: Path, arguments: Mapping[str, str]) -> None:
        self._root, self._given = root, arguments
        self._files = root / "files"
        tools = root / "bin"
        tools.mkdir(parents=True)
        # The base image's interpreter, with its pip.
        (tools / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
        (tools / "python").chmod(0o755)
        self._base_path = os.pathsep.join([os.fspath(tools), "/usr/bin", "/bin"])

    def make(self, stages: list[Stage]) -> Image:
        """One stage on top of the other."""
        self._files.mkdir()
        env, variables, folder = {"PATH": self._base_path}, dict[str, str](), self._files
        command: tuple[str, ...] = ()
        for one in (one for stage in stages for one in stage.instructions):
            known = {**variables, **env}
            match one.name:
                case "ARG":
                    name, _, default = one.value.partition("=")
                    variables[name] = self._given.get(name, default)
                case "ENV":
                    for pair in one.words:
                        name, _, value = pair.partition("=")
                        env[name] = self._inside(filled(value, known))
                case "WORKDIR":
                    folder = Path(self._inside(one.value))
                    folder.mkdir(parents=True, exist_ok=True)
                case "COPY":
                    self._copy(one, known)
                case "RUN":
                    self._run(filled(one.value, variables), folder, env)
                case "CMD":
                    command = tuple(one.words)
                case "USER" | "EXPOSE":
                    pass
                case _:
                    raise ValueError(f"{one.name} is not rehearsed")
        return Image(self._files, folder, env, command)

    def _inside(self, text: str) -> str:
        return _PATH.sub(lambda _: f"{self._files}/", text)

    def _run(self, line: str, folder: Path, env: Mapping[str, str]) -> None:
        ours = {name: value for name, value in os.environ.items() if name.startswith(_BUILDERS)}
        command = ["/bin/sh", "-ec", self._inside(line)]
        done = subprocess.run(
            command,
            cwd=folder,
            env={**ours, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RunFailed(f"RUN {line} ended with {done.returncode}:\n{done.stdout}")

    def _copy(self, one: Instruction, known: Mapping[str, str]) -> None:
        source, target = filled(one.value, known).split()
        to = Path(self._inside(target))
        to.parent.mkdir(parents=True, exist_ok=True)
        if "from" in one.flags:
            where = self._root / one.flags["from"] / source.lstrip("/")
            shutil.copytree(where, to, symlinks=True, copy_function=_link, dirs_exist_ok=True)
            return
        found = [name for name in context_files() if (name + "/").startswith(source + "/")]
        if not found:
            raise FileNotFoundError(
                f"COPY {source}: .dockerignore keeps it out, or it is not there"
            )
        for name in found:
            at = to / Path(name).relative_to(source) if name != source else to
            at.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, at)


def _link(source: str, target: str, *, follow_symlinks: bool = True) -> str:
    os.link(source, target, follow_symlinks=follow_symlinks)
    return target
