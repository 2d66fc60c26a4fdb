"""Lint the contracts for traps of the Vyper 0.4.3 compiler and for the house's NatSpec.

Plain Python over the compiler's own parser: no chain, no Ape, nothing is compiled.

    python scripts/lint_vyper.py [FILE_OR_FOLDER ...]       (default: contracts)

Prints `file:line: message` for each finding and exits 1 if there is any.

Rules, and why each exists:

- Comparisons, `|`, `&`, `^` and `unsafe_*` evaluate their operands right to left
  (CVE-2023-40015), so no call may stand inside one. Builtins without effects, struct
  constructors, interface casts and functions marked `@pure` may.
- `x += f()` reads `x` before it calls `f`, so no call may stand in an augmented assignment.
- `# pragma nonreentrancy on` holds for one file only, so each file but a mock carries it,
  with the compiler and EVM version.
- An `assert` or `raise` without a reason cannot be told apart from another: give it a string,
  or a `# dev:` comment if an honest caller cannot reach it.
- In `DOCUMENTED_CONTRACTS` each external function says what it does, who may call it and the
  unit of each number: `@notice`, `@custom:access`, and a tag such as `[WAD quote]` per value.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from vyper.ast import nodes as vy
from vyper.ast import parse_to_ast
from vyper.builtins.functions import BUILTIN_FUNCTIONS, STMT_DISPATCH_TABLE
from vyper.exceptions import VyperException

VYPER_VERSION = "0.4.3"
EVM_VERSION = "cancun"
DOCUMENTED_CONTRACTS = frozenset(
    {
        "Backstop.vy",
        "Clearinghouse.vy",
        "CollateralAuction.vy",
        "CollateralLens.vy",
        "Configurator.vy",
        "Lens.vy",
        "LiquidityPool.vy",
        "Timelock.vy",
    }
)

# Builtins that may stand as statements are the ones with effects: raw_call, send, create_*, ...
EFFECTFUL_BUILTINS = frozenset(STMT_DISPATCH_TABLE)
UNSAFE_BUILTINS = frozenset(name for name in BUILTIN_FUNCTIONS if name.startswith("unsafe_"))
BIT_OPERATORS = {vy.BitOr: "|", vy.BitAnd: "&", vy.BitXor: "^"}

DEV_COMMENT = re.compile(r"#\s*dev:\s*\S")
NATSPEC_TAG = re.compile(r"^\s*@(\S+)[ \t]*", re.MULTILINE)
UNIT_TAG = re.compile(r"\[[A-Za-z][^\[\]]*\]")


class Finding(NamedTuple):
    """One broken rule at one line."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Source:
    """A parsed `.vy` or `.vyi` file with the names that calls in it may refer to."""

    path: Path
    lines: list[str]
    tree: vy.Module
    functions: dict[str, vy.FunctionDef]
    types: frozenset[str]
    imports: dict[str, Path | None]


def search_roots(path: Path) -> list[Path]:
    """Folders where an absolute import of `path` may start, as the compiler sees it.

    They are the compiled contract's folder (which is the file's own, or the one above for a
    module), the project, and installed packages.
    """
    return [*path.resolve().parents[:2], Path.cwd(), *(Path(entry) for entry in sys.path if entry)]


def resolve_import(path: Path, node: vy.Import | vy.ImportFrom) -> Path | None:
    """Find the file an import statement of `path` names.

    Returns:
        The `.vy` or `.vyi` file, or None for the compiler's own interfaces and missing files.
    """
    dotted = f"{node.module or ''}.{node.name}" if isinstance(node, vy.ImportFrom) else node.name
    parts = [part for part in dotted.split(".") if part]
    level = getattr(node, "level", 0)
    # One dot is the importing file's folder, each further dot one folder up.
    roots = [path.resolve().parents[level - 1]] if level else search_roots(path)
    for root in roots:
        for suffix in (".vy", ".vyi"):
            candidate = root.joinpath(*parts).with_suffix(suffix)
            if candidate.is_file():
                return candidate
    return None


