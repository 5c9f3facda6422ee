"""A gRPC proxy of the tests: it passes every call on, and does to chosen ones what networks do."""

import threading
from concurrent import futures

import grpc

STREAMS = ("ReadLedger", "WatchStock", "WatchBans", "WatchPolicies", "WatchOrders", "Watch")


class Proxy:
    """Listens on a port of its own and passes calls on to `address`. `fate(method)` says what happens to a unary call:
    "pass", "lose request" (never arrives; the caller hears UNAVAILABLE), "lose answer" (takes effect; the caller hears UNAVAILABLE),
    "swallow answer" (takes effect; the caller hears nothing), "double" (arrives twice, one after the other)."""

    def __init__(self, address):
        self.fate = lambda method: "pass"
        self.counts = {}
        self.lock = threading.Lock()
        self.channel = grpc.insecure_channel(address, [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200),
                                                       ("grpc.max_receive_message_length", 64 << 20), ("grpc.enable_http_proxy", 0)])
        self.server = grpc.server(futures.ThreadPoolExecutor(64), handlers=[self], options=[("grpc.max_receive_message_length", 64 << 20)])
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def count(self, fate):
        """How many calls met this fate."""
        with self.lock:
            return self.counts.get(fate, 0)

    def close(self):
        self.server.stop(0).wait()
        self.channel.close()

    # What grpcio asks for each call.
    def service(self, details):
        if details.method.rsplit("/", 1)[1] in STREAMS:
            return grpc.unary_stream_rpc_method_handler(lambda request, context: self._stream(details.method, request, context))
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._unary(details.method, request, context))

    def _unary(self, method, request, context):
        fate = self.fate(method.rsplit("/", 1)[1])
        with self.lock:
            self.counts[fate] = self.counts.get(fate, 0) + 1
        if fate == "lose request":
            context.abort(grpc.StatusCode.UNAVAILABLE, "lost on the way there")
        call = self.channel.unary_unary(method)
        try:
            answer = call(request, timeout=context.time_remaining())
            if fate == "double":
                answer = call(request, timeout=context.time_remaining())
        except grpc.RpcError as error:
            context.set_trailing_metadata(error.trailing_metadata() or ())
            context.abort(error.code(), error.details())
        if fate == "lose answer":
            context.abort(grpc.StatusCode.UNAVAILABLE, "lost on the way back")
        if fate == "swallow answer":
            done = threading.Event()
            context.add_callback(done.set)
            done.wait(30)
        return answer

    def _stream(self, method, request, context):
        answers = self.channel.unary_stream(method)(request)
        context.add_callback(answers.cancel)
        try:
            yield from answers
        except grpc.RpcError as error:
            if context.is_active():
                context.abort(error.code(), error.details())
