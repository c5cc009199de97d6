"""What transformers makes of the Q4_1 GGUF of SmolLM2-135M-Instruct: logits, token ids, chat renderings.

    python tooling/oracle/smollm2_gguf.py SmolLM2-135M-Instruct.Q4_1.gguf packages/testing/fixtures/smollm2-135m-q4_1
"""
import json
import pathlib
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

torch.set_num_threads(1)
gguf, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)

PROMPTS = [
    "The capital of France is", "Water boils at", "def fibonacci(n):\n", "Once upon a time, there was a",
    "The opposite of hot is", "1, 2, 3, 4,", "My favourite colour is", "In the year 1969, humans first",
    "SELECT name FROM users WHERE", "The quick brown fox jumps over the lazy", "Roses are red, violets are",
    "Dear Sir or Madam,\n", "The largest planet in the solar system is", "import numpy as", "Once you have finished, please",
    "E = mc", "Paris, London, Berlin and", "The chemical symbol for gold is", "A triangle has", "Good morning! How are",
]
TEXTS = [
    "", " ", "  ", "\n", "\t\n ", "Hello", "hello world", "Hello, world!", "don't can't we'll I'm", "1234567890", "3.14159", "a1b2c3",
    "naïve café", "Ünïcödé", "日本語のテキスト", "中文字符", "Привет, мир", "مرحبا", "🙂", "👩‍👩‍👧‍👦 family", "e\u0301", "\u00a0nbsp", "x" * 50,
    "CamelCaseIdentifier", "snake_case_name", "SCREAMING_CASE", "    indented = True", "for i in range(10):\n    print(i)", "<html><body></body></html>",
    "{\"key\": [1, 2, 3]}", "https://example.com/path?x=1&y=2", "user@example.com", "C:\\Users\\me", "100%", "$5.00", "#hashtag", "@mention",
    "...", "!!!", "—dash—", "“quotes”", "a\u200bb", "<|im_start|>user\nhi<|im_end|>\n", "<|endoftext|>", "trailing ", " leading", "two  spaces",
    "MiXeD 123 テスト", "½ ¾ ²", "٣٤٥", "\r\n", "a\nb\n\nc", "I'VE", "it's 5pm", "x=y+z", "f(x)->y", "…", "Ⅷ", "ﬁ", "𝔘𝔫𝔦",
]
CHATS = [
    [{"role": "user", "content": "Hi"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is 2+2?"}, {"role": "assistant", "content": "4"}, {"role": "user", "content": "And 3+3?"}],
    [{"role": "user", "content": "Write\ntwo lines."}, {"role": "assistant", "content": "one\ntwo"}],
]

tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
prompts = []
with torch.no_grad():
    for text in PROMPTS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        logits = model(torch.tensor([ids])).logits[0, -1]
        top = logits.topk(5)
        sampled = list(range(0, logits.numel(), 1024))
        prompts.append({"text": text, "ids": ids, "top": top.indices.tolist(), "topLogits": top.values.tolist(), "at": sampled, "logits": logits[sampled].tolist()})
    ids = torch.tensor([prompts[0]["ids"]])
    greedy = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)[0, ids.shape[1]:].tolist()

counts = {}
for key, targets in {"qv": ["q_proj", "v_proj"], "all-linear": "all-linear"}.items():
    tuned = get_peft_model(model, LoraConfig(r=8, target_modules=targets, task_type="CAUSAL_LM"))
    counts[key] = list(tuned.get_nb_trainable_parameters())
    model = tuned.unload()

record = {
    "prompts": prompts, "greedy": greedy, "counts": counts,
    "texts": [{"text": t, "ids": tokenizer(t, add_special_tokens=False)["input_ids"]} for t in TEXTS],
    "chats": [{"messages": c, "addGenerationPrompt": g, "text": tokenizer.apply_chat_template(c, tokenize=False, add_generation_prompt=g),
               "ids": tokenizer.apply_chat_template(c, tokenize=True, add_generation_prompt=g, return_dict=False)} for c in CHATS for g in (True, False)],
}
(out / "expected.json").write_text(json.dumps(record, ensure_ascii=True) + "\n")
