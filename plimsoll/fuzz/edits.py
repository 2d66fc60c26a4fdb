"""Small edits of a Vyper source: one at a time, or many at once behind a switch.

`mutants_of` finds what can be edited, on Vyper's own syntax tree. Compiling takes longer than most
mutants live, so `switched` writes many into one source, each behind a question for its number:
``a < b`` becomes ``((a <= b) if SWITCH == 7 else (a < b))``. The switch is what the chain answers
to PREVRANDAO, which no contract of Plimsoll asks for (`revm.RevmChain.switch`); at 0 none is on.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plimsoll.fuzz.artifacts import CONTRACTS

COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
OPERATORS = {
    "+": "-",
    "-": "+",
    "*": "//",
    "//": "*",
    "%": "//",
    "&": "|",
    "|": "&",
    "^": "|",
    "<<": ">>",
    ">>": "<<",
}
EXTERNAL = re.compile(r"\b(?:ext|static)call\b")
STATEMENTS = ("Expr", "Assign", "AugAssign", "Assert", "Break", "Continue")
CALLS = {
    "unsafe_add": "unsafe_sub",
    "unsafe_sub": "unsafe_add",
    "unsafe_mul": "unsafe_div",
    "unsafe_div": "unsafe_mul",
    "min": "max",
    "max": "min",
    "fixed_point.ceil_div": "unsafe_div",
    "fixed_point.floor_div": "unsafe_div",
}


@dataclass(frozen=True)
class Mutant:
    """One edit: `old` at [start, end) of a file becomes `new`."""

    file: str
    line: int
    start: int
    end: int
    old: str
    new: str
    code: str  # the line, before
    name: str  # of the function it is in, or of the constant
    function: range  # the lines of that
    lines: range  # those of the expression or the statement it is in
    whole: tuple[int, int] | None  # and that itself, if a choice can stand there
    twin: int = 0  # so many mutants of the file before it are the same in words

    @property
    def key(self) -> str:
        """A name that outlives edits elsewhere in the file."""
        told = f"{self.told}|{self.twin}" if self.twin else self.told
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def made(self, text: str) -> str:
        """The text of the file with the edit."""
        return text[: self.start] + self.new + text[self.end :]

    def overlaps(self, other: Mutant) -> bool:
        """Whether the wholes of two mutants of a file have something in common."""
        (start, end), (first, last) = self.span, other.span
        return start < last and first < end

    @property
    def span(self) -> tuple[int, int]:
        """Its whole, or the edit alone."""
        return self.whole or (self.start, self.end)

    @property
    def told(self) -> str:
        """The edit in words."""
        return f"{self.file}|{self.code.strip()}|{self.old}|{self.new}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.old!r} -> {self.new!r}  in  {self.code.strip()}"


# ------------------------------------------------------------------ making them


def mutants_of(file: str, root: Path = CONTRACTS) -> list[Mutant]:
    """Every mutant of one source file, in the order of the text."""
    from vyper.ast import parse_to_ast

    text = (root / file).read_text()
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def begin(node: Any) -> int:
        return int(starts[node.lineno - 1] + node.col_offset)

    def finish(node: Any) -> int:
        start, end = begin(node), int(starts[node.end_lineno - 1] + node.end_col_offset)
        if not is_whole(text, start, end):  # Vyper forgot that it parsed a shorter `await` there
            calls = EXTERNAL.findall(lines[node.end_lineno - 1][: node.end_col_offset])
            end += sum(len(call) - len("await") for call in calls)
        return end

    found: dict[tuple[int, int, str], Mutant] = {}
    around: Any = None  # of what is at the top of the file
    in_function = False

    def add(node: Any, start: int, end: int, new: str) -> None:
        number = text.count("\n", 0, start) + 1
        old = text[start:end]
        of = range(around.lineno, around.end_lineno + 1)
        whole = (begin(node), finish(node)) if in_function else None
        rows = range(node.lineno, node.end_lineno + 1)
        name = getattr(around, "name", None) or around.target.id
        code = lines[number - 1]
        mutant = Mutant(file, number, start, end, old, new, code, name, of, rows, whole)
        if old != new:
            found.setdefault((start, end, new), mutant)

    def between(node: Any, left: Any, right: Any, table: dict[str, str]) -> None:
        gap_start, gap_end = finish(left), begin(right)
        gap = text[gap_start:gap_end]
        sign = gap.strip(" ()\n")
        if sign in table:
            at = gap_start + gap.index(sign)
            add(node, at, at + len(sign), table[sign])

    overwritten: set[str] = set()  # in the function at hand: see `filled_by_tuples`

    def visit(node: Any) -> None:
        nonlocal in_function
        kind = type(node).__name__
        if kind == "AnnAssign" and getattr(node.target, "id", None) in overwritten:
            return
        if kind in (
            "Log",
            "ImportFrom",
            "Import",
            "EventDef",
            "InterfaceDef",
            "StructDef",
            "DocStr",
        ):
            return
        if kind == "Compare":
            between(node, node.left, node.right, COMPARISONS)
        elif kind == "BinOp":
            between(node, node.left, node.right, OPERATORS)
        elif kind == "BoolOp":
            for one, other in zip(node.values, node.values[1:], strict=False):
                between(node, one, other, {"and": "or", "or": "and"})
        elif kind == "UnaryOp":
            sign = type(node.op).__name__
            if sign in ("Not", "USub"):
                sign = text[begin(node) : begin(node.operand)].rstrip("(")
                add(node, begin(node), begin(node) + len(sign), "")
        elif kind == "Call":
            name = text[begin(node.func) : finish(node.func)]
            if name in CALLS:
                add(node, begin(node.func), finish(node.func), CALLS[name])
        elif kind == "Int":
            add(node, begin(node), finish(node), str(node.value + 1))
        elif kind == "NameConstant" and node.value in (True, False):
            add(node, begin(node), finish(node), str(not node.value))
        elif kind in {"IfExp", "If"}:
            add(node.test, begin(node.test), finish(node.test), "True")
            add(node.test, begin(node.test), finish(node.test), "False")
        elif kind in STATEMENTS and "__init__" not in text[begin(node) : finish(node)]:
            add(node, begin(node), finish(node), "pass")
        if kind == "Hex":
            return
        of_function = in_function
        for child in node.get_children():
            # No choice is to be had where Vyper wants a literal.
            literal = kind == "keyword" or child is getattr(node, "annotation", None)
            literal |= type(getattr(node, "op", None)).__name__ == "Pow"
            in_function = of_function and not literal
            visit(child)
        in_function = of_function

    for top in parse_to_ast(text).body:
        around = top
        if type(top).__name__ == "FunctionDef":
            decorators = [text[begin(d) : finish(d)] for d in top.decorator_list]
            if "deploy" in decorators:
                continue
            overwritten = filled_by_tuples(top)
            in_function = True
            for statement in top.body:
                visit(statement)
            in_function = False
        elif type(top).__name__ == "VariableDecl" and top.is_constant:
            visit(top.value)
    before: Counter[str] = Counter()
    numbered = []
    for mutant in sorted(found.values(), key=lambda m: (m.start, m.end, m.new)):
        numbered.append(replace(mutant, twin=before[mutant.told]))
        before[mutant.told] += 1
    return numbered


def is_whole(text: str, start: int, end: int) -> bool:
    """Whether a span of the text is an expression or a statement, and ends where a word does."""
    if not EXTERNAL.search(text, text.rfind("\n", 0, end) + 1, end):
        return True
    inside = EXTERNAL.sub("", text[start:end])
    if re.match(r"\w\w", text[end - 1 : end + 1]):
        return False
    for parsed in (inside, f"({inside})"):
        with contextlib.suppress(SyntaxError):
            return bool(ast.parse(parsed).body)
    return False


def filled_by_tuples(function: Any) -> set[str]:
    """The local variables that a call's several results go to.

    Vyper wants them declared with a value first, which nothing reads: changing it changes nothing.
    """
    found: set[str] = set()
    for statement in function.get_descendants():
        if type(statement).__name__ == "Assign" and type(statement.target).__name__ == "Tuple":
            found |= {part.id for part in statement.target.elements if hasattr(part, "id")}
    return found


# ------------------------------------------------------------------ many in one source

SWITCH = "convert(block.prevrandao, uint256)"


def switched(text: str, mutants: Sequence[Mutant]) -> str:
    """A source in which the n-th of these mutants, from 1, is on where the switch says n.

    Lines keep their numbers. The functions in it must not be pure: see `without_pure`.

    Args:
        text: the source.
        mutants: edits of it, each with its `whole`.
    """
    groups: dict[tuple[int, int], list[tuple[int, Mutant]]] = {}
    for number, mutant in enumerate(mutants, 1):
        assert mutant.whole is not None
        groups.setdefault(mutant.whole, []).append((number, mutant))
    # From the inside out and from the end to the front: a span's own text has its edits by then.
    done: dict[tuple[int, int], str] = {}
    for span in sorted(groups, key=lambda span: (span[1] - span[0], span)):
        done[span] = _switch(text, span, groups[span], _filled(text, span, done))
    return _filled(text, (0, len(text)), done)


def _switch(text: str, span: tuple[int, int], here: list[tuple[int, Mutant]], inner: str) -> str:
    """One expression or statement with the choices that are its own around it."""
    start, end = span
    for number, mutant in here:
        if mutant.new == "pass":  # a statement, the only edit of its span
            inner = f"if {SWITCH} != {number}: {inner}"
        else:
            other = f"{text[start : mutant.start]}{mutant.new}{text[mutant.end : end]}"
            inner = f"(({_one_line(other)}) if {SWITCH} == {number} else ({inner}))"
    return inner


def _filled(text: str, span: tuple[int, int], done: dict[tuple[int, int], str]) -> str:
    """The text of a span, with the outermost of the spans in it that are done."""
    start, end = span
    inside = sorted((s for s in done if start <= s[0] and s[1] <= end and s != span), key=_outer)
    pieces = []
    for one in inside:
        if one[0] >= start:
            pieces += [text[start : one[0]], done[one]]
            start = one[1]
    return "".join([*pieces, text[start:end]])


def _outer(span: tuple[int, int]) -> tuple[int, int]:
    return span[0], -span[1]


def _one_line(text: str) -> str:
    return re.sub(r"\s*(#[^\n]*)?\n\s*", " ", text)


def without_pure(root: Path) -> None:
    """Let every function of these sources ask for the switch."""
    for source in root.rglob("*.vy*"):
        source.write_text(source.read_text().replace("@pure\n", "@view\n"))
