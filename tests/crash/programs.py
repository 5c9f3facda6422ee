"""The real programs one by one, without a supervisor: started, watched and killed by the test alone."""

import os
import signal
import subprocess
from pathlib import Path

import requests
from flashsale_client import PRESET, PROJECT, Grpc, free_port, wait_until
from witness import Witness

SHARDED = ("inventory", "cart")


class Program:
    """A service on ports of its own, with a store in `home`. start() and kill() as often as one likes; each start has a Witness of its own
    unless `watched` is False."""

    def __init__(self, name, home, flags=(), watched=True):
        self.name, self.home, self.flags, self.watched = name, Path(home), list(flags), watched
        self.home.mkdir(parents=True, exist_ok=True)
        self.store = self.home / "store"
        self.port = free_port()
        self.log = self.home / "log"
        self.process = self.witness = None
        self.runs = 0
        self.grpc = Grpc(self)

    def address(self, service=None):
        return f"127.0.0.1:{self.port}"

    def words(self, *flags):
        words = [PROJECT / "build" / PRESET / "bin" / f"flashsale-{self.name}", *flags, "--store", self.store]
        return [str(word) for word in words]

    def init(self, *flags):
        """Makes the store; what it says if it does not."""
        result = subprocess.run(self.words("init", *flags), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        return None if result.returncode == 0 else result.stdout

    def start(self, *flags, gates=(), wait=True):
        """Starts it, the named gates shut; waits until it is healthy, or only until it runs."""
        assert self.process is None
        self.grpc.close()
        self.runs += 1
        environment = dict(os.environ)
        if self.watched:
            self.witness = Witness(self.home / f"witness-{self.runs}")
            for gate in gates:
                self.witness.shut(gate)
            environment |= self.witness.environment()
        words = self.words("--listen", self.address(), "--admin", f"127.0.0.1:{self.port + 10}", *self.flags, *flags)
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, env=environment)
        if wait:
            wait_until(self.is_healthy_or_dead, what=f"{self.name} is healthy")
            assert self.process.poll() is None, self.log.read_text()[-2000:]
        return self

    def is_healthy(self):
        try:
            return requests.get(f"http://127.0.0.1:{self.port + 10}/healthz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def metric(self, name, label=""):
        """The sum of all with this name, and with this in their labels."""
        lines = requests.get(f"http://127.0.0.1:{self.port + 10}/metrics", timeout=5).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split(" ")[0].split("{")[0] == name and label in line)

    def is_healthy_or_dead(self):
        return self.process.poll() is not None or self.is_healthy()

    def ended(self, seconds=30):
        """Waits for its end; the code, or minus the signal."""
        code = self.process.wait(seconds)
        self.process = None
        return code

    def kill(self, sign=signal.SIGKILL):
        if self.process is None:
            return None
        self.process.send_signal(sign)
        return self.ended()

    def close(self):
        self.grpc.close()
        self.kill()

    def call(self, method, **fields):
        return self.grpc.call(self.name, method, **fields)

    def ask(self, method, **fields):
        """A call as a future of the answer's bytes, unread."""
        descriptor = self.grpc.contracts.method(self.name, method)
        call, request = self.grpc._prepare(self.name, method, None, fields, "unary_unary")
        del call
        raw = self.grpc.channel(self.name).unary_unary(
            f"/{descriptor.containing_service.full_name}/{method}", request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=lambda data: data)
        return raw.future(request, timeout=60)
