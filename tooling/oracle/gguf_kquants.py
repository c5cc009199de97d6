"""Random blocks of the K-quants, Q5_0 and Q5_1, and the numbers that gguf-py makes of them.

    python tooling/oracle/gguf_kquants.py packages/files/fixtures

The blocks are random bytes with sane float16 scales: gguf-py has no quantiser for the K-quants, and every byte is a valid
one. Versions: requirements.txt.
"""
import pathlib
import sys

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize
from safetensors.numpy import save_file

out = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(11)
BLOCKS = 3
# Where the float16 scales of a block lie.
SCALES = {T.Q5_0: [0], T.Q5_1: [0, 2], T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}

tensors = {}
for kind, places in SCALES.items():
    numbers, size = GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
    for place in places:
        # Negative ones and one below 2^-14 are valid too.
        scales = (rng.standard_normal(BLOCKS) * 0.1).astype(np.float16)
        scales[1] = np.float16(3e-6)
        blocks[:, place : place + 2] = scales.view(np.uint8).reshape(BLOCKS, 2)
    tensors[f"{kind.name}.bytes"] = blocks.reshape(-1)
    tensors[f"{kind.name}.values"] = dequantize(blocks, kind).astype("<f4").reshape(-1)
    assert tensors[f"{kind.name}.values"].size == BLOCKS * numbers
save_file(tensors, out / "k-quants.safetensors")
