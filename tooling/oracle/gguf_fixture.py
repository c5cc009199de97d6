"""A small GGUF of every tensor type that is read, written by gguf-py, and what gguf-py dequantises it to.

    python tooling/oracle/gguf_fixture.py packages/files/fixtures

Versions: requirements.txt.
"""
import json
import pathlib
import sys

import numpy as np
from gguf import GGMLQuantizationType as T, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
rng = np.random.default_rng(0)

path = out / "tiny.gguf"
writer = GGUFWriter(path, "llama")
writer.add_uint8("a.u8", 200)
writer.add_int8("a.i8", -5)
writer.add_uint16("a.u16", 60000)
writer.add_int16("a.i16", -300)
writer.add_uint32("a.u32", 4000000000)
writer.add_int32("a.i32", -70000)
writer.add_float32("a.f32", 0.1)
writer.add_bool("a.bool", True)
writer.add_string("a.string", "Zoë \U0001f600")
writer.add_uint64("a.u64", 2**53 - 1)
writer.add_uint64("a.u64.big", 2**64 - 1)
writer.add_int64("a.i64", -(2**53) + 1)
writer.add_float64("a.f64", 1e-300)
writer.add_array("a.strings", ["", "a b", "\ufeffmark", "日本"])
writer.add_array("a.numbers", [3, 1, 2])
writer.add_array("a.bools", [True, False])

values = (rng.standard_normal((3, 64)) * 2).astype(np.float32)
values[0, :4] = [0, -0.0, 1e-8, 65504]
expected = {}
for kind in (T.F32, T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1):
    packed = quantize(values, kind)
    writer.add_tensor(kind.name.lower(), packed, raw_dtype=None if kind in (T.F32, T.F16) else kind)
    expected[kind.name] = np.frombuffer(dequantize(packed, kind).astype("<f4").tobytes(), "<u4").tolist()
writer.add_tensor("three", np.arange(24, dtype=np.float32).reshape(2, 3, 4))
# Known by name, not read.
writer.add_tensor("q6_k", np.zeros((2, GGML_QUANT_SIZES[T.Q6_K][1]), dtype=np.uint8), raw_dtype=T.Q6_K)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()

(out / "tiny-gguf.json").write_text(json.dumps({"bits": expected}) + "\n")
