"""No file that drawloom reads can make it run code: nothing that could is used anywhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "drawloom"
FILES = sorted(SOURCE.rglob("*.py"))
# Modules that make code or objects of bytes, or start programs.
FORBIDDEN = {
    "pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "subprocess",
    "code", "codeop", "runpy", "imp", "pty",
}  # fmt: skip
CALLS = {"eval", "exec", "__import__", "breakpoint"}
# ``compile`` is drawloom's own word; what is asked is that Python's is never called.
LOADS = {"load", "read_array"}
SYSTEM = {("os", "system"), ("os", "popen"), ("os", "execv"), ("os", "fork"), ("torch", "load")}


def called(node: ast.Call) -> tuple[str, str]:
    """Return the object and the name of what is called: ("np", "load")."""
    function = node.func
    if isinstance(function, ast.Name):
        return "", function.id
    if isinstance(function, ast.Attribute):
        owner = function.value
        name = owner.id if isinstance(owner, ast.Name) else ast.unparse(owner)
        return name, function.attr
    return "", ""


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module.split(".")[0]]
    return []


def faults_of(source: str) -> list[str]:
    """Return what a module does that could run code out of a file."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        found += [f"imports {name}" for name in imported(node) if name in FORBIDDEN]
        if not isinstance(node, ast.Call):
            continue
        owner, name = called(node)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if (owner in ("", "builtins") and name in CALLS) or (owner, name) in SYSTEM:
            found.append(f"calls {owner}.{name}".replace(" .", " "))
        if owner == "builtins" and name == "compile":
            found.append("calls builtins.compile")
        is_numpy = owner in ("np", "numpy", "np.lib.format") and name in LOADS
        if is_numpy and given.get("allow_pickle") != "False":
            found.append(f"calls {owner}.{name} without allow_pickle=False")
        if owner in ("yaml", "YAML") and name in ("load", "unsafe_load"):
            found.append(f"calls {owner}.{name}")
        if name == "YAML" and given.get("typ") != "'safe'":
            found.append("makes a YAML that is not safe")
        if name == "extractall" or (name == "extract" and "archive" in owner):
            found.append(f"unpacks by the names in a file: {owner}.{name}")
    return found


def test_no_module_runs_code_out_of_a_file() -> None:
    found = {str(path.relative_to(SOURCE)): faults_of(path.read_text()) for path in FILES}
    assert len(found) > 300
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import pickle", "imports pickle"),
        ("from pickle import loads", "imports pickle"),
        ("import numpy as np\nnp.load(x)", "calls np.load without allow_pickle=False"),
        ("np.load(x, allow_pickle=True)", "calls np.load without allow_pickle=False"),
        (
            "np.lib.format.read_array(f)",
            "calls np.lib.format.read_array without allow_pickle=False",
        ),
        ("eval(text)", "calls eval"),
        ("builtins.exec(text)", "calls builtins.exec"),
        ("builtins.compile(text, '', 'exec')", "calls builtins.compile"),
        ("__import__(name)", "calls __import__"),
        ("os.system(text)", "calls os.system"),
        ("torch.load(path)", "calls torch.load"),
        ("YAML()", "makes a YAML that is not safe"),
        ("archive.extractall(folder)", "unpacks by the names in a file: archive.extractall"),
    ],
)
def test_the_scan_sees_what_it_looks_for(source: str, said: str) -> None:
    assert faults_of(source) == [said]
