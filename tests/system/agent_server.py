"""A minimal agent server for tests/system/checks, over HTTP and HTTPS, and a name server that resolves its name.

A run ends `seconds` (a field of its input) after it was created, fails if its input says so in `fails`, and stops at the
question in `asks`. `/hook` takes webhooks, unless the file /run/receiver-is-ill is there. The file named by the first argument
gets every request as a line of JSON, with its x-api-key, so that the checks can see that the credential arrived. Listens on
loopback only: on 2024, 2443 and as the name server, or on the port of the third argument alone.
"""

import json
import socket
import ssl
import struct
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

record = open(sys.argv[1], "a", buffering=1, encoding="utf-8")
certificate = Path(sys.argv[2])
runs = {}  # (thread, run) -> the run
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or "null")
        tls = isinstance(self.connection, ssl.SSLSocket)
        entry = {"method": self.command, "path": self.path, "tls": tls, "host": self.headers["host"]}
        entry |= {"api_key": self.headers["x-api-key"], "metadata": (body or {}).get("metadata")}
        status, answer, headers = self.answer(body)
        record.write(json.dumps(entry | {"status": status}) + "\n")
        content = json.dumps(answer).encode() if status != 204 else b""
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": len(content), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = handle_any

    def answer(self, body):
        parts = self.path.partition("?")[0].strip("/").split("/")
        match (self.command, parts):
            case ("POST", ["hook"]):
                return (500 if Path("/run/receiver-is-ill").exists() else 200), {}, {}
            case ("POST", ["threads", thread, "runs"]):
                return self.start(thread, body)
            case ("GET", ["threads", thread, "runs"]):
                return 200, [shown(run) for (owner, _), run in runs.items() if owner == thread][::-1], {}
            case ("GET", ["threads", thread]):
                return 200, {"thread_id": thread, "status": "idle", "values": {"answer": 42}, "interrupts": {}}, {}
            case ("GET", ["threads", thread, "runs", run]) if (thread, run) in runs:
                return 200, shown(runs[thread, run]), {}
            case ("GET", ["threads", thread, "runs", run, "join"]) if (thread, run) in runs:
                time.sleep(max(0, runs[thread, run]["until"] - time.monotonic()))
                return 200, runs[thread, run]["result"], {}
            case ("POST", ["threads", thread, "runs", run, "cancel"]) if (thread, run) in runs:
                runs[thread, run]["until"] = 0
                return 202, {}, {}
            case ("DELETE", ["threads", *_]):
                return 204, None, {}
        return 404, {"detail": "not found"}, {}

    def start(self, thread, body):
        run_id = str(uuid.uuid4())
        with lock:
            going = any(owner == thread and shown(run)["status"] == "running" for (owner, _), run in runs.items())
            if going and body.get("multitask_strategy") == "reject":
                return 409, {"detail": "busy"}, {}
            seconds = body.get("after_seconds", 0) + (body.get("input") or {}).get("seconds", 0)
            run = {"run_id": run_id, "thread_id": thread, "metadata": body.get("metadata") or {}}
            result = {"answer": 42}
            if fails := (body.get("input") or {}).get("fails"):
                result = {"__error__": {"error": "ValueError", "message": fails}}
            if asks := (body.get("input") or {}).get("asks"):
                result = {"__interrupt__": [{"id": "1", "value": asks}]}
            runs[thread, run_id] = {"until": time.monotonic() + seconds, "run": run, "result": result}
        location = f"/threads/{thread}/runs/{run_id}"
        return 200, shown(runs[thread, run_id]), {"content-location": location}

    def log_message(self, *_):
        pass


def shown(run):
    ended = "error" if "__error__" in run["result"] else "success"
    return run["run"] | {"status": ended if time.monotonic() >= run["until"] else "running"}


def serve_names():
    """Answers every A query with 127.0.0.1, and every other query with no records."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    while True:
        question, asker = server.recvfrom(512)
        end = question.index(0, 12) + 5
        is_a = struct.unpack("!H", question[end - 4 : end - 2])[0] == 1
        answer = question[:2] + struct.pack("!5H", 0x8580, 1, int(is_a), 0, 0) + question[12:end]
        if is_a:
            answer += struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, socket.inet_aton("127.0.0.1"))
        record.write(json.dumps({"method": "DNS", "path": question[13 : end - 5].decode(errors="replace")}) + "\n")
        server.sendto(answer, asker)


def listen(port, tls):
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever).start()


if sys.argv[3:]:
    listen(int(sys.argv[3]), tls=False)
else:
    threading.Thread(target=serve_names).start()
    listen(2024, tls=False)
    listen(2443, tls=True)
