"""Contracts of npm packages as published, compiled by npm's own `solc`.

A folder beside the tests names the packages in its `package.json` and pins them by hash in its
`package-lock.json`. What comes out is kept in `.cache/npm`, so that npm is asked only once; without
npm, or without its registry, whoever asks is skipped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from ape.contracts import ContractContainer
from ethpm_types import ContractType

from plimsoll.chain import project_root

COMPILER = Path(__file__).with_name("compile.js")
INPUTS = ("package.json", "package-lock.json")
# Mistakes of ours, which no other day or machine would mend.
OURS = {"EINTEGRITY", "EUSAGE", "EJSONPARSE"}


def contracts(folder: Path, *sources: str) -> dict[str, ContractContainer]:
    """Contracts ready to be deployed, by name; a contract has the name of its source.

    Args:
        folder: with a `package.json` and a `package-lock.json`.
        sources: as one would import them, each with its package.
    """
    return {
        name: ContractContainer(
            ContractType.model_validate(
                {
                    "contractName": name,
                    "abi": compiled["abi"],
                    "deploymentBytecode": {"bytecode": compiled["bytecode"]},
                }
            )
        )
        for name, compiled in compile_once(folder, sources).items()
    }


def compile_once(folder: Path, sources: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The interface and the bytecode of each contract, from the cache if they are there."""
    inputs = [(folder / name).read_bytes() for name in INPUTS]
    inputs += [COMPILER.read_bytes(), "\n".join(sources).encode()]
    cache = project_root() / ".cache" / "npm"
    kept = cache / f"{folder.name}-{sha256(b''.join(inputs)).hexdigest()[:16]}.json"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache) as name:
            place = Path(name)
            for file in (*(folder / name for name in INPUTS), COMPILER):
                shutil.copy(file, place)
            npm_ci(folder.name, place)
            done = subprocess.run(
                ["node", COMPILER.name, "node_modules", *sources],
                cwd=place,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            draft = place / kept.name
            draft.write_text(done.stdout, encoding="utf-8")
            draft.replace(kept)
    compiled: dict[str, dict[str, Any]] = json.loads(kept.read_text(encoding="utf-8"))
    return compiled


def npm_ci(name: str, place: Path) -> None:
    """Install what the lock file names, checked against its hashes; no package's script runs."""
    npm = shutil.which("npm")
    if not npm or not shutil.which("node"):
        pytest.skip(f"{name}: compiled with npm's solc; node and npm are not installed")
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--json"]
    try:
        done = subprocess.run(
            [*command, "--fetch-retries=0"],
            cwd=place,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{name}: comes from npm, whose registry took too long")
    if done.returncode == 0:
        return
    try:
        code = str(json.loads(done.stdout)["error"]["code"])
    except (ValueError, LookupError, TypeError):
        code = f"exit status {done.returncode}"
    if code in OURS:
        pytest.fail(f"{name}/package-lock.json: {code}\n{done.stdout}")
    pytest.skip(f"{name}: comes from npm, which could not fetch it ({code})")
