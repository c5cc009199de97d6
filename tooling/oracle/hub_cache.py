"""The cache of the hub client against huggingface_hub itself: each finds offline what the other has fetched from one stub.

    python -m venv /tmp/venv-hub && /tmp/venv-hub/bin/pip install huggingface_hub==2.4.0
    /tmp/venv-hub/bin/python tooling/oracle/hub_cache.py

Starts a hub on 127.0.0.1, fetches in a new folder with Graft (tooling/oracle/hub_cache.ts) and with Python, in both orders, and
compares the trees of the two caches. Prints what was compared; ends with 1 at the first difference. Writes nothing else.
huggingface_hub is pinned here and not in requirements.txt, where transformers decides its version.
"""
import hashlib
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = {
    "config.json": (b'{"model_type": "stub"}\n', False),
    "model.safetensors": (bytes(i * i >> 3 & 255 for i in range(300_000)), True),
    "onnx/deep/config.json": (b"{}", False),
    "empty": (b"", False),
}
COMMIT, SECOND = "1" * 40, "2" * 40
REFS = {"main": COMMIT, "v1.0": COMMIT, "refs/pr/1": SECOND}


def etag(data, large):
    return hashlib.sha256(data).hexdigest() if large else hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Hub(http.server.BaseHTTPRequestHandler):
    """The answers of the Hugging Face hub that a download needs."""

    protocol_version = "HTTP/1.1"
    asked = []

    def log_message(self, *_):
        pass

    def reply(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in {"content-length": len(body), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        Hub.asked.append(f"{self.command} {path}")
        parts = self.path.split("?")[0].split("/")
        if path.startswith("/far/"):
            data = next(data for data, large in FILES.values() if etag(data, large) == parts[2])
            start = int(self.headers.get("range", "bytes=0-")[6:-1])
            ranged = {"content-range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
            return self.reply(206 if start else 200, {"etag": '"far"', **ranged}, data[start:])
        if path.startswith("/api/models/owner/name/"):
            revision = urllib.parse.unquote(parts[6])
            commit = REFS.get(revision, revision)
            if parts[5] == "revision":
                return self.json({"_id": "1", "id": "owner/name", "sha": commit, "private": False, "downloads": 0, "likes": 0,
                                  "tags": [], "siblings": [{"rfilename": name} for name in FILES]})
            return self.json([self.entry(name, *FILES[name]) for name in FILES])
        revision, name = urllib.parse.unquote(parts[4]), urllib.parse.unquote("/".join(parts[5:]))
        about = {"x-repo-commit": REFS.get(revision, revision)}
        if name not in FILES:
            return self.reply(404, {**about, "x-error-code": "EntryNotFound"})
        data, large = FILES[name]
        tag = f'"{etag(data, large)}"'
        if large:
            far = f"http://localhost:{self.server.server_port}/far/{etag(data, large)}"
            return self.reply(302, {**about, "location": far, "x-linked-etag": tag, "x-linked-size": len(data)})
        self.reply(200, {**about, "etag": tag}, data)

    def json(self, value):
        self.reply(200, {"content-type": "application/json"}, json.dumps(value).encode())

    @staticmethod
    def entry(name, data, large):
        entry = {"type": "file", "path": name, "oid": etag(data, False), "size": len(data)}
        if large:
            entry["lfs"] = {"oid": etag(data, True), "size": len(data), "pointerSize": 134}
        return entry


def run(program, cache, endpoint, offline=False):
    """What a program makes of a list of wishes: its answers, or the kind of its error."""
    env = {**os.environ, "HF_HOME": str(cache), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": str(int(offline)),
           "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_TOKEN": ""}
    found = subprocess.run(program, env=env, cwd=ROOT, capture_output=True, text=True)
    if found.returncode:
        sys.exit(f"{' '.join(map(str, program))}\n{found.stdout}{found.stderr}")
    return json.loads(found.stdout.splitlines()[-1])


PYTHON = """
import json, huggingface_hub as hub
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
def of(*args, **more):
    try:
        return hub.hf_hub_download("owner/name", *args, **more)
    except (EntryNotFoundError, LocalEntryNotFoundError):
        return "none"
found = [of("config.json"), of("model.safetensors"), of("empty"), of("onnx/deep/config.json", revision="refs/pr/1"),
         of("config.json", revision="v1.0"), of("model.safetensors", revision="2" * 40), of("none.json", revision="1" * 40)]
found.append(hub.snapshot_download("owner/name", allow_patterns=["*.json", "model.*"]))
print(json.dumps(found))
"""

SCAN = """
import json, huggingface_hub as hub
info = hub.scan_cache_dir()
repo, = info.repos
print(json.dumps([[str(w) for w in info.warnings], info.size_on_disk, repo.repo_id, sorted(repo.refs),
                  sorted([r.commit_hash, sorted(r.refs), sorted([str(f.file_name), f.size_on_disk] for f in r.files)] for r in repo.revisions),
                  len(getattr(info, "incomplete_files", []))]))
"""


def tree(cache):
    """Names, links and texts of a cache, without the locks that only Python takes and the times that only it notes."""
    found = {}
    for path in sorted((cache / "hub").rglob("*")):
        name = str(path.relative_to(cache / "hub"))
        if path.is_dir() or name.startswith(".locks") or name == "CACHEDIR.TAG":
            continue
        found[name] = f"-> {os.readlink(path)}" if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    python = [sys.executable, "-c", PYTHON]
    graft = [*os.environ.get("GRAFT_NODE", "npx node").split(), "--conditions=@graftjs/source", "tooling/oracle/hub_cache.ts"]
    scan = [sys.executable, "-c", SCAN]
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = pathlib.Path(folder, "graft"), pathlib.Path(folder, "python")
        results = {}
        for name, cache, first, second in (("graft", ours, graft, python), ("python", theirs, python, graft)):
            online = run(first, cache, endpoint)
            before = len(Hub.asked)
            offline = run(second, cache, endpoint, offline=True)
            again = run(first, cache, endpoint, offline=True)
            assert len(Hub.asked) == before, Hub.asked[before:]
            assert online == offline == again, (name, online, offline, again)
            # Online, the second asks for the hub's word and fetches no byte.
            assert run(second, cache, endpoint) == online
            fetched = [line for line in Hub.asked[before:] if line.startswith("GET") and "/api/" not in line]
            assert fetched == [], fetched
            results[name] = [[path.replace(str(cache), "") for path in online], run(scan, cache, endpoint, offline=True)]
        assert results["graft"] == results["python"], results
        assert results["graft"][1][0] == [], results["graft"][1][0]
        mine, other = tree(ours), tree(theirs)
        assert mine == other, {name: (mine.get(name), other.get(name)) for name in {*mine, *other} if mine.get(name) != other.get(name)}
        print(json.dumps(results["graft"][1], indent=1))
        print(f"{len(mine)} names, links and texts are the same; each found offline all that the other had fetched")
    server.shutdown()


main()
