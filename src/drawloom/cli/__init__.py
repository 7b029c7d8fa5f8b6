"""Words to flow: the command line."""

from __future__ import annotations

import os
import sys

from drawloom.errors import DrawloomError

TRACEBACK = "DRAWLOOM_TRACEBACK"
INTERRUPTED = 130  # what a shell expects of a program that an interrupt ended


def main() -> None:
    """Run the command line; a message that a person can act on is all that an error prints."""
    try:
        from drawloom.cli.app import app

        app(prog_name="drawloom")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except DrawloomError as error:
        if os.environ.get(TRACEBACK, "") not in ("", "0"):
            raise
        sys.stdout.flush()
        print(error, file=sys.stderr)
        sys.exit(1)
