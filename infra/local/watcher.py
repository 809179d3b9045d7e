"""A second pair of eyes: when the stack's process dies, whatever it started is killed.

Its standard input is a pipe that only the stack holds open; the kernel closes it however the stack
ends. (Linux' PR_SET_PDEATHSIG would be no help: it fires when the *thread* that started the child
ends, it does not reach grandchildren, and macOS has none.)

    python -m infra.local.watcher FILE_WITH_PROCESS_IDS MARK
"""

from __future__ import annotations

import sys
from pathlib import Path

from infra.local.pids import kill_listed, kill_marked


def main() -> None:
    file, mark = Path(sys.argv[1]), sys.argv[2]
    while sys.stdin.buffer.read(1):
        pass
    kill_listed(file)
    kill_marked(mark)


if __name__ == "__main__":
    main()
