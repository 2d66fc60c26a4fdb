"""Compiled contracts, from plain vyper or from Ape, as (name, abi, bytecode)."""

from __future__ import annotations

import functools
import gc
import hashlib
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

# The sources; another folder's, to try a change on a copy.
CONTRACTS = Path(
    os.environ.get("PLIMSOLL_CONTRACTS") or Path(__file__).resolve().parents[2] / "contracts"
)
IMPORTED = re.compile(r"^from (?:modules|\.|\.\.modules) import (\w+)", re.MULTILINE)


class Artifact(NamedTuple):
    """What deploying and calling a contract takes."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: bytes  # of the creation, without arguments


def from_contract_type(contract_type: Any) -> Artifact:
    """An artifact of Ape's, as in ``project.Clearinghouse.contract_type``."""
    abi = [entry.model_dump(mode="json", by_alias=True) for entry in contract_type.abi]
    code = contract_type.deployment_bytecode.bytecode
    return Artifact(contract_type.name, abi, bytes.fromhex(code.removeprefix("0x")))


def compile_contract(path: str, root: Path = CONTRACTS) -> Artifact:
    """Compile one contract with the vyper that is installed; kept in a temporary folder.

    Args:
        path: of the contract, relative to `root`, as in ``mocks/TokenMock.vy``.
        root: the folder of the contracts.

    Returns:
        The artifact. A change to any source it is made of, or to any interface, compiles anew.
    """
    kept = cache_folder() / f"{fingerprint(root, path)}-{path.replace('/', '.')}.json"
    if kept.exists():
        out = json.loads(kept.read_text())
    else:
        out = compile_with_vyper(path, root)
        draft = kept.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(out))
        draft.replace(kept)
    return Artifact(Path(path).stem, out["abi"], bytes.fromhex(out["bytecode"].removeprefix("0x")))


def cache_folder() -> Path:
    """Where what is made of the sources is kept, a folder of this user's own."""
    folder = Path(tempfile.gettempdir()) / f"plimsoll-artifacts-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    return folder


def compile_with_vyper(path: str, root: Path, signed: bool = True) -> dict[str, Any]:
    """One contract's abi and bytecode, compiled in this process.

    Args:
        path: of the contract, relative to `root`.
        root: the folder of the contracts.
        signed: with the compiler's metadata at the end, a hash of the sources among them.
    """
    from vyper.compiler import compile_from_file_input
    from vyper.compiler.input_bundle import FilesystemInputBundle

    places = [Path(p) for p in sys.path if p and Path(p).is_dir()]
    bundle = FilesystemInputBundle([*places, root])
    source = bundle.load_file(Path(path))
    gc.disable()  # a quarter of the compiler's time
    try:
        out = compile_from_file_input(
            source,
            input_bundle=bundle,
            output_formats=["abi", "bytecode"],
            no_bytecode_metadata=not signed,
        )
    finally:
        gc.enable()
    return {"abi": out["abi"], "bytecode": out["bytecode"]}


def parts(path: str, root: Path = CONTRACTS) -> set[str]:
    """A contract and the modules it is made of, all relative to `root`; interfaces are left out."""
    found: set[str] = set()
    todo = [path]
    while todo:
        part = todo.pop()
        if part not in found:
            found.add(part)
            names = IMPORTED.findall((root / part).read_text())
            todo += [f"modules/{name}.vy" for name in names]
    return found


@functools.cache
def is_part(file: str, path: str) -> bool:
    """Whether a source file is, or is imported by, another; both relative to ``contracts``."""
    return file in parts(path)


def fingerprint(root: Path, path: str | None = None) -> str:
    """A hash of the compiler's version and of the sources under `root`.

    Args:
        root: the folder of the contracts.
        path: of a contract, to leave out the sources that it is not made of.
    """
    import vyper

    digest = hashlib.sha256(vyper.__version__.encode())
    made_of = None if path is None else {root / part for part in parts(path, root)}
    for source in sorted(root.rglob("*.vy*")):
        if made_of is None or source in made_of or source.suffix == ".vyi":
            digest.update(str(source.relative_to(root)).encode())
            digest.update(source.read_bytes())
    return digest.hexdigest()[:24]
