"""What the Python libraries write and refuse: safetensors, json.dumps.

    python tooling/oracle/safetensors_fixture.py packages/files/fixtures

Versions: requirements.txt. Every file is a few kilobytes; the verdicts are those of the library itself.
"""
import ctypes
import json
import pathlib
import struct
import sys

import safetensors
from safetensors import TensorSpec, deserialize, serialize

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

BITS = {
    "bool": 8, "uint8": 8, "int8": 8, "int16": 16, "uint16": 16, "float16": 16, "bfloat16": 16, "int32": 32, "uint32": 32,
    "float32": 32, "complex64": 64, "float64": 64, "int64": 64, "uint64": 64, "float8_e4m3fn": 8, "float8_e5m2": 8, "float8_e8m0fnu": 8,
}
NAMES = ["base_model.model.a.lora_A.weight", "10", "9", "Zoë", "\U0001f600", "\uffee", 'quote " back \\ line\n tab\t \x01 \x7f', "constructor", "__proto__"]


def written(specs, metadata):
    buffers = {name: ctypes.create_string_buffer(data, len(data)) for name, (_, _, data) in specs.items()}
    named = {name: TensorSpec(dtype=dtype, shape=shape, data_ptr=ctypes.addressof(buffers[name]), data_len=len(data)) for name, (dtype, shape, data) in specs.items()}
    return bytes(serialize(named, metadata=metadata))


