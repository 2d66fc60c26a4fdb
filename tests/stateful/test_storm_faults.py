"""The storm finds what is wrong on both sides: contracts and model have the same fault, so that they
agree, and what a day must keep is all that can tell.
"""

from __future__ import annotations

import inspect
import re
import shutil
import textwrap
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from plimsoll import model
from plimsoll.fuzz.artifacts import CONTRACTS, compile_contract
from plimsoll.fuzz.properties import Mismatch
from plimsoll.fuzz.storm import play
from plimsoll.fuzz.system import Artifacts, compiled

SEEDS = 200


class Edit(NamedTuple):
    """`old` stands once in `place`, a source or a function of the model; it becomes `new`."""

    place: str
    old: str
    new: str


class Fault(NamedTuple):
    """One fault, on both sides; `where` is the contract that has it, by its role and its source."""

    name: str
    told: str  # what of the day's own checks tells it
    where: tuple[str, str]
    contract: Edit
    model: Edit


FAULTS = [
    Fault(
        "an initial margin without the stable price",
        "PRC-4|along with a jump",
        ("clearinghouse", "Clearinghouse.vy"),
        Edit(
            "modules/margin.vy",
            "    high: uint256 = max(price, stable)\n"
            "    gap: uint256 = unsafe_sub(price, min(price, stable)) if size > 0 else unsafe_sub(high, price)\n",
            "    high: uint256 = price\n    gap: uint256 = 0\n",
        ),
        Edit("opening_value", "low, high = sorted((price, stable))", "low = high = price"),
    ),
    Fault(
        "a deleveraging of a pool without equity takes half",
        "LIQ-9",
        ("backstop", "Backstop.vy"),
        Edit("Backstop.vy", "        return most\n", "        return most // 2\n"),
        Edit("Model._least", "        return most\n", "        return most // 2\n"),
    ),
    Fault(
        "a settlement pays in full",
        "LIQ-11|same share|custody",
        ("clearinghouse", "Clearinghouse.vy"),
        Edit(
            "Clearinghouse.vy",
            "            sent = unsafe_mul(wide, unsafe_sub(share, 1)) // WAD",
            "            sent = wide if share > 1 else 0",
        ),
        Edit(
            "Model._paid",
            "floor_div(amount_raw * (self.share - 1), WAD)",
            "amount_raw * (self.share > 1)",
        ),
    ),
]


def edited(text: str, edit: Edit) -> str:
    assert text.count(edit.old) == 1, edit
    return text.replace(edit.old, edit.new)


def planted(edit: Edit) -> tuple[Any, str, Any]:
    """(whose, name, what): a function of the model with the edit, and where it belongs."""
    *owner, name = edit.place.split(".")
    whose = getattr(model, owner[0]) if owner else model
    source = textwrap.dedent(inspect.getsource(getattr(whose, name)))
    made: dict[str, Any] = {}
    exec(edited(source, edit), vars(inspect.getmodule(getattr(whose, name))), made)
    return whose, name, made[name]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_storm_faults__each__has_its_place_on_both_sides(fault):
    edited((CONTRACTS / fault.contract.place).read_text(), fault.contract)
    assert callable(planted(fault.model)[2])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_storm__fault_in_contracts_and_model__some_day_tells(fault, tmp_path, monkeypatch):
    root = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, root)
    source = root / fault.contract.place
    source.write_text(edited(source.read_text(), fault.contract))
    role, path = fault.where
    broken = replace(compiled(), **{role: compile_contract(path, root)})
    monkeypatch.setattr(*planted(fault.model))
    assert re.search(fault.told, first_failure(broken))


def first_failure(artifacts: Artifacts) -> str:
    for seed in range(SEEDS):
        try:
            play(seed, artifacts=artifacts)
        except Mismatch as mismatch:
            print(mismatch)
            return str(mismatch)
    return pytest.fail(f"no day of {SEEDS} tells")
