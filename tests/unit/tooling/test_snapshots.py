"""The checks of sizes and gas against their snapshots: what they let pass and what they do not."""

from plimsoll import gas, sizes

MEASURED = {"liquidate": {"one_slot": {"1": 100}}, "deposit": 50}


def test_findings__smaller_than_snapshot_and_budget__none() -> None:
    assert sizes.findings({"Lens": 100}, {"Lens": 100}) == []


def test_findings__bigger_than_the_snapshot__named() -> None:
    assert sizes.findings({"Lens": 101}, {"Lens": 100}) == ["Lens: 101 bytes, the snapshot has 100"]


def test_findings__over_budget__named() -> None:
    size = sizes.BUDGETS["Clearinghouse"] + 1
    (line,) = sizes.findings({"Clearinghouse": size}, {"Clearinghouse": size})
    assert line == "Clearinghouse: 23,501 bytes, over its budget of 23,500"


def test_findings__not_in_the_snapshot__named() -> None:
    (line,) = sizes.findings({"Lens": 1}, {})
    assert line.startswith("Lens: not in ")


def test_compare__same_figures__none() -> None:
    assert gas.compare(MEASURED, MEASURED) == []


def test_compare__one_unit_more_or_less__named() -> None:
    worse = {"liquidate": {"one_slot": {"1": 101}}, "deposit": 49}
    assert gas.compare(worse, MEASURED) == [
        "deposit: 49 gas, the snapshot has 50",
        "liquidate.one_slot.1: 101 gas, the snapshot has 100",
    ]


def test_compare__figure_missing_on_either_side__named() -> None:
    assert gas.compare({"deposit": 50}, {"withdraw": 7}) == [
        "deposit: 50 gas, the snapshot has nothing",
        "withdraw: nothing gas, the snapshot has 7",
    ]


def test_over_target__committed_snapshot__within_every_target() -> None:
    assert gas.over_target(gas.load()) == []


def test_over_target__one_past_it__named() -> None:
    snapshot = gas.load()
    snapshot["liquidate"]["one_slot"]["16"] = 555_001
    assert gas.over_target(snapshot) == [
        "liquidate.one_slot.16: 555,001 gas, the target is 555,000"
    ]


def test_document__committed_snapshot__is_the_committed_document() -> None:
    """Whoever changes one of the two alone sees red without measuring anything."""
    assert gas.TABLE.read_text() == gas.document(gas.load())
