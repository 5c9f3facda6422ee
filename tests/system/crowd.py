"""Many shoppers at once, and the books afterwards."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import requests


class Answer:
    """What one attempt came to: "yes", "no" (definite) or "unknown"."""

    def __init__(self, user, quantity, key, response):
        self.user, self.quantity, self.key = user, quantity, key
        self.status = response.status_code if response is not None else 0
        self.body = response.json() if response is not None and response.content else {}
        self.reason = self.body.get("reason", "")
        self.retry_after = response.headers.get("Retry-After") if response is not None else None
        if response is None or self.status == 504:
            self.outcome = "unknown"
        elif self.status == 200:
            self.outcome = "yes"
        else:
            self.outcome = "no"


def attempt(sale, user, sku, quantity, key=None, session=None, level=0):
    """One POST /v1/buy; a broken connection is an unknown outcome, as for any shopper."""
    body = {"userID": user, "userLevel": level, "goodsSKU": sku, "goodsQuantity": quantity}
    headers = {"Idempotency-Key": key} if key else {}
    try:
        response = (session or requests).post(sale.rest.base + "/v1/buy", json=body, headers=headers, timeout=15)
    except requests.RequestException:
        response = None
    return Answer(user, quantity, key, response)


def crowd(sale, sku, shoppers, threads=50):
    """shoppers: (user, quantity, key) each; all start at once. Returns their answers."""
    start = threading.Barrier(threads)
    local = threading.local()

    def first_come():
        local.session = requests.Session()
        local.session.trust_env = False
        start.wait(60)

    with ThreadPoolExecutor(threads, initializer=first_come) as pool:
        futures = [pool.submit(lambda one: attempt(sale, one[0], sku, one[1], one[2], local.session), one) for one in shoppers]
        return [future.result() for future in futures]


class Load:
    """Shoppers that keep coming until stop(): user after user, one attempt each, at a walk while nobody answers."""

    def __init__(self, sale, sku, name, threads=8, quantity=1):
        self.sale, self.sku, self.name, self.quantity = sale, sku, name, quantity
        self.answers, self.lock, self.ended = [], threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]
        for thread in self.threads:
            thread.start()

    def _run(self, number):
        session = requests.Session()
        session.trust_env = False
        count = 0
        while not self.ended.is_set():
            count += 1
            user = f"{self.name}-{number}-{count}"
            answer = self.attempt(number, user, f"key-{user}", session)
            with self.lock:
                self.answers.append((time.monotonic(), answer))
            if answer.outcome == "unknown":
                self.ended.wait(0.1)

    def attempt(self, number, user, key, session):
        return attempt(self.sale, user, self.sku, self.quantity, key, session)

    def yes_since(self, moment):
        with self.lock:
            return sum(1 for at, answer in self.answers if at > moment and answer.outcome == "yes")

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(60)
        return [answer for _, answer in self.answers]


def held_units(sale, sku, inventory="inventory"):
    """user -> live units, by asking inventory, or a shard of it, for every hold."""
    units, token = {}, ""
    while True:
        page = sale.grpc.call(inventory, "ListHolds", sku=sku, page_size=1000, page_token=token)
        for hold in page.holds:
            if hold.state in (1, 2):  # HELD, SOLD
                units[hold.user_id] = units.get(hold.user_id, 0) + hold.quantity
        token = page.next_page_token
        if not token:
            return units


def audit(sale, sku, inventory="inventory"):
    """The books of a SKU, counted in three ways; they must agree."""
    answer = sale.grpc.call(inventory, "AuditStock", sku=sku, timeout=60)
    (item,) = answer.items
    assert answer.consistent and item.consistent, item.finding
    assert item.row.stock == item.row.available + item.row.held + item.row.sold
    assert (item.holds.held, item.holds.sold) == (item.row.held, item.row.sold)
    assert (item.ledger.stock, item.ledger.available, item.ledger.held, item.ledger.sold) == (
        item.row.stock, item.row.available, item.row.held, item.row.sold)
    return item.row


def replay(sale, sku, inventory="inventory"):
    """The books of a SKU by a replay of the whole ledger over the wire: (stock, available, held, sold)."""
    stock = available = held = sold = 0
    holds, orders = {}, {}
    for message in sale.grpc.stream(inventory, "ReadLedger", timeout=120):
        for entry in message.entries:
            kind = entry.WhichOneof("change")
            if kind == "goods_changed" and entry.goods_changed.goods.sku == sku:
                row = entry.goods_changed.goods
                assert (row.held, row.sold) == (held, sold)
                stock, available = row.stock, row.available
            elif kind == "hold_created" and entry.hold_created.hold.sku == sku:
                hold = entry.hold_created.hold
                holds[hold.hold_id] = (1, hold.quantity)
                available, held = available - hold.quantity, held + hold.quantity
            elif kind == "hold_changed" and entry.hold_changed.sku == sku:
                change = entry.hold_changed
                state, quantity = holds[change.hold_id]
                assert change.state in STEPS[state], f"{change.hold_id} went from {state} to {change.state} at {entry.sequence}"
                assert change.quantity_before == quantity
                if state == 1:
                    held -= quantity
                else:
                    sold -= quantity
                if change.state == 1:
                    held, available = held + change.quantity, available + quantity - change.quantity
                elif change.state == 2:
                    sold += change.quantity
                else:
                    available += quantity
                holds[change.hold_id] = (change.state, change.quantity)
            elif kind == "order_changed":
                replay_order(entry.order_changed, orders, holds, sku)
            assert available >= 0 and stock == available + held + sold, f"at {entry.sequence}"
    return stock, available, held, sold


# HELD (to fewer units, or into an order), SOLD, RELEASED, EXPIRED, REFUNDED
STEPS = {1: (1, 2, 3, 4), 2: (5,), 3: (), 4: (), 5: ()}


def replay_order(change, orders, holds, sku):
    """An order's entry comes after those of its holds: all are in its state, at every instant, or none of them."""
    if change.state == 1:
        assert change.order_id not in orders and change.items
        orders[change.order_id] = (1, change.user_id, [item.hold_id for item in change.items if item.sku == sku])
    else:
        state, user, ours = orders[change.order_id]
        assert change.state in STEPS[state] and change.user_id == user and not change.items
        orders[change.order_id] = (change.state, user, ours)
    assert bool(change.payment_reference) == (change.state in (2, 5))
    for hold in orders[change.order_id][2]:
        assert holds[hold][0] == change.state, f"hold {hold} of order {change.order_id}"


def check_books(sale, sku, inventory="inventory"):
    row = audit(sale, sku, inventory)
    assert replay(sale, sku, inventory) == (row.stock, row.available, row.held, row.sold)
    return row
