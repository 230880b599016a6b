"""The API writes to no file outside of the temporary folder, so that the image's root may be read-only."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.api.desk import config_text
from tests.servers import valkey_server
from tests.traffic.api_process import AUTHORIZATION, MESSAGE
from tests.traffic.wire import exchange, head, post

_WATCHED = """
import os, pathlib, signal, sys, threading
written = []

def watch(event, args):
    if event == "open":
        path, mode, flags = args
        if isinstance(path, (str, bytes, os.PathLike)) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            written.append(os.fsdecode(path))
    elif event in ("os.mkdir", "os.rename", "os.remove", "os.symlink", "subprocess.Popen", "os.system", "os.exec"):
        written.append(event)

sys.addaudithook(watch)
from app.config import load_config
from app.serve import run_api
code = run_api(load_config(pathlib.Path(sys.argv[1])), "127.0.0.1", 0, lambda url: print(url, flush=True))
import json
print(json.dumps(written), flush=True)
sys.exit(code)
"""


def test_a_running_api_opens_no_file_for_writing_and_starts_no_program(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    with valkey_server() as redis:
        file.write_text(config_text(redis.url))
        process = subprocess.Popen(
            [sys.executable, "-B", "-c", _WATCHED, str(file)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        port = int(process.stdout.readline().rpartition(":")[2])
        assert exchange(port, post(MESSAGE, AUTHORIZATION))[0].status == 202
        for path in ("/docs", "/docs/swagger-ui.css", "/openapi.json", "/metrics", "/readyz"):
            assert exchange(port, head("GET", path))[0].status == 200
        process.terminate()
        said, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert [path for path in json.loads(said) if path not in ("/dev/null", "/dev/tty")] == []
