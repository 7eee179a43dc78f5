"""A program of its own: runs a command for as long as its standard input stays open, then ends all of it.

Whoever started it holds the other end of that pipe. The system closes it when they are gone, in whatever way
they ended, so nothing that was started can outlive them. Run by path, with the standard library alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

GRACE_S = 10
"""How long the command has to end in order."""


def main() -> None:
    """Run the command in `sys.argv`. This process has to lead a process group, which is what is ended."""
    # The signal is for the command. It is not ignored here, as a command would inherit that.
    signal.signal(signal.SIGTERM, lambda *_: None)
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    command.wait()
    os.kill(0, signal.SIGKILL)  # The whole group: processes that it left behind, and this one.


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os.kill(0, signal.SIGTERM)
    time.sleep(GRACE_S)
    os.kill(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
