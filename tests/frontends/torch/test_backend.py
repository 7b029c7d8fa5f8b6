"""torch.compile on the chip: the program's values, graph breaks, new shapes, changed weights."""

from __future__ import annotations

import copy
from importlib.metadata import entry_points
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from drawloom.errors import InputError, Unsupported  # noqa: E402
from drawloom.report.layers import by_layer  # noqa: E402
from drawloom.torch_backend import TorchBackend  # noqa: E402

UNITS = 2.0**-18
"""Of the largest value: what a few layers of f32 may differ between two orders of summing."""


class Small(torch.nn.Module):
    """Linear layers, norms, attention; a buffer that counts the calls."""

    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.SiLU())
        self.norm = torch.nn.LayerNorm(8)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Any) -> Any:
        y = self.norm(self.up(x))
        q = y.view(1, -1, 2, 4).transpose(1, 2)
        y = torch.nn.functional.scaled_dot_product_attention(q, q, q, is_causal=True)
        self.calls.add_(1)
        return y, x.view(-1)


def compiled(model: Any, **options: Any) -> tuple[Any, TorchBackend]:
    torch._dynamo.reset()
    backend = TorchBackend(**options)
    return torch.compile(copy.deepcopy(model), backend=backend), backend


def need_close(found: Any, wanted: Any) -> None:
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert found.stride() == wanted.stride()
    if wanted.dtype.is_floating_point:
        assert (found - wanted).abs().max() <= UNITS * wanted.abs().max()
    else:
        assert torch.equal(found, wanted)


def test_the_entry_point_leads_to_the_backend() -> None:
    import drawloom.torch_backend

    # Only an installed drawloom has entry points; its own file says the same.
    found = {e.value for e in entry_points(group="torch_dynamo_backends") if e.name == "drawloom"}
    assert found <= {"drawloom.torch_backend:backend"}
    torch._dynamo.reset()
    model = torch.compile(torch.nn.Linear(3, 2), backend=drawloom.torch_backend.backend)
    x = torch.randn(4, 3)
    with torch.no_grad():
        need_close(model(x), torch.nn.functional.linear(x, model.weight, model.bias))


def test_programs_are_made_for_shapes_and_kept() -> None:
    eager = Small().eval()
    model, backend = compiled(eager)
    with torch.no_grad():
        for rows, programs in ((5, 1), (7, 2), (9, 3), (7, 3)):
            x = torch.randn(rows, 3)
            for found, wanted in zip(model(x), eager(x), strict=True):
                need_close(found, wanted)
            assert len(backend.builds) == programs
    assert torch.equal(model.calls, torch.tensor([4.0]))


def test_attention_and_norms_stay_whole_and_layers_are_named() -> None:
    model, backend = compiled(Small().eval())
    with torch.no_grad():
        model(torch.randn(5, 3))
    (build,) = backend.builds
    ops = [node.op for node in build.source.nodes]
    assert (ops.count("Attention"), ops.count("LayerNormalization"), ops.count("Silu")) == (1, 1, 1)
    assert {"up.0", "up.1", "norm"} <= {node.layer for node in build.source.nodes}
    assert {"up.0.weight", "up.0.bias", "norm.weight"} <= set(build.source.constants)
    assert {"up.0", "norm"} <= {layer.name for layer in by_layer(build.time()).layers}


def test_a_changed_weight_is_seen() -> None:
    eager = torch.nn.Linear(3, 2)
    model, _ = compiled(eager)
    x = torch.randn(4, 3)
    with torch.no_grad():
        model(x)
        for weights in (model.weight, eager.weight):
            weights.mul_(2.0)
        need_close(model(x), eager(x))
        model.weight.data = torch.ones(2, 3)
        eager.weight.data = torch.ones(2, 3)
        need_close(model(x), eager(x))


def test_a_branch_on_data_breaks_the_graph() -> None:
    def branch(x: Any) -> Any:
        y = torch.relu(x) + 1.0
        if y.sum() > 100.0:
            return y * 2.0
        return y - 3.0

    model, backend = compiled(branch)
    with torch.no_grad():
        for x in (torch.ones(4, 4), torch.full((4, 4), 10.0)):
            need_close(model(x), branch(x))
    assert len(backend.builds) >= 3


