"""How many lanes a reduction accumulates in, by dtype; imported by kernels and their emitter."""

VECTOR = {"f32": 16, "f64": 8}     # elements of the 64 bytes that a vector holds
LANES = {"f32": 64, "f64": 32, "i64": 32, "b8": 64, "i32": 64, "i16": 64, "i8": 64, "u8": 64}
