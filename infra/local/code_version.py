"""Which code the local stack runs, for the tracking server. Deployed parts are told by their build
(`MILLRACE_CODE_VERSION`) and never ask git."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_DESCRIBE = ("describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=-changed")


def code_version(checkout: Path) -> str:
    """The commit of a checkout, with `-changed` where files differ from it; else nothing."""
    git = shutil.which("git")
    # Without it git would speak of a repository further up, which is not ours.
    if git is None or not (checkout / ".git").exists():
        return ""
    found = subprocess.run(
        [git, "-C", str(checkout), *_DESCRIBE],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    return found.stdout.strip() if found.returncode == 0 else ""
