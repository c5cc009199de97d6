"""The bytes that gguf-py makes of float32 numbers in each type that Graft writes.

    python tooling/oracle/gguf_quantize.py packages/files/fixtures

Among the numbers are blocks of zeros, of one value, of halves between two steps, and very small ones.
Versions: requirements.txt.
"""
import pathlib
import sys

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import quantize
from safetensors.numpy import save_file

out = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(12)
rows = [rng.standard_normal((16, 64)) * 10.0 ** rng.integers(-6, 3, (16, 1))]
rows.append(np.zeros((1, 64)))
rows.append(np.full((1, 64), -1.25))
rows.append(np.full((1, 64), -0.0))
# Halves between two steps of each type.
rows.append(np.concatenate([[127], np.arange(31) - 15.5, [-8], np.arange(31) / 4 - 3.75])[None])
rows.append(np.concatenate([[0, 15], np.arange(30) / 2, [8, -8], np.arange(30) / 2 - 7])[None])
rows.append(rng.standard_normal((1, 64)) * 1e-7)
rows.append(rng.uniform(1, 2, (2, 64)) * 1000)
values = np.concatenate(rows).astype(np.float32)

tensors = {"values": values}
for kind in (T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1):
    tensors[kind.name] = np.ascontiguousarray(quantize(values, kind)).view(np.uint8).reshape(-1)
save_file(tensors, out / "quantized.safetensors")
