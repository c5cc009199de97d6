"""Loads an adapter that Graft wrote in Python PEFT and compares logits.

    python tooling/oracle/check_adapter.py MODEL_DIR ADAPTER_DIR GRAFT_LOGITS.json

GRAFT_LOGITS.json is what `graft logits --json` printed, with the ids that made it: {"ids": [[…]], "shape": …, "data": […]}.
"""
import json
import sys

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

model_dir, adapter_dir, logits_file = sys.argv[1:4]
graft = json.load(open(logits_file))
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32), adapter_dir).eval()
with torch.no_grad():
    theirs = model(torch.tensor(graft["ids"])).logits
ours = torch.tensor(graft["data"]).reshape(graft["shape"])
error = ((ours - theirs).norm() / theirs.norm()).item()
print(f"relative L2 error {error:.2e}, largest difference {(ours - theirs).abs().max().item():.2e}: {'PASS' if error < 1e-5 else 'FAIL'}")
sys.exit(0 if error < 1e-5 else 1)
