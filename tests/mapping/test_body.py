"""Bodies: results go straight to the format in which they are wanted."""

from __future__ import annotations

from drawloom.mapping.body import BodyBuilder


def steps(body: BodyBuilder, stored: str) -> list[tuple[str, str, str]]:
    done = body.finish(((stored, "y"),))
    return [(s.op, done.slot(s.a).fmt, done.slot(s.dst).fmt) for s in done.steps]


def test_a_conversion_of_what_nothing_else_reads_is_no_step() -> None:
    body = BodyBuilder()
    x = body.convert(body.load("x", "full", "f16"), "f32")
    y = body.convert(body.op("mul", x, body.op("sigmoid", x)), "f16")
    assert steps(body, y) == [
        ("convert", "f16", "f32"),
        ("sigmoid", "f32", "f32"),
        ("mul", "f32", "f16"),
    ]


def test_what_something_else_reads_keeps_its_format() -> None:
    body = BodyBuilder()
    x = body.op("square", body.load("x", "full", "f32"))
    narrow = body.convert(x, "f16")
    y = body.op("mul", narrow, body.convert(body.op("abs", x), "f16"))
    assert [step[0] for step in steps(body, y)] == ["square", "convert", "abs", "mul"]


def test_whole_numbers_are_converted_as_they_were() -> None:
    body = BodyBuilder()
    y = body.convert(body.op("trunc", body.load("x", "full", "f32")), "i32")
    assert [step[0] for step in steps(body, y)] == ["trunc", "convert"]
