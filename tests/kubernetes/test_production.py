"""The pods of production: two shards of inventory and of the cart, mutual TLS, tokens; found by names, and by Consul."""

import shutil
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from cluster import NODE
from manifests import PROJECT, admits
from shop import all_end_with_0, allow_stores, ask, buy, give_secrets, start_all

GOODS = [f"GOODS{i}" for i in range(12)]


@pytest.fixture(params=["prod", "prod-consul"])
def sale(request, make_cluster, tmp_path):
    consul = shutil.which("consul") or PROJECT / ".deps" / "bin" / "consul"
    if request.param == "prod-consul" and not shutil.which(consul):
        pytest.skip("there is no consul; ./flashsale test system-consul builds it")
    with make_cluster(request.param) as cluster:
        cluster.issuer = give_secrets(cluster, tmp_path)
        allow_stores(cluster)
        agent = start_agent(consul, tmp_path) if request.param == "prod-consul" else None
        try:
            start_all(cluster)
            yield cluster
        finally:
            if agent:
                agent.terminate()
                agent.wait(30)


def start_agent(consul, folder):
    """The node's agent, at port 8500 of the node's address."""
    with open(folder / "consul.log", "w") as log:
        agent = subprocess.Popen([str(consul), "agent", "-dev", "-bind", NODE, "-client", NODE, "-log-level", "warn", "-dns-port", "-1"], stdout=log, stderr=log)
    end = time.monotonic() + 30
    while True:
        try:
            if urllib.request.urlopen(f"http://{NODE}:8500/v1/status/leader", timeout=1).read() != b'""':
                return agent
        except OSError:
            pass
        assert time.monotonic() < end and agent.poll() is None, (folder / "consul.log").read_text()
        time.sleep(0.1)


def test_a_sale(sale, tmp_path):
    operator = sale.issuer.bearer(sub="boss", scope="operator")
    for sku in GOODS:
        status, answer = ask(sale, "/add", {"goodsSKU": sku, "goodsQuantity": 10, "goodsPrice": 1}, operator)
        assert status in (200, 201), answer
    for i, sku in enumerate(GOODS):  # of both shards, by people of both
        status, answer = buy(sale, f"shopper{i}", sku, sale.issuer.bearer(sub=f"shopper{i}"))
        assert status in (200, 201) and answer["state"] == "HOLD_STATE_HELD", answer
    assert ask(sale, "/v1/buy", {"userID": "liar", "goodsSKU": GOODS[0], "goodsQuantity": 1})[0] == 401
    every_pod_is_probed_as_it_says(sale)
    every_connection_is_allowed(sale, consul=any(pod.environment(pod.spec["containers"][0]).get("CONSUL_HTTP_ADDR") for pod in sale.pods.values()))
    strangers_are_refused(sale, tmp_path)
    all_end_with_0(sale)


def every_pod_is_probed_as_it_says(sale):
    assert len(sale.pods) == 10
    for pod in sale.pods.values():
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            pod.wait_for(pod.spec["containers"][0][kind])


def every_connection_is_allowed(sale, consul):
    addresses = {pod.address: pod for pod in sale.pods.values()}
    seen = set()
    for pod in sale.pods.values():
        for address, port in pod.connections():
            if address == NODE:
                assert consul and port == 8500 and admits(sale.things, pod.labels, NODE, port), f"{pod.name} to the node:{port}"
                continue
            assert admits(sale.things, pod.labels, addresses[address].labels, port), f"{pod.name} to {addresses[address].name}:{port}"
            seen.add((pod.name, addresses[address].name))
    carts, inventories = (tuple(f"flashsale-{service}-{i}" for i in (0, 1)) for service in ("cart", "inventory"))
    assert {(cart, inventory) for cart in carts for inventory in inventories} < seen, seen
    protectors, policies = (("flashsale-protector-0", "flashsale-protector-1"), [name for name in sale.pods if name.startswith("flashsale-policy")])
    assert {protectors, protectors[::-1]} < seen, "they follow one another"
    assert {("flashsale-gatekeeper-0", name) for name in (*protectors, *policies)} < seen, "it hears each of them"
    assert {(name, "flashsale-policy-0") for name in policies if "replica" in name} < seen and len(policies) == 3


def strangers_are_refused(sale, certificates):
    """Without a certificate nobody speaks to a service: neither the kubelet, which is why its probes go to the admin port, nor who only trusts the authority."""
    authority = ("-cacert", certificates / "ca.crt")
    known = (*authority, "-cert", certificates / "gatekeeper.crt", "-key", certificates / "gatekeeper.key")
    pods = [pod for pod in sale.pods.values() if "gatekeeper" not in pod.name]
    who = {pod.name: ("-authority", f"{pod.labels['app.kubernetes.io/component'].removesuffix('-replica')}.flashsale.internal") for pod in pods}
    for pod in pods:
        assert '"SERVING"' in (answer := pod.check_health(*known, *who[pod.name]).stdout), (pod.name, answer)
    strangers = [(pod, security) for pod in pods for security in (("-plaintext",), ("-insecure",), (*authority, *who[pod.name]))]
    with ThreadPoolExecutor(len(strangers)) as pool:
        answers = list(pool.map(lambda stranger: stranger[0].check_health(*stranger[1], timeout=2), strangers))
    assert not [answer.stdout for answer in answers if answer.returncode == 0 or "SERVING" in answer.stdout]
