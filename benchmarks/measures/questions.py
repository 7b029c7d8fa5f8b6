"""What peers were asked, what it took them, and their answers where these are known.

A peer's CPU time is user CPU seconds of one run on two loaded cores of the same kind: SCALE-Sim 3
(weight-stationary, without stalls), ZigZag 3.9, Stream 1.13, AccelForge and LLMCompass with the
configurations that they ship.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Beside:
    """A peer's answer, or what was measured.

    Attributes:
        key: the figure of ours that answers the same.
        value: the peer's, in the unit of ours.
        source: who said so, and how.
        who: whose answer it is, where not the peer's that was asked.
    """

    key: str
    value: float
    source: str
    who: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        name: of the figures.
        peer: who was asked.
        peer_cpu_s: CPU seconds that it took.
        model: a model file that is made before, or none.
        note: how the two answers differ, and why.
        beside: the peer's answers; none where none was published or kept.
    """

    name: str
    peer: str
    peer_cpu_s: float
    model: str
    note: str
    beside: tuple[Beside, ...] = ()


CLOCK = 1e9  # of the arrays of ZigZag and Stream, as far as cycles go
WIDE = 12288  # of GPT-3
# LLMCompass's time over what it measured on an A100, products of M x 12288 x 12288. Source: LLMCompass, run
# on this kind of machine; printed to two digits. What was measured: `llmcompass_a100_matmul` of the data.
RATIOS = {64: 0.91, 128: 0.90, 256: 0.98, 512: 0.94, 1024: 0.94, 2048: 0.94, 4096: 0.99, 8192: 1.02}
# A layer of GPT-3, its twelve parts measured apart on A100s, and how far LLMCompass's sum is off such
# sums: the mean of its platforms. Source: PrincetonUniversity/LLMCompass @b95c6c95,
# ae/figure5/ijkl/real_hardware/transformer_A100.csv; Zhang et al., ISCA 2024, section III-C.
LAYER_MS, LAYER_OFF = 66.7472, 0.69
MEASURED_MS = 8.6216  # of the last. Source: HenryChang213/LLMCompass_ISCA_AE, ae/figure5

# Of ResNet-50 behind the first: those that a run of ZigZag 3.9.1 on its TPU-like chip had done when its time
# was up, layer1.0.1 to layer3.5.2, `opt="latency"`, the chip and mapping that it ships.
ZIGZAG_LAYERS = 41

QUESTIONS = (
    Question(
        "gpt3-layer", "LLMCompass", 571, "",
        "a layer of GPT-3 175B (12288 wide, 96 heads), 8 prompts of 2048 tokens on 4 A100. LLMCompass "
        "searches tiles of each product by simulating them, and keeps scores of attention in memory; here "
        "kernels are those of libraries and attention is fused; asked apart, with scores kept and a call from "
        "Python for each of ten kernels, as it was measured, the layer takes what stands under apart. "
        "On products measured on an A100 LLMCompass is "
        "7.1 % off in the mean (18 shapes), drawloom 8.6 % (20 shapes, `drawloom validate layers`)",
        (
            Beside("apart_ms", LAYER_MS, "twelve parts, each measured by itself on an A100", "measured"),
            Beside("apart_off_percent", LAYER_OFF, "published: their sum, mean of its platforms"),
            Beside("product_ms", RATIOS[8192] * MEASURED_MS,
                   "8192 x 12288 x 12288: its ratio times what was measured; measured 8.62 ms"),
            Beside("products_off_percent", 100 * sum(abs(each - 1) for each in RATIOS.values()) / len(RATIOS),
                   "mean of eight products of M x 12288 x 12288, M from 64 to 8192, beside an A100"),
        ),
    ),
    Question(
        "resnet50-cycles", "SCALE-Sim", 651, "resnet50",
        "ResNet-50 on 32 x 32, weights in the cells, no stalls. SCALE-Sim writes out each cycle's operands; "
        "the counts are the same, cycle for cycle",
        (
            Beside("total_cycles", 6_349_260,
                   "the layers' counts of tests/reference/scale_sim_cycles.csv, as its own demand matrices have them"),
        ),
    ),
    Question(
        "resnet50-latency", "ZigZag", 137, "resnet50",
        "ResNet-50 on a 32 x 32 array with an SRAM and a DRAM. ZigZag searches loop orders of each layer alone. "
        "In the first convolution it has 3 of 32 rows at work, one a channel; here the 49 places of the window "
        "are rows too. In the others its array takes as long, but for fill and drain here and stalls there; "
        "it waits for what a layer reads at first, which here stays in the SRAM or comes behind other work, "
        "and additions are fused here",
        (
            Beside("first_layer_cycles", 1_248_163, "18,816 of them loading"),
            Beside("convolutions_cycles", 4_406_330, "41 convolutions; 1,091,328 of them loading"),
            Beside("convolutions_array_cycles", 3_063_860, "of them computing, without loading and unloading"),
        ),
    ),
    Question(
        "resnet18-four-cores", "Stream", 391, "resnet18",
        "ResNet-18 over four arrays of 32 x 32. Stream puts parts of layers on cores and searches the order by "
        "a genetic algorithm; here each layer's folds are dealt out to all four arrays, one after the other, and "
        "values stay in the SRAM. Stream 0.0.8 was run with the chip, model and mapping that it ships, rows "
        "of all layers fused: 11 MB of weights do not fit the 4 MB of its cores, so that they should come in again for "
        "later rows; of 64 allocations tried the best",
        (
            Beside("latency_cycles", 1.18e7, "Stream 0.0.8, fused by rows, printed to three digits"),
            Beside("two_convolutions_cycles", 14_344,
                   "3 x 3 from 8 to 16 to 32 channels, 32 x 32 pixels, 16 bits, its own test: "
                   "KULeuven-MICAS/stream @32f4a7c9, tests/golden_metrics.json, tpu_like_quad_core"),
        ),
    ),
    Question(
        "gpt3-6.7b-block", "AccelForge", 273, "",
        "a block of GPT-3 6.7B, a prompt of 2048 tokens, on a chip like a TPU v4i (4 arrays of 128 x 128). "
        "AccelForge searches mappings and fusions of the einsums; here what fuses is fixed (epilogues, flash "
        "attention, values that fit the SRAM stay). A product on as many multipliers was printed by the same "
        "project: its arrays take 67.109 ms there too, the rest is its global buffer, which here keeps up",
        (
            Beside("product_ms", 75.497,
                   "16384 x 16384 x 16384 on 65,536 multiply-adds a ns: Accelergy-Project/accelforge @51ad2c89, "
                   "notebooks/fast_pmapper/fastfusion.ipynb"),
        ),
    ),
)  # fmt: skip
