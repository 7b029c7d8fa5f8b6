"""What to do instead, for calls that cannot be read."""

from __future__ import annotations

_RANDOM = "random values have no place in inference; model.eval(), or pass them as an input"
_DATA = "how many results there are depends on the data; use where or masked_fill"
_NUMBER = "a number read out of a tensor; keep it a tensor, or leave it outside the model"
_COMPLEX = "complex numbers are not computed here; use their real and imaginary parts"
_BRANCH = "a branch or loop steered by data; use where"

ADVICE: dict[str, str] = {
    **dict.fromkeys(
        (
            "aten.bernoulli",
            "aten.multinomial",
            "aten.native_dropout",
            "aten.normal",
            "aten.normal_functional",
            "aten.rand",
            "aten.rand_like",
            "aten.randint",
            "aten.randn",
            "aten.randn_like",
            "aten.randperm",
            "aten.uniform",
            "prims.inductor_random",
        ),
        _RANDOM,
    ),
    **dict.fromkeys(
        ("aten.masked_select", "aten.nonzero", "aten._unique2", "aten.unique_dim"), _DATA
    ),
    **dict.fromkeys(("aten._local_scalar_dense", "aten.item"), _NUMBER),
    **dict.fromkeys(
        (
            "aten._fft_c2c",
            "aten._fft_c2r",
            "aten._fft_r2c",
            "aten.complex",
            "aten.view_as_complex",
            "aten.view_as_real",
        ),
        _COMPLEX,
    ),
    **dict.fromkeys(("higher_order.cond", "higher_order.while_loop", "higher_order.scan"), _BRANCH),
    "aten._native_batch_norm_legit_functional": "model.eval() before export",
    "aten.bincount": _DATA,
    "transformers.grouped_mm_fallback": (
        "set the model's experts_implementation to 'batched_mm' before export"
    ),
}
