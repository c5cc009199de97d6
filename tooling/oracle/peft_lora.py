"""LoRA adapters of every kind that PEFT writes, on the committed tiny models, with the logits that PEFT computes from them.

    python tooling/oracle/peft_lora.py packages/testing/fixtures

Writes peft-lora/MODEL/CASE/ (the adapter's two files), peft-lora/expected.json (ids), peft-lora/expected.safetensors
(logits of each case, the changes of weights that add_weighted_adapter makes, the masks that DARE drew).
Deterministic. Everything is float32; see requirements.txt for the versions that made the committed files.
"""
import json
import pathlib
import shutil
import sys
import warnings

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoConfig

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
FIXTURES = pathlib.Path(sys.argv[1])
OUT = FIXTURES / "peft-lora"

DECODER_IDS = torch.tensor([[0, 11, 3, 9], [0, 6, 17, 2]])
QV = ["q_proj", "v_proj"]
CASES = {
    "odd-llama": {
        "dropout": dict(r=2, lora_alpha=6, target_modules=QV, lora_dropout=0.1),
        "rslora-patterns": dict(r=3, lora_alpha=5, target_modules=["q_proj", "k_proj", "down_proj"], use_rslora=True,
                                rank_pattern={"q_proj": 2, "layers.1.mlp.down_proj": 4},
                                alpha_pattern={r"^model\.layers\.0\.self_attn\.k_proj": 7, "down_proj|up_proj": 9}),
        "regex-exclude": dict(r=2, lora_alpha=3, target_modules=r"model\.layers\.\d+\.self_attn\.[qkv]_proj", exclude_modules=["k_proj", "layers.0.self_attn.v_proj"]),
        "layers": dict(r=2, lora_alpha=3, target_modules=QV, layers_to_transform=[1], layers_pattern="layers"),
        "layer": dict(r=1, lora_alpha=3, target_modules=["up_proj"], layers_to_transform=0),
        "lora-bias": dict(r=2, lora_alpha=6, target_modules=QV, lora_bias=True, bias="all"),
        "embedding": dict(r=2, lora_alpha=3, target_modules=["embed_tokens", "v_proj"], lora_dropout=0.2),
        "saved": dict(r=1, lora_alpha=3, target_modules="all-linear", modules_to_save=["lm_head", "norm", "layers.1.self_attn.k_proj"]),
        "tokens": dict(r=2, lora_alpha=3, target_modules=["v_proj"], trainable_token_indices=[3, 7, 90]),
        "gaussian": dict(r=2, lora_alpha=3, target_modules=["lm_head", "o_proj"], init_lora_weights="gaussian"),
    },
    "gpt2": {
        "transposed": dict(r=2, lora_alpha=6, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True),
        "bias-all": dict(r=2, lora_alpha=6, target_modules=["c_attn"], bias="all", fan_in_fan_out=True, modules_to_save=["h.1.mlp", "ln_f"]),
        "bias-lora": dict(r=2, lora_alpha=6, target_modules=["attn.c_proj", "c_fc"], bias="lora_only", fan_in_fan_out=True),
        "positions": dict(r=2, lora_alpha=6, target_modules=["wpe", "wte"]),
        "lora-bias": dict(r=2, lora_alpha=6, target_modules=["c_attn"], lora_bias=True, fan_in_fan_out=True, use_rslora=True),
    },
    "qwen2": {
        "default": dict(r=2, lora_alpha=6, target_modules=["q_proj", "v_proj"]),
        "bias-all": dict(r=2, lora_alpha=6, target_modules=["v_proj"], bias="all"),
        "bias-lora": dict(r=2, lora_alpha=6, target_modules=["v_proj", "o_proj"], bias="lora_only", lora_bias=True),
        # Its head is tied to the embedding.
        "saved": dict(r=2, lora_alpha=3, target_modules=["v_proj"], modules_to_save=["embed_tokens", "lm_head"]),
        "saved-head": dict(r=2, lora_alpha=3, target_modules=["v_proj"], modules_to_save=["lm_head"]),
        "embedding": dict(r=2, lora_alpha=3, target_modules=["embed_tokens", "lm_head"]),
        "tokens": dict(r=2, lora_alpha=3, target_modules=["v_proj"], trainable_token_indices={"embed_tokens": [5, 0, 60]}),
        "tokens-apart": dict(r=2, lora_alpha=3, target_modules=["v_proj"], trainable_token_indices={"embed_tokens": [5, 60], "lm_head": [7, 5]}),
    },
    "gemma": {
        "embedding": dict(r=2, lora_alpha=6, target_modules=["embed_tokens", "q_proj"]),
        "tokens": dict(r=2, lora_alpha=6, target_modules=["down_proj"], trainable_token_indices=[5, 7, 60]),
        "saved": dict(r=2, lora_alpha=6, target_modules=["down_proj"], modules_to_save=["embed_tokens", "norm"]),
    },
    # PEFT saves the head of a classifier of its own accord.
    "bert-seq-cls": {
        "default": dict(r=2, lora_alpha=6, target_modules=["query", "value"], task_type="SEQ_CLS"),
        "bias-all": dict(r=2, lora_alpha=6, target_modules="all-linear", bias="all", task_type="SEQ_CLS"),
    },
    "roberta-seq-cls": {
        "embedding": dict(r=2, lora_alpha=6, target_modules=["word_embeddings", "query"], task_type="SEQ_CLS"),
    },
    "bert-token-cls": {
        "tokens": dict(r=2, lora_alpha=6, target_modules=["attention.output.dense"], trainable_token_indices={"word_embeddings": [5, 60]},
                       modules_to_save=["classifier"], task_type="TOKEN_CLS"),
    },
    "t5": {
        "default": dict(r=2, lora_alpha=6, target_modules=["q", "v"], task_type="SEQ_2_SEQ_LM"),
        "all-linear": dict(r=1, lora_alpha=3, target_modules="all-linear", layers_to_transform=None, task_type="SEQ_2_SEQ_LM",
                           rank_pattern={"decoder.*EncDecAttention.[qv]": 3}),
    },
    "flan-t5": {
        "saved": dict(r=2, lora_alpha=6, target_modules=["wi_0", "o"], modules_to_save=["lm_head", "decoder.final_layer_norm"], task_type="SEQ_2_SEQ_LM"),
    },
}


