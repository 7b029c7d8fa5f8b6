"""U-Nets of diffusers: a noisy image and the time, and a text's tokens, to what the noise is."""

from __future__ import annotations

from dataclasses import dataclass

from drawloom.frontends.hf.dit import embedded_time, time_waves
from drawloom.frontends.hf.figures_vision import Unet, UnetText, both
from drawloom.frontends.hf.net import Net
from drawloom.frontends.hf.request import Request
from drawloom.graph.dtypes import DType

TEXT_TOKENS = 77
"""Tokens of the text that conditions a U-Net, unless the request says another number.

Source: the context length of CLIP's text encoder, whose output diffusers' pipelines feed in.
"""


@dataclass(frozen=True, slots=True)
class Given:
    """What all blocks read: the time's embedding after its activation, and the text's tokens."""

    time: str
    text: str


def unet(net: Net, figures: Unet, request: Request) -> None:
    """Build the graph of a U-Net: ``sample``, ``timestep`` (and a text's tokens) to ``out_sample``."""
    size = both(figures.sample_size)
    x = net.input("sample", net.dtype, request.batch, figures.in_channels, *size)
    given = _given(net, figures, request)
    channels = figures.block_out_channels
    x = _conv3(net, x, "conv_in", channels[0])
    skips = [x]
    for i, word in enumerate(figures.down_block_types):
        x = _down(net, figures, given, word, i, x, skips)
    if figures.mid_block_type is not None:
        x = _middle(net, figures, given, x)
    for i, word in enumerate(figures.up_block_types):
        x = _up(net, figures, given, word, i, x, skips)
    x = net.group_norm(x, "conv_norm_out", figures.norm_num_groups, figures.norm_eps)
    x = net.activation(x, figures.act_fn, "conv_act")
    weight = net.weights.plain("conv_out.weight", (figures.out_channels, channels[0], 3, 3))
    bias = net.weights.plain("conv_out.bias", (figures.out_channels,))
    net.out("Conv", (x, weight, bias), "conv_out", "", "out_sample", pads=(1, 1, 1, 1))


def _given(net: Net, figures: Unet, request: Request) -> Given:
    time = net.input("timestep", DType.F32, request.batch)
    text = ""
    if isinstance(figures, UnetText):
        tokens = request.tokens or TEXT_TOKENS
        shape = (request.batch, tokens, figures.cross_attention_dim)
        text = net.input("encoder_hidden_states", net.dtype, *shape)
    width, flip = figures.block_out_channels[0], figures.flip_sin_to_cos
    waves = time_waves(net, time, width, shift=figures.freq_shift, cos_first=flip)
    embedded = embedded_time(net, waves, "time_embedding", figures.time_width)
    return Given(net.activation(embedded, figures.act_fn, "time_embedding.out"), text)


def _conv3(net: Net, x: str, module: str, channels: int) -> str:
    return net.conv(x, module, channels, (3, 3), pads=(1, 1, 1, 1))


def _down(
    net: Net, figures: Unet, given: Given, word: str, i: int, x: str, skips: list[str]
) -> str:
    module, channels = f"down_blocks.{i}", figures.block_out_channels
    for j in range(figures.layers_per_block):
        x = _resnet(net, figures, given, x, f"{module}.resnets.{j}", channels[i])
        x = _attended(net, figures, given, word, i, x, f"{module}.attentions.{j}")
        skips.append(x)
    if i < len(channels) - 1:
        x = _halved(net, figures, x, f"{module}.downsamplers.0.conv")
        skips.append(x)
    return x


def _middle(net: Net, figures: Unet, given: Given, x: str) -> str:
    channels, word = figures.block_out_channels, figures.mid_block_type
    assert word is not None
    x = _resnet(net, figures, given, x, "mid_block.resnets.0", channels[-1])
    last = len(channels) - 1
    x = _attended(net, figures, given, word, last, x, "mid_block.attentions.0")
    return _resnet(net, figures, given, x, "mid_block.resnets.1", channels[-1])


def _up(net: Net, figures: Unet, given: Given, word: str, i: int, x: str, skips: list[str]) -> str:
    module, last = f"up_blocks.{i}", len(figures.block_out_channels) - 1
    block = last - i
    channels = figures.block_out_channels[block]
    for j in range(figures.layers_per_block + 1):
        x = net.add("Concat", (x, skips.pop()), f"{module}.resnets.{j}", "skip", axis=1)
        x = _resnet(net, figures, given, x, f"{module}.resnets.{j}", channels)
        x = _attended(net, figures, given, word, block, x, f"{module}.attentions.{j}")
    if block:
        x = _doubled(net, x, f"{module}.upsamplers.0")
    return x


def _halved(net: Net, figures: Unet, x: str, module: str) -> str:
    """A convolution of stride 2; padded by 0 it takes a row and a column behind."""
    channels, pad = net.shape(x)[1], figures.downsample_padding
    pads = (pad,) * 4 if pad else (0, 0, 1, 1)
    return net.conv(x, module, channels, (3, 3), strides=(2, 2), pads=pads)


