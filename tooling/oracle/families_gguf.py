"""GGUF files of some of tiny_families.py's models, named and laid out as llama.cpp's converter does.

    python tooling/oracle/families_gguf.py packages/testing/fixtures/families

Each becomes model.gguf beside its config.json: matrices in bfloat16, vectors in float32, no tokenizer.
"""
import json
import math
import pathlib
import sys

import gguf
import torch
from safetensors.torch import load_file

ROOT = pathlib.Path(sys.argv[1])
ARCHITECTURES = {"llama3": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2, "qwen3": gguf.MODEL_ARCH.QWEN3,
                 "gpt2": gguf.MODEL_ARCH.GPT2}


def permute(weight, heads):
    """llama.cpp turns neighbours where transformers turns halves."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def llama3_factors(config, head_dim):
    rope = config["rope_parameters"]
    old = rope["original_max_position_embeddings"]
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    factors = []
    for i in range(0, head_dim, 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (i / head_dim)
        if wavelength < old / high:
            factors.append(1.0)
        elif wavelength > old / low:
            factors.append(factor)
        else:
            smooth = (old / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return torch.tensor(factors)


def describe(writer, name, config):
    if name == "gpt2":
        writer.add_context_length(config["n_positions"])
        writer.add_embedding_length(config["n_embd"])
        writer.add_block_count(config["n_layer"])
        writer.add_feed_forward_length(config["n_inner"])
        writer.add_head_count(config["n_head"])
        writer.add_layer_norm_eps(config["layer_norm_epsilon"])
        return
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    if "head_dim" in config:
        writer.add_key_length(config["head_dim"])
        writer.add_value_length(config["head_dim"])


def convert(name, architecture):
    config = json.loads((ROOT / name / "config.json").read_text())
    weights = load_file(ROOT / name / "model.safetensors")
    layers = config.get("num_hidden_layers", config.get("n_layer"))
    names = gguf.get_tensor_name_map(architecture, layers)
    writer = gguf.GGUFWriter(ROOT / name / "model.gguf", gguf.MODEL_ARCH_NAMES[architecture])
    describe(writer, name, config)
    if name == "llama3":
        head_dim = config["hidden_size"] // config["num_attention_heads"]
        writer.add_tensor("rope_freqs.weight", llama3_factors(config, head_dim).numpy())
    for key, weight in weights.items():
        weight = weight.float()
        if name == "llama3" and ".q_proj." in key:
            weight = permute(weight, config["num_attention_heads"])
        if name == "llama3" and ".k_proj." in key:
            weight = permute(weight, config["num_key_value_heads"])
        if name == "gpt2" and key.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")):
            weight = weight.T
        to = names.get_name(key, try_suffixes=(".weight", ".bias"))
        kind = gguf.GGMLQuantizationType.BF16 if weight.ndim > 1 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(to, gguf.quants.quantize(weight.contiguous().numpy(), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


for name, architecture in ARCHITECTURES.items():
    convert(name, architecture)
