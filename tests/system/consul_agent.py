"""A real Consul for tests: agents of their own, with and without ACLs and TLS, and a proxy in front of one that can misbehave."""

import http.client
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time

import requests
from flashsale_client import PRESET, PROJECT, SANITIZER_WORDS, free_port, wait_until

PROGRAM = shutil.which("consul") or str(PROJECT / ".deps" / "bin" / "consul")


def other_environment(**variables):
    """This process's, without what Consul's tools would read, and with these."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONSUL_")}
    return environment | {name: str(value) for name, value in variables.items()}


class Agent:
    """`consul agent -dev`, whose memory is lost with it. start() after kill() is on the same ports."""

    def __init__(self, folder, configuration=None):
        self.folder, self.configuration = folder, configuration or {}
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.token, self.process = None, None

    def start(self, wait=True):
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "more.json"
        configuration.write_text(json.dumps({"disable_update_check": True} | self.configuration))
        ports = {"-http-port": self.port, "-serf-lan-port": self.port + 1, "-server-port": self.port + 2, "-serf-wan-port": -1,
                 "-grpc-port": -1, "-grpc-tls-port": -1, "-dns-port": -1}
        words = [PROGRAM, "agent", "-dev", "-node", "test", "-bind", "127.0.0.1", "-client", "127.0.0.1", "-log-level", "warn",
                 "-config-file", str(configuration)] + [str(word) for pair in ports.items() for word in pair]
        with open(self.folder / "agent.log", "ab") as log:
            self.process = subprocess.Popen(words, cwd=self.folder, stdout=log, stderr=log, env=other_environment())
        if wait:
            wait_until(self.has_leader, what="Consul has a leader")
        return self

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    def ask(self, method, path, **options):
        headers = {"X-Consul-Token": self.token} if self.token else {}
        return requests.request(method, f"http://{self.address}/v1{path}", headers=headers, timeout=10, **options)

    def has_leader(self):
        try:
            return self.ask("GET", "/status/leader").json() != ""
        except (requests.RequestException, ValueError):
            return False

    def health(self, service):
        """id -> the worst of its checks, by Consul's own words."""
        found = {}
        for entry in self.ask("GET", f"/health/service/{service}").json():
            states = {check["Status"] for check in entry["Checks"]}
            found[entry["Service"]["ID"]] = next((state for state in ("critical", "warning") if state in states), "passing")
        return found

    def is_passing(self, service, count=1):
        return list(self.health(service).values()) == ["passing"] * count


class Process:
    """A service started by hand, found through Consul."""

    def __init__(self, folder, service, agent_variables, *flags, store=None, port=None, prefix="flashsale"):
        self.service, self.port, self.folder = service, port or free_port(), folder
        self.log = folder / f"{service}-{self.port}.log"
        self.log.touch()
        self.program = PROJECT / "build" / PRESET / "bin" / f"flashsale-{service}"
        self.store = store or folder / f"{service}-{self.port}"
        self.environment = other_environment(**agent_variables)
        if not self.store.exists():
            subprocess.run([self.program, "init", "--store", self.store], check=True, stdout=subprocess.DEVNULL)
        self.words = [self.program, "--store", self.store, "--listen", f"127.0.0.1:{self.port}", "--admin",
                      f"127.0.0.1:{self.port + 10}", "--discovery", "consul", "--consul-prefix", prefix, *flags]
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(word) for word in self.words], stdout=log, stderr=log, env=self.environment)
        return self

    def end(self, kill=False):
        if self.process:
            (self.process.kill if kill else self.process.terminate)()
            code = self.process.wait(timeout=60)
            self.process = None
            return code
        return None

    def has_said(self, *parts):
        return any(all(part in line for part in parts) for line in self.log.read_text().splitlines())

    def sanitizer_reports(self):
        return [line for line in self.log.read_text().splitlines() if any(word in line for word in SANITIZER_WORDS)]

    def metric(self, name):
        text = requests.get(f"http://127.0.0.1:{self.port + 10}/metrics", timeout=10).text
        return metric(text, name)


def metric(text, name):
    """The value of a metric, by its name with labels; 0 when it is not there."""
    for line in text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])
    return 0.0


class Proxy:
    """Between services and an agent; `mode` says how it answers: well, garbage, huge, slow, silent, error, reset, empty."""

    def __init__(self, agent):
        self.agent, self.mode, self.asked = agent, "well", 0
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def misbehave(self, mode):
        """From now on; blocking queries that are under way end at once."""
        self.mode, self.asked = mode, 0

    def end(self):
        self.mode = "reset"
        self.server.shutdown()
        self.server.server_close()

    def _handler(proxy):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *words):
                pass

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                try:
                    proxy._answer(self, body)
                except (OSError, http.client.HTTPException):
                    self.close_connection = True

            do_PUT = do_GET
        return Handler

    def _answer(self, handler, body):
        self.asked += 1
        mode = self.mode
        if mode == "well":
            answer = self._forward(handler, body)
            if answer is not None:
                return self._send(handler, *answer)
            mode = self.mode
        if mode == "garbage":
            self._send(handler, 200, {"X-Consul-Index": "7"}, b"\x00\xff{[[<html>" * 50)
        elif mode == "empty":
            self._send(handler, 200, {"X-Consul-Index": "1"}, b"[]")
        elif mode == "error":
            self._send(handler, 500, {}, b"No cluster leader")
        elif mode == "huge":
            handler.send_response(200)
            handler.send_header("X-Consul-Index", "9")
            handler.end_headers()
            while self.mode == "huge":
                handler.wfile.write(b"[" + b" " * 65536)
        elif mode in ("slow", "silent"):
            if mode == "slow":
                handler.send_response(200)
                handler.send_header("Content-Length", "1000")
                handler.end_headers()
            while self.mode == mode:
                time.sleep(0.1)
                if mode == "slow":
                    handler.wfile.write(b"[")
            handler.close_connection = True
        else:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            handler.close_connection = True

    def _forward(self, handler, body):
        """What the agent says; None: the mode has changed meanwhile."""
        path = handler.path.replace("wait=30000ms", "wait=300ms")  # so that a change of mode is seen soon
        while self.mode == "well":
            connection = http.client.HTTPConnection(self.agent.address, timeout=10)
            connection.request(handler.command, path, body)
            answer = connection.getresponse()
            content, index = answer.read(), answer.getheader("X-Consul-Index", "")
            connection.close()
            if f"index={index}&" not in handler.path or answer.status != 200:
                return answer.status, {"X-Consul-Index": index} if index else {}, content
        return None

    def _send(self, handler, status, headers, body):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
