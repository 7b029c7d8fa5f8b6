"""What a graph that was read is called, what it takes and gives, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.frontends.torch.one import arrays_for  # noqa: E402

from drawloom.errors import InputError, Unsupported  # noqa: E402
from drawloom.flow import compile as compile_graph  # noqa: E402
from drawloom.frontends.torch import read_exported, read_module  # noqa: E402
from drawloom.frontends.torch.values import LATE_BYTES  # noqa: E402
from drawloom.graph.evaluate import evaluate  # noqa: E402
from drawloom.graph.lazy import LazyTensor  # noqa: E402
from drawloom.report.layers import by_layer  # noqa: E402


class Net(torch.nn.Module):
    """Two layers under names."""

    def __init__(self) -> None:
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU())
        self.head = torch.nn.Linear(8, 3, bias=False)

    def forward(self, x: Any, scale: Any = None) -> dict[str, Any]:
        hidden = self.body(x)
        logits = self.head(hidden)
        return {"logits": logits if scale is None else logits * scale, "hidden": [hidden, x]}


class Counts(torch.nn.Module):
    """Writes to a buffer and to an argument."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(3))

    def forward(self, x: Any) -> Any:
        self.total.add_(x)
        x.mul_(2.0)
        return self.total * 10


def read(module: Any, *args: Any, **more: Any) -> Any:
    return read_module(module.eval(), args, **more)


def error_of(module: Any, *args: Any, **more: Any) -> str:
    with pytest.raises(InputError) as caught:
        read(module, *args, **more)
    return str(caught.value)


def test_names_are_the_models_own() -> None:
    graph = read(Net(), torch.randn(2, 4), kwargs={"scale": torch.ones(())})
    assert graph.name == "Net"
    assert graph.inputs == ("x", "scale")
    assert graph.outputs == ("logits", "hidden.0", "hidden.1")
    assert set(graph.constants) == {"body.0.weight", "body.0.bias", "head.weight"}
    layers = {node.name: node.layer for node in graph.nodes}
    assert layers["body.0.linear"] == "body.0"
    assert layers["body.1.gelu"] == "body.1"
    assert layers["head.linear"] == "head"


def test_layers_reach_the_report() -> None:
    build = compile_graph(read(Net(), torch.randn(2, 4)), precision="f32")
    names = {layer.name for layer in by_layer(build.time()).layers}
    assert {"body.0", "body.1", "head"} <= names


def test_a_program_that_was_saved_is_read(tmp_path: Any) -> None:
    x = torch.randn(2, 4)
    program = torch.export.export(Net().eval(), (x,))
    torch.export.save(program, tmp_path / "net.pt2")
    graph = read_exported(torch.export.load(tmp_path / "net.pt2"))
    made = evaluate(graph, arrays_for(graph, [x]))
    wanted = program.module()(x)["logits"].detach().numpy()
    assert np.abs(made["logits"] - wanted).max() < 1e-6


def test_what_is_written_to_is_an_input_and_an_output() -> None:
    graph = read(Counts(), torch.ones(3))
    assert graph.inputs == ("total", "x")
    assert graph.outputs == ("output", "total.new", "x.new")
    before = {"total": np.full(3, 5, np.float32), "x": np.array([1, 2, 3], np.float32)}
    made = evaluate(graph, before)
    assert made["total.new"].tolist() == [6, 7, 8]
    assert made["x.new"].tolist() == [2, 4, 6]
    assert made["output"].tolist() == [60, 70, 80]


def test_one_weight_under_two_names_is_one_constant() -> None:
    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Embedding(7, 4)
            self.head = torch.nn.Linear(4, 7, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, ids: Any) -> Any:
            return self.head(self.embed(ids))

    graph = read(Tied(), torch.tensor([[1, 2]]))
    assert len(graph.constants) == 1


def test_weights_on_meta_have_no_values() -> None:
    with torch.device("meta"):
        model = torch.nn.Linear(1 << 14, 1 << 14, dtype=torch.bfloat16)
        x = torch.zeros(1, 1 << 14, dtype=torch.bfloat16)
    graph = read(model, x)
    assert all(graph.constants.is_meta(name) for name in graph.constants)
    assert graph.types["weight"].text() == "bf16[16384,16384]"


