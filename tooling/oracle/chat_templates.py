"""What transformers makes of real chat templates: the text of our own conversations, and what the templates mark as the assistant's.

    python tooling/oracle/chat_templates.py trl-1.16.0-py3-none-any.whl packages/data/fixtures/chat-templates.json

Versions: requirements.txt (transformers alone; no torch). The templates are those in TRL's wheel: they are not ours and are not
committed, nor is the text they render, which has their makers' prose in it. What is: a SHA-256 of each, the length of the text, and
the marked spans, both in UTF-16 units.
"""
import datetime
import hashlib
import json
import pathlib
import re
import sys
import zipfile

import transformers
from transformers.utils import chat_template_utils
from transformers.utils.chat_template_utils import render_jinja_template

wheel, out = sys.argv[1:]

NOW = datetime.datetime(2026, 11, 25, 15, 6, 7)


class Fixed(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = Fixed


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def system(text):
    return {"role": "system", "content": text}


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "find_mill",
            "description": "Finds a mill near a place",
            "parameters": {"type": "object", "properties": {"place": {"type": "string", "description": "Where"}, "count": {"type": "integer"}}, "required": ["place"]},
        },
    }
]


def call(**arguments):
    return [{"type": "function", "function": {"name": "find_mill", "arguments": arguments}}]


def parts(text):
    return [{"type": "text", "text": text}]


CONVERSATIONS = {
    "single": {"messages": [user("What colour is rye?"), assistant("Grey-green, then straw.")]},
    "several": {"messages": [system("Answer shortly."), user("How tall?"), assistant("A man's height."), user("And oats?"), assistant("Less."), user("And barley?"), assistant("Less again.")]},
    "plain turns": {"messages": [user("How tall?"), assistant("A man's height."), user("And oats?"), assistant("Less.")]},
    "unicode": {"messages": [user("Überraschung 🌾 é?"), assistant("日本の麦 👩‍🌾, e\u0301, ‘ja’.\n— \u00a0²٣"), user("再?"), assistant("🎈")]},
    "white space": {"messages": [user("  two  \n"), assistant("\n  leading and trailing \n\n"), user("\tagain\t"), assistant(" x ")]},
    "the same words": {"messages": [user("yes"), assistant("yes"), user("yes"), assistant("yes")]},
    "ends with the user": {"messages": [user("One?"), assistant("One."), user("Two?")]},
    "tool call": {"messages": [user("A mill near Ulm?"), assistant("", tool_calls=call(place="Ulm", count=2)), {"role": "tool", "name": "find_mill", "content": '["Söflinger Mühle"]'}, assistant("The Söflinger Mühle."), user("Thanks."), assistant("You are welcome.")], "tools": TOOLS},
    "thinking": {"messages": [user("2 + 2?"), assistant("4", reasoning_content="Two and two."), user("3 + 3?"), assistant("6", reasoning_content="Three and three.")]},
    "thinking in the text": {"messages": [user("2 + 2?"), assistant("<think>\nTwo and two.\n</think>\n\n4"), user("3 + 3?"), assistant("<think>\nThree and three.\n</think>\n\n6")]},
    "parts": {"messages": [{"role": "user", "content": parts("What colour is rye?")}, {"role": "assistant", "content": parts("Grey-green.")}, {"role": "user", "content": parts("And oats?")}, {"role": "assistant", "content": parts("Pale.")}]},
}

# BOS and EOS as the models' tokenizers have them.
SPECIAL = {
    "cohere": ("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"),
    "cohere2": ("<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"),
    "deepseek_r1_distill": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    "deepseekv3": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"),
    "gemma": ("<bos>", "<eos>"),
    "gemma3": ("<bos>", "<eos>"),
    "glm4moe": ("[gMASK]", "<|endoftext|>"),
    "gptoss": ("<|startoftext|>", "<|return|>"),
    "lfm2": ("<|startoftext|>", "<|im_end|>"),
    "lfm2_v2": ("<|startoftext|>", "<|im_end|>"),
    "lfm2_2_5": ("<|startoftext|>", "<|im_end|>"),
    "llama3": ("<|begin_of_text|>", "<|eot_id|>"),
    "llama3_1": ("<|begin_of_text|>", "<|eot_id|>"),
    "llama3_2": ("<|begin_of_text|>", "<|eot_id|>"),
    "llava_next": ("<s>", "</s>"),
    "phi3": ("<s>", "<|endoftext|>"),
    "phi3_5": ("<s>", "<|endoftext|>"),
    "qwen2_5": ("<|endoftext|>", "<|im_end|>"),
    "qwen3": ("<|endoftext|>", "<|im_end|>"),
    "qwen3_instruct_2507": ("<|endoftext|>", "<|im_end|>"),
    "qwen3_5_think": ("<|endoftext|>", "<|im_end|>"),
    "nemotron_3_nano": ("<s>", "<|im_end|>"),
    "smolvlm": ("<|im_start|>", "<end_of_utterance>"),
}

# Templates that read a content of parts; the last two read nothing else.
PARTS = {"gemma3", "glm4moe", "lfm2_2_5", "qwen3_5_think", "llava_next", "smolvlm"}
PARTS_ALONE = {"llava_next", "smolvlm"}


def fits(base, title):
    return base in PARTS if title == "parts" else base not in PARTS_ALONE


def utf16(text, n):
    return len(text[:n].encode("utf-16-le")) // 2


def record(source, conversation, bos, eos):
    marked = re.search(r"\{%-?\s*generation\s*-?%\}", source) is not None
    try:
        [text], spans = render_jinja_template(
            conversations=[conversation["messages"]], tools=conversation.get("tools"), chat_template=source, return_assistant_tokens_mask=marked,
            bos_token=bos, eos_token=eos,
        )
    except Exception as error:
        return {"refused": type(error).__name__}
    found = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "length": utf16(text, len(text))}
    if marked:
        found["spans"] = [[utf16(text, a), utf16(text, b)] for a, b in spans[0]]
    return found


with zipfile.ZipFile(wheel) as archive:
    sources = {name: archive.read(f"trl/chat_templates/{name}.jinja").decode() for base in SPECIAL for name in (base, f"{base}_training") if f"trl/chat_templates/{name}.jinja" in archive.namelist()}

templates = {}
for name, source in sources.items():
    base = name.removesuffix("_training")
    bos, eos = SPECIAL[base]
    templates[name] = {
        "sha256": hashlib.sha256(source.encode()).hexdigest(), "bos": bos, "eos": eos,
        "cases": {title: record(source, conversation, bos, eos) for title, conversation in CONVERSATIONS.items() if fits(base, title)},
    }

made = {
    "transformers": transformers.__version__,
    "wheel": {"name": pathlib.Path(wheel).name, "sha256": hashlib.sha256(pathlib.Path(wheel).read_bytes()).hexdigest()},
    "now": NOW.isoformat(),
    "conversations": CONVERSATIONS,
    "templates": templates,
}


def lines(value, depth):
    """JSON with the outer levels on lines of their own."""
    if depth == 0 or not isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    inner = ",\n".join(f"{json.dumps(key, ensure_ascii=False)}: {lines(item, depth - 1)}" for key, item in value.items())
    return "{\n" + inner + "\n}"


pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
pathlib.Path(out).write_text(lines(made, 4) + "\n")
