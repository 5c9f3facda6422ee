"""A sale that is over: told to its end, dropped from the books and from the carts, on the real programs."""

import contextlib
import ctypes
import json
import os
import signal

import grpc
import pytest
from crowd import attempt, audit, check_books, held_units
from flashsale_client import as_dict, wait_until
from test_orders import act, confirm, get, order_of, put_on_sale, reachable, state
from test_tools import proved
from tools import supervise, tool

SOLD, REFUNDED = 2, 5
KEPT = "--set", "inventory.retention=1s"


class Digest(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def xxh3_128(data):
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_128bits.restype = Digest
    library.XXH3_128bits.argtypes = ctypes.c_char_p, ctypes.c_size_t
    digest = library.XXH3_128bits(data, len(data))
    return f"{digest.high:016x}{digest.low:016x}"


class Export:
    """All of ExportGoods, with its digest and count proved."""

    def __init__(self, sale, sku, *others):
        messages = list(sale.grpc.stream("inventory", "ExportGoods", sku=sku, with_skus=list(others)))
        self.goods = {row.sku: row for row in messages[0].goods}
        self.entries = [entry for message in messages for entry in message.entries]
        self.digest, self.count = messages[-1].digest, messages[-1].count
        assert not any(message.digest or message.count for message in messages[:-1])
        assert not any(message.goods for message in messages[1:])
        told = [*messages[0].goods, *self.entries]
        assert self.digest == xxh3_128(b"".join(one.SerializeToString() for one in told))
        assert self.count == len(self.entries)
        assert [entry.sequence for entry in self.entries] == sorted({entry.sequence for entry in self.entries})
        assert set(self.goods) == {sku, *others}
        self.holds, self.orders = self._replay()
        for name, row in self.goods.items():
            sold = [quantity for of, quantity, now in self.holds.values() if (of, now) == (name, SOLD)]
            assert sum(sold) + row.archived == row.sold and not row.held and row.closed

    def _replay(self):
        holds, orders = {}, {}
        for entry in self.entries:
            kind = entry.WhichOneof("change")
            if kind == "hold_created":
                hold = entry.hold_created.hold
                holds[hold.hold_id] = (hold.sku, hold.quantity, hold.state)
            elif kind == "hold_changed":
                change = entry.hold_changed
                assert holds[change.hold_id][0] == change.sku
                holds[change.hold_id] = (change.sku, change.quantity, change.state)
            elif kind == "order_changed":
                orders[entry.order_changed.order_id] = entry.order_changed.state
        return holds, orders


def refusal(call):
    """(code, text) of a call that is refused."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return raised.value.code(), raised.value.details()


def export_refused(sale, sku, *others):
    return refusal(lambda: list(sale.grpc.stream("inventory", "ExportGoods", sku=sku, with_skus=list(others))))


def archive(sale, digest, sku, *others):
    return sale.grpc.call("inventory", "ArchiveGoods", sku=sku, with_skus=list(others), digest=digest)


def close(sale, *skus):
    for sku in skus:
        sale.grpc.call("inventory", "CloseGoods", sku=sku)


def row(sale, sku):
    """As it is in the store: closed goods are shown to nobody else."""
    lines = tool("inventory", "export", "--store", sale.home / "store" / "inventory", "--sku", sku).stdout.splitlines()
    (goods,) = [line for line in map(json.loads, lines) if line["kind"] == "goods"]
    return goods


def passed(sale):
    """Waits until the floor has passed all that is in the ledger now."""
    head = sale.grpc.call("inventory", "ListFollowers").head
    wait_until(lambda: sale.grpc.call("inventory", "ListFollowers").floor >= head, what="the floor has come by")


@contextlib.contextmanager
def floor_held(sale):
    """The floor waits for the cart, which sleeps."""
    pid = sale.pid("cart")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def ledger(sale):
    return [entry for message in sale.grpc.stream("inventory", "ReadLedger") for entry in message.entries]


def archived_units(sale):
    """SKU -> units, as the ledger says."""
    found = {}
    for entry in ledger(sale):
        if entry.WhichOneof("change") == "goods_archived":
            change = entry.goods_archived
            found[change.sku] = found.get(change.sku, 0) + change.units
    return found


def buy(sale, user, sku, quantity=1):
    answer = attempt(sale, user, sku, quantity, f"{user}-{sku}")
    assert answer.outcome == "yes", answer.body
    return answer.body["holdId"]


def units(sale, user, sku):
    return sale.rest.get(f"/v1/users/{user}/units/{sku}").json()["goodsQuantity"]


def sell(sale, hold):
    sale.grpc.call("inventory", "ConfirmHold", hold={"hold_id": hold, "payment_reference": f"pay-{hold}"})


def test_a_sale_is_told_and_dropped(installations):
    sale = installations(*KEPT)
    sale.up()
    for sku in ("A", "B", "OTHER"):
        put_on_sale(sale, sku)
    both, only, back = order_of(sale, "both", "A", "B"), order_of(sale, "only", "B"), order_of(sale, "back", "A")
    beside = order_of(sale, "beside", "OTHER")
    for order in (both, only, back, beside):
        assert confirm(sale, order, f"pay-{order['orderId']}").status_code == 200
    assert act(sale, back, "refund").status_code == 200
    single, gone = buy(sale, "single", "A", 2), buy(sale, "leaves", "A", 3)
    sell(sale, single)
    assert sale.rest.delete("/v1/carts/leaves/items/A").status_code in (200, 204)
    passed_by = buy(sale, "stays", "B")

    assert export_refused(sale, "NOWHERE") == (grpc.StatusCode.NOT_FOUND, "NOWHERE: there are no such goods")
    code, why = export_refused(sale, "A", "B")
    assert code == grpc.StatusCode.FAILED_PRECONDITION and why == "A: they are on sale: close them first"
    close(sale, "A", "B")
    assert export_refused(sale, "B") == (code, "B: units of them are held")
    assert sale.rest.delete("/v1/carts/stays/items/B").status_code in (200, 204)
    passed(sale)
    # What is not whole: an order is one.
    assert export_refused(sale, "A") == (code, f"the sale: order {both['orderId']} has goods B besides: archive them together")
    assert export_refused(sale, "B") == (code, f"the sale: order {both['orderId']} has goods A besides: archive them together")

    told = Export(sale, "A", "B")
    assert told.orders == {both["orderId"]: SOLD, only["orderId"]: SOLD, back["orderId"]: REFUNDED}
    assert {hold: now for hold, (_, _, now) in told.holds.items()} == {
        single: SOLD, **{item["holdId"]: SOLD for item in (*both["items"], *only["items"])}, back["items"][0]["holdId"]: REFUNDED}
    assert gone not in told.holds and passed_by not in told.holds
    assert [(told.goods[sku].sold, told.goods[sku].archived) for sku in "AB"] == [(3, 0), (2, 0)]

    # Wrong digests, over both.
    code, why = refusal(lambda: archive(sale, told.digest[::-1], "A", "B"))
    assert code == grpc.StatusCode.ABORTED and "export them again" in why
    assert refusal(lambda: archive(sale, told.digest, "A"))[0] == grpc.StatusCode.ABORTED
    assert refusal(lambda: archive(sale, "", "A", "B"))[0] == grpc.StatusCode.ABORTED
    refused = sale.rest.post("/v1/goods/A/archive", {"withSkus": ["B"], "digest": "0" * 32})
    assert (refused.status_code, refused.json()["reason"]) == (412, "VERSION_MISMATCH"), refused.text
    refused = sale.rest.post("/v1/goods/A/archive", {"withSkus": ["A"], "digest": told.digest})
    assert refused.status_code == 400 and "each SKU once" in refused.text
    # What has changed since is not what was told.
    with floor_held(sale):
        sale.grpc.call("inventory", "RefundOrderHolds", order_id=only["orderId"])
        code, why = refusal(lambda: archive(sale, told.digest, "A", "B"))
        assert code == grpc.StatusCode.FAILED_PRECONDITION and why.startswith("B: it can't be archived as it is now"), why
        assert export_refused(sale, "A", "B")[1].startswith("B: the ledger's floor has not passed their last entry")
    passed(sale)
    assert refusal(lambda: archive(sale, told.digest, "A", "B"))[0] == grpc.StatusCode.ABORTED
    assert archived_units(sale) == {} and row(sale, "A")["archived"] == row(sale, "B")["archived"] == 0

    kept = buy(sale, "keeps", "OTHER")
    told = Export(sale, "B", "A")  # in any order
    begun = sale.rest.post("/v1/goods/A/archive", {"withSkus": ["B"], "digest": told.digest})
    assert (begun.status_code, begun.json()) == (200, {"count": told.count}), begun.text
    wait_until(lambda: archived_units(sale) == {"A": 3, "B": 1}, what="the archive has ended")
    again = archive(sale, told.digest, "B", "A")  # who lost the answer
    assert again.count == told.count and archived_units(sale) == {"A": 3, "B": 1}
    for sku, sold in (("A", 3), ("B", 1)):
        now = row(sale, sku)
        assert (now["sold"], now["archived"], now["held"], now["closed"]) == (sold, sold, 0, True)
        assert audit(sale, sku).sold == sold
    named = {id for entry in ledger(sale) for id in (entry.hold_created.hold.hold_id, entry.hold_changed.hold_id,
                                                   entry.order_changed.order_id)}
    assert not named & {*told.holds, *told.orders}
    for hold in told.holds:
        assert is_gone(sale, hold)
    forgotten(sale, told, (both, only, back), {"both": "A", "only": "B", "back": "A", "single": "A"})

    # What is beside it goes on, also after a start from the stores.
    for _ in range(2):
        assert state(get(sale, beside)) == "PAID" and held_units(sale, "OTHER") == {"beside": 1, "keeps": 1}
        check_books(sale, "OTHER")
        assert sale.rest.get("/v1/audit").json()["consistent"]
        proved(sale.home / "store" / "inventory")
        sale.down()
        sale.up()
        forgotten(sale, told, (both, only, back), {"both": "A", "only": "B", "back": "A", "single": "A"})
    assert act(sale, beside, "refund").status_code == 200
    sell(sale, kept)
    # The goods can be sold again; nobody has used up a limit.
    put_on_sale(sale, "A", 5)
    buy(sale, "single", "A", 2)
    assert units(sale, "single", "A") == 2
    assert (audit(sale, "A").sold, audit(sale, "A").held) == (3, 2)
    proved(sale.home / "store" / "inventory")


def forgotten(sale, told, orders, people):
    """By the cart; and a refund says that it is too late for it."""
    for user, sku in people.items():
        wait_until(lambda u=user, s=sku: units(sale, u, s) == 0, what=f"the cart has forgotten what {user} bought")
    for order in orders:
        wait_until(lambda o=order: sale.rest.get(f"/v1/orders/{o['orderId']}").status_code == 404)
        refused = act(sale, order, "refund")
        assert (refused.status_code, refused.json()["detail"]) == (404, "no such order")
    for order in told.orders:
        answer = as_dict(sale.grpc.call("inventory", "RefundOrderHolds", order_id=order))
        assert answer["outcome"]["refusal"]["reason"] == "REASON_GONE"


def fill(sale, sku, count):
    """count lines, each sold, none in an order."""
    done = 0
    while done < count:
        some = [{"user_id": f"{sku}-{i}", "sku": sku, "quantity": 1, "limit": {"unlimited": {}}, "timeout_ms": 20000}
                for i in range(done, min(done + 4096, count))]
        items = sale.grpc.call("cart", "BatchAddItems", placement={"shards": 1}, items=some, timeout=60).items
        holds = [{"hold_id": item.grant.hold_id, "payment_reference": "p"} for item in items]
        paid = sale.grpc.call("inventory", "BatchConfirmHolds", placement={"shards": 1}, items=holds, timeout=60).items
        assert all(outcome.grant.state == SOLD for outcome in paid)
        done += len(some)


def is_gone(sale, hold):
    try:
        sale.grpc.call("inventory", "GetHold", hold_id=hold)
    except grpc.RpcError as error:
        return error.code() == grpc.StatusCode.NOT_FOUND
    return False


def kill_in_the_middle(sale, sku, told):
    """Inventory dies when the first of it is dropped."""
    pid = sale.pid("inventory")
    archive(sale, told.digest, sku)
    wait_until(lambda: is_gone(sale, next(iter(told.holds))), what="a part is dropped")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: sale.pid("inventory") not in (0, None, pid), what="inventory is started again")


def ended_after_a_start(sale, sku):
    """Whether the last start of inventory was before the end of the archive: the kill came in between."""
    kinds = [(entry.WhichOneof("change"), entry.goods_archived.sku) for entry in ledger(sale)]
    return kinds.index(("goods_archived", sku)) > len(kinds) - 1 - kinds[::-1].index(("incarnation", ""))


def test_an_archive_goes_on_after_a_kill(installations):
    sale, count = installations(*KEPT), 12000
    sale.up()
    put_on_sale(sale, "BESIDE")
    tried = []
    while not tried or not ended_after_a_start(sale, tried[-1]):
        assert len(tried) < 5, "it is never in the middle"
        sku = f"MANY-{len(tried)}"
        tried.append(sku)
        put_on_sale(sale, sku, count)
        fill(sale, sku, count)
        assert units(sale, f"{sku}-0", sku) == 1
        close(sale, sku)
        passed(sale)
        told = Export(sale, sku)
        assert len(told.holds) == count == told.goods[sku].sold
        assert refusal(lambda s=sku, d=told.digest: archive(sale, d[::-1], s))[0] == grpc.StatusCode.ABORTED
        kill_in_the_middle(sale, sku, told)
        proved(sale.home / "store" / "inventory")  # however far it is
        wait_until(lambda s=sku: reachable(lambda: archived_units(sale)[s] == count if s in archived_units(sale) else False),
                   what="it goes on to its end")
        now = row(sale, sku)
        assert (now["sold"], now["archived"]) == (count, count)
    buy(sale, "goes-on", "BESIDE")
    for sku in tried:
        assert audit(sale, sku).sold == count
        for user in (f"{sku}-{i}" for i in range(0, count, 1000)):
            wait_until(lambda u=user, s=sku: units(sale, u, s) == 0, what="the cart has forgotten it")
    check_books(sale, "BESIDE")
    proved(sale.home / "store" / "inventory")


def test_a_digest_does_not_outlive_its_process(installations):
    """Inventory has to have told of the sale itself; what it tells is the same again."""
    sale = installations(*KEPT)
    sale.up()
    put_on_sale(sale, "ONCE")
    sell(sale, buy(sale, "one", "ONCE"))
    close(sale, "ONCE")
    passed(sale)
    told = Export(sale, "ONCE")
    supervise(sale, "stop", "inventory")
    supervise(sale, "start", "inventory")
    wait_until(lambda: sale.is_healthy(), what="the sale goes on")
    sale.grpc.call("inventory", "ListFollowers", wait_for_ready=True)  # this side is connected again
    code, why = refusal(lambda: archive(sale, told.digest, "ONCE"))
    assert code == grpc.StatusCode.ABORTED and "since the start" in why
    again = Export(sale, "ONCE")
    assert (again.digest, again.count) == (told.digest, told.count)
    with floor_held(sale):
        assert archive(sale, again.digest, "ONCE").count == told.count
        wait_until(lambda: archived_units(sale) == {"ONCE": 1})
        assert archive(sale, again.digest, "ONCE").count == told.count  # asked again: nothing is done, where it could not be done anew
    proved(sale.home / "store" / "inventory")