@cache
def load(path: Path) -> Source:
    """Parse one file.

    Raises:
        VyperException: The compiler's parser refuses the file.
    """
    text = path.read_text(encoding="utf-8")
    tree = parse_to_ast(text, is_interface=path.suffix == ".vyi")
    imports = {
        node.alias or node.name: resolve_import(path, node)
        for node in tree.get_children((vy.Import, vy.ImportFrom))
    }
    return Source(
        path=path,
        lines=text.splitlines(),
        tree=tree,
        functions={node.name: node for node in tree.get_children(vy.FunctionDef)},
        types=frozenset(
            node.name for node in tree.get_children((vy.StructDef, vy.InterfaceDef, vy.FlagDef))
        ),
        imports=imports,
    )


def decorators(function: vy.FunctionDef) -> set[str]:
    """Names of a function's decorators."""
    return {node.id for node in function.decorator_list if isinstance(node, vy.Name)}


def owner_of(source: Source, node: vy.VyperNode) -> Source | None:
    """The file that `self`, `module` or `module.inner` stands for, if it can be found."""
    if isinstance(node, vy.Name):
        if node.id == "self":
            return source
        path = source.imports.get(node.id)
        return load(path) if path else None
    if isinstance(node, vy.Attribute):
        outer = owner_of(source, node.value)
        path = outer.imports.get(node.attr) if outer and outer is not source else None
        return load(path) if path else None
    return None


def is_harmless(source: Source, call: vy.Call) -> bool:
    """Whether a call can neither have effects nor see those of another operand.

    True for builtins without effects, constructors of structs, interface casts and calls of
    functions marked `@pure`. A function that cannot be found counts as harmful.
    """
    target = call.func
    if isinstance(target, vy.Name):
        # A bare name is a builtin, a struct or an interface: functions need `self` or a module.
        return target.id not in EFFECTFUL_BUILTINS
    if not isinstance(target, vy.Attribute):
        return False
    owner = owner_of(source, target.value)
    if owner is None:
        # `IERC4626.Thing(...)` of an interface that the compiler brings along, or `array.pop()`.
        return isinstance(target.value, vy.Name) and target.attr[:1].isupper()
    function = owner.functions.get(target.attr)
    if function is not None:
        return "pure" in decorators(function)
    return target.attr in owner.types


def trap_of(node: vy.VyperNode) -> str | None:
    """Name the construct that makes calls below `node` dangerous, if it is one."""
    if isinstance(node, vy.Compare):
        return "a comparison (operands run right to left)"
    if isinstance(node, vy.BinOp) and type(node.op) in BIT_OPERATORS:
        return f"`{BIT_OPERATORS[type(node.op)]}` (operands run right to left)"
    if isinstance(node, vy.Call) and getattr(node.func, "id", None) in UNSAFE_BUILTINS:
        return f"{node.func.id} (arguments run right to left)"
    if isinstance(node, vy.AugAssign):
        return "an augmented assignment (the old value is read first)"
    return None


def check_calls(
    source: Source, node: vy.VyperNode, trap: str | None = None, announced: bool = False
) -> Iterator[Finding]:
    """Yield calls inside comparisons, bit operators, `unsafe_*` and augmented assignments.

    Args:
        source: The file of `node`.
        node: Where to look; the whole module to begin with.
        trap: The dangerous construct around `node`, if any.
        announced: Whether `node` is the call that an `extcall` or `staticcall` just reported.
    """
    is_external = isinstance(node, (vy.ExtCall, vy.StaticCall))
    if trap and is_external:
        word = "extcall" if isinstance(node, vy.ExtCall) else "staticcall"
        yield Finding(source.path, node.lineno, f"{word} inside {trap}")
    elif trap and not announced and isinstance(node, vy.Call) and not is_harmless(source, node):
        name = " ".join(node.func.node_source_code.split())
        yield Finding(source.path, node.lineno, f"call of {name} inside {trap}")
    inner = trap_of(node) or trap
    for child in node.get_children():
        yield from check_calls(source, child, inner, announced=is_external)


def check_pragmas(source: Source) -> Iterator[Finding]:
    """Yield the pragmas that a `.vy` file lacks or has with another value."""
    settings = source.tree.settings
    if settings.compiler_version != VYPER_VERSION:
        yield Finding(source.path, 1, f"needs `# pragma version {VYPER_VERSION}`")
    if settings.evm_version != EVM_VERSION:
        yield Finding(source.path, 1, f"needs `# pragma evm-version {EVM_VERSION}`")
    if settings.nonreentrancy_by_default is not True and "mocks" not in source.path.parts:
        yield Finding(source.path, 1, "needs `# pragma nonreentrancy on` (it is per file)")


