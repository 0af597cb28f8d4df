"""How many lanes a reduction accumulates in, by dtype, and how many elements at once; imported by
kernels and their emitter."""

VECTOR = {"f32": 16, "f64": 8}     # elements of the 64 bytes that a vector holds
LANES = {"f32": 64, "f64": 32, "i64": 32, "b8": 64, "i32": 64, "i16": 64, "i8": 64, "u8": 64}
# elements that a sum of floats adds up before they join the lanes' sums; the stack tile between a
# row's formula and its reduction has as many, so that both give the same bits
TILE = 1024
