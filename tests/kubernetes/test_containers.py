"""What a cluster would start of k8s/ does start: each container of the rendered manifests is run as the manifest says, and probed as it says; then somebody buys."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from manifests import admits, find
from shop import all_end_with_0, ask, buy, start, start_all, workload
from waiting import wait_until


@pytest.fixture(scope="module")
def sale(make_cluster):
    """All pods of the dev overlay, ready, and the demo sale open."""
    with make_cluster("dev") as cluster:
        start_all(cluster)
        run_demo_sale(cluster)
        yield cluster


def run_demo_sale(cluster):
    pod = cluster.make(find(cluster.things, "Job", "flashsale-demo-sale"))
    assert pod.contain(pod.spec["containers"][0]).wait(120) == 0, pod.said("demo-sale")
    pod.kill()


def available(cluster):
    return ask(cluster, "/sku/SKU0002")[1]["goodsQuantity"]


def test_everything_starts_in_any_order_and_sells(sale):
    before = available(sale)
    status, answer = buy(sale, "first")
    assert status in (200, 201) and answer["state"] == "HOLD_STATE_HELD", answer
    assert available(sale) == before - 1
    for pod in sale.pods.values():
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            pod.wait_for(pod.spec["containers"][0][kind])


def test_the_images_own_health_check(sale):
    """What Docker would run in the container; another admin address in it is another answer."""
    command = sale.image.config()["Healthcheck"]["Test"][1:]
    for pod in sale.pods.values():
        answer = pod.execute(*command)
        assert answer.returncode == 0 and "is alive" in answer.stdout, (pod.name, answer.stdout)
        answer = pod.execute("env", "FLASHSALE_CFG_ADMIN=127.0.0.1:1", *command)
        assert answer.returncode == 2 and "answers: nothing" in answer.stdout, (pod.name, answer.stdout)


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
            if address != pod.address:  # as a protector that looks for others
                seen.add(tuple(p.labels["app.kubernetes.io/component"] for p in (pod, addresses[address])))
    assert seen == {("gatekeeper", other) for other in ("protector", "policy", "cart", "inventory")} | {("cart", "inventory")}


def test_the_log_is_lines_of_json(sale):
    gate = next(pod for pod in sale.pods.values() if pod.name.startswith("flashsale-gatekeeper"))
    wait_until(lambda: '"route"' in gate.said(), 10, "nginx writes its access log once a second")
    for pod in sale.pods.values():
        for line in pod.said().splitlines():
            assert json.loads(line)["service"] or True, pod.name


def a_ban(sale):
    """Bans somebody; gives how to lift it, which the gatekeeper hears also from a protector that is elsewhere by now."""
    def answer():
        return buy(sale, "mallory")[1].get("reason")

    status, ban = ask(sale, "/v1/bans", {"userID": "mallory"})
    assert status == 201, ban
    wait_until(lambda: answer() == "BANNED", 10, "the ban bites")

    def lift():
        assert answer() == "BANNED"
        wait_until(lambda: ask(sale, f"/v1/bans/{ban['banId']}", method="DELETE")[0] == 200, 30, "the ban is lifted")
        wait_until(lambda: answer() != "BANNED", 10, "the lifted ban bites no more")

    return lift


@pytest.mark.parametrize("service", ["inventory", "cart", "policy", "protector"])
def test_a_pod_is_replaced(sale, service):
    """It ends with 0 within its time; its successor, at another address, finds the store and is found."""
    lift = a_ban(sale) if service == "protector" else None
    first = sale.pods[f"flashsale-{service}-0"]
    assert first.end() == 0, first.said()
    before = first.address
    again = start(sale, service).wait_ready()
    assert again.address != before
    assert "is there" in again.said("init")
    if lift:
        lift()
    status, answer = buy(sale, f"after-{service}")
    assert status in (200, 201), answer


def test_a_gatekeeper_is_replaced(sale):
    old = sale.pods["flashsale-gatekeeper-0"]
    new = start(sale, "gatekeeper", ordinal=1).wait_ready()
    wait_until(lambda: '"gatekeepers":2' in new.said(), 30, "two share the throttle")
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


@contextmanager
def held(sale, service):
    """The service's pod, held in its init container; gives how to execute something there. After it the pod is ready again."""
    name = f"flashsale-{service}-0"
    sale.config_maps["flashsale-held"] = {"pods": name}
    assert sale.pods[name].end() == 0
    pod = sale.make(workload(sale, service))
    init = pod.contain(pod.spec["initContainers"][0])

    def is_held():
        assert init.poll() is None, pod.said("init")
        return "is held by the operator" in pod.said("init")

    wait_until(is_held, 30, "the pod is held")

    def execute(*command):
        answer = pod.execute(*command, first=pod.first_process(init))
        print(answer.stdout)
        return answer

    yield execute
    assert init.poll() is None
    del sale.config_maps["flashsale-held"]
    (pod.volumes["held"] / "pods").unlink()
    assert init.wait(30) == 0, pod.said("init")
    pod.start().wait_ready()


def test_a_backup_is_restored(sale):
    """docs/kubernetes.md, "Restore", line by line: what was sold after the backup is not lost either, for the cart knows it."""
    folder = "/var/lib/flashsale"
    assert sale.pods["flashsale-inventory-0"].execute("flashsale-inventory", "backup", "--to", f"{folder}/backup").returncode == 0
    status, later = buy(sale, "after-the-backup")
    assert status in (200, 201)
    before = available(sale)
    with held(sale, "inventory") as execute:
        assert execute("mv", f"{folder}/store", f"{folder}/store.lost").returncode == 0
        assert execute("flashsale-inventory", "restore", "--from", f"{folder}/backup").returncode == 0
    with held(sale, "cart") as execute:
        assert execute("flashsale-cart", "reconcile", "--report", f"{folder}/before.jsonl").returncode == 1
        done = execute("flashsale-cart", "reconcile", "--report", f"{folder}/done.jsonl", "--apply")
        assert done.returncode == 0, done.stdout
    assert buy(sale, "after-the-restore")[0] in (200, 201)
    assert buy(sale, "after-the-backup")[1]["holdId"] == later["holdId"]
    assert available(sale) == before - 1


def test_everything_ends_with_0(sale):
    all_end_with_0(sale)
