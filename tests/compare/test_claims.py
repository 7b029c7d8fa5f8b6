"""Claims: files with clear errors, and verdicts with arithmetic that can be followed by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drawloom.cli.claims import judge_claims
from drawloom.compare import claims
from drawloom.compare.claim import load_claim, parse_claim
from drawloom.compare.claims import CLAIMS
from drawloom.compare.verdict import ABOVE, ONLY_IF, REACHABLE, Verdict, judge
from drawloom.errors import InputError

FOLDER = Path(claims.__file__).parent
WORDS = {
    "mlu370_peak": REACHABLE,
    "mlu370_twice_mlu270": REACHABLE,
    "r200_100b": ONLY_IF,
    "r200_over_gpu": ONLY_IF,
    "tx81_energy": ONLY_IF,
    "tx81_cost": ONLY_IF,
    "tx81_deepseek": REACHABLE,
    "tx81_links": ONLY_IF,
}
PEAK = """\
name: made
statement: it reaches a lot
system: mlu370_x4
workload: none
source: nobody
check: {kind: peak, number: 300 TOPS, figure: peak_int8}
"""


def results(verdict: Verdict) -> dict[str, str]:
    return {line.what.strip(): line.result for line in verdict.arithmetic}


def test_the_folder_and_the_list_agree() -> None:
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(CLAIMS) == set(WORDS)


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_gets_its_verdict_with_arithmetic(name: str) -> None:
    claim = load_claim(name)
    verdict = judge(claim)
    assert (claim.name, verdict.word) == (name, WORDS[name])
    assert claim.source
    assert verdict.conditions
    assert all(line.what and line.how and line.result for line in verdict.arithmetic)


def test_four_r200_need_94_percent_of_their_peak_and_234_sequences() -> None:
    verdict = judge(load_claim("r200_100b"))
    lines = results(verdict)  # of the last chip and form tried: R200-8F in 8 bits
    assert lines["most tokens/s by products"] == "5,120; 4,800 are 94%"
    assert lines["least batch by memory"] == "234 sequences, 48.8 ms a step"
    assert lines["cache"] == "85,449 tokens, 365 a sequence"
    ruled_out = [text for text in verdict.conditions if text.startswith("not with")]
    assert len(ruled_out) == 3  # the card of 16 GB, and 16 bits on either
    assert "weights of 100 GB are more than the memories' 64 GB" in ruled_out[1]


def test_deepseek_takes_42_gb_of_each_of_32_chips() -> None:
    lines = results(judge(load_claim("tx81_deepseek")))
    assert lines["16-bit weights"] == "1,342.1 GB, 41.9 GB a chip"
    # 36.6 G active weights of 2 bytes over 32 x 200 GB/s.
    arithmetic = judge(load_claim("tx81_deepseek")).arithmetic
    assert next(line.result for line in arithmetic if "least time" in line.what) == "11.4 ms"


def test_a_switch_with_ports_of_all_links_is_quicker_and_one_with_ports_of_one_is_not_always() -> (
    None
):
    verdict = judge(load_claim("tx81_links"))
    wide = [line for line in verdict.arithmetic if "4 x 25" in line.how]
    narrow = [line for line in verdict.arithmetic if "1 x 25" in line.how]
    assert all(float(line.result.split()[0]) > 1 for line in wide)
    assert any(float(line.result.split()[0]) < 1 for line in narrow)


@pytest.mark.parametrize(
    ("said", "word"), [("256 TOPS", REACHABLE), ("300 TOPS", ABOVE), ("100 TOPS", REACHABLE)]
)
def test_a_peak_is_held_to_the_datasheet(said: str, word: str) -> None:
    assert judge(parse_claim(PEAK.replace("300 TOPS", said))).word == word


def test_a_peak_that_nobody_states_is_reachable_only_if_it_is_so() -> None:
    verdict = judge(parse_claim(PEAK.replace("mlu370_x4", "metax_c550")))
    assert verdict.word == ONLY_IF
    assert verdict.conditions == (
        "peak_int8 of 'metax_c550' is 300 TOPS: no source says what it is",
    )


def test_all_faults_of_a_claim_are_told() -> None:
    text = (
        PEAK.replace("mlu370_x4", "mlu37_x4").replace("300 TOPS", "300").replace("source", "sauce")
    )
    with pytest.raises(InputError) as raised:
        parse_claim(text.replace("figure: peak_int8", "figure: peak_int9"), "made.yaml")
    assert raised.value.text() == (
        "error[claims.file]: 5 faults in made.yaml\n"
        "  made.yaml:1: source missing (who says so)\n"
        "  made.yaml:3 system (mlu37_x4: did you mean 'mlu370_x4'?)\n"
        "  made.yaml:5 sauce (did you mean 'source'?)\n"
        "  made.yaml:6 check.number: '300' (operations a second such as 256 TOPS; units GFLOPS, "
        "GOPS, TFLOPS, TOPS, PFLOPS, POPS)\n"
        "  made.yaml:6 check.figure (peak_int9: did you mean 'peak_int8'?)"
    )
    with pytest.raises(InputError, match="one of peak, ratio, throughput"):
        parse_claim(PEAK.replace("kind: peak", "kind: peek"))
    with pytest.raises(InputError, match="did you mean 'tx81_links'"):
        load_claim("tx81_link")


def test_the_command_prints_verdicts_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    judge_claims(["mlu370_peak"])
    out = capsys.readouterr().out
    assert "MLU370 reaches 256 TOPS in INT8" in out
    assert "417 a byte of memory" in out
    judge_claims(["mlu370_peak", "tx81_deepseek"], as_json=True)
    made = json.loads(capsys.readouterr().out)
    assert [(each["claim"], each["verdict"]) for each in made] == [
        ("mlu370_peak", REACHABLE), ("tx81_deepseek", REACHABLE),
    ]  # fmt: skip
