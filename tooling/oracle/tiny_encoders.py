"""Fixtures of tiny random encoders, their heads, and encoder-decoders, from transformers.

    python tooling/oracle/tiny_encoders.py packages/testing/fixtures/encoders [NAME…]

For each: the folder as transformers writes it (bfloat16 to keep it small), three rows with labels, the last hidden states and
the logits of their tokens, in which those of rows alone and padded on either side must agree, and the loss of the batch; of
encoder-decoders the greedy continuations too. Deterministic, computed in float32; see requirements.txt for the versions that
made the committed files.
"""
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig

torch.set_num_threads(1)
OUT = pathlib.Path(sys.argv[1])
ONLY = sys.argv[2:]

# Sizes of which few agree, so that a swapped one is seen.
BERT = dict(vocab_size=61, hidden_size=24, intermediate_size=36, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=40, type_vocab_size=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
            pad_token_id=0)
SMALL = dict(BERT, num_hidden_layers=1)
ROBERTA = dict(SMALL, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5)
LLAMA = dict(vocab_size=61, hidden_size=24, intermediate_size=36, num_hidden_layers=1, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=40, pad_token_id=0)
T5 = dict(vocab_size=61, d_model=20, d_kv=6, d_ff=28, num_heads=4, num_layers=3, num_decoder_layers=2,
          relative_attention_num_buckets=8, relative_attention_max_distance=12, dropout_rate=0.0,
          decoder_start_token_id=0, pad_token_id=0, eos_token_id=1)
LABELS = {0: "low", 1: "middle", 2: "high"}
MODELS = {
    "bert": ("bert", "BertModel", BERT),
    "bert-masked-lm": ("bert", "BertForMaskedLM", SMALL),
    "bert-seq-cls": ("bert", "BertForSequenceClassification", dict(SMALL, id2label=LABELS)),
    "bert-token-cls": ("bert", "BertForTokenClassification", dict(SMALL, id2label=LABELS)),
    "bert-question-answering": ("bert", "BertForQuestionAnswering", SMALL),
    "roberta-masked-lm": ("roberta", "RobertaForMaskedLM", ROBERTA),
    "roberta-seq-cls": ("roberta", "RobertaForSequenceClassification", dict(ROBERTA, id2label=LABELS)),
    "llama-seq-cls": ("llama", "LlamaForSequenceClassification", dict(LLAMA, id2label=LABELS)),
    "t5": ("t5", "T5ForConditionalGeneration", dict(T5, feed_forward_proj="relu", tie_word_embeddings=True)),
    "flan-t5": ("t5", "T5ForConditionalGeneration",
                dict(T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False)),
}
LENGTHS = [13, 8, 5]
TARGETS = [6, 4, 5]
NEW = 12


def has_own_head(options):
    """transformers 5 ties the head of every T5 that it makes, not of every one that it reads: Flan-T5's files have one."""
    return options.get("tie_word_embeddings") is False


def make_model(kind, name, options):
    torch.manual_seed(0)
    model = getattr(transformers, name)(AutoConfig.for_model(kind, **options)).float().eval()
    if has_own_head(options):
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.shared.weight))
    with torch.no_grad():
        for path, p in model.named_parameters():
            # Norms away from where they start and matrices large enough that every part of the network matters.
            around = 1.0 if p.ndim == 1 and not path.endswith(".bias") else 0.0
            p.copy_(around + (0.3 if p.ndim == 1 else 0.25) * torch.randn_like(p))
            p.copy_(p.to(torch.bfloat16))
    return model


def padded(rows, side, fill):
    width = max(len(row) for row in rows)
    out = torch.full((len(rows), width), fill, dtype=torch.long)
    for b, row in enumerate(rows):
        out[b, slice(0, len(row)) if side == "right" else slice(width - len(row), width)] = row
    return out


def inputs_of(rows, types, side, pad, offset):
    mask = padded([torch.ones_like(row) for row in rows], side, 0)
    places = (mask.cumsum(1) - 1).clamp(min=0)
    made = dict(input_ids=padded(rows, side, pad), attention_mask=mask)
    # T5 has no positions.
    if offset is None:
        return made
    made.update(position_ids=(places + offset) * mask + (1 - mask) * max(offset - 1, 0))
    return dict(made, token_type_ids=padded(types, side, 0)) if types else made


def labels_of(task, rows, vocab, generator):
    draw = lambda most, n: torch.randint(3, most, (n,), generator=generator).tolist()
    if task == "SequenceClassification":
        return torch.tensor([2, 0, 1])
    if task == "QuestionAnswering":
        return torch.tensor([[3, 7], [0, 0], [2, 4]])
    most = vocab if task == "MaskedLM" else 6
    values = [[v - (0 if task == "MaskedLM" else 3) if t % 3 else -100 for t, v in enumerate(draw(most, len(row)))]
              for row in rows]
    return padded([torch.tensor(v) for v in values], "right", -100)


