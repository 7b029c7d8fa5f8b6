"""What a ``config.json`` says, by its own names: one class a family of models.

A name that transformers or diffusers gives a default has the same default here; a name without one
must stand in the file. ``conflicts`` finds what each value allows and all together do not.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
)

from drawloom.errors import Fault, nearest
from drawloom.frontends.hf.experts import Mixture
from drawloom.frontends.hf.net import ACTIVATIONS
from drawloom.frontends.hf.rope import Rope
from drawloom.graph.dtypes import DType

_FORMATS = {"float32": DType.F32, "float16": DType.F16, "bfloat16": DType.BF16}
Format = Literal["float32", "float16", "bfloat16"]
Size = Annotated[int, Field(gt=0, lt=2**31)]
"""What a dimension may be."""
Count = Annotated[int, Field(gt=0, le=4096)]
"""How many layers or experts there may be."""
Positive = Annotated[float, Field(gt=0)]


def _bare(word: object) -> object:
    """Return ``bfloat16`` for ``torch.bfloat16``; no format is float32."""
    if word is None:
        return "float32"
    return word.removeprefix("torch.") if isinstance(word, str) else word


def _tuple_of(given: object) -> object:
    """Return a list of JSON as a tuple."""
    return tuple(cast("list[object]", given)) if isinstance(given, list) else given


class Figures(BaseModel):
    """What every configuration has; names that no family reads are passed over."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", protected_namespaces=())

    model_type: str
    torch_dtype: Annotated[Format, BeforeValidator(_bare)] = Field(
        "float32", validation_alias=AliasChoices("torch_dtype", "dtype")
    )
    eos_token_id: Annotated[int | tuple[int, ...] | None, BeforeValidator(_tuple_of)] = None

    @property
    def dtype(self) -> DType:
        """The float format of the weights and of what is computed."""
        return _FORMATS[self.torch_dtype]

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end a text."""
        said = self.eos_token_id
        return frozenset(said if isinstance(said, tuple) else () if said is None else (said,))

    def in_format(self, dtype: DType) -> Self:
        """Return the same figures with weights and computation in another float format."""
        word = next(word for word, each in _FORMATS.items() if each is dtype)
        return self.model_copy(update={"torch_dtype": word})

    @property
    def most_positions(self) -> int | None:
        """Positions the model has learnt, where it cannot go beyond them."""
        return None

    def unsupported(self) -> list[Fault]:
        """Return the options that are sound and that drawloom does not know."""
        return []

    def conflicts(self) -> list[Fault]:
        """Return what the values do not allow together."""
        return []


def unknown_activation(key: str, word: str) -> list[Fault]:
    """Return the fault that an activation is none that drawloom knows, if so."""
    return [] if word in ACTIVATIONS else [Fault(key, f"'{word}'", nearest(word, ACTIVATIONS))]


def must_divide(figures: Figures, part: str, whole: str) -> list[Fault]:
    """Return the fault that one figure does not divide another, if so."""
    small, large = int(getattr(figures, part)), int(getattr(figures, whole))
    if large % small == 0:
        return []
    return [Fault(part, str(small), f"a divisor of {whole}, {large}")]


class Decoder(Figures):
    """Llama, and what transformers builds like it: norms before, rotary positions, gated MLP."""

    vocab_size: Size
    hidden_size: Size
    intermediate_size: Size
    num_hidden_layers: Count
    num_attention_heads: Size
    num_key_value_heads: Size | None = None
    head_dim: Size | None = None
    hidden_act: str = "silu"
    max_position_embeddings: Size = 2048
    rms_norm_eps: Positive = 1e-6
    tie_word_embeddings: bool = False
    rope_theta: Positive = 10000.0
    rope_scaling: dict[str, Any] | None = None
    rope_parameters: dict[str, Any] | None = None
    attention_bias: bool = False
    mlp_bias: bool = False
    sliding_window: NonNegativeInt | None = None
    use_sliding_window: bool = False
    max_window_layers: int = 28
    layer_types: list[str] | None = None

    @property
    def n_kv(self) -> int:
        """Heads of keys and values."""
        return self.num_key_value_heads or self.num_attention_heads

    @property
    def width(self) -> int:
        """Numbers in a head's query or key."""
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def rotary_width(self) -> int:
        """Numbers in a head's query or key that turn with the position."""
        return self.width

    @property
    def rope(self) -> Rope:
        """How angles grow with positions."""
        return Rope.read(
            self.rope_parameters or self.rope_scaling,
            self.rope_theta,
            self.max_position_embeddings,
        )

    @property
    def has_qkv_bias(self) -> bool:
        """Whether the query, key and value products have a bias."""
        return self.attention_bias

    @property
    def has_o_bias(self) -> bool:
        """Whether the product after the attention has a bias."""
        return self.attention_bias

    @property
    def has_head_norms(self) -> bool:
        """Whether each head's query and key are normalised."""
        return False

    def window(self, layer: int) -> int | None:
        """Return how many positions back, its own among them, a token of this layer sees."""
        del layer
        return None

    def mixture(self, layer: int) -> Mixture | None:
        """Return the mixture of experts that is this layer's network, if it is one."""
        del layer
        return None

    def unsupported(self) -> list[Fault]:
        """Return an unknown activation or rotary rule."""
        where = "rope_parameters" if self.rope_parameters else "rope_scaling"
        return [*unknown_activation("hidden_act", self.hidden_act), *self.rope.unknown(where)]

    def conflicts(self) -> list[Fault]:
        """Return heads that do not divide, and rotary numbers amiss."""
        faults = [] if self.head_dim else must_divide(self, "num_attention_heads", "hidden_size")
        if self.num_attention_heads % self.n_kv:
            allowed = f"a divisor of num_attention_heads, {self.num_attention_heads}"
            faults.append(Fault("num_key_value_heads", str(self.n_kv), allowed))
        if self.rotary_width % 2 or self.rotary_width < 4:
            faults.append(Fault("head_dim", str(self.rotary_width), "an even number of at least 4"))
        if self.layer_types is not None and len(self.layer_types) != self.num_hidden_layers:
            allowed = f"num_hidden_layers words, {self.num_hidden_layers}"
            faults.append(Fault("layer_types", f"{len(self.layer_types)} words", allowed))
        where = "rope_parameters" if self.rope_parameters else "rope_scaling"
        return [*faults, *self.rope.faults(where)]


class Llama(Decoder):
    """Llama 1 to 3."""


class Mistral(Decoder):
    """Mistral: every layer sees a window, where there is one."""

    sliding_window: NonNegativeInt | None = 4096

    def window(self, layer: int) -> int | None:
        """Return the window, alike for all layers."""
        del layer
        return self.sliding_window or None


class _Qwen(Decoder):
    sliding_window: NonNegativeInt | None = 4096
    max_position_embeddings: Size = 32768

    def window(self, layer: int) -> int | None:
        """Return the window of the layers that have one."""
        if not self.use_sliding_window:
            return None
        if self.layer_types is not None:
            is_windowed = self.layer_types[layer] == "sliding_attention"
        else:
            is_windowed = layer >= self.max_window_layers
        return (self.sliding_window or None) if is_windowed else None


class Qwen2(_Qwen):
    """Qwen 2 and 2.5: biases on query, key and value."""

    @property
    def has_qkv_bias(self) -> bool:
        """Always."""
        return True

    @property
    def has_o_bias(self) -> bool:
        """Never."""
        return False


class Qwen3(_Qwen):
    """Qwen 3: each head's query and key are normalised."""

    head_dim: Size | None = 128

    @property
    def has_head_norms(self) -> bool:
        """Always."""
        return True
