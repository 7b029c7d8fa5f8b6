"""The number formats engines know, and their sizes.

The words are those of the graph's dtypes, and ``tf32``: f32 storage of which the matrix
engine uses the upper 10 mantissa bits. Codes, of eight bits and fewer, take a byte each: no
engine computes in them, a tile's processor converts them.
"""

CODES = (
    "f8e4m3fn",
    "f8e4m3fnuz",
    "f8e5m2",
    "f8e5m2fnuz",
    "f8e8m0",
    "f4e2m1",
    "i4",
    "u4",
    "i2",
    "u2",
)

FORMAT_BYTES = {
    "f64": 8,
    "f32": 4,
    "tf32": 4,
    "f16": 2,
    "bf16": 2,
    "i8": 1,
    "u8": 1,
    "i16": 2,
    "u16": 2,
    "i32": 4,
    "u32": 4,
    "i64": 8,
    "u64": 8,
    "bool": 1,
    **dict.fromkeys(CODES, 1),
}