specs = {f"{dtype}.x": (dtype, [2, 3], bytes((i * 7 + bits) % 256 for i in range(6 * bits // 8))) for dtype, bits in BITS.items()}
specs |= {name: ("float32", [2], struct.pack("<2f", i, -i / 3)) for i, name in enumerate(NAMES)}
specs |= {"scalar": ("float32", [], struct.pack("<f", 0.5)), "empty": ("float32", [0, 4], b"")}
(out / "python.safetensors").write_bytes(written(specs, {"format": "pt"}))
(out / "python-bare.safetensors").write_bytes(written({"a": ("float32", [1], struct.pack("<f", 1))}, None))


def file(header, data=b"", length=None):
    header = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def one(shape="[2,2]", offsets="[0,16]", dtype='"I32"', more=""):
    return f'{{"test":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}{more}}}}}'


four = b"\0" * 16
CASES = {
    # what must be read
    "plain": file(one(), four),
    "scalar": file(one("[]", "[0,4]"), four[:4]),
    "empty header": file("{}"),
    "zero-sized tensor": file(one("[2,0]", "[0,0]")),
    "white space behind the header": file("{}\r \t\n"),
    "white space in front of the header": file("\t\n{}\r "),
    "key unknown in a tensor": file(one(more=',"more":1'), four),
    "metadata null": file('{"__metadata__":null}'),
    "metadata empty": file('{"__metadata__":{}}'),
    "tensor named __proto__": file(one().replace("test", "__proto__"), four),
    "out of order in the header": file('{"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"ab"),
    "two zero-sized at one place": file('{"b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
    "two F4 in a byte": file(one("[2]", "[0,1]", '"F4"'), b"a"),
    # R1 - R4
    "no bytes": b"",
    "seven bytes": b"\0" * 7,
    "header of length 0": file(""),
    "header longer than the file": file("", length=60),
    "header too large": file(one(), four, length=0xFFFFFF000000003C),
    "header length 2^64 - 1": file(one(), four, length=2**64 - 1),
    "header not UTF-8": file(b"\xff"),
    "byte-order mark": file(b"\xef\xbb\xbf{}"),
    # R5 - R7
    "header not JSON": file("{"),
    "header an array": file("[]"),
    "header a number": file("1"),
    "trailing comma": file('{"__metadata__":{},}'),
    "two values": file("{}{}"),
    "metadata of numbers": file('{"__metadata__":{"a":1}}'),
    "metadata of null": file('{"__metadata__":{"a":null}}'),
    "metadata nested": file('{"__metadata__":{"a":{}}}'),
    "metadata a list": file('{"__metadata__":[]}'),
    "tensor null": file('{"test":null}'),
    "tensor a string": file('{"test":"F32"}'),
    "dtype unknown": file(one(dtype='"F33"'), four),
    "dtype of the prototype": file(one(dtype='"constructor"'), four),
    "dtype a number": file(one(dtype="1"), four),
    "dtype missing": file('{"test":{"shape":[2,2],"data_offsets":[0,16]}}', four),
    "shape missing": file('{"test":{"dtype":"I32","data_offsets":[0,16]}}', four),
    "offsets missing": file('{"test":{"dtype":"I32","shape":[2,2]}}', four),
    "shape a number": file(one("4"), four),
    "shape of strings": file(one('["2","2"]'), four),
    "shape negative": file(one("[-2,-2]"), four),
    "shape of minus zero": file(one("[-0]", "[0,0]")),
    "shape of 2.0": file(one("[2.0,2]"), four),
    "shape of 1e0": file(one("[4e0]"), four),
    "shape of 4E0": file(one("[4E0]"), four),
    "offsets of three": file(one(offsets="[0,16,16]"), four),
    "offsets of one": file(one(offsets="[16]"), four),
    "offsets negative": file(one(offsets="[-16,0]"), four),
    "dtype twice": file(one(more=',"dtype":"I32"'), four),
    "nested 129 deep": file(one(more=',"more":' + "[" * 129 + "]" * 129), four),
    "name of half a surrogate pair": file(one().replace("test", "\\ud800"), four),
    "metadata of half a surrogate pair": file('{"__metadata__":{"a":"\\ud800"}}'),
    "metadata key of half a surrogate pair": file('{"__metadata__":{"\\udc00":"a"}}'),
    # R8 - R12
    "first tensor not at 0": file(one(offsets="[4,20]"), four + b"\0" * 4),
    "end before begin": file('{"test":{"dtype":"I32","shape":[],"data_offsets":[4,0]}}', b"\0" * 4),
    "overlap": file('{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}', b"abc"),
    "hole": file('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}', b"abc"),
    "ten tensors at one place": file("{" + ",".join(f'"w{i}":{{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}' for i in range(10)) + "}", four),
    "wrong size": file(one(offsets="[0,4]"), four[:4]),
    "shape overflows": file(one("[2,18446744073709551614]"), four),
    "bytes overflow": file(one("[2,9223372036854775807]"), four),
    "bits overflow": file(one("[1152921504606846976,2]"), four),
    "offset of 2^64": file(one(offsets="[0,18446744073709551616]"), four),
    "three F4": file(one("[3]", "[0,2]", '"F4"'), b"ab"),
    "two bytes missing": file(one(), four[:-2]),
    "bytes behind the last tensor": file(one(), four + b"polyglot"),
    "bytes without a tensor": file("{}", b"polyglot"),
    # Where the library goes on and Graft does not: the last of two would win.
    "tensor twice": file('{"test":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"test":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"),
    "metadata key twice": file('{"__metadata__":{"a":"1","a":"2"}}'),
    # Beyond 2^53 JavaScript has no whole numbers.
    "zero-sized beyond 2^53": file(one("[9007199254740993,0]", "[0,0]")),
}


def verdict(data):
    try:
        deserialize(data)
        return "read"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


record = {"safetensors": safetensors.__version__, "cases": {name: {"hex": data.hex(), "verdict": verdict(data)} for name, data in CASES.items()}}
(out / "safetensors-verdicts.json").write_text(json.dumps(record, indent=1) + "\n")

CONFIG = {
    "r": 8, "lora_alpha": 16, "lora_dropout": 0.05, "small": 1e-05, "smaller": 1.5e-07, "tiny": 5e-324, "edge": 0.0001, "large": 123456789.125, "huge": 1.5e300,
    "whole": 9007199254740991, "negative": -3, "nested": {"10": 1, "9": [1, [2, {}], []], "b": None, "B": True}, "bias": "none", "target_modules": ["q_proj", "v_proj"],
    "text": 'quote " back \\ slash / line\n tab\t \b \f \r \x01 \x7f ë \u2028 \U0001f600', "ë": False, "\U0001f600": 1, "\uffee": 2, "__proto__": {"a": 1}, "": 0,
}
# Twice: as a value in any order, and as Python writes it.
record = {"value": json.dumps(CONFIG), "text": json.dumps(CONFIG, indent=2, sort_keys=True)}
(out / "json-dumps.json").write_text(json.dumps(record, indent=1) + "\n")
