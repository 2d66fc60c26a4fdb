"""The judge of mutants: what it counts as killed was killed, and not something else that went wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from plimsoll.fuzz import corpus, edits, mutants, reach, score
from plimsoll.fuzz.artifacts import CONTRACTS
from plimsoll.fuzz.revm import RevmChain

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def every_mutant():
    return [m for file in mutants.SUBJECTS for m in mutants.mutants_of(file)]


def test_suites__every_path__is_there():
    paths = {path for suites in (*mutants.SUITES.values(), mutants.PURE) for path in suites}
    assert not [path for path in paths if not (ROOT / path).exists()]
    assert set(mutants.SUITES) <= set(mutants.SUBJECTS)


def test_tested__passing_failing_and_not_there__are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:ape_test")  # a few seconds each, and not needed
    for name, body in (("good", "assert True"), ("bad", "assert False")):
        (tmp_path / f"test_{name}.py").write_text(f"def test_it():\n    {body}\n")
    assert mutants._tested((str(tmp_path / "test_good.py"),), CONTRACTS) == ""
    assert "test_bad" in mutants._tested((str(tmp_path / "test_bad.py"),), CONTRACTS)
    with pytest.raises(RuntimeError, match="no_such_test"):
        mutants._tested(("tests/no_such_test.py",), CONTRACTS)


def test_fate__edit_that_leaves_the_bytecode__is_the_same(tmp_path):
    root = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, root)
    source = root / "CollateralAuction.vy"
    source.write_text(source.read_text() + "# a comment\n")
    fate, _ = mutants._fate("CollateralAuction.vy", root, mutants.Budget(seeds=0, suites=False))
    assert fate == "same"


def test_mutants_of__every_subject__have_keys_of_their_own(every_mutant):
    assert len({m.key for m in every_mutant}) == len(every_mutant) > 1_000


def test_mutants_of__every_subject__leave_no_bracket_open(every_mutant):
    assert not [m for m in every_mutant for a, b in ("()", "[]") if m.old.count(a) - m.old.count(b)]


def test_equivalents__each_is_a_mutant_with_a_reason(every_mutant):
    keys = {m.key for m in every_mutant}
    known = score.known_equivalent()
    assert not set(known) - keys, "these name no mutant any more"
    assert all(len(reason) > 20 for reason in known.values())


# ------------------------------------------------------------------ what is kept of them


def test_record__function_that_is_judged_whole__comes_back_as_it_was(tmp_path):
    found = mutants.mutants_of("modules/debt.vy")
    told = [score.Verdict(m, "killed", "a list", 1.0) for m in found]
    told[3] = score.Verdict(found[3], "survived", "", 1.0)
    score.save(score.renewed({}, found, told), tmp_path / "record.json")
    record = score.load(tmp_path / "record.json")
    back = score.recorded(record, found)
    assert [(v.mutant, v.fate) for v in back] == [(v.mutant, v.fate) for v in told]
    assert {v.mutant for v in score.known(found, record, None, again=True)} >= set(found) - {
        found[3]
    }


def test_record__function_that_is_judged_in_part_or_has_changed__is_known_in_part_or_not_at_all():
    found = mutants.mutants_of("modules/debt.vy")
    told = [score.Verdict(m, "killed", "a list", 1.0) for m in found]
    names = {m.name for m in found if m.name != found[0].name}
    part = score.renewed({}, found, told[1:])
    assert {v.mutant for v in score.recorded(part, found)} == set(found[1:])
    others = [verdict for verdict in told if verdict.mutant.name in names]
    assert set(score.renewed({}, found, others)["modules/debt.vy"]) == names
    record = score.renewed({}, found, told)
    assert {v.mutant.name for v in score.recorded(record, found[1:])} == names


def test_record__what_is_left_to_the_tests__is_remembered_until_they_have_told():
    found = mutants.mutants_of("modules/debt.vy")
    told = [score.Verdict(m, "killed", "a list", 1.0) for m in found]
    told[0] = score.Verdict(found[0], score.LEFT, "", 0.0)
    record = score.renewed({}, found, told)
    assert score.recorded(record, found)[0].fate == score.LEFT
    told.append(score.Verdict(found[0], "survived", "", 1.0))
    record = score.renewed(record, found, told)
    assert score.recorded(record, found)[0].fate == "survived"


def test_record__files_that_were_not_judged__stay():
    record = {"Lens.vy": {"quote": {"of": "a", "killed": 3}}}
    found = mutants.mutants_of("modules/debt.vy")
    told = [score.Verdict(m, "killed", "a list", 1.0) for m in found]
    assert score.renewed(record, found, told)["Lens.vy"] == record["Lens.vy"]


def test_record__of_the_repository__has_no_survivor_without_a_reason(every_mutant):
    known = score.recorded(score.load(), every_mutant)
    lived = {v.mutant.key for v in known if v.fate == "survived"}
    assert lived <= set(score.known_equivalent())
    assert len(known) > len(every_mutant) / 2


def test_scratch__last_verdict_on_a_mutant__is_the_one(tmp_path):
    one, other = mutants.mutants_of("modules/debt.vy")[:2]
    for fate in (score.LEFT, "survived"):
        score.keep(tmp_path / "scratch", score.Verdict(one, fate, "", 0.0))
    told = score.known([one, other], {}, tmp_path / "scratch")
    assert [(v.mutant, v.fate) for v in told] == [(one, "survived")]
    assert score.known([one, other], {}, tmp_path / "scratch", again=True) == []


def test_tally__what_is_named_as_equivalent__does_not_count(monkeypatch, capsys):
    one, other = mutants.mutants_of("modules/debt.vy")[:2]
    monkeypatch.setattr(score, "known_equivalent", lambda: {one.key: "it changes nothing at all"})
    tally = score.Tally(2)
    for mutant in (one, other):
        tally.add(score.Verdict(mutant, "survived", "", 0.0))
    assert tally.fates == {"equivalent": 1, "survived": 1}
    assert tally.score == 0
    assert capsys.readouterr().out.startswith(f"SURVIVED [{other.key}]")


# ------------------------------------------------------------------ many in one source


def test_switched__each_number__is_the_mutant_of_that_number(tmp_path):
    """A copy of the curve in which many edits wait: at 0 it is the original, at n it is the n-th."""
    root = tmp_path / "contracts"
    shutil.copytree(CONTRACTS, root)
    edits.without_pure(root)
    source = root / "modules" / "curve.vy"
    text = source.read_text()
    (batch, *_), _ = mutants.batches_of(mutants.mutants_of("modules/curve.vy"))
    source.write_text(edits.switched(text, batch))
    assert len(source.read_text().splitlines()) == len(text.splitlines())
    together = compile_at(root)
    for number, mutant in [(0, None), *list(enumerate(batch, 1))[::24]]:
        source.write_text(mutant.made(text) if mutant else text)
        assert answers(together, number) == answers(compile_at(root), 0), mutant
    assert answers(together, 0) != answers(together, 1)


def test_judge_together__killed_and_left__are_those_that_judge_kills_and_leaves(monkeypatch):
    budget = mutants.Budget(seeds=0, suites=False)
    sold = corpus.load("lots-bought-in-parts")[:2]
    monkeypatch.setattr(mutants, "_corpus", lambda: [sold])
    (batch, *_), _ = mutants.batches_of(mutants.mutants_of("CollateralAuction.vy"))
    batch = batch[::4]
    verdicts, left = mutants.judge_together((batch, budget))
    assert verdicts
    assert left
    assert {v.mutant.key for v in verdicts} | {m.key for m, _ in left} == {m.key for m in batch}
    one = verdicts[0].mutant
    assert mutants.judge((one, budget)).fate == "killed"
    # Told to be left by an earlier run it meets the tests only, and here there are none.
    assert [v.fate for v in mutants.judge_all([one], budget, 1, [one.key])] == ["survived"]
    assert RevmChain.switch == 0
    assert RevmChain.size_limit is None


def test_lists__known_where_they_go__those_that_pass_the_line_and_first_what_found_a_neighbour(
    monkeypatch,
):
    found = mutants.mutants_of("modules/debt.vy")
    inside = next(m for m in found if m.whole)
    passed = {("modules/debt.vy", inside.lines[0]): 0b1011}
    assert mutants._lists("Lens.vy", inside) == list(range(len(mutants._corpus())))
    monkeypatch.setattr(mutants, "_passed", {"Lens.vy": passed})
    monkeypatch.setattr(mutants, "_finders", lambda path, place: [3, 2])
    assert mutants._lists("Lens.vy", inside) == [3, 0, 1]
    assert mutants._lists("Lens.vy", None) == list(range(len(mutants._corpus())))
    monkeypatch.setattr(
        mutants, "_passed", {"Lens.vy": {("modules/debt.vy", inside.function[-1]): 4}}
    )
    assert mutants._lists("Lens.vy", inside) == [2]


def test_reach__two_lists__each_passes_what_it_is_about(monkeypatch, tmp_path):
    monkeypatch.setattr(reach, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(reach.corpus, "names", lambda: ["claim-in-part", "lots-bought-in-parts"])
    auction = "CollateralAuction.vy"
    monkeypatch.setattr(reach, "MEASURED", (auction,))
    passed = reach.reach(1)
    functions = {m.name: m.function for m in mutants.mutants_of(auction)}
    bought = [passed[auction].get((auction, line), 0) for line in functions["buy_collateral"]]
    assert max(bought) == 0b10
    assert max(passed[auction].values()) == 0b11  # both look
    assert reach.reach(1) == passed  # as it was kept


def test_mutants_of__beside_an_external_call__spans_are_whole():
    """Vyper parses `extcall` as a shorter word, and forgets that where a space follows."""
    found = mutants.mutants_of("Backstop.vy")
    assert any(m.old == "1" and "set_share(1 + share)" in m.code for m in found)
    assert not [m for m in found if not m.old.strip()]


def compile_at(root):
    return mutants._compile("mocks/ModulesMock.vy", root)


def answers(artifact, number):
    """What a deployed copy of the modules answers to a few calls of the curve."""
    RevmChain.switch = number
    try:
        contract = RevmChain(1_750_000_000).deploy(artifact)
        asked = []
        for size, delta in ((0, 5), (5, -3), (5, -5), (5, -8), (-7, 3), (-7, -1)):
            s, d = size * 10**18, delta * 10**18
            asked.append(contract.call("only_reduces", s, d))
            asked.append(contract.call("fill", s, -s * 99 // 7, d, 100 * 10**18 + 7, 10**16 + 1))
            asked.append(contract.call("fill_price", 10**20 + 3, s, d, 10**21, 700))
        return asked
    finally:
        RevmChain.switch = 0
