"""What transformers' beam search and greedy search make of the tiny Llama.

    python tooling/oracle/beam_search.py packages/testing/fixtures

Deterministic. Reads the model that tiny_llama.py wrote; see requirements.txt for the versions.
"""
import json
import pathlib
import sys

import torch
from transformers import LlamaForCausalLM

torch.set_num_threads(1)
OUT = pathlib.Path(sys.argv[1])

CASES = [
    dict(num_beams=1),
    dict(num_beams=3),
    dict(num_beams=3, num_return_sequences=3),
    dict(num_beams=4, num_return_sequences=2, length_penalty=0.0),
    dict(num_beams=4, num_return_sequences=4, length_penalty=2.0),
    dict(num_beams=2, num_return_sequences=2, length_penalty=-1.0),
    dict(num_beams=3, num_return_sequences=3, early_stopping=True),
    dict(num_beams=3, num_return_sequences=3, early_stopping="never"),
    dict(num_beams=3, num_return_sequences=2, repetition_penalty=1.3),
]
PROMPTS = [[5, 17, 33, 8, 61], [44, 9], [23, 90, 12]]


def run(model, stops, options):
    length = max(map(len, PROMPTS))
    ids = torch.tensor([[0] * (length - len(p)) + p for p in PROMPTS])
    mask = torch.tensor([[0] * (length - len(p)) + [1] * len(p) for p in PROMPTS])
    out = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=9, eos_token_id=stops, pad_token_id=0,
                         return_dict_in_generate=True, output_scores=True, **options)
    count = options.get("num_return_sequences", 1)
    rows = out.sequences[:, length:].tolist()
    scores = out.sequences_scores.tolist() if options["num_beams"] > 1 else None
    made = []
    for p in range(len(PROMPTS)):
        beams = []
        for i in range(p * count, (p + 1) * count):
            row = rows[i]
            ends = [t for t, id in enumerate(row) if id in stops]
            beams.append(dict(ids=row[: ends[0] + 1] if ends else row, **({"score": scores[i]} if scores else {})))
        made.append(beams)
    return made


model = LlamaForCausalLM.from_pretrained(OUT / "tiny-llama" / "model").float().eval()
record = []
# Stop ids that greedy search meets, so that texts end at different lengths; and one that it hardly meets.
for stops in [[2], [50, 7, 31], [58, 75, 29, 64]]:
    for options in CASES:
        record.append(dict(stops=stops, options=options, beams=run(model, stops, options)))
(OUT / "tiny-llama" / "beams.json").write_text(json.dumps(dict(prompts=PROMPTS, maxNewTokens=9, cases=record)) + "\n")
