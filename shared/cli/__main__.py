"""Entry of `./millrace` (as a file, wherever it is called from) and of `python -m shared.cli`."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shared.cli.main import main

if __name__ == "__main__":
    main()
