"""Words to flow: the command line."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from drawloom.errors import DrawloomError

TRACEBACK = "DRAWLOOM_TRACEBACK"
INTERRUPTED = 130  # what a shell expects of a program that an interrupt ended


class _Interrupts:
    """Notes that Ctrl-C was pressed: libraries may turn the interrupt into an error of their own."""

    def __init__(self) -> None:
        self.came = False
        self._before = signal.signal(signal.SIGINT, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True
        raise KeyboardInterrupt

    def forget(self) -> None:
        """Leave interrupts to whoever had them before."""
        signal.signal(signal.SIGINT, self._before)


def main() -> None:
    """Run the command line; a message that a person can act on is all that an error prints."""
    interrupts = _Interrupts()
    try:
        from drawloom.cli.app import app

        app(prog_name="drawloom")
    except DrawloomError as error:
        if os.environ.get(TRACEBACK, "") not in ("", "0"):
            raise
        sys.stdout.flush()
        print(error, file=sys.stderr)
        sys.exit(1)
    except BaseException:
        if interrupts.came:
            sys.exit(INTERRUPTED)
        raise
    finally:
        interrupts.forget()
