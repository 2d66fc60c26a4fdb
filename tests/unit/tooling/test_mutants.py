"""The judge of mutants: what it counts as killed was killed, and not something else that went wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from plimsoll.fuzz import mutants
from plimsoll.fuzz.artifacts import CONTRACTS

ROOT = Path(__file__).parents[3]


def test_suites__every_path__is_there():
    paths = {path for suites in (*mutants.SUITES.values(), mutants.PURE) for path in suites}
    assert not [path for path in paths if not (ROOT / path).exists()]
    assert set(mutants.SUITES) <= set(mutants.SUBJECTS)


def test_tested__path_that_is_not_there__is_no_kill():
    with pytest.raises(RuntimeError, match="no_such_test"):
        mutants._tested(("tests/no_such_test.py",), CONTRACTS)


def test_tested__passing_and_failing__are_told_apart(tmp_path):
    for name, body in (("good", "assert True"), ("bad", "assert False")):
        (tmp_path / f"test_{name}.py").write_text(f"def test_it():\n    {body}\n")
    assert mutants._tested((str(tmp_path / "test_good.py"),), CONTRACTS) == ""
    assert "test_bad" in mutants._tested((str(tmp_path / "test_bad.py"),), CONTRACTS)


def test_fate__edit_that_leaves_the_bytecode__is_the_same(tmp_path):
    root = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, root)
    source = root / "Configurator.vy"
    source.write_text(source.read_text() + "# a comment\n")
    fate, _ = mutants._fate("Configurator.vy", root, mutants.Budget(seeds=0, suites=False))
    assert fate == "same"


def test_mutants_of__every_subject__have_keys_of_their_own():
    found = [m for file in mutants.SUBJECTS for m in mutants.mutants_of(file)]
    assert len({m.key for m in found}) == len(found) > 1_000


def test_equivalents__each_is_a_mutant_with_a_reason():
    keys = {m.key for file in mutants.SUBJECTS for m in mutants.mutants_of(file)}
    known = mutants.known_equivalent()
    assert not set(known) - keys, "these name no mutant any more"
    assert all(len(reason) > 20 for reason in known.values())
