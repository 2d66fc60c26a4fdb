"""Campaigns: what has been run is known, what failed is kept, a mistake is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plimsoll.fuzz import campaign, corpus
from plimsoll.fuzz.campaign import Campaign, Progress, Result, main
from plimsoll.fuzz.properties import Books, Mismatch
from plimsoll.fuzz.run import replay

ARGUMENTS = ["--ops", "60", "--run", "20", "--jobs", "1", "--no-ratio"]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(campaign, "KEPT", tmp_path / "kept")
    monkeypatch.setattr(campaign, "CORPUS", tmp_path / "corpus")
    return tmp_path


def test_main__twice__second_time_goes_on(kept, capsys):
    assert main([*ARGUMENTS, "--seed", "3"]) == 0
    told = capsys.readouterr()
    assert "Seeds 3 to 5, 20 operations each; kept in " in told.out
    assert "60 operations, " in told.out and "0 failures" in told.out
    assert "60 of 60 operations" in told.err
    assert main([*ARGUMENTS, "--seed", "3", "--ops", "100"]) == 0
    assert "Seeds 3 to 7, 20 operations each, 3 of them run before" in capsys.readouterr().out
    assert main([*ARGUMENTS, "--seed", "3", "--fresh"]) == 0
    assert "run before" not in capsys.readouterr().out


def test_main__a_property_breaks__cut_down_kept_and_told(kept, monkeypatch, capsys):
    from plimsoll.fuzz import properties

    def no_positions(books: Books) -> str | None:
        return "somebody holds something" if books.positions else None

    monkeypatch.setitem(properties.STATE, "MINE-1", no_positions)
    assert main([*ARGUMENTS, "--seed", "1", "--run", "200", "--ops", "200"]) == 1
    told = capsys.readouterr().out
    assert "seed 1: property MINE-1: somebody holds something" in told
    path = kept / "corpus" / "seed-1.json"
    assert f"kept as {path}" in told
    setup, operations, _ = corpus.load("seed-1", kept / "corpus")
    assert len(operations) <= 4 and operations[-1][0] == "trade"
    report = replay(setup, operations)
    assert isinstance(report.mismatch, Mismatch)
    assert report.mismatch.kind == "property MINE-1"
    # A seed that failed is tried again; now that nothing is wrong, it passes.
    monkeypatch.undo()
    monkeypatch.setattr(campaign, "KEPT", kept / "kept")
    assert main([*ARGUMENTS, "--seed", "1", "--run", "200", "--ops", "200"]) == 0


def test_resume__line_cut_off__the_others_count(kept):
    path = kept / "one.jsonl"
    good = Result(7, 20, 0.5, {"poke: ok": 20}, None)
    bad = Result(8, 20, 0.5, {}, "seed 8: ...")
    path.write_text(
        "".join(json.dumps(r._asdict()) + "\n" for r in (good, bad)) + '{"seed": 9, "op'
    )
    found = Campaign.resume(path)
    assert found.done == {7} and found.operations == 20 and found.rate == 40
    assert found.seeds(6, 81, 20) == [6, 8, 9, 10]


@pytest.mark.parametrize("wrong", [["--ops", "0"], ["--jobs", "-1"], ["--run", "none"], ["--what"]])
def test_main__mistakes__told_with_exit_code_2(kept, wrong, capsys):
    with pytest.raises(SystemExit) as ended:
        main(wrong)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_main__interrupted__says_how_to_go_on(kept, monkeypatch, capsys):
    def stop(task: tuple[int, int]) -> Result:
        raise KeyboardInterrupt

    monkeypatch.setattr(campaign, "run_seed", stop)
    assert main(ARGUMENTS) == 130
    assert "goes on from here" in capsys.readouterr().err


def test_progress__no_terminal__a_line_now_and_then(kept, monkeypatch, capsys):
    state = Campaign(kept / "x")
    progress = Progress(100, 0)
    progress.tell(state)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(campaign, "TOLD_EACH", 0.0)
    state.count(Result(0, 50, 1.0, {}, None))
    progress.tell(state)
    assert "50 of 100 operations" in capsys.readouterr().err


def test_version__another_fuzzer__another_file(monkeypatch):
    now = campaign.version()
    assert now == campaign.version()
    monkeypatch.setattr(campaign, "fingerprint", lambda root: "other contracts")
    assert campaign.version() != now
