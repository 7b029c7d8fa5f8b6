"""The number formats engines know, and their sizes.

The words are those of the graph's dtypes, and ``tf32``: f32 storage of which the matrix
engine uses the upper 10 mantissa bits.
"""

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
}
