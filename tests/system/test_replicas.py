"""A replica of policy: it answers from the owner's rules, and passes on what is about the rules."""

import os
import signal
import time
from types import SimpleNamespace

import grpc
import pytest
from by_hand import Service
from flashsale_client import Grpc, as_dict, wait_until
from tools import supervise, tool

SILENCE_MAX_S = 5  # a stop takes a part of it


class Replica(Service):
    def __init__(self, folder, owner, *flags):
        super().__init__(folder, "policy", "--replica-of", owner, *flags, store=False)
        self.grpc = Grpc(SimpleNamespace(address=lambda service: self.address, tls=None))

    def limit(self, sku, level=0):
        """0: no limit."""
        return self.grpc.call("policy", "ValidatePurchase", sku=sku, user_level=level, quantity=1).limit.units

    def set(self, sku, level=-1, units=1):
        return self.grpc.call("policy", "SetPolicy", sku=sku, user_level=level, limit={"units": units}).policy

    def refuses(self, call):
        """(code, text), or None."""
        try:
            call()
        except grpc.RpcError as error:
            return error.code(), error.details()
        return None


@pytest.fixture
def pair(own_sale, tmp_path):
    """(sale, a replica of its policy)."""
    replica = Replica(tmp_path, own_sale.address("policy"), "--owner-silence-max", f"{SILENCE_MAX_S}s").start()
    wait_until(lambda: replica.health() == 200, what="the replica serves")
    yield own_sale, replica
    replica.grpc.close()
    replica.end(kill=True)
    assert replica.sanitizer_reports() == []


def test_it_answers_and_passes_on(pair):
    sale, replica = pair
    owner = sale.grpc
    standard = replica.limit("ANY")
    assert standard == owner.call("policy", "ValidatePurchase", sku="ANY", user_level=0, quantity=1).limit.units > 0
    # Through either, known to both.
    assert replica.set("BY-REPLICA", units=7).limit.units == 7
    assert owner.call("policy", "GetPolicy", sku="BY-REPLICA", user_level=-1).policy.limit.units == 7
    owner.call("policy", "SetPolicy", sku="BY-OWNER", user_level=3, limit={"units": 9})
    wait_until(lambda: (replica.limit("BY-REPLICA"), replica.limit("BY-OWNER", 3)) == (7, 9), what="the replica has heard of both")
    assert as_dict(replica.grpc.call("policy", "ListPolicies")) == as_dict(owner.call("policy", "ListPolicies"))
    replica.grpc.call("policy", "DeletePolicy", sku="BY-OWNER")
    wait_until(lambda: replica.limit("BY-OWNER", 3) == standard, what="the replica has heard of it")
    # The standard rule can be replaced, and comes back.
    replica.set("*", units=2)
    wait_until(lambda: replica.limit("ANY") == 2)
    replica.grpc.call("policy", "DeletePolicy", sku="*")
    wait_until(lambda: replica.limit("ANY") == standard)
    # The owner's word, as it is.
    code, why = replica.refuses(lambda: replica.set("BAD SKU"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT and why == sale_says(owner, "BAD SKU")
    code, why = replica.refuses(lambda: replica.grpc.call("policy", "GetPolicy", sku="NONE", user_level=1))
    assert code == grpc.StatusCode.NOT_FOUND and "NONE" in why


def sale_says(owner, sku):
    with pytest.raises(grpc.RpcError) as no:
        owner.call("policy", "SetPolicy", sku=sku, user_level=-1, limit={"units": 1})
    return no.value.details()


def test_without_its_owner(pair):
    """It goes on for a while, then answers nothing; when the owner is back it knows what changed meanwhile."""
    sale, replica = pair
    replica.set("KEPT", units=4)
    before = time.monotonic()
    replica.set("LATER-GONE", units=6)
    wait_until(lambda: (replica.limit("KEPT"), replica.limit("LATER-GONE")) == (4, 6))
    watching = replica.grpc.stream("policy", "WatchPolicies", timeout=60)
    next(watching)
    supervise(sale, "stop", "policy")
    assert replica.limit("KEPT") == 4 and replica.health() == 200
    code, why = replica.refuses(lambda: replica.set("NEW"))
    assert code == grpc.StatusCode.UNAVAILABLE and "the owner of the rules can't be reached" in why
    wait_until(lambda: replica.health() == 503, what="its rules are too old")
    assert time.monotonic() - before > SILENCE_MAX_S
    code, why = replica.refuses(lambda: replica.limit("KEPT"))
    assert code == grpc.StatusCode.UNAVAILABLE and "ask another" in why
    assert replica.refuses(lambda: list(watching))[0] == grpc.StatusCode.UNAVAILABLE
    assert replica.refuses(lambda: next(replica.grpc.stream("policy", "WatchPolicies")))[0] == grpc.StatusCode.UNAVAILABLE
    # Only the owner hears of the next ones: the replica sleeps, and misses more than the owner remembers.
    os.kill(replica.process.pid, signal.SIGSTOP)
    supervise(sale, "start", "policy")
    wait_until(lambda: sale.is_healthy("policy"), what="the owner is back")
    sale.grpc.call("policy", "DeletePolicy", sku="LATER-GONE", wait_for_ready=True)
    sale.grpc.call("policy", "SetPolicy", sku="KEPT", user_level=-1, limit={"units": 5})
    os.kill(replica.process.pid, signal.SIGCONT)
    wait_until(lambda: replica.health() == 200, what="the replica serves again")
    assert (replica.limit("KEPT"), replica.limit("LATER-GONE")) == (5, replica.limit("ANY"))
    assert replica.end() == 0


def test_what_it_can_t_be(tmp_path):
    told = tool("policy", "--replica-of", "127.0.0.1:9", "--store", tmp_path)
    assert told.returncode == 2 and "contradict" in told.stderr
    told = tool("policy", "--replica-of", "nowhere")
    assert told.returncode == 2 and "--replica-of" in told.stderr
    told = tool("policy")
    assert told.returncode == 2 and "--store" in told.stderr
