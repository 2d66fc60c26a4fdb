"""Who may call what: every external function of every contract that is deployed.

    python -m plimsoll.access            # writes docs/access.md, as `make access` does

The compiler says what there is, exported and generated functions among them; each function's own
``@custom:access`` says who may call it. A function that says nothing, or says something to which
`REFUSALS` has no answer, is an error: nobody has thought of who may call it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from plimsoll.errors import PlimsollError
from plimsoll.fuzz.artifacts import CONTRACTS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "access.md"
DEPLOYED = (
    "Clearinghouse",
    "LiquidityPool",
    "CollateralAuction",
    "Backstop",
    "Configurator",
    "Timelock",
    "oracles/SequencerGuard",
    "Lens",
    "CollateralLens",
)
ANYONE = "anyone"
OWNER = "owner"
SELF = "the Timelock itself, by an announced call"
# By what the docstrings say: what everybody else is refused with. Nobody else where it is empty.
REFUSALS = {
    ANYONE: "",
    "anyone, for anyone": "",
    "anyone, for himself": "",
    "anyone, for his own shares": "",
    "anyone, with his own tokens": "",
    "anyone, from his own tokens": "",
    "anyone, who has approved the cost": "",
    "anyone, with the owner's signature": "shares: bad signature",
    "anyone after the notice; the Backstop at any time": "configurator: not yet",
    "owner of the account": "account: not yours",
    "owner of the account; the Backstop": "account: not yours",
    "whoever holds an allowance of `owner`": "shares: allowance too low",
    "the controller or his operator": "pool: not your request",
    "the owner, his operator, or a spender within his allowance; "
    "and the controller or his operator": 'shares: allowance too low", "pool: not your request',
    "Clearinghouse": "access: clearinghouse only",
    "Configurator": "access: configurator only",
    "Backstop": "access: backstop only",
    "LiquidityPool": "access: pool only",
    OWNER: "ownable: caller is not the owner",
    "guardian, owner": "configurator: guardian only",
    "the owner to be": "ownable_2step: caller is not the new owner",
    "proposers": "access_control: account is missing role",
    "cancellers, who are the proposers": "access_control: account is missing role",
    "executors; anyone, where the zero address is one": "access_control: account is missing role",
    SELF: "access_control: account is missing role",
    "whoever has the role": "access_control: can only renounce roles for itself",
}
# snekmate's docstrings, which the contracts export as they are, do not say who may call.
EXPORTED = {
    "transfer_ownership": OWNER,
    "accept_ownership": "the owner to be",
    "grantRole": SELF,
    "revokeRole": SELF,
    "renounceRole": "whoever has the role",
    "schedule": "proposers",
    "schedule_batch": "proposers",
    "cancel": "cancellers, who are the proposers",
    "execute": "executors; anyone, where the zero address is one",
    "execute_batch": "executors; anyone, where the zero address is one",
}
READS = ("view", "pure")
TAG = re.compile(r"^\s*@custom:access[ \t]+(.*?)\s*(?=^\s*@|\Z)", re.MULTILINE | re.DOTALL)
STRUCT = re.compile(r"\([^()]*\)")


class AccessError(PlimsollError):
    """A function of which nobody says who may call it."""


class Row(NamedTuple):
    """A function."""

    contract: str
    signature: str
    mutability: str
    access: str
    refusal: str  # of everybody else; empty: nobody is refused for who he is

    @property
    def name(self) -> str:
        """Without its arguments."""
        return self.signature.partition("(")[0]

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.mutability in READS


def rows_of(path: str, root: Path = CONTRACTS) -> list[Row]:
    """Every external function of one contract, in the order of its interface.

    Args:
        path: of the contract, relative to `root`, without its suffix.
        root: the folder of the contracts.

    Raises:
        AccessError: if a function does not say who may call it, or in words that nobody knows.
    """
    return [
        _row(Path(path).stem, signature, function)
        for function in _functions(path, root)
        for signature in function.method_ids
    ]


def _functions(path: str, root: Path) -> list[Any]:
    """The compiler's view of a contract's functions; nothing is turned into bytecode."""
    from vyper.compiler.input_bundle import FilesystemInputBundle
    from vyper.compiler.phases import CompilerData

    places = [Path(p) for p in sys.path if p and Path(p).is_dir()]
    bundle = FilesystemInputBundle([*places, root])
    data = CompilerData(bundle.load_file(Path(f"{path}.vy")), bundle)
    module = data.annotated_vyper_module._metadata["type"]
    return list(module.exposed_functions)


def _row(contract: str, signature: str, function: Any) -> Row:
    node = function.decl_node
    text = getattr(getattr(node, "doc_string", None), "value", "")
    found = TAG.search(text)
    mutability = str(function.mutability.value)
    if found:
        access = " ".join(found.group(1).split())
    elif function.name in EXPORTED and mutability not in READS:
        access = EXPORTED[function.name]
    elif mutability in READS and (_is_getter(node) or _is_foreign(node)):
        access = ANYONE  # the getter of a public variable; snekmate's views
    else:
        raise AccessError(f"{contract}.{signature} does not say who may call it")
    if access not in REFUSALS:
        raise AccessError(f"{contract}.{signature}: what is everybody but {access!r} refused with?")
    return Row(contract, signature, mutability, access, REFUSALS[access])


def _is_getter(node: Any) -> bool:
    """Whether the compiler made it of a public variable."""
    from vyper.ast import nodes

    module = node.get_ancestor(nodes.Module)
    variables = module.get_children(nodes.VariableDecl)
    return any(v.is_public and v.target.id == node.name for v in variables)


def _is_foreign(node: Any) -> bool:
    """Whether it is snekmate's."""
    from vyper.ast import nodes

    return "snekmate" in Path(node.get_ancestor(nodes.Module).resolved_path).parts


def table(root: Path = CONTRACTS) -> list[Row]:
    """Every external function of every contract that is deployed."""
    return [row for path in DEPLOYED for row in rows_of(path, root)]


def page(rows: list[Row]) -> str:
    """The table for people, in Markdown: what changes something first, then what only reads."""
    lines = [
        "# Who may call what",
        "",
        "Written by `make access` from the compiled contracts and the `@custom:access` of each",
        "function; do not edit. A function without it fails `tests/unit/plimsoll/test_access.py`,",
        "and so does a page that is not the contracts'. What a stranger does with all of them:",
        "`tests/attacks/test_strangers.py`, and case 68 in `tests/attacks/test_fills.py`.",
        "",
        "*Refused* is the reason for everybody else. Where it is empty nobody is refused for who",
        "he is.",
    ]
    for path in DEPLOYED:
        name = Path(path).stem
        mine = [row for row in rows if row.contract == name]
        acts, reads = [r for r in mine if not r.reads], [r for r in mine if r.reads]
        lines += ["", f"## {name}", "", "| function | mutability | who may call | refused |"]
        lines += ["|---|---|---|---|"]
        for row in acts + reads:
            refusal = f'"{row.refusal}"' if row.refusal else ""
            signature = STRUCT.sub("struct", row.signature.partition("(")[2][:-1])
            lines.append(
                f"| `{row.name}({signature})` | {row.mutability} | {row.access} | {refusal} |"
            )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page."""
    rows = table()
    PAGE.write_text(page(rows), encoding="utf-8")
    print(f"docs/access.md: {len(rows)} functions of {len(DEPLOYED)} contracts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
