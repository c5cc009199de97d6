"""Event files as TensorBoard's own protobuf classes and record writer make them, and its own CRCs.

    python -m venv /tmp/venv && /tmp/venv/bin/pip install tensorboard==2.21.0
    /tmp/venv/bin/python tooling/oracle/tensorboard.py packages/trainer/fixtures/tensorboard.json
    /tmp/venv/bin/python tooling/oracle/tensorboard.py --read DIR    what TensorBoard reads from a folder

tensorboard is pinned here and not in requirements.txt: nothing else needs it, nor it anything else.
"""
import base64
import io
import json
import pathlib
import sys

# Run as a script, this folder comes first on the path, and this file would hide the package of its name.
sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != pathlib.Path(__file__).resolve().parent]

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2, types_pb2  # noqa: E402
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c, masked_crc32c  # noqa: E402
from tensorboard.summary.writer.record_writer import RecordWriter  # noqa: E402

TIME = 1764048000.125


class Kept(io.BytesIO):
    def close(self):
        pass


def record(event):
    out = Kept()
    RecordWriter(out).write(event.SerializeToString())
    return base64.b64encode(out.getvalue()).decode()


def scalars(step, values):
    summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=t, simple_value=float(v)) for t, v in values.items()])
    return record(event_pb2.Event(wall_time=TIME, step=step, summary=summary))


def text(step, tag, content):
    tensor = tensor_pb2.TensorProto(
        dtype=types_pb2.DT_STRING,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(),
        string_val=[content.encode()],
    )
    metadata = summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name="text"))
    value = summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
    return record(event_pb2.Event(wall_time=TIME, step=step, summary=summary_pb2.Summary(value=[value])))


def purge(step):
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    return record(event_pb2.Event(wall_time=TIME, step=step, session_log=start))


def write(path):
    values = {"loss": "2.5", "learning_rate": "2e-4", "grad_norm": "NaN", "eval/perplexity": "Infinity", "zero": "0"}
    said = "Zoë \U0001f600\n" + "long " * 60
    texts = ["", "123456789", "brain.Event:2", said]
    made = {
        "crc": [[t, crc32c(t.encode()), masked_crc32c(t.encode())] for t in texts],
        "time": TIME,
        "version": record(event_pb2.Event(wall_time=TIME, file_version="brain.Event:2")),
        "purge": [[step, purge(step)] for step in (0, 1, 301)],
        "scalars": [[step, values, scalars(step, values)] for step in (0, 1, 127, 128, 2**31 + 5)],
        "text": [7, "samples/1", said, text(7, "samples/1", said)],
    }
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(json.dumps(made, indent=1) + "\n")


def read(folder):
    events = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0}).Reload()
    for tag in events.Tags()["scalars"]:
        print(tag, [(e.step, e.value) for e in events.Scalars(tag)])
    for tag in events.Tags()["tensors"]:
        print(tag, [(e.step, e.tensor_proto.string_val) for e in events.Tensors(tag)])


read(sys.argv[2]) if sys.argv[1] == "--read" else write(sys.argv[1])
