"""The house holds: imports, module size, names of rooms, pins."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "drawloom"
MAX_LINES = 400
NO_ROOMS = {"base", "common", "core", "helper", "helpers", "misc", "shared", "util", "utils"}
HEAVY = ("matplotlib", "numba", "onnx", "plotly", "pydantic", "ray", "torch")
PINS = ("runtime.txt", "dev.txt")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def pinned(name: str) -> dict[str, str]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    pairs = [line.split()[0].split("==") for line in lines if "==" in line and "--hash" not in line]
    return dict(pairs)


def test_a_room_imports_only_rooms_below_it() -> None:
    done = run(str(Path(sys.executable).with_name("lint-imports")), "--no-logo")
    assert done.returncode == 0, done.stdout + done.stderr


def test_architecture_shows_the_ladder_that_is_held() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    ladder = next(c for c in contracts["contracts"] if c["id"] == "ladder")
    page = (ROOT / "ARCHITECTURE.md").read_text().split("## The ladder")[1]
    assert page.split("```")[1].strip().splitlines() == ladder["layers"]


def test_no_module_is_longer_than_400_lines() -> None:
    sizes = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for path in PACKAGE.rglob("*.py")
    }
    assert sizes
    assert {path: n for path, n in sizes.items() if n > MAX_LINES} == {}


def test_every_folder_is_named_after_what_flows_through_it() -> None:
    found = [path.relative_to(ROOT) for path in PACKAGE.rglob("*") if path.stem in NO_ROOMS]
    assert found == []


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    bare = [str(path.relative_to(ROOT)) for path in folders if not (path / "__init__.py").exists()]
    assert bare == []


def test_import_drawloom_is_light() -> None:
    code = f"import drawloom, sys; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", [*PINS, "torch.txt"])
def test_pins_name_versions_and_hashes_but_no_address(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    lines = text.replace("\\\n", "").splitlines()
    requirements = [line for line in lines if not line.startswith("#")]
    assert requirements
    assert [line for line in requirements if "==" not in line or "--hash=sha256:" not in line] == []
    assert "://" not in text


def test_dev_pins_hold_the_runtime_pins() -> None:
    runtime, dev = (pinned(name) for name in PINS)
    assert runtime.items() <= dev.items()
