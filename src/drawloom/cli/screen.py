"""What goes to the screen: results on stdout, progress on stderr."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from rich.console import RenderableType

PATIENCE_S = 1.0
WIDE = 200


def show(*parts: RenderableType) -> None:
    """Print what a person reads."""
    from rich.console import Console

    # What goes into a file or pipe is not wrapped to some terminal's width.
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    for part in parts:
        console.print(part)


def facts(title: str, lines: Mapping[str, str]) -> RenderableType:
    """Return a title with a table of names and values."""
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in lines.items():
        table.add_row(escape(name), escape(value))
    return Group(Text(title, style="bold"), table)


def show_json(record: object) -> None:
    """Print a record as JSON; what JSON has no number for (NaN, infinity) is null."""
    print(json.dumps(_plain(record), indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class Progress:
    """Says on stderr what is being done: on a terminal, and only when it takes over a second."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)
        self._text = "starting"
        self._done, self._total = 0, 0
        self._bar: Any = None
        self._timer = threading.Timer(PATIENCE_S, self._begin)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._timer.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._bar is not None:
            self._bar.stop()

    def step(self, text: str) -> None:
        """Begin something whose length is not known."""
        self._text, self._done, self._total = text, 0, 0
        self._update()

    def count(self, done: int, total: int) -> None:
        """Say how far the current step is."""
        self._done, self._total = done, total
        self._update()

    def events(self, done: int, _ps: int) -> None:
        """Say how many events were handled, of an unknown number."""
        self.step(f"time: {done:,} events")

    def _begin(self) -> None:
        from rich import progress

        self._bar = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._bar.add_task(self._text, total=self._total or None)
        self._bar.start()

    def _update(self) -> None:
        if self._bar is not None:
            task = self._bar.task_ids[0]
            self._bar.update(
                task, description=self._text, completed=self._done, total=self._total or None
            )
