"""Fixtures of one tiny random model for each decoder family, from transformers.

    python tooling/oracle/tiny_families.py packages/testing/fixtures/families [NAME…]

For each: the folder as transformers writes it (bfloat16 to keep it small, GPT-2 in float32), the logits of three rows, in
which those of rows alone and padded on either side must agree, and greedy continuations. Deterministic, computed in float32;
see requirements.txt for the versions that made the committed files.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

torch.set_num_threads(1)
OUT = pathlib.Path(sys.argv[1])
ONLY = sys.argv[2:]

# Sizes of which few agree, so that a swapped one is seen.
ROTARY = dict(vocab_size=61, hidden_size=24, intermediate_size=36, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=True)
MODELS = {
    "llama3": ("llama", dict(ROTARY, attention_bias=True, mlp_bias=True,
                             rope_parameters=dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0,
                                                  high_freq_factor=4.0, original_max_position_embeddings=16))),
    "llama-linear": ("llama", dict(ROTARY, num_hidden_layers=1,
                                   rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.5))),
    "llama-yarn": ("llama", dict(ROTARY, num_hidden_layers=1,
                                 rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0,
                                                      original_max_position_embeddings=16))),
    "qwen2": ("qwen2", dict(ROTARY, rope_parameters=dict(rope_type="default", rope_theta=1000000.0))),
    "qwen2-sliding": ("qwen2", dict(ROTARY, use_sliding_window=True, sliding_window=4, max_window_layers=1,
                                    tie_word_embeddings=False)),
    "qwen3": ("qwen3", dict(ROTARY, head_dim=12, num_attention_heads=3, num_key_value_heads=1,
                            rope_parameters=dict(rope_type="default", rope_theta=1000000.0))),
    "mistral": ("mistral", dict(ROTARY, sliding_window=5, head_dim=8, tie_word_embeddings=False)),
    "gpt2": ("gpt2", dict(vocab_size=61, n_embd=24, n_head=4, n_layer=2, n_inner=36, n_positions=64, resid_pdrop=0.0,
                          embd_pdrop=0.0, attn_pdrop=0.0)),
    "gemma": ("gemma", dict(ROTARY, head_dim=12)),
    "gemma2": ("gemma2", dict(ROTARY, head_dim=12, query_pre_attn_scalar=20, sliding_window=5, attn_logit_softcapping=3.0,
                              final_logit_softcapping=4.0)),
    "gemma3": ("gemma3_text", dict(ROTARY, num_hidden_layers=3, head_dim=12, query_pre_attn_scalar=20, sliding_window=5,
                                   layer_types=["sliding_attention", "full_attention", "sliding_attention"])),
}
LENGTHS = [13, 8, 5]
WIDTH = max(LENGTHS)
NEW = 12


def make_model(kind, options):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **options, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    # Eager: the attention that has every option, a soft cap too.
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            # Norms away from where they start and matrices large enough that every part of the network matters.
            around = 0.0 if name.endswith(".bias") or kind.startswith("gemma") else 1.0
            p.copy_((around if p.ndim == 1 else 0.0) + 0.2 * torch.randn_like(p))
            p.copy_(p.to(torch.bfloat16))
    return model


def sided(rows, side):
    ids = torch.zeros(len(rows), WIDTH, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for b, row in enumerate(rows):
        at = slice(0, len(row)) if side == "right" else slice(WIDTH - len(row), WIDTH)
        ids[b, at] = row
        mask[b, at] = 1
    return ids, mask, (mask.cumsum(1) - 1).clamp(min=0)


def record(kind, options, folder):
    folder.mkdir(parents=True, exist_ok=True)
    model = make_model(kind, options)
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randint(3, options["vocab_size"], (n,), generator=generator) for n in LENGTHS]
    with torch.no_grad():
        logits = torch.cat([model(input_ids=row[None]).logits[0] for row in rows])
        for side in ("right", "left"):
            ids, mask, positions = sided(rows, side)
            padded = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits
            torch.testing.assert_close(padded[mask == 1], logits, rtol=1e-4, atol=2e-5)
        ids, mask, _ = sided(rows, "left")
        greedy = model.generate(ids, attention_mask=mask, max_new_tokens=NEW, do_sample=False, eos_token_id=None,
                                pad_token_id=0)[:, WIDTH:]
    save_file({"logits": logits.contiguous()}, folder / "expected.safetensors")
    facts = {"rows": [row.tolist() for row in rows], "greedy": greedy.tolist()}
    (folder / "expected.json").write_text(json.dumps(facts) + "\n")
    (model if kind == "gpt2" else model.to(torch.bfloat16)).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)


for name, (kind, options) in MODELS.items():
    if not ONLY or name in ONLY:
        record(kind, options, OUT / name)
