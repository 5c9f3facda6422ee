"""What system tests talk with: an installation, and gRPC without generated code."""

import collections
import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import grpc
import requests
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from waiting import PATIENCE_S, PRESET, wait_until  # noqa: F401  also for who imports them from here

PROJECT = Path(__file__).resolve().parents[2]
GRPCURL = PROJECT / ".deps" / "bin" / "grpcurl"
DISCOVERY = os.environ.get("FLASHSALE_TEST_DISCOVERY", "static")
PORTS_OF_AN_INSTALLATION = [*range(5), *range(6, 9), *range(10, 15), *range(16, 19), *range(20, 23), *range(31, 34), *range(41, 44), *range(51, 54), *range(61, 64)]
PORTS_OF_A_BLOCK = max(PORTS_OF_AN_INSTALLATION) + 1
blocks = collections.deque(maxlen=60)  # locked files of the blocks that this process chose last; what older ones were for runs, or is gone
SANITIZER_WORDS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")


def run_script(*words, timeout=600, environment=None):
    """./flashsale WORD..., as a person runs it."""
    return subprocess.run([str(PROJECT / "flashsale"), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=timeout, env=environment)


def free_port():
    """A port P with all ports of an installation at P free, below those that the kernel gives to clients. Its block is this process's alone: tests run
    side by side, and what one has chosen is not in use yet when the next one chooses."""
    folder = Path(tempfile.gettempdir()) / f"flashsale-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    ports = range(10000, 30000 - PORTS_OF_A_BLOCK, PORTS_OF_A_BLOCK)
    for port in random.sample(ports, len(ports)):
        lock = open(folder / str(port), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        blocks.append(lock)
        if all(is_free(port + offset) for offset in PORTS_OF_AN_INSTALLATION):
            return port
    raise AssertionError("no free ports: do installations of earlier tests still run?")


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Installation:
    """`./flashsale up` on free ports in a home of its own."""

    def __init__(self, home, flags=(), environment=None):
        self.home, self.flags, self.environment = Path(home), list(flags), environment
        self.discovery = DISCOVERY
        self.port = free_port()
        self.tls = self.home / "etc" / "tls" if "--tls" in flags else None
        self.rest = Rest(f"http://127.0.0.1:{self.port}")
        self.grpc = Grpc(self)

    def up(self, *flags):
        result = run_script("up", "--preset", PRESET, "--home", self.home, "--port", self.port, "--discovery", self.discovery,
                            *self.flags, *flags, environment=self.environment)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def down(self):
        self.grpc.close()
        result = run_script("down", "--home", self.home)
        assert result.returncode == 0, result.stdout + result.stderr

    def status(self):
        """name -> what `status --json` says of the service."""
        result = run_script("status", "--json", "--home", self.home)
        return {service["name"]: service for service in json.loads(result.stdout)["services"]}

    def is_healthy(self, *names):
        services = self.status()
        return all(services[name]["health"] == "healthy" for name in names or services)

    def address(self, service):
        """Of a service, or of a shard of one: "cart-1"."""
        name, _, shard = service.partition("-")
        if int(shard or 0):
            return f"127.0.0.1:{self.port + {'inventory': 30, 'cart': 50, 'protector': 5}[name] + int(shard)}"
        return f"127.0.0.1:{self.port + {'gatekeeper': 0, 'protector': 1, 'policy': 2, 'inventory': 3, 'cart': 4}[name]}"

    def admin(self, service, path):
        host, port = self.address(service).split(":")
        return requests.get(f"http://{host}:{int(port) + 10}{path}", timeout=10)

    def pid(self, service):
        return self.status()[service]["pid"]

    def kill(self, service, sign=signal.SIGKILL):
        pid = self.pid(service)
        os.kill(pid, sign)
        return pid

    def log(self, service):
        return (self.home / "log" / f"{service}.log").read_text(errors="replace")

    def log_lines(self, service):
        """The JSON lines of a service's log."""
        return [json.loads(line) for line in self.log(service).splitlines() if line.startswith("{")]

    def sanitizer_reports(self):
        found = []
        for path in sorted((self.home / "log").glob("*.log")):
            lines = path.read_text(errors="replace").splitlines()
            found += [f"{path.name}: {line}" for line in lines if any(word in line for word in SANITIZER_WORDS)]
        return found


class Rest:
    """The gatekeeper over HTTP; paths instead of addresses."""

    def __init__(self, base):
        self.base = base
        self.session = requests.Session()
        self.session.trust_env = False

    def request(self, method, path, **options):
        options.setdefault("timeout", 10)
        return self.session.request(method, self.base + path, **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body, **options):
        return self.request("POST", path, json=body, **options)

    def put(self, path, body, **options):
        return self.request("PUT", path, json=body, **options)

    def delete(self, path, **options):
        return self.request("DELETE", path, **options)

    def buy(self, user, sku="SKU0001", quantity=1, level=0, key=None, ip="127.0.0.1", session=None, **options):
        """POST /buy as the person `user`; `session` is a requests.Session for shoppers that run in threads of their own."""
        body = {"sessionID": "", "clientIP": ip, "userID": user, "userLevel": level, "goodsSKU": sku, "goodsQuantity": quantity}
        headers = {"Idempotency-Key": key} if key else {}
        options.setdefault("timeout", 10)
        return (session or self.session).post(self.base + "/buy", json=body, headers=headers, **options)


class Contracts:
    """All messages and services, from the descriptor set that the build made."""

    def __init__(self, preset=PRESET):
        files = descriptor_pb2.FileDescriptorSet()
        files.ParseFromString((PROJECT / "build" / preset / "generated" / "flashsale.binpb").read_bytes())
        self.pool = descriptor_pool.DescriptorPool()
        for file in files.file:  # protoc writes imports before those that need them
            self.pool.Add(file)
        self.factory = message_factory.MessageFactory(self.pool)

    def message(self, descriptor):
        return self.factory.GetPrototype(descriptor)

    def method(self, service, name):
        """service: "inventory" or a shard of it, "inventory-1"; or a full name such as grpc.health.v1.Health."""
        service = service.partition("-")[0]
        if "." not in service:
            service = f"flashsale.{service}.v1.{service.capitalize()}Service"
        return self.pool.FindServiceByName(service).FindMethodByName(name)


class Grpc:
    """Calls of an installation's services: grpc.call("inventory", "GetGoods", sku="SKU0001").goods.available.

    With --tls it is an operator, or who `name` says, by the certificate of that name in the installation.
    """

    def __init__(self, installation, name="operator"):
        self.installation, self.name = installation, name
        self.channels = {}
        self._contracts = None

    @property
    def contracts(self):
        if self._contracts is None:
            self._contracts = Contracts()
        return self._contracts

    def channel(self, service):
        if service not in self.channels:
            # Reconnect quickly: tests kill services on purpose.
            options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500),
                       ("grpc.max_receive_message_length", 64 << 20), ("grpc.enable_http_proxy", 0)]
            self.channels[service] = self._connect(self.installation.address(service), options)
        return self.channels[service]

    def _connect(self, address, options):
        tls = getattr(self.installation, "tls", None)  # a program started alone has none
        if not tls:
            return grpc.insecure_channel(address, options)
        files = [(tls / name).read_bytes() for name in ("ca.crt", f"{self.name}.key", f"{self.name}.crt")]
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(*files), options)

    def call(self, service, method, *, of=None, timeout=10, wait_for_ready=None, metadata=None, **fields):
        """A unary call. `of` names another service than the process's own, such as grpc.health.v1.Health."""
        call, request = self._prepare(service, method, of, fields, "unary_unary")
        return call(request, timeout=timeout, wait_for_ready=wait_for_ready, metadata=metadata)

    def stream(self, service, method, *, of=None, timeout=30, **fields):
        """A server stream; iterate over it, and cancel() it."""
        call, request = self._prepare(service, method, of, fields, "unary_stream")
        return call(request, timeout=timeout)

    def send(self, service, method, messages, *, of=None, timeout=30):
        """A client stream of messages, each a dict of fields."""
        descriptor = self.contracts.method(of or service, method)
        kind = self.contracts.message(descriptor.input_type)
        call, _ = self._prepare(service, method, of, {}, "stream_unary")
        return call((json_format.ParseDict(fields, kind()) for fields in messages), timeout=timeout)

    def _prepare(self, service, method, of, fields, shape):
        descriptor = self.contracts.method(of or service, method)
        request = json_format.ParseDict(fields, self.contracts.message(descriptor.input_type)())
        answer = self.contracts.message(descriptor.output_type)
        call = getattr(self.channel(service), shape)(
            f"/{descriptor.containing_service.full_name}/{method}",
            request_serializer=lambda message: message.SerializeToString(), response_deserializer=answer.FromString)
        return call, request

    def forget(self, service):
        """The next call connects anew, at once: a channel whose service was gone waits before it tries again, and says "unavailable" meanwhile."""
        if channel := self.channels.pop(service, None):
            channel.close()

    def close(self):
        for channel in self.channels.values():
            channel.close()
        self.channels.clear()


def as_dict(message):
    """A message with every field, by its name in the proto."""
    return json_format.MessageToDict(message, including_default_value_fields=True, preserving_proto_field_name=True)


def grpcurl(*words, security=("-plaintext",), timeout=30):
    return subprocess.run([str(GRPCURL), *map(str, security), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout)
