"""kill -9 and SIGSTOP of the real programs at random moments under load; after each round all that was ever answered is checked."""

import os
import random
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
import requests
from books import ENDED_STATES, HELD, SOLD
from flashsale_client import PROJECT, Installation, wait_until
from ledger_model import Model
from shoppers import Crowd, until_known

sys.path.insert(0, str(PROJECT / "scripts"))
from installation.layout import Home  # noqa: E402
from installation.supervisor import Supervisor, children  # noqa: E402

SERVICES = ("inventory", "cart", "gatekeeper", "policy", "protector")
WEIGHTS = (5, 5, 2, 1, 1)
LIMIT = 3
OLD_ANSWERS = 25  # asked for again each round, out of all rounds before
ORDER_STATES = {"OPEN": 1, "CONFIRMING": 1, "PAID": 2, "CANCELLED": 3, "EXPIRED": 4, "REFUNDED": 5}


def pytest_generate_tests(metafunc):
    if "seed" in metafunc.fixturenames:
        first = metafunc.config.getoption("--seed")
        first = 1 if first is None else first
        metafunc.parametrize("seed", range(first, first + metafunc.config.getoption("--rounds")))


class World:
    """One installation for all rounds, and everything that anybody was told in them."""

    def __init__(self, home):
        self.sale = Installation(home)
        self.sale.up("--no-demo", "--hold-ttl", "23h")  # what is to expire says so itself: what was told early is asked for to the end
        self.supervisor = Supervisor(Home(home))
        self.model = Model()
        self.attempts, self.orders = [], []

    def pid(self, service):
        return self.supervisor.processes()[service]["pid"]

    def victims(self, service):
        """Who to pause: nginx's master only waits."""
        pid = self.pid(service)
        return (children(pid) if service == "gatekeeper" else [pid]) if pid else []

    def wait_healthy(self):
        wait_until(lambda: all(self.is_healthy(service) for service in SERVICES), what="all services are healthy")
        # Nobody sold out or silent in a snapshot any more: a round begins with a sale that goes on.
        wait_until(lambda: self.sale.rest.get("/v1/goods").status_code == 200)
        self.sale.grpc.close()  # connections to those that were killed

    def is_healthy(self, service):
        try:
            if service == "gatekeeper":
                return self.sale.rest.get("/healthz", timeout=2).status_code == 200
            return self.sale.admin(service, "/healthz").status_code == 200
        except requests.RequestException:
            return False

    def metric(self, service, name):
        lines = self.sale.admin(service, "/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split(" ")[0].split("{")[0] == name)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    one = World(tmp_path_factory.mktemp("crash"))
    yield one
    one.sale.down()


def test_round(world, seed):
    chance = random.Random(seed)
    print(f"./flashsale test crash --rounds 1 --seed {seed} -- -k test_round")
    sale, name = world.sale, f"R{seed}-{len(world.attempts)}"
    plenty, scarce, brief = (f"{name}-{kind}" for kind in ("PLENTY", "SCARCE", "BRIEF"))
    put_on_sale(world, {plenty: 100000, scarce: 60, brief: 5000})
    sale.grpc.call("inventory", "UpdateGoods", sku=brief, hold_ttl="1.5s")
    world.model.limit |= {sku: LIMIT for sku in (plenty, scarce)}

    crowd = Crowd(sale, name, [plenty, plenty, scarce], [plenty, brief], {plenty: LIMIT, scarce: LIMIT}, seed)
    try:
        wait_until(lambda: crowd.granted() > 20 or crowd.troubles, what="the sale goes on")
        for _ in range(chance.randint(1, 3)):
            time.sleep(chance.random() * 0.5)
            fault(world, chance)
        time.sleep(chance.random() * 0.5)
    finally:
        crowd.stop()
    world.wait_healthy()
    tell(crowd)
    settle(sale, crowd)
    check(world, crowd, (plenty, scarce, brief), chance)
    world.attempts += crowd.attempts
    world.orders += crowd.orders


def put_on_sale(world, units):
    for sku, quantity in units.items():
        assert world.sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": quantity, "goodsPrice": 1}).status_code == 200
        assert world.sale.rest.post("/policy/add", {"goodsSKU": sku, "userLevel": -1, "quantityLimit": LIMIT}).status_code == 200


# ---- faults ----


def fault(world, chance):
    """One or two services die or stand still, at times one while the other does."""
    kinds = [chance.choice(("kill", "pause")) for _ in range(chance.choice((1, 1, 2)))]
    services = []
    while len(services) < len(kinds):
        services += [each for each in chance.choices(SERVICES, WEIGHTS) if each not in services]
    paused, killed = [], {}
    for service, kind in zip(services, kinds):
        print(f"{kind} {service}")
        if kind == "pause":
            paused += world.victims(service)
            for pid in paused:
                signal_to(pid, signal.SIGSTOP)
        elif pid := world.pid(service):
            killed[service] = pid
            signal_to(pid, signal.SIGKILL)
        time.sleep(chance.random() * 0.2)
    if paused:
        # Longer than every deadline of a buy, or shorter than any.
        time.sleep(chance.choice((0.05, 0.5, 2.3)))
        for pid in paused:
            signal_to(pid, signal.SIGCONT)
    for service, pid in killed.items():
        wait_until(lambda s=service, p=pid: world.pid(s) not in (0, p), what=f"{service} is started again")


def signal_to(pid, sign):
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        pass


# ---- what was said, and what is ----


def settle(sale, crowd):
    """Everybody who does not know asks again, with the same key, until they do."""
    def attempt(one):
        with requests.Session() as session:
            until_known(lambda: one.ask(sale, session), lambda: one.last == "unknown")

    def order(one):
        with requests.Session() as session:
            until_known(lambda: one.ask(sale, session, one.wish), lambda: one.said == "unknown")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(attempt, [one for one in crowd.attempts if one.last == "unknown"]))
        list(pool.map(order, [one for one in crowd.orders if one.said == "unknown"]))


def tell(crowd):
    said = [attempt.last for attempt in crowd.attempts]
    unknowns = sum(1 for attempt in crowd.attempts if attempt.unknowns)
    print(f"{len(said)} attempts: {said.count('yes')} yes, {said.count('no')} no, {said.count('unknown')} not known yet, {unknowns} ever; "
          f"{len(crowd.orders)} orders: {sum('confirm' in order.told for order in crowd.orders)} paid, "
          f"{sum(order.said == 'unknown' for order in crowd.orders)} not known yet")


def check(world, crowd, skus, chance):
    sale = world.sale
    wait_until(lambda: sale.grpc.call("inventory", "GetGoods", sku=skus[2]).goods.held == 0, what="what nobody paid has expired")
    model = world.model.read(sale)
    for attempt in crowd.attempts:
        check_attempt(model, attempt)
    for order in crowd.orders:
        check_order(sale, model, order)
    for hold_id in crowd.removed:
        assert model.holds[hold_id].state in ENDED_STATES, f"hold {hold_id} was removed from a cart"
    names = {attempt.name for attempt in crowd.attempts}
    for sku in skus:
        check_sums(sale, model, sku)
        strangers = [hold.id for hold in model.by_sku[sku] if hold.session not in names]
        assert strangers == [], "holds that nobody asked for"
    check_persons(world, model, crowd, skus)
    check_old(world, model, chance)
    for metric in ("flashsale_cart_anomalies_total", "flashsale_cart_orders_anomalies_total", "flashsale_cart_links_stopped"):
        assert world.metric("cart", metric) == 0, metric


def check_attempt(model, attempt):
    holds = model.by_session.get(attempt.name, [])
    if attempt.last == "no":
        assert holds == [], f"{attempt}: a definite no took {[hold.id for hold in holds]}"
        return
    assert [hold.id for hold in holds] == list(attempt.hold_ids), f"{attempt}: the ledger has {[hold.id for hold in holds]}"
    (hold,) = holds
    assert (hold.user, hold.sku, hold.first_quantity) == (attempt.user, attempt.sku, attempt.quantity), str(attempt)


def check_order(sale, model, order):
    """As it was told, as the cart shows it and as inventory has it: one truth."""
    response = wait_until(lambda: (r := sale.rest.get(f"/v1/orders/{order.id}")).status_code == 200 and r).json()
    shown, (state, payment, holds) = response["state"].removeprefix("ORDER_STATE_"), model.orders[order.id]
    assert sorted(holds) == sorted(order.holds)
    assert ORDER_STATES[shown] == state, f"order {order.id} is {shown} in the cart and {state} in inventory"
    if "refund" in order.told:
        assert shown == "REFUNDED", f"order {order.id} was refunded and is {shown}"
    elif "confirm" in order.told:
        assert (shown, payment) == ("PAID", f"pay-{order.id}"), f"order {order.id} was paid and is {shown}"
    elif "cancel" in order.told:
        assert shown == "CANCELLED", f"order {order.id} was cancelled and is {shown}"
    else:
        assert shown in ("OPEN", "EXPIRED"), f"order {order.id} is {shown}, and nobody was told so"


def check_sums(sale, model, sku):
    (item,) = sale.grpc.call("inventory", "AuditStock", sku=sku, timeout=60).items
    assert item.consistent, item.finding
    row = item.row
    assert [row.stock, row.available, row.held, row.sold] == model.rows[sku], f"the books of {sku}"


def check_persons(world, model, crowd, skus):
    """The cart counts what inventory holds."""
    users = sorted({attempt.user for attempt in crowd.attempts if attempt.hold_ids})[:200]
    for user in users:
        for sku in skus[:2]:
            def counts(u=user, s=sku):
                return world.sale.grpc.call("cart", "GetUserUnits", user_id=u, sku=s).quantity == model.units[u, s]
            wait_until(counts, what=f"the cart counts {model.units[user, sku]} of {sku} for {user}")


def check_old(world, model, chance):
    """Some of what was told in earlier rounds, asked for again."""
    for attempt in chance.sample(world.attempts, min(OLD_ANSWERS, len(world.attempts))):
        for hold_id in attempt.hold_ids:
            hold = world.sale.grpc.call("inventory", "GetHold", hold_id=hold_id).hold
            assert (hold.state, hold.user_id, hold.sku) == (model.holds[hold_id].state, attempt.user, attempt.sku)
            if hold.state in (HELD, SOLD):
                with requests.Session() as session:
                    attempt.ask(world.sale, session)
                assert attempt.last == "yes" and attempt.hold_ids == {hold_id}, f"{attempt}: the same key again"
    for order in chance.sample(world.orders, min(OLD_ANSWERS, len(world.orders))):
        check_order(world.sale, model, order)


def test_all_rounds_once_more(world):
    """The whole ledger again from its beginning, and all books: nothing of earlier rounds has changed."""
    world.wait_healthy()
    known = world.model.read(world.sale)
    again = Model()
    assert again.read(world.sale).state() == known.state()
    answer = world.sale.grpc.call("inventory", "AuditStock", timeout=120)
    assert answer.consistent
    for item in answer.items:
        assert [item.row.stock, item.row.available, item.row.held, item.row.sold] == known.rows[item.sku]
    for attempt in world.attempts:
        check_attempt(known, attempt)
    yes = sum(1 for attempt in world.attempts if attempt.hold_ids)
    print(f"{len(world.attempts)} attempts, {yes} granted, {len(world.orders)} orders")
