"""What this host can give: memory, before any is asked for, and time that its Python spends on nothing."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import sys
from collections.abc import Generator
from pathlib import Path

_STATUS = {"available": ("/proc/meminfo", "MemAvailable"), "taken": ("/proc/self/status", "VmSize")}


def available_bytes() -> int:
    """Return the bytes of memory that this process may still ask for, as far as the system tells."""
    found = [_listed("available") or _physical()]
    with contextlib.suppress(ImportError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            found.append(max(0, limit - (_listed("taken") or 0)))
    return min(found)


@contextlib.contextmanager
def uncollected() -> Generator[None]:
    """Hold the search for cycles: among so many small objects, which form none, it costs a fifth."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _listed(word: str) -> int | None:
    file, key = _STATUS[word]
    with contextlib.suppress(OSError):
        found = re.search(rf"^{key}:\s+(\d+) kB", Path(file).read_text(), re.MULTILINE)
        return 1024 * int(found[1]) if found else None
    return None


def _physical() -> int:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return sys.maxsize
