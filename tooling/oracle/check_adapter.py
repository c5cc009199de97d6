"""Loads an adapter that Graft wrote in Python PEFT: nothing missing, nothing left over, and the same logits.

    python tooling/oracle/check_adapter.py MODEL_DIR ADAPTER_DIR GRAFT_LOGITS.json

GRAFT_LOGITS.json is what `graft logits --json` printed, with the ids that made it: {"ids": [[…]], "shape": …, "data": […]},
and "decoderIds" where there is a decoder.
"""
import json
import pathlib
import sys
import warnings

import torch
import transformers
from peft import PeftConfig, PeftModel, get_peft_model, load_peft_weights, set_peft_model_state_dict
from transformers import AutoConfig

warnings.filterwarnings("ignore")
model_dir, adapter_dir, logits_file = sys.argv[1:4]
graft = json.loads(pathlib.Path(logits_file).read_text())


def base():
    [name] = AutoConfig.from_pretrained(model_dir).architectures
    return getattr(transformers, name).from_pretrained(model_dir, dtype=torch.float32)


def strays():
    """Keys that PEFT does not know, and parameters of its own that the file lacks."""
    config = PeftConfig.from_pretrained(adapter_dir)
    config.inference_mode = False
    model = get_peft_model(base(), config)
    weights = load_peft_weights(adapter_dir)
    trained = {n for n, p in model.named_parameters() if p.requires_grad and "original_module" not in n}
    result = set_peft_model_state_dict(model, weights)
    return sorted(result.unexpected_keys), sorted(trained & set(result.missing_keys))


unexpected, missing = strays()
model = PeftModel.from_pretrained(base(), adapter_dir).eval()
decoder = {"decoder_input_ids": torch.tensor(graft["decoderIds"])} if "decoderIds" in graft else {}
with torch.no_grad():
    out = model(torch.tensor(graft["ids"]), **decoder)
# A span head tells two numbers a token.
theirs = out.logits if "logits" in out else torch.stack([out.start_logits, out.end_logits], -1)
ours = torch.tensor(graft["data"]).reshape(theirs.shape)
error = ((ours - theirs).norm() / theirs.norm()).item()
passed = error < 1e-5 and not unexpected and not missing
for what, keys in [("unexpected", unexpected), ("missing", missing)]:
    if keys:
        print(f"{len(keys)} {what} keys: {', '.join(keys[:6])}")
print(f"relative L2 error {error:.2e}, largest difference {(ours - theirs).abs().max().item():.2e}: {'PASS' if passed else 'FAIL'}")
sys.exit(0 if passed else 1)
