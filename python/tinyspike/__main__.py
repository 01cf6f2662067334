"""The command-line tool: ``tinyspike`` and ``python -m tinyspike``."""

from __future__ import annotations

import signal
import sys

from tinyspike import _native


def main() -> int:
    """Runs the tool with this process's arguments, and returns the exit code."""
    # Ctrl-C ends the tool as it ends programs.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.main(["tinyspike", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
