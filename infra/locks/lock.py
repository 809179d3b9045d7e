"""`make lock`: resolve every requirements.in into a requirements.txt with hashes.

The development lock comes first and constrains the rest, so that what is tested is what is
deployed. Pins that are already there are kept unless `--upgrade` is given. No index address is
written; uv takes the one that is configured on this machine (`UV_INDEX_URL`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEV = ROOT / "infra" / "locks" / "dev.txt"
SCAN = DEV.with_name("scan.txt")
OLDEST_PYTHON = "3.11"
UV = "uv==0.13.8"
EXTRAS = re.compile(r"(?m)^([A-Za-z0-9._-]+)\[[^]]+\](==.*(?:\n    --hash=.*)+)")
PIN = re.compile(r"(?m)^[A-Za-z0-9].*==")


def main() -> int:
    upgrade = "--upgrade" in sys.argv[1:]
    uv = find_uv()
    resolve(uv, DEV.with_suffix(".in"), DEV, constraint=None, upgrade=upgrade)
    # Tools that never meet the code they look at: their versions are their own affair.
    resolve(uv, SCAN.with_suffix(".in"), SCAN, constraint=None, upgrade=upgrade)
    for source in deployables():
        resolve(uv, source, source.with_suffix(".txt"), constraint=DEV, upgrade=True)
    return 0


def deployables() -> list[Path]:
    kinds = ("functions", "jobs", "infra/images")
    return sorted(path for kind in kinds for path in ROOT.glob(f"{kind}/*/*.in"))


def find_uv() -> str:
    """uv from the PATH, else one in a .venv of its own (users of `make demo` never need it)."""
    found = shutil.which("uv")
    if found:
        return found
    home = ROOT / ".millrace" / "uv"
    if not (home / "bin" / "uv").exists():
        venv.EnvBuilder(clear=True, with_pip=True).create(home)
        subprocess.run([home / "bin" / "pip", "install", "--quiet", UV], check=True)
    return os.fspath(home / "bin" / "uv")


def resolve(uv: str, source: Path, out: Path, *, constraint: Path | None, upgrade: bool) -> None:
    """One lock, for Linux and macOS and every supported Python."""
    relative = source.relative_to(ROOT)
    command = [
        *(uv, "pip", "compile", os.fspath(relative), "--universal"),
        *("--python-version", OLDEST_PYTHON, "--generate-hashes"),
        *("--no-strip-extras", "--no-annotate", "--no-header", "--no-emit-index-url", "--quiet"),
        *("--output-file", os.fspath(out.relative_to(ROOT))),  # read first: its pins are kept
    ]
    if constraint is not None:
        command += ["--constraint", os.fspath(constraint.relative_to(ROOT))]
    if upgrade:
        command += ["--upgrade"]
    subprocess.run(command, cwd=ROOT, check=True)
    text = EXTRAS.sub(both_spellings, out.read_text(encoding="utf-8"))
    head = f"# Made by `make lock` from {relative.as_posix()}; do not edit.\n"
    out.write_text(head + text, encoding="utf-8")
    print(f"{out.relative_to(ROOT)}: {len(PIN.findall(text))} packages")


def both_spellings(pin: re.Match[str]) -> str:
    """In hash mode pip takes `pandas[parquet]` and `pandas` for two things that both need a pin."""
    return f"{pin[1]}{pin[2]}\n{pin[0]}"


if __name__ == "__main__":
    raise SystemExit(main())
