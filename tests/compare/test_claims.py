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
    verdict = judge(claim, has_plans=False)
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
    verdict = judge(load_claim("tx81_deepseek"), has_plans=False)
    assert results(verdict)["16-bit weights"] == "1,342.1 GB, 41.9 GB a chip"
    # 36.6 G active weights of 2 bytes over 32 x 200 GB/s.
    assert (
        next(line.result for line in verdict.arithmetic if "least time" in line.what) == "11.4 ms"
    )


CAPACITY = """\
name: made
statement: chips hold a model
system: tsingmicro_tx81
workload: none
source: nobody
check: {kind: capacity, number: 2, model: MODEL, context: 64, plan: SYSTEM}
"""


@pytest.mark.slow
def test_a_model_that_chips_are_said_to_hold_is_planned_on_them(tmp_path: Path) -> None:
    config = {"model_type": "llama", "vocab_size": 512, "hidden_size": 256, "intermediate_size": 512,
              "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
              "torch_dtype": "bfloat16"}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    text = CAPACITY.replace("MODEL", f"'{tmp_path}'").replace("SYSTEM", "rex1032")
    steps: list[str] = []
    verdict = judge(parse_claim(text), tell=steps.append)
    assert verdict.word == REACHABLE
    assert steps
    planned = [each for each in verdict.conditions if each.startswith("planned on 'rex1032'")]
    assert len(planned) == 2  # 16 and 8 bits
    lines = [line for line in verdict.arithmetic if line.what.startswith("plan, ")]
    assert all(line.result.endswith("ms a token of one sequence") for line in lines)
    held = next(line for line in verdict.arithmetic if line.what == "  held to")
    assert "tx81.commands" in held.how


@pytest.mark.slow
def test_32_chips_hold_deepseek_in_a_plan_of_either_form() -> None:
    verdict = judge(load_claim("tx81_deepseek"))
    assert verdict.word == REACHABLE
    planned = [each for each in verdict.conditions if each.startswith("planned on 'rex1032'")]
    assert len(planned) == 2


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
    judge_claims(["mlu370_peak", "tx81_deepseek"], plans=False, as_json=True)
    made = json.loads(capsys.readouterr().out)
    assert [(each["claim"], each["verdict"]) for each in made] == [
        ("mlu370_peak", REACHABLE), ("tx81_deepseek", REACHABLE),
    ]  # fmt: skip
