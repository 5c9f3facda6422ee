"""How a service ends."""

import os
import signal
import subprocess
import sys

from flashsale_client import wait_until

# A client that has called once and then sleeps: gRPC's own poller of idle channels is off, so it does not even hear the server's goodbye.
SLEEPER = """
import sys, grpc
channel = grpc.insecure_channel(sys.argv[1], [("grpc.enable_http_proxy", 0)])
channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10)
print("called", flush=True)
sys.stdin.read()
"""


def test_an_idle_client_does_not_hold_a_service_up(installations):
    sale = installations("--no-demo", "--set", "inventory.drain-time=2m")
    sale.up()
    sleeper = subprocess.Popen([sys.executable, "-c", SLEEPER, sale.address("inventory")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               env=os.environ | {"GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS": "0"})
    try:
        assert sleeper.stdout.readline() == b"called\n"
        pid = sale.kill("inventory", signal.SIGTERM)
        # gRPC itself gives up on such a client after 20 s.
        wait_until(lambda: sale.status()["inventory"]["pid"] not in (None, pid), 12, "inventory ended and was started again")
    finally:
        sleeper.kill()
        sleeper.wait()
