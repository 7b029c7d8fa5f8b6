"""The questions of benchmarks/peers.py can be asked; how quick they are is not tested here."""

from __future__ import annotations

import pytest
from benchmarks.measures import peers
from benchmarks.measures.questions import QUESTIONS, Question


def test_every_question_has_what_answers_it() -> None:
    assert {question.name for question in QUESTIONS} == {
        name.removesuffix(peers.MORE) for name in peers.ASKED
    }


@pytest.mark.parametrize(
    ("name", "unit"), [("gpt3-layer", "layer_ms"), ("gpt3-6.7b-block", "block_ms")]
)
def test_a_question_without_a_model_file_is_answered(name: str, unit: str) -> None:
    answer = peers.ASKED[name]("")
    assert answer[unit] > 0


def test_a_layer_takes_at_least_its_products_at_the_peak() -> None:
    tokens, width, gpus = 8 * 2048, 12288, 4
    products = 2 * tokens * 12 * width**2 / gpus / 312e12
    assert peers.ASKED["gpt3-layer"]("")["layer_ms"] > 1e3 * products


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda each: each.name)
def test_each_answer_of_a_peer_has_one_of_ours_beside_it(question: Question) -> None:
    assert question.beside
    if question.model:
        return  # reading a model takes long
    found = peers.ASKED[question.name]("") | peers.ASKED[f"{question.name}{peers.MORE}"]("")
    assert {each.key for each in question.beside} <= set(found)


def test_two_convolutions_are_as_near_as_the_page_says() -> None:
    ours = peers.ASKED["resnet18-four-cores-parts"]("")["two_convolutions_cycles"]
    theirs = {each.key: each.value for q in QUESTIONS for each in q.beside}
    assert ours / theirs["two_convolutions_cycles"] == pytest.approx(1.04, abs=0.005)