def check_reasons(source: Source) -> Iterator[Finding]:
    """Yield each `assert` and `raise` with neither a reason nor a `# dev:` comment."""
    for node in source.tree.get_descendants((vy.Assert, vy.Raise)):
        reason = node.msg if isinstance(node, vy.Assert) else node.exc
        if reason is not None and getattr(reason, "value", None) != "":
            continue
        text = source.lines[node.lineno - 1 : node.end_lineno]
        if not any(DEV_COMMENT.search(line) for line in text):
            word = "assert" if isinstance(node, vy.Assert) else "raise"
            yield Finding(
                source.path, node.lineno, f"{word} without a reason: add a string or `# dev:`"
            )


def natspec_entries(docstring: str) -> list[tuple[str, str]]:
    """Split a docstring into (tag, text) pairs, in order; the text may span lines."""
    marks = list(NATSPEC_TAG.finditer(docstring))
    ends = [mark.start() for mark in marks[1:]] + [len(docstring)]
    return [
        (mark.group(1), docstring[mark.end() : end].strip())
        for mark, end in zip(marks, ends, strict=True)
    ]


def check_natspec(source: Source) -> Iterator[Finding]:
    """Yield what the docstrings of a documented contract's external functions lack."""
    if source.path.name not in DOCUMENTED_CONTRACTS:
        return
    for function in source.functions.values():
        if "external" in decorators(function):
            for message in natspec_gaps(function):
                yield Finding(source.path, function.lineno, f"{function.name}: {message}")


def natspec_gaps(function: vy.FunctionDef) -> Iterator[str]:
    """Yield what one external function's docstring lacks."""
    docstring = getattr(function, "doc_string", None)
    if docstring is None:
        yield "no docstring"
        return
    entries = natspec_entries(docstring.value)
    for tag in ("notice", "custom:access"):
        if not any(name == tag and text for name, text in entries):
            yield f"no @{tag}"

    params = [text.partition(" ")[::2] for name, text in entries if name == "param"]
    described = {name for name, _ in params}
    for argument in function.args.args:
        if argument.arg not in described:
            yield f"no @param {argument.arg}"
    for name, text in params:
        if not UNIT_TAG.search(text):
            yield f"@param {name} has no [unit] tag"

    returned = [text for name, text in entries if name == "return"]
    if function.returns is None:
        return
    if not returned:
        yield "no @return"
        return
    for text in returned:
        if not UNIT_TAG.search(text):
            yield "@return has no [unit] tag"
    # A tuple may be told in one @return or in several, but each of its values has a unit.
    if isinstance(function.returns, vy.Tuple):
        values = len(function.returns.elements)
        tags = sum(len(UNIT_TAG.findall(text)) for text in returned)
        if tags < values:
            yield f"{values} values are returned, {tags} [unit] tags in @return"


def lint_file(path: Path) -> list[Finding]:
    """Check one `.vy` file against every rule.

    Args:
        path: The file.

    Returns:
        The findings in order of their lines.
    """
    try:
        source = load(path)
        return sorted(
            {
                *check_pragmas(source),
                *check_calls(source, source.tree),
                *check_reasons(source),
                *check_natspec(source),
            }
        )
    except VyperException as error:
        line = error.annotations[0].lineno if error.annotations else 1
        return [Finding(path, line, f"does not parse: {str(error).splitlines()[0]}")]


def vyper_files(paths: Sequence[Path]) -> list[Path]:
    """All `.vy` files at or below the given paths, sorted."""
    found: set[Path] = set()
    for path in paths:
        found.update(path.rglob("*.vy") if path.is_dir() else [path])
    return sorted(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the lint from the command line.

    Returns:
        0 if every file is clean, 1 otherwise (no file to check is no success either).
    """
    parser = argparse.ArgumentParser(description="Lint Vyper sources.")
    parser.add_argument("paths", nargs="*", type=Path, default=[Path("contracts")])
    files = vyper_files(parser.parse_args(arguments).paths)
    findings = [finding for path in files for finding in lint_file(path)]
    for finding in findings:
        print(finding)
    if not files:
        print("lint_vyper: no .vy file found", file=sys.stderr)
        return 1
    if findings:
        print(f"lint_vyper: {len(findings)} findings in {len(files)} files", file=sys.stderr)
        return 1
    print(f"lint_vyper: {len(files)} files clean")
    return 0


if __name__ == "__main__":
    sys.exit(main())
