"""Shoppers that note every answer: what they were told is what the books must say."""

import random
import threading
import time

import grpc
import requests

# Answers that say: nothing is decided, ask again with the same key.
OPEN_REASONS = ("OUTCOME_UNKNOWN", "IN_PROGRESS", "STALE_EPOCH")
# Answers that say: this time nothing was tried. They say nothing of an earlier time.
NOT_NOW_REASONS = ("DEPENDENCY_DOWN", "STARTING", "OVERLOADED", "THROTTLED", "STORE_FULL", "STORE_FAILED", "WRONG_SHARD")
CONNECTIONS = requests.RequestException
TIMEOUT_S = 12


def reason_of(response):
    """Each refusal has one; what nginx itself says while no worker of it is well is none of ours."""
    reason = response.json().get("reason", "")
    assert reason, f"{response.status_code} without a reason: {response.text}"
    return reason


class Attempt:
    """One wish to buy, under one key, asked as often as it takes. Its name is key and session."""

    def __init__(self, name, user, sku, quantity):
        self.name, self.user, self.sku, self.quantity = name, user, sku, quantity
        self.hold_ids, self.last, self.why = set(), "unknown", ""
        self.unknowns = 0

    def note(self, outcome, why="", hold_id=None):
        """outcome: "yes", "no" (definite, for this key), "not now" (definite, for this time) or "unknown"."""
        self.why = why
        self.unknowns += outcome == "unknown"
        if outcome == "not now":
            if self.last != "yes":
                self.last = "unknown" if self.unknowns else "no"
            return
        assert outcome != "no" or not self.hold_ids, f"{self}: a no after a yes"
        if hold_id:
            self.hold_ids.add(hold_id)
        self.last = outcome

    def judge(self, reason):
        """A refusal."""
        self.note("unknown" if reason in OPEN_REASONS else "not now" if reason in NOT_NOW_REASONS else "no", reason)

    def __str__(self):
        return f"{self.name} of {self.user}: {self.quantity} of {self.sku}, last {self.last} {self.why}, holds {sorted(self.hold_ids)}"

    def ask(self, sale, session):
        """Over REST, through everything."""
        body = {"sessionID": self.name, "userID": self.user, "userLevel": 0, "goodsSKU": self.sku, "goodsQuantity": self.quantity}
        try:
            response = session.post(sale.rest.base + "/v1/buy", json=body, headers={"Idempotency-Key": self.name}, timeout=TIMEOUT_S)
        except CONNECTIONS as error:
            return self.note("unknown", type(error).__name__)
        if response.status_code == 200:
            return self.note("yes", hold_id=response.json()["holdId"])
        return self.judge(reason_of(response))

    def item(self, limit):
        return {"user_id": self.user, "session_id": self.name, "sku": self.sku, "quantity": self.quantity,
                "limit": {"units": limit} if limit else {"unlimited": {}}, "idempotency_key": self.name}


def ask_together(sale, attempts, limits):
    """Straight to the cart, as one batch."""
    items = [attempt.item(limits.get(attempt.sku)) for attempt in attempts]
    try:
        answers = sale.grpc.call("cart", "BatchAddItems", placement={"shards": 1}, items=items, timeout=TIMEOUT_S).items
    except grpc.RpcError as error:
        for attempt in attempts:
            attempt.note("unknown", error.code().name)
        return
    reasons = sale.grpc.contracts.pool.FindEnumTypeByName("flashsale.common.v1.Reason").values_by_number
    for attempt, answer in zip(attempts, answers):
        if answer.WhichOneof("outcome") == "grant":
            attempt.note("yes", hold_id=answer.grant.hold_id)
        else:
            attempt.judge(reasons[answer.refusal.reason].name.removeprefix("REASON_"))


