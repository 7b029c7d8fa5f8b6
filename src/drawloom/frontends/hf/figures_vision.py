"""What the configurations of image models say: ViT, and the DiT and U-Nets of diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, NonNegativeFloat

from drawloom.errors import Fault
from drawloom.frontends.hf.figures import (
    Count,
    Figures,
    Positive,
    Size,
    must_divide,
    unknown_activation,
)

Pair = Size | Annotated[list[Size], Field(min_length=1, max_length=2)]


def both(size: int | list[int]) -> tuple[int, int]:
    """Return height and width of a size that may be one number."""
    return (size, size) if isinstance(size, int) else (size[0], size[-1])


class Vit(Figures):
    """ViT: an image in patches through an encoder, its first token to classes."""

    hidden_size: Size
    num_hidden_layers: Count
    num_attention_heads: Size
    intermediate_size: Size
    hidden_act: str = "gelu"
    layer_norm_eps: Positive = 1e-12
    image_size: Pair = 224
    patch_size: Pair = 16
    num_channels: Size = 3
    qkv_bias: bool = True
    num_labels: Size | None = None
    id2label: dict[str, Any] | None = None

    @property
    def n_labels(self) -> int:
        """Classes an image may be of; 2 where nothing is said, as in transformers."""
        return self.num_labels or len(self.id2label or ()) or 2

    @property
    def grid(self) -> tuple[int, int]:
        """Patches an image is cut into, down and across."""
        image, patch = both(self.image_size), both(self.patch_size)
        return image[0] // patch[0], image[1] // patch[1]

    def unsupported(self) -> list[Fault]:
        """Return an unknown activation."""
        return unknown_activation("hidden_act", self.hidden_act)

    def conflicts(self) -> list[Fault]:
        """Return heads that do not divide the features."""
        return must_divide(self, "num_attention_heads", "hidden_size")


class Plain(Figures):
    """A configuration of diffusers; options that drawloom does not know must be left plain."""

    model_config = ConfigDict(extra="allow")
    PLAIN: ClassVar[Mapping[str, Any]] = {}

    def unsupported(self) -> list[Fault]:
        """Return the options that are not plain."""
        said = self.model_extra or {}
        return [
            Fault(key, repr(said[key]), repr(plain))
            for key, plain in self.PLAIN.items()
            if key in said and said[key] is not None and said[key] != plain
        ]


class Dit(Plain):
    """DiT of diffusers: latent patches, conditioned on the time and a class."""

    PLAIN: ClassVar[Mapping[str, Any]] = {
        "norm_type": "ada_norm_zero",
        "norm_elementwise_affine": False,
    }

    num_attention_heads: Size = 16
    attention_head_dim: Size = 72
    in_channels: Size = 4
    out_channels: Size | None = None
    num_layers: Count = 28
    attention_bias: bool = True
    sample_size: Size = 32
    patch_size: Size = 2
    activation_fn: str = "gelu-approximate"
    num_embeds_ada_norm: Size = 1000
    norm_eps: Positive = 1e-5

    @property
    def width(self) -> int:
        """Features of a token."""
        return self.num_attention_heads * self.attention_head_dim

    def unsupported(self) -> list[Fault]:
        """Return what is not plain, and an unknown activation."""
        return [*super().unsupported(), *unknown_activation("activation_fn", self.activation_fn)]

    def conflicts(self) -> list[Fault]:
        """Return patches that do not fill the image."""
        return must_divide(self, "patch_size", "sample_size")


class Unet(Plain):
    """UNet2DModel of diffusers: blocks of convolutions down and up again, conditioned on the time."""

    PLAIN: ClassVar[Mapping[str, Any]] = {
        "center_input_sample": False,
        "time_embedding_type": "positional",
        "class_embed_type": None,
        "num_class_embeds": None,
        "resnet_time_scale_shift": "default",
        "mid_block_scale_factor": 1,
        "downsample_type": "conv",
        "upsample_type": "conv",
        "add_attention": True,
        "attn_norm_num_groups": None,
    }
    BLOCKS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D"),
        "mid_block_type": ("UNetMidBlock2D",),
    }

    PER_BLOCK: ClassVar[tuple[str, ...]] = ("attention_head_dim",)

    sample_size: Pair
    in_channels: Size = 3
    out_channels: Size = 3
    block_out_channels: list[Size]
    down_block_types: list[str]
    up_block_types: list[str]
    mid_block_type: str | None = "UNetMidBlock2D"
    layers_per_block: Count = 2
    attention_head_dim: Size | list[Size] | None = 8
    time_embedding_dim: Size | None = None
    freq_shift: NonNegativeFloat = 0
    flip_sin_to_cos: bool = True
    downsample_padding: int = 1
    act_fn: str = "silu"
    norm_num_groups: Size = 32
    norm_eps: Positive = 1e-5

    @property
    def time_width(self) -> int:
        """Features of the time's embedding."""
        return self.time_embedding_dim or 4 * self.block_out_channels[0]

    def heads(self, block: int) -> int:
        """Return the heads of a block's attention; here the figure says a head's width."""
        channels = self.block_out_channels[block]
        said = self.attention_head_dim
        width = said[block] if isinstance(said, list) else said
        return channels // (width or channels)

    def unsupported(self) -> list[Fault]:
        """Return what is not plain, blocks that are not known, and an unknown activation."""
        faults = [*super().unsupported(), *unknown_activation("act_fn", self.act_fn)]
        mids = [] if self.mid_block_type is None else [self.mid_block_type]
        blocks = {
            "down_block_types": self.down_block_types,
            "up_block_types": self.up_block_types,
            "mid_block_type": mids,
        }
        for key, words in blocks.items():
            known = self.BLOCKS[key]
            allowed = "one of " + ", ".join(known)
            faults += [Fault(key, f"'{w}'", allowed) for w in words if w not in known]
        return faults

    def conflicts(self) -> list[Fault]:
        """Return lists of other lengths, channels that groups do not divide, odd images."""
        faults: list[Fault] = []
        n = len(self.block_out_channels)
        for key in ("down_block_types", "up_block_types"):
            if len(getattr(self, key)) != n:
                faults.append(Fault(key, f"{len(getattr(self, key))} words", f"{n} blocks"))
        for channels in self.block_out_channels:
            if channels % self.norm_num_groups:
                allowed = f"multiples of norm_num_groups, {self.norm_num_groups}"
                faults.append(Fault("block_out_channels", str(channels), allowed))
        for key in self.PER_BLOCK:
            count = len(getattr(self, key)) if isinstance(getattr(self, key), list) else n
            if count != n:
                faults.append(Fault(key, f"{count} numbers", f"{n} blocks"))
        if not faults:
            faults += self._head_faults()
        step = 2 ** (n - 1)
        if any(size % step for size in both(self.sample_size)):
            allowed = f"multiples of {step}: halved {n - 1} times"
            faults.append(Fault("sample_size", str(self.sample_size), allowed))
        return faults

    def _head_faults(self) -> list[Fault]:
        faults: list[Fault] = []
        for block, channels in enumerate(self.block_out_channels):
            if not self.heads(block) or channels % self.heads(block):
                allowed = f"what divides the {channels} channels of block {block}"
                faults.append(Fault("attention_head_dim", repr(self.attention_head_dim), allowed))
        return faults