def folder_of(name):
    places = [FIXTURES / name / "model", FIXTURES / "families" / name, FIXTURES / "encoders" / name]
    return next((place for place in places if place.is_dir()), None)


def base_model(name):
    config = AutoConfig.from_pretrained(folder_of(name))
    return getattr(transformers, config.architectures[0]).from_pretrained(folder_of(name), dtype=torch.float32).eval()


def logits_of(model, ids):
    more = {"decoder_input_ids": DECODER_IDS} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(ids, **more).logits


def ids_of(model):
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(3, model.config.vocab_size, (2, 5), generator=generator)
    ids[0, :3] = torch.tensor([3, 7, min(90, model.config.vocab_size - 1)])
    ids[1, 2:4] = torch.tensor([5, min(96, model.config.vocab_size - 1)])
    return ids


def move(model, seed):
    """Values off their start, so that nothing that is zero hides a fault."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.2 * torch.randn_like(p))


def settle(file, name):
    """No path of this machine, and an order for what PEFT holds as a set."""
    config = json.loads(file.read_text()) | {"base_model_name_or_path": name}
    for key in ("target_modules", "exclude_modules"):
        if isinstance(config[key], list):
            config[key].sort()
    file.write_text(json.dumps(config, indent=2, sort_keys=True))


def write_case(name, case, options, record):
    model = base_model(name)
    ids = ids_of(model)
    torch.manual_seed(1)
    tuned = get_peft_model(model, LoraConfig(**{"task_type": "CAUSAL_LM", **options}))
    move(tuned, 2)
    folder = OUT / name / case
    # "auto" would ask a hub whether the vocabulary was resized; what it writes for embeddings is what we want to see.
    tuned.save_pretrained(folder, save_embedding_layers=any(t in ("embed_tokens", "wte") for t in options["target_modules"]))
    (folder / "README.md").unlink(missing_ok=True)
    settle(folder / "adapter_config.json", name)
    loaded = PeftModel.from_pretrained(base_model(name), folder).eval()
    logits = logits_of(loaded, ids)
    assert (logits - logits_of(tuned.eval(), ids)).abs().max() < 1e-6, f"{name}/{case}: PEFT reads back something else"
    record[f"{name}/{case}"] = logits.contiguous()


COMBINED = {
    "one": dict(r=2, lora_alpha=6, target_modules=["k_proj", "v_proj"]),
    "two": dict(r=2, lora_alpha=1, target_modules=["v_proj"]),
    "stable": dict(r=2, lora_alpha=3, target_modules=["k_proj", "v_proj"], use_rslora=True),
    "three": dict(r=3, lora_alpha=2, target_modules=["k_proj", "v_proj"], rank_pattern={"layers.0.self_attn.v_proj": 1}),
}
WEIGHTS = {"one": 0.7, "two": -1.3, "stable": 0.4, "three": 1.1}
COMBINATIONS = {
    "linear": (["one", "two"], dict(combination_type="linear")),
    "linear-stable": (["stable", "one"], dict(combination_type="linear")),
    "cat": (["one", "three"], dict(combination_type="cat")),
    "svd": (["one", "two"], dict(combination_type="svd", svd_rank=1)),
    "ties": (["one", "two"], dict(combination_type="ties", density=0.4)),
    "ties-frequency": (["one", "two"], dict(combination_type="ties", density=0.6, majority_sign_method="frequency")),
    "ties_svd": (["one", "three"], dict(combination_type="ties_svd", density=0.5, svd_rank=3)),
    "dare_linear": (["one", "two"], dict(combination_type="dare_linear", density=0.5)),
    "dare_ties": (["one", "two"], dict(combination_type="dare_ties", density=0.5)),
    "dare_linear_svd": (["one", "three"], dict(combination_type="dare_linear_svd", density=0.5, svd_rank=3)),
    "dare_ties_svd": (["one", "three"], dict(combination_type="dare_ties_svd", density=0.5, svd_rank=3)),
    "magnitude_prune": (["one", "two"], dict(combination_type="magnitude_prune", density=0.3)),
    "magnitude_prune_svd": (["one", "three"], dict(combination_type="magnitude_prune_svd", density=0.3, svd_rank=3)),
}


def write_combined(record):
    model = None
    for seed, (name, options) in enumerate(COMBINED.items()):
        config = LoraConfig(task_type="CAUSAL_LM", layers_to_transform=[0], **options)
        if model is None:
            model = get_peft_model(base_model("odd-llama"), config, adapter_name=name)
        else:
            model.add_adapter(name, config)
        torch.manual_seed(10 + seed)
        with torch.no_grad():
            for path, p in model.named_parameters():
                if f".{name}." in path:
                    p.copy_(0.3 * torch.randn_like(p))
    model.save_pretrained(OUT / "combined")
    for readme in (OUT / "combined").rglob("README.md"):
        readme.unlink()
    for config_file in (OUT / "combined").rglob("adapter_config.json"):
        settle(config_file, "odd-llama")
    facts = {}
    draw = torch.bernoulli
    for name, (adapters, options) in COMBINATIONS.items():
        masks = []
        torch.bernoulli = lambda p: masks.append(draw(p)) or masks[-1]
        torch.manual_seed(0)
        model.add_weighted_adapter(adapters, [WEIGHTS[a] for a in adapters], name, **options)
        torch.bernoulli = draw
        for path, layer in model.base_model.model.named_modules():
            if not hasattr(layer, "get_delta_weight") or name not in layer.lora_A:
                continue
            record[f"combined/{name}/{path}"] = layer.get_delta_weight(name).detach().contiguous()
            if not masks:
                continue
            here = [a for a in adapters if a in layer.lora_A]
            for factor in ["delta"] if options["combination_type"].endswith("svd") else ["A", "B"]:
                for adapter in here:
                    record[f"combined/{name}/{path}/{adapter}/{factor}"] = masks.pop(0).to(torch.uint8).contiguous()
        assert not masks
        facts[name] = dict(adapters=adapters, weights=[WEIGHTS[a] for a in adapters], **options)
    return facts


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    record, facts = {}, {"decoderIds": DECODER_IDS.tolist(), "ids": {}, "cases": {}}
    for name, cases in CASES.items():
        if folder_of(name) is None:
            print(f"{name}: no such fixture, left out")
            continue
        facts["ids"][name] = ids_of(base_model(name)).tolist()
        facts["cases"][name] = list(cases)
        for case, options in cases.items():
            write_case(name, case, options, record)
    facts["combined"] = write_combined(record)
    save_file(record, OUT / "expected.safetensors")
    (OUT / "expected.json").write_text(json.dumps(facts, indent=1) + "\n")


main()
