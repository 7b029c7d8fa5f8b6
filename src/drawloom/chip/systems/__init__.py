"""The systems that come with drawloom: one file here is one line in ``SYSTEMS``."""

SYSTEMS = {
    "rex1032": "32 TX81 in one server, an open mesh of 4 x 8",
    "rex1032_torus": "32 TX81 in one server, cabled as a torus",
    "tx81_hall": "32 servers of 32 TX81 as one mesh of 32 x 32",
    "dgx_h200": "8 H200 behind NVSwitch",
    "mi300x_8": "8 MI300X, each linked to each",
    "tpu_v5e_pod": "256 TPU v5e, a torus of 16 x 16",
    "tpu_v4_pod": "4,096 TPU v4, a torus of 16 x 16 x 16",
    "trn2_16": "16 Trainium 2, a torus of 4 x 4",
    "trn3_64": "64 Trainium 3 behind NeuronSwitch",
    "mlu370_x8_4": "4 MLU370-X8 under one bridge, each linked to each",
    "r480_x8": "8 Kunlun R480-X8 modules in two rings",
    "groq_8": "8 Groq cards as a cube, no switch",
    "wormhole_32": "32 Wormhole chips as a mesh of 4 x 8, as a Galaxy has",
    "wafer_64": "HYPOTHETICAL: 64 TX8-like modules on one wafer, a mesh of 8 x 8",
    "p150_8": "8 p150 boards, 8 Blackhole chips as a mesh of 2 x 4",
    "n300_t3000": "4 n300 boards, 8 Wormhole chips as a mesh of 2 x 4",
}
