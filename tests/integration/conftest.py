"""Chains to deploy on, and the scripts as one calls them."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import ape
import pytest
from ape.managers.project import LocalProject
from click.testing import CliRunner, Result

from plimsoll import deployment as deployments
from plimsoll.chain import ApeChain, RevmChain, compiled_by_ape
from plimsoll.deployment import Deployment

Run = Callable[..., Result]


@pytest.fixture
def ape_chain(project: LocalProject) -> ApeChain:
    """Ape's in-process chain."""
    return ApeChain(project)


@pytest.fixture
def revm(project: LocalProject) -> RevmChain:
    """A new chain on pyrevm."""
    pytest.importorskip("pyrevm")
    return RevmChain(compiled_by_ape(project))


@pytest.fixture
def saved(system: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`system`, where the scripts look for it."""
    monkeypatch.setattr(deployments, "project_root", lambda: tmp_path)
    return system.save()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """A script with its arguments, in this process, on the chain that the tests use."""
    # A table is as wide as the terminal lets it be.
    monkeypatch.setenv("COLUMNS", "120")

    def invoke(script: str, *arguments: str) -> Result:
        path = Path(__file__).parents[2] / "scripts" / f"{script}.py"
        command = runpy.run_path(str(path))["cli"]
        # Connecting once more to the chain of this process makes Ape forget the snapshots that it
        # would return to after the test.
        snapshots = ape.chain._snapshots
        kept = {chain_id: list(taken) for chain_id, taken in snapshots.items()}
        try:
            return CliRunner().invoke(command, list(arguments), prog_name=script)
        finally:
            snapshots.update(kept)

    return invoke


def refuses(result: Result, why: str) -> None:
    """A script's mistake: a line that says so, and exit code 2."""
    assert result.exit_code == 2, result.output
    assert why in result.output
    assert result.output.startswith("Error: ") and result.output.count("\n") == 1
    assert "Traceback" not in result.output
