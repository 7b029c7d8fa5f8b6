"""What ``compare`` and ``chips`` print and write."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from drawloom import cli
from drawloom.compare.run import Load, compare
from drawloom.compare.words import figures_text, span_text
from drawloom.report.compared import compared
from drawloom.report.rooflines import rooflines

Ran = tuple[int, str, str]
Line = Callable[..., Ran]


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["drawloom", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


def as_json(ran: Ran) -> Any:
    code, out, err = ran
    assert (code, err) == (0, "")
    return json.loads(out)


def test_the_table_has_a_line_a_machine_and_what_each_rests_on(line: Line) -> None:
    code, out, err = line("compare", "llama-3-8b", "--on", "h200,sn40l,r200", "--explain")
    assert (code, err) == (0, "")
    assert "serving.tpot +-7%" in out
    assert "bound only" in out
    assert "bound only: there is no chip file" in out
    assert "does not fit" in out
    assert "it cannot be the soonest" in out
    assert "no public price" in out


def test_json_has_every_figure_with_its_ends(line: Line) -> None:
    made = as_json(line("compare", "llama-3-8b", "--on", "h200,sn40l,r200", "--json"))
    h200, bound, none = made
    assert (h200["machine"], h200["is_bound"], h200["validated"]) == (
        "h200", False, ["serving.tpot.vllm", "serving.ttft.vllm"],
    )  # fmt: skip
    for name in ("first_token_s", "token_s", "tokens_per_s", "usd_per_million_tokens"):
        assert h200[name]["low"] <= h200[name]["value"] <= h200[name]["high"]
    roof = h200["roofline"]
    assert [each["pass"] for each in roof["passes"]] == ["a token", "a prompt"]
    for each in roof["passes"]:
        ceiling = each["operations_per_byte"] * roof["memory_bytes_per_s"]
        assert each["operations_per_s"] <= min(roof["peak_operations_per_s"], ceiling)
    assert (bound["is_bound"], bound["token_s"]["value"]) == (True, None)
    assert (bound["usd_per_million_tokens"], bound["price_source"]) == (None, "no public price")
    assert (none["fits"], none["token_s"]) == (False, None)
    assert "needs  16.4 GB" in none["why_not"]


def test_faults_are_told_together(line: Line) -> None:
    code, out, err = line("compare", "gpt2", "--on", "h200", "--phase", "serf", "--in", "0")
    assert (code, out) == (1, "")
    assert err == (
        "error[compare.ask]: this cannot be compared\n"
        "  phase: 'serf' (did you mean 'serve'?)\n"
        "  in: 0 (from 1 to 1,048,576)\n"
    )
    code, _, err = line("compare", "gpt2", "--on", "h200,tpu_v5", "--batch", "1,two")
    assert (code, "'two'" in err) == (1, True)


def test_a_page_is_written_with_pictures_of_all_machines(line: Line, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    words = ("compare", "llama-3-8b", "--on", "h200,tpu_v6e-2,r200x4,r200", "--page", path)
    assert line(*words)[0] == 0
    text = path.read_text(encoding="utf-8")
    assert text.count("<svg") == 8  # the sign, five charts, needs, rooflines
    assert "$" not in text.split("</style>")[1].split("million")[0]
    for word in ("h200", "tpu_v6e-2", "r200x4", "not validated", "serving.tpot.vllm"):
        assert word in text
    assert "http" not in text.split("<body>")[0]


def test_pictures_are_sound_where_figures_are_unknown() -> None:
    answers = compare("llama-3-8b", "r200x4,tt_p150,metax_c588x8", Load(phase="decode"))
    page = compared(answers)
    assert "not known" in page
    for each in answers[:1]:
        assert span_text(each.token, 1e3) in page  # the bar in words beside the picture's
    nothing = answers[2]
    assert nothing.token is not None
    assert not nothing.token.is_known
    assert figures_text(nothing)["rate"] == figures_text(nothing)["token"] == "?"
    picture = ElementTree.fromstring(rooflines(answers))
    names = [each.text for each in picture.iter() if each.tag.endswith("text")]
    words = " ".join(name for name in names if name)
    assert "circle: a token's pass" in words
    # A token of r200x4; the p150 has no roof, and nothing is known of the C588.
    assert sum(each.tag.endswith("circle") for each in picture.iter()) == 1
    assert "r200x4" in names
    assert "tt_p150" not in names  # neither its bf16 nor its fp16 peak is public
    assert rooflines([each for each in answers if "p150" in each.machine.label]).startswith("<p")


def test_chips_are_listed_and_put_beside_each_other(line: Line) -> None:
    made = as_json(line("chips", "--json"))
    assert {"mlu270", "tsingmicro_tx81", "wse3"} <= {each["chip"] for each in made}
    rows = {
        row["number"]: row
        for row in as_json(line("chips", "diff", "mlu270", "mlu370_x4", "--json"))
    }
    assert rows["peak_int8"]["ratio"] == "2 x"
    assert rows["memory_rate"]["ratio"] == "3 x"
    assert rows["memory"]["ratio"] == "1.2..2 x"
    assert rows["year"]["ratio"] is None
    code, out, _ = line("chips", "diff", "mlu270", "mlu370_x4")
    assert code == 0
    assert "12..20 GB" in out


def test_a_datasheet_is_shown_with_sources_and_what_is_unknown(line: Line) -> None:
    made = as_json(line("chips", "show", "tpu_v5e", "--json"))
    assert made["numbers"]["power"]["text"] == "unknown"
    assert made["numbers"]["sram"]["text"] == "48..128 MiB"
    assert all(number["source"] for number in made["numbers"].values())
    code, out, _ = line("chips", "show", "mlu590")
    assert code == 0
    assert "256..512 TFLOPS" in out
