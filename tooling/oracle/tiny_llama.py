"""Fixtures of a tiny Llama with and without LoRA, from transformers and PEFT.

    python tooling/oracle/tiny_llama.py packages/testing/fixtures

Deterministic. Everything is float32; see requirements.txt for the versions that made the committed files.
"""
import json
import pathlib
import sys

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

torch.set_num_threads(1)
OUT = pathlib.Path(sys.argv[1])

MODELS = {
    "tiny-llama": dict(vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=6,
                       num_key_value_heads=2, head_dim=8, tie_word_embeddings=True, rope_theta=10000.0),
    "odd-llama": dict(vocab_size=101, hidden_size=40, intermediate_size=56, num_hidden_layers=2, num_attention_heads=5,
                      num_key_value_heads=1, head_dim=8, tie_word_embeddings=False, rope_theta=500.0),
}
ADAPTERS = {
    "all": dict(r=4, lora_alpha=12, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]),
    "rslora": dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj"], use_rslora=True),
}


def make_model(options):
    torch.manual_seed(0)
    config = LlamaConfig(**options, max_position_embeddings=64, rms_norm_eps=1e-5, attention_bias=False,
                         bos_token_id=1, eos_token_id=2, pad_token_id=0)
    model = LlamaForCausalLM(config).float().eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            # Norms away from one and matrices large enough that every part of the network matters.
            p.copy_(1 + 0.2 * torch.randn_like(p) if p.ndim == 1 else 0.15 * torch.randn_like(p))
    return model


def make_batch(vocab, side):
    generator = torch.Generator().manual_seed(1)
    lengths = [11, 7, 4]
    ids = torch.randint(3, vocab, (3, 11), generator=generator)
    mask = torch.zeros(3, 11, dtype=torch.long)
    labels = torch.full((3, 11), -100)
    for b, n in enumerate(lengths):
        at = slice(0, n) if side == "right" else slice(11 - n, 11)
        mask[b, at] = 1
        learnt = list(range(*at.indices(11)))[n // 3:]
        labels[b, learnt] = ids[b, learnt]
    ids = ids * mask
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    return dict(ids=ids, mask=mask, labels=labels, positions=positions)


def run(model, batch):
    out = model(input_ids=batch["ids"], attention_mask=batch["mask"], position_ids=batch["positions"], labels=batch["labels"])
    return out.logits, out.loss


def adapter_fixture(name, options, folder, batch, record):
    model = get_peft_model(make_model(MODELS[name]), LoraConfig(task_type="CAUSAL_LM", lora_dropout=0.0, **options["lora"]))
    torch.manual_seed(2)
    with torch.no_grad():
        for path, p in model.named_parameters():
            if "lora_" in path:
                p.copy_(0.2 * torch.randn_like(p))
    model.train()
    model.save_pretrained(folder / f"adapter-{options['name']}")
    key = options["name"]
    trainable = {n.replace(".default", "").removeprefix("base_model.model."): p for n, p in model.named_parameters() if p.requires_grad}
    logits, loss = run(model, batch)
    record[f"{key}.logits"] = logits.detach().contiguous()
    loss.backward()
    for path, p in trainable.items():
        record[f"{key}.grad.{path}"] = p.grad.clone().contiguous()
    optimizer = torch.optim.AdamW(trainable.values(), lr=1e-2, weight_decay=0.01)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        _, loss = run(model, batch)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    for path, p in trainable.items():
        record[f"{key}.after.{path}"] = p.detach().clone().contiguous()
    return losses


def main():
    for name, config in MODELS.items():
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        model = make_model(config)
        model.save_pretrained(folder / "model")
        (folder / "model" / "generation_config.json").unlink(missing_ok=True)
        record, facts = {}, {}
        for side in ("right", "left"):
            batch = make_batch(config["vocab_size"], side)
            with torch.no_grad():
                logits, loss = run(model, batch)
            record[f"{side}.logits"] = logits.contiguous()
            facts[side] = {k: v.tolist() for k, v in batch.items()} | {"loss": loss.item()}
        prompts = [[5, 9, 23], [7], [11, 13, 17, 19, 29, 31]]
        with torch.no_grad():
            facts["greedy"] = [
                {"prompt": p, "tokens": model.generate(torch.tensor([p]), attention_mask=torch.ones(1, len(p), dtype=torch.long), max_new_tokens=15, do_sample=False,
                                                       eos_token_id=None, pad_token_id=0)[0, len(p):].tolist()}
                for p in prompts
            ]
        facts["adapters"] = {
            key: {"losses": adapter_fixture(name, {"name": key, "lora": dict(options)}, folder, make_batch(config["vocab_size"], "right"), record)}
            for key, options in ADAPTERS.items()
        }
        save_file(record, folder / "expected.safetensors")
        (folder / "expected.json").write_text(json.dumps(facts, indent=1) + "\n")
        for readme in folder.rglob("README.md"):
            readme.unlink()


main()