class UnetText(Unet):
    """UNet2DConditionModel of diffusers: conditioned on a text's tokens too."""

    PLAIN: ClassVar[Mapping[str, Any]] = {
        **Unet.PLAIN,
        "only_cross_attention": False,
        "dual_cross_attention": False,
        "encoder_hid_dim": None,
        "encoder_hid_dim_type": None,
        "addition_embed_type": None,
        "num_attention_heads": None,
        "resnet_skip_time_act": False,
        "resnet_out_scale_factor": 1.0,
        "time_embedding_act_fn": None,
        "timestep_post_act": None,
        "time_cond_proj_dim": None,
        "conv_in_kernel": 3,
        "conv_out_kernel": 3,
        "attention_type": "default",
        "class_embeddings_concat": False,
        "mid_block_only_cross_attention": False,
        "cross_attention_norm": None,
        "reverse_transformer_layers_per_block": None,
    }
    BLOCKS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "mid_block_type": ("UNetMidBlock2DCrossAttn",),
    }

    PER_BLOCK: ClassVar[tuple[str, ...]] = ("attention_head_dim", "transformer_layers_per_block")

    in_channels: Size = 4
    out_channels: Size = 4
    mid_block_type: str | None = "UNetMidBlock2DCrossAttn"
    cross_attention_dim: Size = 1280
    transformer_layers_per_block: Count | list[Count] = 1
    use_linear_projection: bool = False

    def heads(self, block: int) -> int:
        """Return the heads of a block's attention; here the figure, in spite of its name, says them."""
        said = self.attention_head_dim
        return (said[block] if isinstance(said, list) else said) or 8

    def transformers(self, block: int) -> int:
        """Return the layers of each transformer in a block."""
        said = self.transformer_layers_per_block
        return said[block] if isinstance(said, list) else said