def test_a_print_in_the_middle_breaks_the_graph(capsys: pytest.CaptureFixture[str]) -> None:
    def talks(x: Any) -> Any:
        y = torch.exp(x)
        print("half way")
        return y + y.mean()

    model, backend = compiled(talks)
    x = torch.randn(3, 5)
    with torch.no_grad():
        need_close(model(x), talks(x))
    assert len(backend.builds) == 2
    assert "half way" in capsys.readouterr().out


def test_an_argument_that_is_written_to_is_changed() -> None:
    def puts(cache: Any, place: Any, row: Any) -> Any:
        cache[:, place] = row
        return cache.sum(0)

    model, _ = compiled(puts)
    caches = [torch.zeros(2, 6), torch.zeros(2, 6)]
    with torch.no_grad():
        for step in range(2):
            given = torch.tensor([step]), torch.full((2, 1), step + 1.0)
            need_close(model(caches[0], *given), puts(caches[1], *given))
            assert torch.equal(caches[0], caches[1])


def test_whole_numbers_and_truth_values_are_exact() -> None:
    def counts(x: Any, y: Any) -> Any:
        return x * 3 - y, x // 2, x > y, x.argmax(-1), torch.arange(3)

    model, _ = compiled(counts)
    given = torch.randint(-9, 9, (4, 5)), torch.randint(-9, 9, (5,))
    with torch.no_grad():
        for found, wanted in zip(model(*given), counts(*given), strict=True):
            need_close(found, wanted)


def test_half_precision_is_an_option() -> None:
    eager = torch.nn.Linear(16, 8)
    torch._dynamo.reset()
    backend = TorchBackend()
    model = torch.compile(eager, backend=backend, options={"precision": "f16"})
    x = torch.randn(4, 16)
    with torch.no_grad():
        found, wanted = model(x), eager(x)
    assert backend.builds[0].options.precision == "f16"
    assert found.dtype == torch.float32
    assert 0 < (found - wanted).abs().max() < 2.0**-7 * wanted.abs().max()


def failure(function: Any, *args: Any) -> BaseException:
    """The error of drawloom's own behind the one that Dynamo wraps it in."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        function(*args)
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or getattr(error, "inner_exception", None)
    assert error is not None, caught.value
    return error


def test_gradients_are_refused() -> None:
    model, _ = compiled(torch.nn.Linear(3, 2))
    error = failure(model, torch.randn(4, 3))
    assert isinstance(error, Unsupported)
    assert str(error) == (
        "error[torch.gradients]: drawloom computes no gradients\n"
        "  gradients: an input or a parameter wants one (torch.no_grad())"
    )


def test_doubles_are_refused() -> None:
    model, _ = compiled(lambda x: x + 1)
    error = failure(model, torch.zeros(3, dtype=torch.float64))
    assert str(error) == (
        "error[torch.inputs]: double precision is not computed here\n"
        "  'arg0_1': float64 (float32 or narrower)\n"
        "  'add': float64 (float32 or narrower)"
    )


def test_an_option_that_is_misspelt_is_named() -> None:
    torch._dynamo.reset()
    model = torch.compile(lambda x: x + 1, backend=TorchBackend(), options={"precison": "f16"})
    error = failure(model, torch.zeros(3))
    assert str(error) == (
        "error[torch.options]: there are no such options\n"
        "  precison: 'f16' (did you mean 'precision'?)"
    )


def test_what_cannot_be_read_is_refused_by_name() -> None:
    model, _ = compiled(lambda x: torch.linalg.qr(x)[0])
    error = failure(model, torch.randn(3, 3))
    assert isinstance(error, Unsupported)
    assert "aten.linalg_qr" in str(error)


@pytest.mark.slow
def test_a_llama_generates_the_same_tokens() -> None:
    pytest.importorskip("transformers")
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=96,
        vocab_size=100,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config).eval()
    ids = torch.randint(1, 100, (1, 8))
    wanted = model.generate(ids, max_new_tokens=5, do_sample=False)
    torch._dynamo.reset()
    backend = TorchBackend()
    model.forward = torch.compile(model.forward, backend=backend)
    found = model.generate(ids, max_new_tokens=5, do_sample=False)
    assert torch.equal(found, wanted)
    # prefill, then one program for each length of the cache
    assert len(backend.builds) == 5
    layers = {node.layer for node in backend.builds[-1].source.nodes}
    assert {"model.layers.1.self_attn.q_proj", "model.layers.0.mlp.down_proj", "lm_head"} <= layers
