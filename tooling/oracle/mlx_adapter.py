"""A LoRA as mlx-lm writes it, on the tiny Llama of packages/testing/fixtures, and the logits that mlx-lm then gives.

    python tooling/oracle/mlx_adapter.py packages/testing/fixtures/tiny-llama/model packages/testing/fixtures/mlx-adapter

With a fourth argument, the folder of an adapter that Graft wrote, it says how far the logits of that one are instead.
Versions: mlx 0.32.4 (`mlx[cpu]` on Linux), mlx-lm 0.32.2; they are in no requirements.txt, for they need no torch.
"""
import json
import pathlib
import sys

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters
from mlx_lm.utils import load_model

mx.set_default_device(mx.cpu)
base, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
IDS = [[5, 6, 7, 8], [1, 9, 2, 3]]
model, config = load_model(base)
if len(sys.argv) > 3:
    expected = mx.load(str(out / "expected.safetensors"))["logits"]
    load_adapters(model, sys.argv[3])
    print("largest difference", float(mx.abs(model(mx.array(IDS)) - expected).max()))
    sys.exit()

out.mkdir(parents=True, exist_ok=True)
mx.random.seed(3)
parameters = {"rank": 2, "scale": 4.0, "dropout": 0.0, "keys": ["self_attn.q_proj", "mlp.down_proj"]}
# The last two layers of three, as a user may choose.
model.freeze()
linear_to_lora_layers(model, 2, parameters)
weights = {k: mx.random.normal(v.shape) * 0.2 for k, v in tree_flatten(model.trainable_parameters())}
model.load_weights(list(weights.items()), strict=False)
mx.save_safetensors(str(out / "adapters.safetensors"), weights)
mx.save_safetensors(str(out / "expected.safetensors"), {"logits": model(mx.array(IDS)).astype(mx.float32)})
record = {"fine_tune_type": "lora", "num_layers": 2, "lora_parameters": parameters}
(out / "adapter_config.json").write_text(json.dumps(record, indent=4))
