"""Small functions of tensors, by the ATen call that each asks for; floats, then the rest."""

# pyright: reportAttributeAccessIssue=false
# Where torch is not installed, the checker takes this folder for it.
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as f

Case = tuple[Callable[..., Any], tuple[Any, ...]]
_DRAW = torch.Generator().manual_seed(7)


def r(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Normally distributed numbers."""
    return torch.randn(shape, generator=_DRAW).to(dtype)


def p(*shape: int) -> torch.Tensor:
    """Numbers from 0.1 to 1.1."""
    return torch.rand(shape, generator=_DRAW) + 0.1


def u(*shape: int) -> torch.Tensor:
    """Numbers from -0.9 to 0.9."""
    return torch.rand(shape, generator=_DRAW) * 1.8 - 0.9


def i(*shape: int, low: int = -9, high: int = 10, dtype: torch.dtype = torch.int64) -> torch.Tensor:
    """Whole numbers from ``low`` to ``high - 1``."""
    return torch.randint(low, high, shape, generator=_DRAW).to(dtype)


def b(*shape: int) -> torch.Tensor:
    """Truth values."""
    return torch.randint(0, 2, shape, generator=_DRAW).bool()


def filled(x: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Write into a copy."""
    y = x.clone()
    y[:, 1] = value
    return y


def masked(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Write one number where a mask says."""
    y = x.clone()
    y[mask] = 2.0
    return y


def placed(x: torch.Tensor, rows: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Write rows of the middle axis."""
    y = x.clone()
    y[:, rows] = values
    return y


def gathered_rows(x: torch.Tensor) -> torch.Tensor:
    """Pick by a mask that is a constant."""
    return x[:, torch.tensor([True, False, True, True])]


FUNCTIONS: dict[str, Case] = {
    "exp": (torch.exp, (r(3, 5),)),
    "log": (torch.log, (p(3, 5),)),
    "log1p": (torch.log1p, (p(3, 5),)),
    "log2": (torch.log2, (p(3, 5),)),
    "log10": (torch.log10, (p(3, 5),)),
    "expm1": (torch.expm1, (r(3, 5),)),
    "exp2": (torch.exp2, (r(3, 5),)),
    "sqrt": (torch.sqrt, (p(3, 5),)),
    "sqrt of whole": (torch.sqrt, (i(3, 5, low=1),)),
    "rsqrt": (torch.rsqrt, (p(3, 5),)),
    "reciprocal": (torch.reciprocal, (p(3, 5),)),
    "sin": (torch.sin, (r(3, 5),)),
    "cos": (torch.cos, (r(3, 5),)),
    "tan": (torch.tan, (u(3, 5),)),
    "asin": (torch.asin, (u(3, 5),)),
    "acos": (torch.acos, (u(3, 5),)),
    "atan": (torch.atan, (r(3, 5),)),
    "sinh": (torch.sinh, (u(3, 5),)),
    "cosh": (torch.cosh, (u(3, 5),)),
    "asinh": (torch.asinh, (u(3, 5),)),
    "acosh": (lambda x: torch.acosh(x + 1), (p(3, 5),)),
    "atanh": (torch.atanh, (u(3, 5),)),
    "tanh": (torch.tanh, (r(3, 5),)),
    "sigmoid": (torch.sigmoid, (r(3, 5),)),
    "erf": (torch.erf, (r(3, 5),)),
    "erfc": (torch.erfc, (r(3, 5),)),
    "abs": (torch.abs, (r(3, 5),)),
    "neg": (torch.neg, (r(3, 5),)),
    "sign": (torch.sign, (i(3, 5),)),
    "floor": (torch.floor, (r(3, 5) * 4,)),
    "ceil": (torch.ceil, (r(3, 5) * 4,)),
    "round": (torch.round, (r(3, 5) * 4,)),
    "trunc": (torch.trunc, (r(3, 5) * 4,)),
    "frac": (torch.frac, (r(3, 5) * 4,)),
    "square": (torch.square, (r(3, 5),)),
    "logical not": (torch.logical_not, (i(3, 5, low=-1, high=2),)),
    "bitwise not": (torch.bitwise_not, (i(3, 5),)),
    "bitwise not of truth": (torch.bitwise_not, (b(3, 5),)),
    "isnan": (torch.isnan, (r(3, 5),)),
    "isinf": (lambda x: torch.isinf(1 / x), (i(3, 5, low=-1, high=2).float(),)),
    "isnan of whole": (torch.isnan, (i(3, 5),)),
}

ACTIVATIONS: dict[str, Case] = {
    "relu": (f.relu, (r(3, 5),)),
    "relu6": (f.relu6, (r(3, 5) * 5,)),
    "gelu": (f.gelu, (r(3, 5),)),
    "gelu tanh": (lambda x: f.gelu(x, approximate="tanh"), (r(3, 5),)),
    "silu": (f.silu, (r(3, 5),)),
    "mish": (f.mish, (r(3, 5),)),
    "hardswish": (f.hardswish, (r(3, 5) * 3,)),
    "hardsigmoid": (f.hardsigmoid, (r(3, 5) * 3,)),
    "hardtanh": (f.hardtanh, (r(3, 5) * 3,)),
    "leaky relu": (lambda x: f.leaky_relu(x, 0.2), (r(3, 5),)),
    "elu": (lambda x: f.elu(x, 0.7), (r(3, 5),)),
    "selu": (f.selu, (r(3, 5),)),
    "celu": (lambda x: f.celu(x, 0.7), (r(3, 5),)),
    "softplus": (f.softplus, (r(3, 5),)),
    "softplus beta": (lambda x: f.softplus(x, 2.0), (r(3, 5),)),
    "softsign": (f.softsign, (r(3, 5),)),
    "logsigmoid": (f.logsigmoid, (r(3, 5),)),
    "glu": (f.glu, (r(3, 6),)),
    "prelu": (f.prelu, (r(2, 3, 4), p(3))),
    "prelu one": (f.prelu, (r(2, 3, 4), p(1))),
    "threshold": (lambda x: f.threshold(x, 0.2, 3.0), (r(3, 5),)),
    "softmax": (lambda x: f.softmax(x, -1), (r(3, 5),)),
    "softmax of a scalar": (lambda x: f.softmax(x, 0), (r(),)),
    "log softmax": (lambda x: f.log_softmax(x, 1), (r(3, 5),)),
    "softmin": (lambda x: f.softmin(x, 0), (r(3, 5),)),
    "tanhshrink": (f.tanhshrink, (r(3, 5),)),
    "softshrink": (f.softshrink, (r(3, 5),)),
    "hardshrink": (f.hardshrink, (r(3, 5),)),
    "clamp": (lambda x: torch.clamp(x, -0.5, 0.7), (r(3, 5),)),
    "clamp below": (lambda x: torch.clamp(x, min=0.1), (r(3, 5),)),
    "clamp by tensors": (torch.clamp, (r(3, 5), r(5) - 1, r(5) + 1)),
    "clamp whole": (lambda x: torch.clamp(x, -3, 4), (i(3, 5),)),
    "clamp whole by a fraction": (lambda x: torch.clamp(x, -3.5, 4.5), (i(3, 5),)),
    "nan to num": (lambda x: torch.nan_to_num(1 / x), (i(3, 5, low=-1, high=2).float(),)),
}

PAIRS: dict[str, Case] = {
    "add": (torch.add, (r(3, 5), r(5))),
    "add alpha": (lambda x, y: torch.add(x, y, alpha=0.3), (r(3, 5), r(5))),
    "add number": (lambda x: x + 2, (r(3, 5),)),
    "add of two types": (torch.add, (r(3, 5), i(5))),
    "add truth": (torch.add, (b(3, 5), b(5))),
    "add fraction to whole": (lambda x: x + 0.5, (i(3, 5),)),
    "sub": (torch.sub, (r(3, 5), r(3, 1))),
    "rsub": (lambda x: 1.0 - x, (r(3, 5),)),
    "rsub whole": (lambda x: 1 - x, (i(3, 5),)),
    "mul": (torch.mul, (r(3, 5), r(5))),
    "mul truth": (torch.mul, (b(3, 5), r(3, 5))),
    "mul two truths": (torch.mul, (b(3, 5), b(3, 5))),
    "div": (torch.div, (r(3, 5), p(5))),
    "div of whole": (torch.div, (i(3, 5), i(5, low=1))),
    "div floor": (lambda x, y: torch.div(x, y, rounding_mode="floor"), (r(3, 5) * 9, p(5))),
    "div trunc": (lambda x, y: torch.div(x, y, rounding_mode="trunc"), (r(3, 5) * 9, p(5))),
    "div trunc whole": (lambda x: torch.div(x, 4, rounding_mode="trunc"), (i(3, 5),)),
    "floor divide": (lambda x: x // 4, (i(3, 5),)),
    "floor divide below zero": (lambda x, y: x // y, (i(3, 5), i(5, low=-4, high=-1))),
    "floor divide by nothing": (lambda x, y: x // y, (p(3, 5), i(5, low=0, high=2).float())),
    "remainder": (lambda x: x % 4, (i(3, 5),)),
    "remainder floats": (torch.remainder, (r(3, 5) * 9, p(5))),
    "fmod": (torch.fmod, (i(3, 5), i(5, low=1))),
    "maximum": (torch.maximum, (r(3, 5), r(5))),
    "minimum": (torch.minimum, (i(3, 5), i(5))),
    "pow": (lambda x, y: torch.pow(x, y), (p(3, 5), r(5))),
    "pow 3": (lambda x: x**3, (r(3, 5),)),
    "pow half": (lambda x: x**0.5, (p(3, 5),)),
    "pow minus half": (lambda x: x**-0.5, (p(3, 5),)),
    "pow 2.5": (lambda x: x**2.5, (p(3, 5),)),
    "pow of a number": (lambda x: 2.0**x, (r(3, 5),)),
    "pow whole": (lambda x: x**2, (i(3, 5),)),
    "atan2": (
        torch.atan2,
        (i(4, 5, low=-2, high=3).float(), i(4, 5, low=-2, high=3).float() + 0.0),
    ),
    "eq": (torch.eq, (i(3, 5, high=3, low=0), i(5, low=0, high=3))),
    "ne": (lambda x: x != 1, (i(3, 5, high=3, low=0),)),
    "eq truth": (torch.eq, (b(3, 5), b(5))),
    "lt truth": (torch.lt, (b(3, 5), b(5))),
    "lt": (torch.lt, (r(3, 5), r(5))),
    "le": (lambda x: x <= 2.5, (i(3, 5),)),
    "gt": (torch.gt, (r(3, 5), i(5))),
    "ge": (lambda x: x >= 2, (i(3, 5, dtype=torch.int32),)),
    "logical and": (torch.logical_and, (i(3, 5, low=0, high=2), b(5))),
    "logical or": (torch.logical_or, (b(3, 5), b(5))),
    "logical xor": (torch.logical_xor, (b(3, 5), b(5))),
    "bitwise and": (lambda x, y: x & y, (i(3, 5), i(5))),
    "bitwise or": (lambda x, y: x | y, (b(3, 5), b(5))),
    "bitwise xor": (lambda x, y: x ^ y, (i(3, 5), i(5))),
    "shift left": (lambda x: x << 2, (i(3, 5),)),
    "shift right": (lambda x: x >> 1, (i(3, 5),)),
    "where": (torch.where, (b(3, 5), r(3, 5), r(5))),
    "where number": (lambda c, x: torch.where(c, x, 0.0), (b(3, 5), r(3, 5))),
    "where numbers": (lambda c: torch.where(c, 1, 2), (b(3, 5),)),
    "masked fill": (lambda x, m: x.masked_fill(m, -1e9), (r(3, 5), b(5))),
    "addcmul": (lambda x, y, z: torch.addcmul(x, y, z, value=0.5), (r(3, 5), r(5), r(3, 1))),
    "addcdiv": (torch.addcdiv, (r(3, 5), r(5), p(3, 1))),
    "lerp": (lambda x, y: torch.lerp(x, y, 0.3), (r(3, 5), r(3, 5))),
    "isin": (lambda x: torch.isin(x, torch.tensor([1, 4])), (i(3, 5),)),
    "to half": (lambda x: x.to(torch.float16), (r(3, 5),)),
    "to whole": (lambda x: x.to(torch.int32), (r(3, 5) * 9,)),
    "to truth": (lambda x: x.to(torch.bool), (i(3, 5, low=0, high=2),)),
    "type as": (lambda x, y: x.type_as(y), (i(3, 5), r(1))),
    "half times a fraction": (lambda x: x * 0.1, (r(3, 5, dtype=torch.float16),)),
    "bfloat times a fraction": (lambda x: x * 0.3, (r(3, 5, dtype=torch.bfloat16),)),
    "copy": (lambda x, y: x.clone().copy_(y), (r(3, 5), i(5))),
    "hypot": (torch.hypot, (r(3, 5), r(5))),
    "logaddexp": (torch.logaddexp, (r(3, 5), r(5))),
}

MOVES: dict[str, Case] = {
    "view": (lambda x: x.view(2, -1), (r(4, 3),)),
    "flatten": (lambda x: x.flatten(1), (r(2, 3, 4),)),
    "permute": (lambda x: x.permute(2, 0, 1), (r(2, 3, 4),)),
    "transpose": (lambda x: x.transpose(-1, 0).contiguous(), (r(2, 3, 4),)),
    "t": (lambda x: x.t(), (r(2, 3),)),
    "mT": (lambda x: x.mT, (r(2, 3, 4),)),
    "unsqueeze": (lambda x: x.unsqueeze(-1), (r(2, 3),)),
    "squeeze": (lambda x: x.squeeze(1), (r(2, 1, 3),)),
    "squeeze all": (lambda x: x.squeeze(), (r(2, 1, 3, 1),)),
    "expand": (lambda x: x.expand(4, -1, 3), (r(2, 1),)),
    "repeat": (lambda x: x.repeat(2, 1, 3), (r(2, 3),)),
    "repeat interleave": (lambda x: x.repeat_interleave(3, dim=1), (r(2, 3),)),
    "tile": (lambda x: torch.tile(x, (2, 2)), (r(2, 3),)),
    "cat": (lambda x, y: torch.cat([x, y], -1), (r(2, 3), r(2, 1))),
    "cat of two types": (lambda x, y: torch.cat([x, y]), (r(2, 3), i(1, 3))),
    "cat of nothing": (lambda x, y: torch.cat([x, y]), (r(0), r(2, 3))),
    "stack": (lambda x, y: torch.stack([x, y], 1), (r(2, 3), r(2, 3))),
    "split": (lambda x: x.split(2, dim=1)[-1], (r(2, 5),)),
    "split sizes": (lambda x: x.split([1, 3, 1], dim=1), (r(2, 5),)),
    "chunk": (lambda x: torch.chunk(x, 3, -1), (r(2, 7),)),
    "tensor split": (lambda x: torch.tensor_split(x, 3, -1), (r(2, 7),)),
    "unbind": (lambda x: x.unbind(1), (r(2, 3),)),
    "slice": (lambda x: x[1:, -3:-1], (r(3, 5),)),
    "slice step": (lambda x: x[:, 1::2], (r(3, 5),)),
    "narrow": (lambda x: x.narrow(1, 1, 2), (r(3, 5),)),
    "select": (lambda x: x[:, -1], (r(3, 5),)),
    "slice scatter": (lambda x, y: torch.slice_scatter(x, y, 1, 1, 3), (r(3, 5), r(3, 2))),
    "slice scatter step": (lambda x, y: torch.slice_scatter(x, y, 1, 0, 5, 2), (r(3, 5), r(3, 3))),
    "select scatter": (filled, (r(3, 5), r(3))),
    "flip": (lambda x: x.flip(0, 1), (r(3, 5),)),
    "roll": (lambda x: x.roll((1, -2), (0, 1)), (r(3, 5),)),
    "roll all": (lambda x: x.roll(2), (r(3, 5),)),
    "pad": (lambda x: f.pad(x, (1, 2, 0, 1), value=0.5), (r(2, 3, 4),)),
    "pad cuts": (lambda x: f.pad(x, (-1, 2)), (r(2, 3, 4),)),
    "pad reflect": (lambda x: f.pad(x, (1, 2, 1, 1), mode="reflect"), (r(1, 2, 3, 4),)),
    "pad replicate": (lambda x: f.pad(x, (1, 2), mode="replicate"), (r(2, 3, 4),)),
    "pad circular": (lambda x: f.pad(x, (1, 2), mode="circular"), (r(2, 3, 4),)),
    "pixel shuffle": (lambda x: f.pixel_shuffle(x, 2), (r(1, 8, 2, 3),)),
    "pixel unshuffle": (lambda x: f.pixel_unshuffle(x, 2), (r(1, 2, 4, 6),)),
    "diagonal": (lambda x: x.diagonal(1, 0, 2), (r(3, 2, 4),)),
    "unfold": (lambda x: x.unfold(1, 3, 2), (r(2, 7, 2),)),
    "im2col": (lambda x: f.unfold(x, (2, 3), padding=1, stride=2), (r(2, 3, 4, 6),)),
    "tril": (lambda x: x.tril(1), (r(3, 4),)),
    "triu": (lambda x: x.triu(-1), (r(3, 4),)),
    "movedim": (lambda x: x.movedim(0, -1), (r(2, 3, 4),)),
    "diff": (lambda x, y: torch.diff(x, n=2, dim=0, prepend=y), (r(3, 2), r(1, 2))),
    "diff truth": (lambda x: torch.diff(x), (b(3, 5),)),
    "meshgrid": (lambda x, y: torch.meshgrid(x, y, indexing="ij"), (r(2), r(3))),
}

CREATIONS: dict[str, Case] = {
    "zeros": (lambda x: x + torch.zeros(3), (r(2, 3),)),
    "ones like": (lambda x: x + torch.ones_like(x), (r(2, 3),)),
    "full": (lambda x: x + torch.full((3,), 0.5), (r(2, 3),)),
    "full like": (lambda x: x * torch.full_like(x, 0.5), (r(2, 3),)),
    "new zeros": (lambda x: x.new_zeros(2, 1) + x, (r(2, 3),)),
    "empty filled": (lambda x: torch.empty(3).fill_(2.0) + x, (r(2, 3),)),
    "scalar tensor": (lambda x: x * torch.tensor(2.5), (r(2, 3),)),
    "arange": (lambda x: torch.arange(3) + x, (r(2, 3),)),
    "arange step": (lambda x: torch.arange(1.0, 2.5, 0.5) * x, (r(2, 3),)),
    "linspace": (lambda x: torch.linspace(0, 1, 3) * x, (r(2, 3),)),
    "eye": (lambda x: torch.eye(3) + x, (r(2, 3, 3),)),
    "nothing but constants": (lambda x: (x, torch.arange(4)), (r(2),)),
}

PRODUCTS: dict[str, Case] = {
    "linear": (f.linear, (r(2, 3, 5), r(4, 5), r(4))),
    "linear plain": (f.linear, (r(5), r(4, 5))),
    "mm": (torch.mm, (r(3, 5), r(5, 2))),
    "bmm": (torch.bmm, (r(2, 3, 5), r(2, 5, 2))),
    "matmul": (torch.matmul, (r(2, 1, 3, 5), r(4, 5, 2))),
    "matmul vectors": (torch.matmul, (r(5), r(5))),
    "mv": (torch.mv, (r(3, 5), r(5))),
    "addmm": (lambda x, a, b: torch.addmm(x, a, b, beta=0.5, alpha=2), (r(2), r(3, 5), r(5, 2))),
    "baddbmm": (torch.baddbmm, (r(2, 3, 2), r(2, 3, 5), r(2, 5, 2))),
    "einsum": (lambda a, b: torch.einsum("bhqd,bhkd->bhqk", a, b), (r(2, 2, 3, 4), r(2, 2, 5, 4))),
    "einsum many": (lambda a, b: torch.einsum("bij,jk->bki", a, b), (r(2, 3, 4), r(4, 5))),
    "outer": (torch.outer, (r(3), r(4))),
    "whole mm": (torch.mm, (i(3, 5), i(5, 2))),
    "sdpa": (f.scaled_dot_product_attention, (r(2, 2, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 4))),
    "sdpa causal": (
        lambda q, k, v: f.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3),
        (r(2, 2, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 4)),
    ),
    "sdpa mask": (
        lambda q, k, v, m: f.scaled_dot_product_attention(q, k, v, attn_mask=m),
        (r(2, 2, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 4), r(2, 1, 3, 5)),
    ),
    "sdpa truth mask": (
        lambda q, k, v, m: f.scaled_dot_product_attention(q, k, v, attn_mask=m),
        (r(2, 2, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 4), torch.ones(3, 5).tril(1).bool()),
    ),
    "sdpa shared heads": (
        lambda q, k, v: f.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        (r(2, 4, 3, 4), r(2, 2, 5, 4), r(2, 2, 5, 4)),
    ),
    "sdpa rank 3": (f.scaled_dot_product_attention, (r(2, 3, 4), r(2, 5, 4), r(2, 5, 4))),
}

WINDOWS: dict[str, Case] = {
    "conv1d": (lambda x, w, b: f.conv1d(x, w, b, padding=1), (r(2, 3, 7), r(4, 3, 3), r(4))),
    "conv2d": (
        lambda x, w: f.conv2d(x, w, stride=2, padding=(1, 0)),
        (r(2, 3, 7, 6), r(4, 3, 3, 2)),
    ),
    "conv2d groups": (
        lambda x, w, b: f.conv2d(x, w, b, dilation=2, groups=2),
        (r(1, 4, 7, 7), r(6, 2, 3, 3), r(6)),
    ),
    "conv2d same": (lambda x, w: f.conv2d(x, w, padding="same"), (r(1, 2, 5, 5), r(3, 2, 3, 2))),
    "conv2d unbatched": (lambda x, w: f.conv2d(x, w), (r(3, 5, 5), r(2, 3, 3, 3))),
    "conv3d": (f.conv3d, (r(1, 2, 4, 4, 4), r(3, 2, 2, 2, 2))),
    "conv transpose 1d": (
        lambda x, w: f.conv_transpose1d(x, w, stride=2),
        (r(1, 3, 5), r(3, 2, 3)),
    ),
    "conv transpose 2d": (
        lambda x, w, b: f.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1),
        (r(1, 3, 4, 5), r(3, 2, 3, 3), r(2)),
    ),
    "max pool 1d": (lambda x: f.max_pool1d(x, 3, 2), (r(2, 3, 8),)),
    "max pool 2d": (lambda x: f.max_pool2d(x, 3, 2, padding=1), (r(2, 3, 8, 7),)),
    "max pool 2d ceil": (lambda x: f.max_pool2d(x, 3, 2, ceil_mode=True), (r(2, 3, 8, 7),)),
    "max pool 2d places": (lambda x: f.max_pool2d(x, 2, return_indices=True), (r(2, 3, 8, 6),)),
    "max pool 3d": (lambda x: f.max_pool3d(x, 2), (r(1, 2, 4, 4, 4),)),
    "avg pool 1d": (lambda x: f.avg_pool1d(x, 2), (r(2, 3, 8),)),
    "avg pool 2d": (lambda x: f.avg_pool2d(x, 3, 2, padding=1), (r(2, 3, 8, 7),)),
    "avg pool 2d edges": (
        lambda x: f.avg_pool2d(x, 3, 2, padding=1, count_include_pad=False, ceil_mode=True),
        (r(2, 3, 8, 7),),
    ),
    "avg pool 2d ceil": (lambda x: f.avg_pool2d(x, 3, 2, 1, ceil_mode=True), (r(2, 3, 8, 8),)),
    "avg pool 2d divisor": (lambda x: f.avg_pool2d(x, 2, divisor_override=3), (r(2, 3, 8, 6),)),
    "avg pool 3d": (lambda x: f.avg_pool3d(x, 2), (r(1, 2, 4, 4, 4),)),
    "adaptive avg 1": (lambda x: f.adaptive_avg_pool2d(x, 1), (r(2, 3, 7, 5),)),
    "adaptive avg even": (lambda x: f.adaptive_avg_pool2d(x, (4, 3)), (r(2, 3, 8, 6),)),
    "adaptive avg uneven": (lambda x: f.adaptive_avg_pool2d(x, (3, None)), (r(2, 3, 7, 5),)),
    "adaptive avg 1d": (lambda x: f.adaptive_avg_pool1d(x, 3), (r(2, 3, 7),)),
    "adaptive max even": (lambda x: f.adaptive_max_pool2d(x, 2), (r(2, 3, 8, 6),)),
    "adaptive max uneven": (lambda x: f.adaptive_max_pool2d(x, 3), (r(2, 3, 8, 7),)),
    "adaptive max 1d": (lambda x: f.adaptive_max_pool1d(x, 2), (r(2, 3, 8),)),
    "nearest": (lambda x: f.interpolate(x, scale_factor=2), (r(1, 2, 3, 4),)),
    "nearest size": (lambda x: f.interpolate(x, size=(5, 7)), (r(1, 2, 3, 4),)),
    "nearest 1d": (lambda x: f.interpolate(x, scale_factor=1.7), (r(1, 2, 5),)),
    "nearest exact": (
        lambda x: f.interpolate(x, size=(5, 7), mode="nearest-exact"),
        (r(1, 2, 3, 4),),
    ),
    "bilinear": (lambda x: f.interpolate(x, scale_factor=2, mode="bilinear"), (r(1, 2, 3, 4),)),
    "bilinear size": (lambda x: f.interpolate(x, size=(7, 3), mode="bilinear"), (r(1, 2, 3, 4),)),
    "bilinear corners": (
        lambda x: f.interpolate(x, size=(7, 9), mode="bilinear", align_corners=True),
        (r(1, 2, 3, 4),),
    ),
    "linear resize": (lambda x: f.interpolate(x, scale_factor=2, mode="linear"), (r(1, 2, 5),)),
    "trilinear": (
        lambda x: f.interpolate(x, scale_factor=2, mode="trilinear"),
        (r(1, 1, 2, 3, 2),),
    ),
    "bicubic": (lambda x: f.interpolate(x, scale_factor=2, mode="bicubic"), (r(1, 2, 4, 4),)),
}

NORMS: dict[str, Case] = {
    "layer norm": (lambda x, w, b: f.layer_norm(x, (5,), w, b), (r(2, 3, 5), p(5), r(5))),
    "layer norm plain": (lambda x: f.layer_norm(x, (3, 5), eps=1e-3), (r(2, 3, 5),)),
    "rms norm": (lambda x, w: f.rms_norm(x, (5,), w, 1e-6), (r(2, 3, 5), p(5))),
    "rms norm plain": (lambda x: f.rms_norm(x, (5,)), (r(2, 3, 5),)),
    "group norm": (lambda x, w, b: f.group_norm(x, 2, w, b), (r(2, 4, 3, 3), p(4), r(4))),
    "group norm plain": (lambda x: f.group_norm(x, 2), (r(2, 4, 5),)),
    "batch norm": (
        lambda x, m, v, w, b: f.batch_norm(x, m, v, w, b),
        (r(2, 3, 4, 4), r(3), p(3), p(3), r(3)),
    ),
    "batch norm plain": (lambda x, m, v: f.batch_norm(x, m, v), (r(2, 3), r(3), p(3))),
    "instance norm": (
        lambda x, w, b: f.instance_norm(x, weight=w, bias=b),
        (r(2, 3, 4, 4), p(3), r(3)),
    ),
    "normalize": (lambda x: f.normalize(x, dim=-1), (r(2, 3, 5),)),
    "local response": (lambda x: f.local_response_norm(x, 3), (r(1, 6, 3, 3),)),
    "weighted rms by hand": (
        lambda x, w: w * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)),
        (r(2, 3, 5), p(5)),
    ),
    "cosine": (lambda x, y: f.cosine_similarity(x, y, -1), (r(3, 5), r(3, 5))),
}

SUMS: dict[str, Case] = {
    "sum": (lambda x: x.sum(), (r(3, 5),)),
    "sum dim": (lambda x: x.sum((0, -1), keepdim=True), (r(3, 4, 5),)),
    "sum whole": (lambda x: x.sum(1), (i(3, 5, dtype=torch.int32),)),
    "sum truth": (lambda x: x.sum(1), (b(3, 5),)),
    "mean": (lambda x: x.mean(-1), (r(3, 5),)),
    "mean all": (lambda x: x.mean(), (r(3, 5),)),
    "prod": (lambda x: x.prod(1), (r(3, 4),)),
    "amax": (lambda x: x.amax((0, 1)), (r(3, 4, 5),)),
    "amin": (lambda x: x.amin(-1, keepdim=True), (r(3, 4),)),
    "max all": (lambda x: x.max(), (r(3, 4),)),
    "max dim": (lambda x: x.max(1), (r(3, 4),)),
    "min dim": (lambda x: x.min(0, keepdim=True), (r(3, 4),)),
    "max dim values": (lambda x: x.max(1).values, (i(3, 4),)),
    "any": (lambda x: x.any(), (b(3, 5),)),
    "any dim": (lambda x: (x > 1).any(1), (r(3, 5),)),
    "all": (lambda x: x.all(-1, keepdim=True), (b(3, 2),)),
    "argmax": (lambda x: x.argmax(-1), (r(3, 5),)),
    "argmax all": (lambda x: x.argmax(), (r(3, 5),)),
    "argmin": (lambda x: x.argmin(0, keepdim=True), (r(3, 5),)),
    "var": (lambda x: x.var(-1), (r(3, 5),)),
    "var plain": (lambda x: x.var((0, 1), unbiased=False), (r(3, 5, 2),)),
    "std": (lambda x: x.std(-1, keepdim=True), (r(3, 5),)),
    "var mean": (lambda x: torch.var_mean(x, 1), (r(3, 5),)),
    "norm": (lambda x: x.norm(dim=-1), (r(3, 5),)),
    "norm 1": (lambda x: torch.linalg.vector_norm(x, 1, dim=0), (r(3, 5),)),
    "norm inf": (lambda x: torch.linalg.vector_norm(x, float("inf")), (r(3, 5),)),
    "logsumexp": (lambda x: x.logsumexp(1), (r(3, 5),)),
    "cumsum": (lambda x: x.cumsum(-1), (r(3, 5),)),
    "cumsum truth": (lambda x: x.cumsum(0), (b(3, 5),)),
    "topk": (lambda x: x.topk(3), (r(3, 5),)),
    "topk smallest": (lambda x: x.topk(2, dim=0, largest=False), (r(3, 5),)),
    "sort": (lambda x: x.sort(-1), (r(3, 5),)),
    "sort down": (lambda x: x.sort(0, descending=True), (r(3, 5),)),
    "argsort": (lambda x: x.argsort(stable=True), (i(3, 5, low=0, high=3),)),
    "histc": (lambda x: torch.histc(x, 4, 0, 3), (i(20, low=-1, high=5).float(),)),
    "count nonzero": (lambda x: torch.count_nonzero(x, 1), (i(3, 5, low=0, high=2),)),
    "mean of a scalar": (lambda x: x.mean(), (r(),)),
}

PICKS: dict[str, Case] = {
    "embedding": (lambda t, n: f.embedding(n, t), (r(7, 3), i(2, 4, low=0, high=7))),
    "embedding i32": (
        lambda t, n: f.embedding(n, t),
        (r(7, 3), i(2, 4, low=0, high=7, dtype=torch.int32)),
    ),
    "one hot": (lambda n: f.one_hot(n, 5), (i(2, 3, low=0, high=5),)),
    "index select": (lambda x, n: x.index_select(1, n), (r(3, 5), i(4, low=0, high=5))),
    "take along": (lambda x, n: torch.take_along_dim(x, n, 1), (r(3, 5), i(3, 2, low=0, high=5))),
    "take": (torch.take, (r(3, 5), i(4, low=0, high=15))),
    "gather": (lambda x, n: x.gather(1, n), (r(3, 5), i(2, 2, low=0, high=5))),
    "scatter": (
        lambda x, y: x.scatter(1, torch.tensor([[0, 3], [2, 1]]), y),
        (r(3, 5), r(2, 3)),
    ),
    "scatter number": (lambda x: x.scatter(1, torch.tensor([[0, 3]]), 2.5), (r(3, 5),)),
    "scatter add": (
        lambda x, n, y: x.scatter_add(1, n, y),
        (r(3, 5), i(3, 4, low=0, high=5), r(3, 4)),
    ),
    "scatter reduce": (
        lambda x, n, y: x.scatter_reduce(1, n, y, "amax"),
        (r(3, 5), i(3, 4, low=0, high=5), r(3, 4)),
    ),
    "index": (lambda x, n: x[:, n], (r(3, 5, 2), i(2, 4, low=-5, high=5))),
    "index two": (
        lambda x, n, m: x[n, m],
        (r(3, 5, 2), i(4, low=0, high=3), i(2, 1, low=0, high=5)),
    ),
    "index apart": (
        lambda x, n, m: x[n, :, m],
        (r(3, 5, 2), i(4, low=0, high=3), i(4, low=0, high=2)),
    ),
    "index inner": (
        lambda x, n, m: x[:, n, m],
        (r(3, 5, 2), i(4, low=0, high=5), i(4, low=0, high=2)),
    ),
    "index mask": (gathered_rows, (r(3, 4),)),
    "index put": (placed, (r(3, 5, 2), torch.tensor([0, 4]), r(3, 2, 2))),
    "index put mask": (masked, (r(3, 5), b(3, 5))),
    "index put mask rows": (masked, (r(3, 5), b(3))),
    "index put add": (
        lambda x, n, y: x.index_put((n,), y, accumulate=True),
        (r(3, 5), i(6, low=0, high=3), r(6, 5)),
    ),
    "index put two": (
        lambda x, y: x.index_put((torch.tensor([0, 2]), torch.tensor([1, 3])), y),
        (r(3, 5), r(2)),
    ),
    "index copy": (lambda x, y: x.index_copy(1, torch.tensor([0, 3]), y), (r(3, 5), r(3, 2))),
    "index add": (lambda x, y: x.index_add(1, torch.tensor([0, 3]), y), (r(3, 5), r(3, 2))),
    "index fill": (lambda x: x.index_fill(1, torch.tensor([0, 3]), 1.5), (r(3, 5),)),
    "bucketize": (lambda x: torch.bucketize(x, torch.tensor([-0.5, 0.0, 1.0])), (r(3, 5),)),
    "searchsorted": (
        lambda x: torch.searchsorted(torch.tensor([1, 3, 5]), x, right=True),
        (i(3, 5),),
    ),
}

FAMILIES: dict[str, dict[str, Case]] = {
    "activations": ACTIVATIONS,
    "creations": CREATIONS,
    "functions": FUNCTIONS,
    "moves": MOVES,
    "norms": NORMS,
    "pairs": PAIRS,
    "picks": PICKS,
    "products": PRODUCTS,
    "sums": SUMS,
    "windows": WINDOWS,
}