def outputs(out, mask):
    """Of the tokens that are not padding, one after another."""
    kept = lambda t: t[mask == 1]
    if "start_logits" in out:
        return dict(hidden=kept(out.hidden_states[-1]), logits=kept(torch.stack([out.start_logits, out.end_logits], -1)))
    if "logits" not in out:
        return dict(hidden=kept(out.last_hidden_state))
    logits = out.logits if out.logits.ndim == 2 else kept(out.logits)
    return dict(hidden=kept(out.hidden_states[-1]), logits=logits)


def record_encoder(model, config, name, rows, generator):
    sorts = getattr(config, "type_vocab_size", 0)
    types = [(torch.arange(len(row)) >= len(row) // 2).long() * (sorts - 1) for row in rows] if sorts else None
    offset = config.pad_token_id + 1 if config.model_type == "roberta" else 0
    run = lambda side, r=rows, t=types: inputs_of(r, t, side, config.pad_token_id, offset)
    with torch.no_grad():
        call = lambda given: outputs(model(**given, output_hidden_states=True), given["attention_mask"])
        right = call(run("right"))
        # The first token's state stands for the row in a BERT, and padding on the left would move that.
        if "SequenceClassification" not in name or config.model_type == "llama":
            for key, value in call(run("left")).items():
                torch.testing.assert_close(value, right[key], rtol=1e-4, atol=2e-5)
        alone = [call(run("right", [row], types and [types[b]])) for b, row in enumerate(rows)]
        for key, value in right.items():
            torch.testing.assert_close(torch.cat([one[key] for one in alone]), value, rtol=1e-4, atol=2e-5)
        facts = dict(rows=[row.tolist() for row in rows], **(dict(types=[row.tolist() for row in types]) if types else {}))
        if name.endswith("Model"):
            return right, facts
        labels = labels_of(name.split("For")[1], rows, config.vocab_size, generator)
        given = dict(labels=labels) if labels.shape[-1] != 2 else dict(start_positions=labels[:, 0],
                                                                       end_positions=labels[:, 1])
        facts.update(labels=labels.tolist() if labels.ndim == 2 else [[v] for v in labels.tolist()],
                     loss=model(**run("right"), **given).loss.item())
        if "start_positions" in given:
            # Over padded rows transformers counts padding as a place where the answer may be.
            losses = [model(**run("right", [row], [kind]), start_positions=at[:1], end_positions=at[1:]).loss
                      for row, kind, at in zip(rows, types, labels)]
            facts.update(loss=torch.stack(losses).mean().item())
    return right, facts


def record_t5(model, config, rows, generator):
    targets = [torch.randint(3, config.vocab_size, (n,), generator=generator) for n in TARGETS]
    labels = padded(targets, "right", -100)
    starts = torch.zeros(len(rows), 1, dtype=torch.long)
    with torch.no_grad():
        for side in ("left", "right"):
            given = inputs_of(rows, None, side, 0, None)
            out = model(**given, labels=labels, output_hidden_states=True)
            made = dict(logits=out.logits[labels != -100], memory=out.encoder_last_hidden_state[given["attention_mask"] == 1])
            if side == "left":
                before = made
            else:
                for key, value in made.items():
                    torch.testing.assert_close(value, before[key], rtol=1e-4, atol=5e-5)
        greedy = model.generate(**given, decoder_input_ids=starts, max_new_tokens=NEW, do_sample=False, eos_token_id=None,
                                pad_token_id=0)[:, 1:]
        beams = model.generate(**given, max_new_tokens=6, num_beams=3, do_sample=False, eos_token_id=None,
                               pad_token_id=0)[:, 1:]
    return made, dict(rows=[row.tolist() for row in rows], labels=labels.tolist(), loss=out.loss.item(),
                      greedy=greedy.tolist(), beams=beams.tolist())


def reread(model, options, folder, facts):
    """Writes the config as the hub's Flan-T5 has it, and sees that transformers reads the folder as the same model."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    del config["scale_decoder_outputs"]
    path.write_text(json.dumps(dict(config, tie_word_embeddings=False), indent=2) + "\n")
    again = type(model).from_pretrained(folder).float().eval()
    with torch.no_grad():
        row = torch.tensor(facts["rows"][:1])
        loss = lambda m: m(input_ids=row, labels=torch.tensor(facts["labels"][:1])).loss
        torch.testing.assert_close(loss(again), loss(model.float()))


def record(kind, name, options, folder):
    folder.mkdir(parents=True, exist_ok=True)
    model = make_model(kind, name, options)
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randint(3, options["vocab_size"], (n,), generator=generator) for n in LENGTHS]
    if kind == "t5":
        tensors, facts = record_t5(model, model.config, rows, generator)
    else:
        tensors, facts = record_encoder(model, model.config, name, rows, generator)
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "expected.safetensors")
    (folder / "expected.json").write_text(json.dumps(facts) + "\n")
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if has_own_head(options):
        reread(model, options, folder, facts)


for key, (kind, name, options) in MODELS.items():
    if not ONLY or key in ONLY:
        record(kind, name, options, OUT / key)