def _doubled(net: Net, x: str, module: str) -> str:
    batch, channels, height, width = net.shape(x)
    x = net.add(
        "Resize",
        (x,),
        module,
        sizes=(batch, channels, 2 * height, 2 * width),
        scales=(1.0, 1.0, 2.0, 2.0),
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return _conv3(net, x, f"{module}.conv", channels)


def _resnet(net: Net, figures: Unet, given: Given, x: str, module: str, channels: int) -> str:
    groups, epsilon = figures.norm_num_groups, figures.norm_eps
    y = net.group_norm(x, f"{module}.norm1", groups, epsilon)
    y = net.activation(y, figures.act_fn, f"{module}.nonlinearity.1")
    y = _conv3(net, y, f"{module}.conv1", channels)
    time = net.linear(given.time, f"{module}.time_emb_proj", channels, bias=True)
    time = net.reshape(time, (*net.shape(time), 1, 1), f"{module}.time_emb_proj", "each")
    y = net.add("Add", (y, time), module, "timed")
    y = net.group_norm(y, f"{module}.norm2", groups, epsilon)
    y = net.activation(y, figures.act_fn, f"{module}.nonlinearity.2")
    y = _conv3(net, y, f"{module}.conv2", channels)
    if net.shape(x)[1] != channels:
        x = net.conv(x, f"{module}.conv_shortcut", channels, (1, 1))
    return net.add("Add", (x, y), module, "sum")


def _attended(
    net: Net, figures: Unet, given: Given, word: str, block: int, x: str, module: str
) -> str:
    """Return x after the attention that a block of kind ``word`` has, if it has one."""
    if "CrossAttn" in word:
        assert isinstance(figures, UnetText)
        return _transformer(net, figures, given, block, x, module)
    if word in ("AttnDownBlock2D", "AttnUpBlock2D", "UNetMidBlock2D"):
        return _pixels(net, figures, block, x, module)
    return x


def _pixels(net: Net, figures: Unet, block: int, x: str, module: str) -> str:
    """Attention of all pixels to all, and the image itself."""
    shape = net.shape(x)
    y = net.group_norm(x, f"{module}.group_norm", figures.norm_num_groups, figures.norm_eps)
    y = _rows(net, y, module)
    y = _attention(net, y, y, figures.heads(block), module, bias=True)
    return net.add("Add", (x, _image(net, y, shape, module)), module, "sum")


def _rows(net: Net, x: str, module: str) -> str:
    """Return an image [batch, channels, height, width] as [batch, pixels, channels]."""
    batch, channels, height, width = net.shape(x)
    x = net.reshape(x, (batch, channels, height * width), module, "flat")
    return net.add("Transpose", (x,), module, "pixels", perm=(0, 2, 1))


def _image(net: Net, x: str, shape: tuple[int, ...], module: str) -> str:
    x = net.add("Transpose", (x,), module, "channels", perm=(0, 2, 1))
    return net.reshape(x, (shape[0], net.shape(x)[1], *shape[2:]), module, "image")


def _attention(
    net: Net, x: str, source: str, heads: int, module: str, *, bias: bool = False
) -> str:
    """Return the attention of x [batch, tokens, width] to the tokens of ``source``."""
    width = net.shape(x)[-1]
    q, k, v = (
        net.heads(net.linear(of, f"{module}.{p}", width, bias=bias), heads, f"{module}.{p}")
        for of, p in ((x, "to_q"), (source, "to_k"), (source, "to_v"))
    )
    mixed = net.joined(net.add("Attention", (q, k, v), module, "attention"), module)
    return net.linear(mixed, f"{module}.to_out.0", width, bias=True)


def _transformer(net: Net, figures: UnetText, given: Given, block: int, x: str, module: str) -> str:
    """Layers of attention to the image and to the text, and the image itself."""
    shape = net.shape(x)
    channels, is_linear = shape[1], figures.use_linear_projection
    y = net.group_norm(x, f"{module}.norm", figures.norm_num_groups, 1e-6)
    if not is_linear:
        y = net.conv(y, f"{module}.proj_in", channels, (1, 1))
    y = _rows(net, y, module)
    if is_linear:
        y = net.linear(y, f"{module}.proj_in", channels, bias=True)
    for i in range(figures.transformers(block)):
        inner = f"{module}.transformer_blocks.{i}"
        y = _layer(net, given, y, figures.heads(block), inner)
    if is_linear:
        y = net.linear(y, f"{module}.proj_out", channels, bias=True)
    y = _image(net, y, shape, module)
    if not is_linear:
        y = net.conv(y, f"{module}.proj_out", channels, (1, 1))
    return net.add("Add", (x, y), module, "sum")


def _layer(net: Net, given: Given, x: str, heads: int, module: str) -> str:
    for i in (1, 2):
        y = net.layer_norm(x, f"{module}.norm{i}", 1e-5)
        y = _attention(net, y, y if i == 1 else given.text, heads, f"{module}.attn{i}")
        x = net.add("Add", (x, y), module, f"attended.{i}")
    y = net.layer_norm(x, f"{module}.norm3", 1e-5)
    width = net.shape(x)[-1]
    y = net.linear(y, f"{module}.ff.net.0.proj", 8 * width, bias=True)
    ends = ((0, 4 * width), (4 * width, 8 * width))
    value, gate = (
        net.add("Slice", (y,), f"{module}.ff.net.0", part, starts=(a,), ends=(b,), axes=(2,))
        for part, (a, b) in zip(("value", "gate"), ends, strict=True)
    )
    gate = net.activation(gate, "gelu", f"{module}.ff.net.0.gelu")
    y = net.add("Mul", (value, gate), f"{module}.ff.net.0", "gated")
    y = net.linear(y, f"{module}.ff.net.2", width, bias=True)
    return net.add("Add", (x, y), module, "mixed")
