"""GOV-3: the table of who may call what is the contracts' own, and leaves nobody out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plimsoll.access import DEPLOYED, PAGE, AccessError, Row, page, rows_of, table
from plimsoll.fuzz.artifacts import CONTRACTS
from plimsoll.fuzz.chain import type_of

HEAD = "# pragma version 0.4.3\n# pragma evm-version cancun\n"


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return table()


def test_page__of_the_contracts_as_they_are__is_the_one_in_docs(rows):
    assert page(rows) == PAGE.read_text(encoding="utf-8"), "run `make access`"


@pytest.mark.parametrize("path", DEPLOYED)
def test_table__interface_that_is_deployed__has_each_function_once(path: str, rows, project: Any):
    name = Path(path).stem
    abi = [entry.model_dump(mode="json") for entry in getattr(project, name).contract_type.abi]
    deployed = {
        f"{e['name']}({','.join(type_of(i) for i in e['inputs'])})": e["stateMutability"]
        for e in abi
        if e["type"] == "function"
    }
    mine = [row for row in rows if row.contract == name]
    assert {row.signature: row.mutability for row in mine} == deployed
    assert len(mine) == len(deployed)


def test_table__contracts__are_all_that_is_no_mock_and_no_module():
    """A contract that is added and not listed would be in no table and in no test."""
    sources = {
        str(p.relative_to(CONTRACTS).with_suffix(""))
        for folder in (CONTRACTS, CONTRACTS / "oracles")
        for p in folder.glob("*.vy")
    }
    assert set(DEPLOYED) == sources


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('@external\ndef sweep():\n    """\n    @notice Sweeps.\n    """\n    pass\n', "sweep"),
        ("@external\n@view\ndef peek() -> uint256:\n    return 1\n", "peek"),
        (
            '@external\ndef sweep():\n    """\n    @custom:access friends\n    """\n    pass\n',
            "'friends'",
        ),
    ],
    ids=["no tag", "view without a word", "unknown words"],
)
def test_rows__function_that_nobody_thought_of__is_an_error(tmp_path: Path, source, words):
    (tmp_path / "Odd.vy").write_text(HEAD + source)
    with pytest.raises(AccessError, match=words):
        rows_of("Odd", tmp_path)


def test_rows__getter_of_a_public_variable__is_anyones(tmp_path: Path):
    (tmp_path / "Odd.vy").write_text(HEAD + "count: public(uint256)\n")
    assert rows_of("Odd", tmp_path) == [Row("Odd", "count()", "view", "anyone", "")]
