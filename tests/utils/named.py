"""What tests are called, without running any."""

from __future__ import annotations

import ast
import functools
from pathlib import Path


@functools.cache
def names_in(path: Path) -> frozenset[str]:
    """The names of a file's test functions and test classes."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    functions = {n.name for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    classes = {n.name for n in body if isinstance(n, ast.ClassDef)}
    return frozenset(
        {n for n in functions if n.startswith("test_")}
        | {n for n in classes if n.startswith("Test")}
    )
