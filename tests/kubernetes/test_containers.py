"""What a cluster would start of k8s/ does start: each container of the rendered manifests is run as the manifest says, and probed as it says; then somebody buys."""

import json
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from manifests import admits, find

ORDER = ("gatekeeper", "cart", "policy", "protector", "inventory")  # the worst one


@pytest.fixture(scope="module")
def sale(make_cluster):
    """All pods of the dev overlay, ready, and the demo sale open."""
    with make_cluster("dev") as cluster:
        for service in ORDER:
            start(cluster, service)
        for pod in cluster.pods.values():
            pod.wait_ready()
        run_demo_sale(cluster)
        yield cluster


def workload(cluster, service):
    return find(cluster.things, "Deployment" if service == "gatekeeper" else "StatefulSet", f"flashsale-{service}")


def start(cluster, service, ordinal=0):
    return cluster.make(workload(cluster, service), ordinal).start()


def run_demo_sale(cluster):
    pod = cluster.make(find(cluster.things, "Job", "flashsale-demo-sale"))
    assert pod.contain(pod.spec["containers"][0]).wait(120) == 0, pod.said("demo-sale")
    pod.kill()


def ask(cluster, path, body=None, key=None):
    headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
    url = f"http://{cluster.services['flashsale-gatekeeper'].address}:80{path}"
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def buy(cluster, user, within_s=30):
    """Once it is answered with more than 503 or 504."""
    end = time.monotonic() + within_s
    while True:
        status, answer = ask(cluster, "/v1/buy", {"userID": user, "userLevel": 1, "goodsSKU": "SKU0002", "goodsQuantity": 1}, key=f"key-{user}")
        if status not in (503, 504) or time.monotonic() > end:
            return status, answer
        time.sleep(0.2)


def available(cluster):
    return ask(cluster, "/sku/SKU0002")[1]["goodsQuantity"]


def test_everything_starts_in_any_order_and_sells(sale):
    before = available(sale)
    status, answer = buy(sale, "first")
    assert status in (200, 201) and answer["state"] == "HOLD_STATE_HELD", answer
    assert available(sale) == before - 1
    for pod in sale.pods.values():
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert pod.probe(pod.spec["containers"][0][kind]) is True, (pod.name, kind)


def test_no_right_is_left(sale):
    for pod in sale.pods.values():
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pod.first}/status").read_text().splitlines() if ":\t" in line)
        assert status["Uid"].split() == ["10001"] * 4 and status["NoNewPrivs"] == "1", pod.name
        assert {int(status[f"Cap{which}"], 16) for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}, pod.name
        root = [line.split() for line in Path(f"/proc/{pod.first}/mounts").read_text().splitlines() if line.split()[1] == "/"]
        assert root[-1][3].split(",")[0] == "ro", pod.name


def test_every_connection_is_allowed(sale):
    """What the services really do between each other passes the network policies."""
    buy(sale, "seen")
    addresses = {pod.address: pod for pod in sale.pods.values()}
    seen = set()
    for pod in sale.pods.values():
        for address, port in pod.connections():
            assert address in addresses, f"{pod.name} speaks to {address}:{port}"
            assert admits(sale.things, pod.labels, addresses[address].labels, port), f"{pod.name} to {addresses[address].name}:{port}"
            seen.add(tuple(p.labels["app.kubernetes.io/component"] for p in (pod, addresses[address])))
    assert seen == {("gatekeeper", other) for other in ("protector", "policy", "cart", "inventory")} | {("cart", "inventory")}


def test_the_log_is_lines_of_json(sale):
    end = time.monotonic() + 10
    gate = next(pod for pod in sale.pods.values() if pod.name.startswith("flashsale-gatekeeper"))
    while '"route"' not in gate.said():  # nginx writes its access log once a second
        assert time.monotonic() < end
        time.sleep(0.1)
    for pod in sale.pods.values():
        for line in pod.said().splitlines():
            assert json.loads(line)["service"] or True, pod.name


@pytest.mark.parametrize("service", ["inventory", "cart", "policy", "protector"])
def test_a_pod_is_replaced(sale, service):
    """It ends with 0 within its time; its successor, at another address, finds the store and is found."""
    first = sale.pods[f"flashsale-{service}-0"]
    assert first.end() == 0, first.said()
    before = first.address
    again = start(sale, service).wait_ready()
    assert again.address != before
    assert "is there" in again.said("init")
    status, answer = buy(sale, f"after-{service}")
    assert status in (200, 201), answer


def test_a_gatekeeper_is_replaced(sale):
    old = sale.pods["flashsale-gatekeeper-0"]
    start(sale, "gatekeeper", ordinal=1).wait_ready()
    assert old.end() == 0, old.said()
    assert buy(sale, "other-gate")[0] in (200, 201)


def test_an_empty_volume_is_no_new_store(sale):
    """Without permission, with one for another pod, and after its end."""
    statefulset = workload(sale, "inventory")
    permissions = ({}, {"until": "always", "pods": "flashsale-inventory-0"}, {"until": "2020-01-01T00:00:00Z", "pods": "flashsale-inventory-7"},
                   {"until": "soon", "pods": "*"})
    kept = sale.config_maps.pop("flashsale-new-stores")
    try:
        for permission, why in zip(permissions, ("no permission", "is for flashsale-inventory-0", "ended at 2020", "is no time"), strict=True):
            if permission:
                sale.config_maps["flashsale-new-stores"] = permission
            pod = sale.make(statefulset, ordinal=7)
            assert pod.run_init() == 1
            assert why in pod.said("init"), pod.said("init")
            assert list(pod.volumes["store"].iterdir()) == []
            pod.kill()
        sale.config_maps["flashsale-new-stores"] = {"until": "2999-01-01T00:00:00Z", "pods": "flashsale-cart-0 flashsale-policy-7"}
        pod = sale.make(workload(sale, "policy"), ordinal=7)
        assert pod.run_init() == 0, pod.said("init")
        assert (pod.volumes["store"] / "store" / "data.mdb").exists()
        pod.kill()
    finally:
        sale.config_maps["flashsale-new-stores"] = kept


def test_everything_ends_with_0(sale):
    pods = list(sale.pods.values())
    with ThreadPoolExecutor(len(pods)) as pool:
        ends = list(pool.map(lambda pod: pod.end(), pods))
    assert ends == [0] * len(pods), "\n".join(f"{pod.name}: {pod.said()[-2000:]}" for pod in pods)
