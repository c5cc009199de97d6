"""The spam filter of examples/spam-filter in PyTorch + PEFT, on the rows that `npm start -- --export FILE` wrote.

    python bench/pytorch/spam.py MODEL.gguf ROWS.json --seed 0

Same model file, rows, batch, learning rate and schedule; the order of the rows and the start of the adapter are PyTorch's own.
"""
import argparse
import json
import pathlib
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, get_linear_schedule_with_warmup

parser = argparse.ArgumentParser()
parser.add_argument("model", type=pathlib.Path)
parser.add_argument("rows", type=pathlib.Path)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.manual_seed(args.seed)
rows = json.loads(args.rows.read_text())
model = AutoModelForCausalLM.from_pretrained(args.model.parent, gguf_file=args.model.name, dtype=torch.float32)
model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))


def accuracy():
    model.eval()
    right = 0
    with torch.no_grad():
        for row in rows["heldOut"]:
            logits = model(torch.tensor([row["ids"]])).logits[0, -1]
            right += ("spam" if logits[rows["spam"]] > logits[rows["ham"]] else "ham") == row["label"]
    return right / len(rows["heldOut"])


before = accuracy()
model.train()
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-4, weight_decay=0.0)
steps = len(rows["train"]) // 8
schedule = get_linear_schedule_with_warmup(optimizer, round(0.1 * steps), steps)
order = torch.randperm(len(rows["train"])).tolist()
start = time.perf_counter()
losses = []
for at in range(0, steps * 8, 8):
    batch = [rows["train"][i] for i in order[at:at + 8]]
    length = max(len(r["ids"]) for r in batch)
    ids = torch.tensor([r["ids"] + [0] * (length - len(r["ids"])) for r in batch])
    mask = torch.tensor([[1] * len(r["ids"]) + [0] * (length - len(r["ids"])) for r in batch])
    labels = torch.tensor([r["labels"] + [-100] * (length - len(r["ids"])) for r in batch])
    optimizer.zero_grad()
    loss = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    losses.append(loss.item())
seconds = time.perf_counter() - start
print(json.dumps({"seed": args.seed, "before": before, "after": accuracy(), "trainSeconds": seconds}))
