"""What the cart decides about orders and lines is on its disk before inventory is asked to carry it out."""

import time

import pytest
from books import sell
from flashsale_client import wait_until
from grpc_proxy import Proxy
from witness import GATES, SEND

PLACEMENT = {"shard": 0, "shards": 1}
QUIET_NS = 300_000_000  # thrice what the cart gathers for


class Shop:
    """A watched cart that reaches inventory through a proxy, which notes what is asked."""

    def __init__(self, program, folder):
        self.inventory = program("inventory", watched=False)
        assert self.inventory.init() is None
        self.inventory.start()
        self.proxy = Proxy(self.inventory.address())
        self.asked = []
        self.proxy.fate = self.note
        services = folder / "services.list"
        services.write_text(f"inventory 127.0.0.1:{self.proxy.port} shard=0/1\n")
        self.cart = program("cart", "--discovery-file", services)
        assert self.cart.init() is None
        self.cart.start()
        sell(self.inventory, "GOODS", 100)

    def note(self, method):
        self.asked.append(method)
        return "pass"

    def add(self, user):
        item = {"user_id": user, "sku": "GOODS", "quantity": 1, "limit": {"unlimited": {}}}
        return self.cart.call("AddItem", placement=PLACEMENT, item=item).grant

    def checkout(self, user):
        self.add(user)
        self.settle()
        (order,) = self.cart.call("Checkout", placement=PLACEMENT, user_id=user).orders
        return order.order_id

    def settle(self):
        """What was gathered is stored, so that the next commit is the next decision's. (Were it not: more of them are let pass below.)"""
        wait_until(lambda: time.monotonic_ns() - self.last_written_ns() > QUIET_NS)

    def last_written_ns(self):
        return [event.mono_ns for event in self.cart.witness.events(payloads=False) if event.kind != SEND][-1]


@pytest.fixture
def shop(program, tmp_path):
    one = Shop(program, tmp_path)
    yield one
    one.proxy.close()


def paid(shop, user):
    order = shop.checkout(user)
    shop.cart.call("ConfirmOrder", placement=PLACEMENT, order_id=order, payment_reference="pay")
    return order


# What the cart is asked, what has to be there first, and what it asks of inventory.
DECISIONS = {
    "checkout": (lambda shop: shop.add("user"), "Checkout", lambda made: {"user_id": "user"}, "BindOrderHolds"),
    "payment": (lambda shop: shop.checkout("user"), "ConfirmOrder", lambda made: {"order_id": made, "payment_reference": "pay"},
                "ConfirmOrderHolds"),
    "cancellation": (lambda shop: shop.checkout("user"), "CancelOrder", lambda made: {"order_id": made}, "ReleaseOrderHolds"),
    "refund": (lambda shop: paid(shop, "user"), "RefundOrder", lambda made: {"order_id": made}, "RefundOrderHolds"),
}


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("decision", DECISIONS)
def test_stored_before_it_is_carried_out(shop, decision, gate):
    prepare, method, fields, carried_out = DECISIONS[decision]
    made = prepare(shop)
    shop.settle()
    shop.asked.clear()
    shop.cart.witness.shut(gate)
    answer = shop.cart.ask(method, placement=PLACEMENT, **fields(made))
    shop.cart.witness.wait_held(gate)
    for _ in range(50):
        assert shop.cart.grpc.call("cart", "Check", of="grpc.health.v1.Health").status == 1
    assert shop.asked == [] and not answer.done(), "carried out, or answered, before the decision was on the disk"
    for passed in range(1, 6):  # what the follower had gathered may come first
        shop.cart.witness.let_one_pass(gate)
        wait_until(lambda before=passed: shop.asked or shop.cart.witness.held(gate) > before)
        if shop.asked:
            break
        assert not answer.done()
    wait_until(lambda: shop.asked == [carried_out], what=f"{carried_out} follows the commit")
    shop.cart.witness.open(gate)
    answer.result()