def test_large_weights_are_read_late() -> None:
    wide = LATE_BYTES // 4
    graph = read(torch.nn.Linear(wide, 1), torch.zeros(1, wide))
    assert isinstance(graph.constants.held["weight"], LazyTensor)
    assert isinstance(graph.constants.held["bias"], np.ndarray)


def test_a_symbolic_dim_needs_a_number() -> None:
    shapes = {"x": {0: torch.export.Dim("rows", min=2, max=9)}}
    text = error_of(Net(), torch.randn(4, 4), dynamic_shapes=shapes)
    word = text.split("symbolic dim ")[1].split(" ")[0]
    assert text == (
        "error[torch.inputs]: inputs of model 'Net' are not settled\n"
        f"  input 'x' dim 0: symbolic dim {word} (give it a number: dims={{'{word}': ...}})"
    )
    graph = read(Net(), torch.randn(4, 4), dynamic_shapes=shapes, dims={word: 7})
    assert graph.types["logits"].shape == (7, 3)
    text = error_of(Net(), torch.randn(4, 4), dynamic_shapes=shapes, dims={word: 11})
    assert text.endswith(f"input 'x' dim 0: {word}=11 (from 2 to 9)")


def test_all_that_cannot_be_read_is_listed_at_once() -> None:
    class Odd(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            y = torch.linalg.qr(x)[0]
            return y + torch.rand_like(y), torch.fft.fft(x).real

    class Many(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList([Odd(), Odd(), Odd()])

        def forward(self, x: Any) -> Any:
            return [layer(x) for layer in self.layers]

    assert error_of(Many(), torch.randn(3, 3)).splitlines() == [
        "error[torch.nodes]: 12 calls of model 'Many' cannot be read",
        "  layers.* (aten.linalg_qr, 3 times): no such operator here",
        "  layers.* (aten.rand_like, 3 times): no such operator here (random values have no place "
        "in inference; model.eval(), or pass them as an input)",
        "  layers.* (aten._fft_r2c, 3 times): no such operator here (complex numbers are not "
        "computed here; use their real and imaginary parts)",
        "  layers.* (aten.view_as_real, 3 times): no such operator here (complex numbers are not "
        "computed here; use their real and imaginary parts)",
    ]


def test_a_model_in_training_mode_says_so() -> None:
    with pytest.raises(Unsupported) as caught:
        read_module(torch.nn.Dropout(0.5).train(), (torch.ones(3),))
    assert "train=True with p=0.5 (model.eval() before export)" in str(caught.value)


def test_an_input_of_a_type_that_there_is_not_is_named() -> None:
    text = error_of(torch.nn.Identity(), torch.zeros(2, dtype=torch.complex64))
    assert text.splitlines()[0] == "error[torch.inputs]: inputs of model 'Identity' are not settled"
    assert "input 'input': element type complex64 (one of float64, float32" in text


@pytest.mark.slow
def test_llama_3_8b_is_read_from_its_shape_alone() -> None:
    pytest.importorskip("transformers")
    from transformers import LlamaConfig, LlamaForCausalLM

    # Source: config.json of Llama 3 8B, as published with the model.
    config = LlamaConfig(
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        vocab_size=128256,
        rope_parameters={"rope_theta": 500000.0, "rope_type": "default"},
        max_position_embeddings=8192,
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(config).to(torch.bfloat16)
        ids = torch.zeros(1, 512, dtype=torch.long)
    graph = read(model, ids, kwargs={"use_cache": False})
    weights = [n for n in graph.constants if n.endswith("weight")]
    # 32 x (4 attention + 3 feed-forward + 2 norms) + embedding + norm + head
    assert len(weights) == 32 * 9 + 3
    assert all(graph.constants.is_meta(n) for n in weights)
    # Source: 8.03 B parameters, as published with the model.
    assert sum(graph.types[n].size for n in weights) == 8_030_261_248
    ops = [node.op for node in graph.nodes]
    assert (ops.count("Attention"), ops.count("MatMul"), ops.count("Silu")) == (32, 32 * 7 + 1, 32)
    assert graph.types["logits"].text() == "bf16[1,512,128256]"