class Order:
    """An order that a checkout was answered with, and what was said about it since."""

    def __init__(self, order, user):
        self.id, self.user, self.holds = order["orderId"], user, [item["holdId"] for item in order["items"]]
        self.wish = self.said = None  # "confirm", "cancel" or "refund"; and "yes", "no" or "unknown"
        self.told = set()             # the wishes that were granted

    def ask(self, sale, session, wish):
        self.wish = wish
        body = {"paymentReference": f"pay-{self.id}"} if wish == "confirm" else {}
        try:
            response = session.post(f"{sale.rest.base}/v1/orders/{self.id}/{wish}", json=body, timeout=TIMEOUT_S)
        except CONNECTIONS:
            self.said = "unknown"
            return
        if response.status_code == 200:
            self.said = "yes"
            self.told.add(wish)
        else:  # 503: not now, so nothing is known of what an earlier one of the same wish came to
            self.said = "no" if reason_of(response) in ("HOLD_EXPIRED", "WRONG_STATE") else "unknown"


class Crowd:
    """Threads of shoppers until stop(); everything they do follows from the seed, but for time."""

    def __init__(self, sale, name, skus, order_skus, limits, seed, threads=6):
        self.sale, self.name, self.skus, self.order_skus, self.limits = sale, name, skus, order_skus, limits
        self.attempts, self.orders, self.removed, self.troubles = [], [], [], []
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(number, random.Random(f"{seed}/{number}"))) for number in range(threads)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(120)
            assert not thread.is_alive(), "a shopper hangs"
        assert not self.troubles, self.troubles

    def granted(self):
        return sum(1 for attempt in list(self.attempts) if attempt.hold_ids)

    def _run(self, number, chance):
        session = requests.Session()
        session.trust_env = False
        mine, count = [], 0
        try:
            while not self.ended.is_set():
                count += 1
                label = f"{self.name}-{number}-{count}"
                kind = chance.random()
                if kind < 0.45:
                    mine.append(self._attempt(label, chance))
                    mine[-1].ask(self.sale, session)
                elif kind < 0.55 and mine:
                    chance.choice(mine[-20:]).ask(self.sale, session)
                elif kind < 0.75:
                    batch = [self._attempt(f"{label}-{each}", chance) for each in range(chance.randint(1, 30))]
                    mine += batch
                    ask_together(self.sale, batch, self.limits)
                elif kind < 0.78:
                    self._remove(session, chance)
                else:
                    self._order(label, session, chance)
                if mine and mine[-1].last == "unknown":
                    self.ended.wait(0.05)
        except Exception as error:  # a thread's own end would be silent
            self.troubles.append(f"{type(error).__name__}: {error}")

    def _attempt(self, label, chance):
        user = f"{self.name}-user-{chance.randrange(400)}"
        attempt = Attempt(label, user, chance.choice(self.skus), chance.choice((1, 1, 2)))
        self.attempts.append(attempt)
        return attempt

    def _remove(self, session, chance):
        """Empties a person's cart of one SKU; a yes names the holds that must have ended."""
        user = f"{self.name}-user-{chance.randrange(400)}"
        try:
            response = session.delete(f"{self.sale.rest.base}/v1/carts/{user}/items/{chance.choice(self.skus)}", timeout=TIMEOUT_S)
        except CONNECTIONS:
            return
        if response.status_code == 200:
            self.removed += response.json().get("holdIds", [])

    def _order(self, label, session, chance):
        """Adds, checks out, and wishes something."""
        buyer = Attempt(label, f"{label}-buyer", chance.choice(self.order_skus), 1)
        self.attempts.append(buyer)
        buyer.ask(self.sale, session)
        if buyer.last != "yes":
            return
        try:
            response = session.post(f"{self.sale.rest.base}/v1/carts/{buyer.user}/checkout", json={}, headers={"Idempotency-Key": "order"},
                                    timeout=TIMEOUT_S)
        except CONNECTIONS:
            return
        if response.status_code != 200:
            return
        for each in response.json()["orders"]:
            order = Order(each, buyer.user)
            self.orders.append(order)
            for wish in chance.choice([["confirm"], ["confirm"], ["cancel"], ["confirm", "refund"], ["confirm", "cancel"], []]):
                if chance.random() < 0.3:
                    self.ended.wait(chance.random())  # some pay late
                order.ask(self.sale, session, wish)
                if order.said == "unknown":
                    break  # asked again until it is known, afterwards


def until_known(ask, is_open, seconds=30):
    """Asks until the answer is one."""
    end = time.monotonic() + seconds
    while True:
        ask()
        if not is_open():
            return
        assert time.monotonic() < end, f"no answer within {seconds} s"
        time.sleep(0.1)
