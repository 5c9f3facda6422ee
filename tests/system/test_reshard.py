"""The number of shards is changed: everything that was promised is there afterwards, each thing once, and the books prove it."""

import fcntl
import hashlib
import json
import os
import signal
import subprocess

import pytest
from crowd import attempt, check_books
from flashsale_client import PRESET, PROJECT, wait_until
from shards import names_on, service, shard_of
from test_orders import act, checkout, confirm, get, order_of, put_on_sale, state
from tools import tool

# What a change does runs in the unit tests under the sanitizers; this takes half a minute without them.
pytestmark = pytest.mark.skipif(PRESET != "release", reason="the unit tests have it")

# One SKU for each pair of shards of 2 and of 3, so that every change moves some.
GOODS = [next(name for name in names_on("SKU", one, 2, 50) if shard_of(name, 3) == other) for one in (0, 1) for other in (0, 1, 2)]
STOCK = 60


class Shards:
    """An installation whose number of shards changes."""

    def __init__(self, sale, folder):
        self.sale, self.folder, self.inventories, self.carts, self.changes = sale, folder, 1, 1, 0

    def stores(self, name, count):
        return [self.sale.home / "store" / service(name, shard) for shard in range(count)]

    def inventory(self, sku):
        return service("inventory", shard_of(sku, self.inventories))

    def tell(self, name, count, *flags, **options):
        """The tool, to a folder of its own: its end, and the folder."""
        to = self.folder / f"{name}-{self.changes}"
        old = ",".join(map(str, self.stores(name, self.inventories if name == "inventory" else self.carts)))
        return tool(name, "reshard", "--from", old, "--to", to, "--to-shards", count, *flags, **options), to

    def change(self, inventories, carts):
        """As docs/operations.md says; everything is down."""
        self.changes += 1
        told, goods = self.tell("inventory", inventories, "--to-cart-shards", carts)
        assert told.returncode == 0, told
        made, people = self.tell("cart", carts, "--to-inventory-shards", inventories)
        assert made.returncode == 0, made
        for name, to, before, after in (("inventory", goods, self.inventories, inventories), ("cart", people, self.carts, carts)):
            for shard, store in enumerate(self.stores(name, before)):
                store.rename(self.folder / f"old-{name}-{self.changes}-{shard}")
            for shard, store in enumerate(self.stores(name, after)):
                (to / str(shard)).rename(store)
        self.inventories, self.carts = inventories, carts
        self.sale.up("--inventory-shards", inventories, "--cart-shards", carts)
        return told.stdout

    def books(self):
        """SKU -> its row, from all inventories; each is where it belongs, and proved."""
        rows = {}
        for shard, store in enumerate(self.stores("inventory", self.inventories)):
            audit = tool("inventory", "audit", store)
            assert audit.returncode == 0 and audit.stdout.splitlines()[-1].startswith("PROVED"), audit.stdout
            for line in tool("inventory", "export", "--store", store).stdout.splitlines():
                row = json.loads(line)
                if row["kind"] == "goods":
                    assert shard_of(row["goodsSKU"], self.inventories) == shard and row["goodsSKU"] not in rows
                    rows[row["goodsSKU"]] = {name: row[name] for name in ("stock", "goodsQuantity", "held", "sold", "archived")}
        assert sorted(rows) == sorted(GOODS)
        return rows


def digests(stores):
    return [hashlib.sha256((store / "data.mdb").read_bytes()).hexdigest() for store in stores]


def killed_half_way(words, line, made):
    """The tool gets stuck in a full pipe after its first line of so many characters, and is killed then, or before, once a file is there."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    os.write(write, b"-" * (4096 - line - 20))
    program = PROJECT / "build" / PRESET / "bin" / "flashsale-inventory"
    with subprocess.Popen([str(program), *map(str, words)], stdout=write) as process:
        wait_until(made.exists, what=f"{made} is there")
        process.kill()
    os.close(read)
    os.close(write)
    assert process.returncode == -signal.SIGKILL


def orders_of(sale, user):
    return sale.rest.get(f"/v1/users/{user}/orders").json()["orders"]


def units(sale, user, sku):
    return sale.rest.get(f"/v1/users/{user}/units/{sku}").json()["goodsQuantity"]


@pytest.fixture
def shards(installations, tmp_path):
    sale = installations("--no-demo")
    sale.up()
    for sku in GOODS:
        put_on_sale(sale, sku, STOCK)
    assert sale.rest.post("/policy/add", {"goodsSKU": GOODS[0], "userLevel": -1, "quantityLimit": 3}).status_code == 200
    folder = tmp_path / "changes"
    folder.mkdir()
    return Shards(sale, folder)


def test_the_number_of_shards_changes(shards):
    sale = shards.sale
    held = {}  # (user, SKU) -> hold, by key
    for number in range(12):
        user, sku = f"holder-{number}", GOODS[number % len(GOODS)]
        held[user, sku] = wait_until(lambda u=user, s=sku: attempt(sale, u, s, 1, f"{u}-{s}").body.get("holdId"))
    limited = attempt(sale, "limited", GOODS[0], 3, "limited")
    assert limited.outcome == "yes" and attempt(sale, "limited", GOODS[0], 1).reason == "LIMIT_REACHED"
    paid = order_of(sale, "family", *GOODS)  # of everything: it will be several
    assert confirm(sale, paid, "family-paid").status_code == 200
    later = [order_of(sale, f"later-{number}", GOODS[number]) for number in range(6)]
    cancelled = order_of(sale, "cancelled", GOODS[1])
    assert act(sale, cancelled, "cancel").status_code == 200
    spans = order_of(sale, "spans", *GOODS[:2], *GOODS[3:5])
    sale.down()

    # An order that is open can't become several: it is named, and nothing is done. Nor while a service runs.
    before = digests(shards.stores("inventory", 1) + shards.stores("cart", 1))
    refused, to = shards.tell("inventory", 3)
    assert refused.returncode == 1 and f"OBSTACLE order {spans['orderId']} is open" in refused.stdout, refused
    assert "1 orders are in the way" in refused.stderr and not to.exists()
    sale.up()
    busy, _ = shards.tell("inventory", 3)
    assert busy.returncode == 2 and "in use by another process" in busy.stderr
    wait_until(lambda: act(sale, spans, "cancel").status_code == 200, what="it is cancelled")
    sale.down()

    # Cut off half way: the old stores are as they were, the new ones are no stores.
    stores = shards.stores("inventory", 1) + shards.stores("cart", 1)
    before = digests(stores)
    to = shards.folder / "cut"
    unfinished = to.with_name("cut.unfinished")
    killed_half_way(["reshard", "--from", stores[0], "--to", to, "--to-shards", 2], len(refused.stdout.splitlines()[0]), unfinished / "1" / "data.mdb")
    assert not to.exists() and (unfinished / "0" / "data.mdb").exists()
    for words in (["audit", unfinished / "0"], ["--store", unfinished / "0", "--shard", 0, "--shards", 2, "--discovery-file", "/dev/null"]):
        started = tool("inventory", *words)
        assert started.returncode != 0 and "is not complete" in started.stderr + started.stdout, started
    assert digests(stores) == before
    again = tool("inventory", "reshard", "--from", stores[0], "--to", to, "--to-shards", 2)
    assert again.returncode == 0 and not unfinished.exists() and (to / "1" / "data.mdb").exists()
    there = tool("inventory", "reshard", "--from", stores[0], "--to", to, "--to-shards", 2)
    assert there.returncode == 1 and "is there already" in there.stderr

    rows = None
    orders = {order["orderId"]: "OPEN" for order in later} | {cancelled["orderId"]: "CANCELLED", spans["orderId"]: "CANCELLED"}
    for inventories, carts in ((2, 2), (3, 3), (2, 1)):
        rows = shards.books()
        stores = shards.stores("inventory", shards.inventories) + shards.stores("cart", shards.carts)
        before = digests(stores)
        first = shards.change(inventories, carts)
        changed = [shards.folder / f"old-{name}-{shards.changes}-{shard}" for name in ("inventory", "cart") for shard in range(10)]
        assert digests(store for store in changed if store.exists()) == before  # only read
        assert f"{inventories} shards made" in first
        if shards.changes == 1:
            assert "1 of the old ones became several" not in first  # the paid one and the cancelled one
        after = shards.books()
        assert {sku: row["held"] + row["sold"] for sku, row in after.items()} == {sku: row["held"] + row["sold"] for sku, row in rows.items()}
        assert {sku: row["stock"] for sku, row in after.items()} == {sku: STOCK for sku in GOODS}

        # Keys give what they gave; limits count what is held; orders are found, and are as they were.
        for (user, sku), hold in held.items():
            again = wait_until(lambda u=user, s=sku: attempt(sale, u, s, 1, f"{u}-{s}").body)
            assert (again.get("holdId"), again.get("repeated")) == (hold, True), again
            assert units(sale, user, sku) == 1
        assert attempt(sale, "limited", GOODS[0], 1).reason == "LIMIT_REACHED"
        assert attempt(sale, "limited", GOODS[0], 3, "limited").body["holdId"] == limited.body["holdId"]
        for order, expected in orders.items():
            assert state(get(sale, {"orderId": order})) == expected
        assert state(get(sale, paid)) == "PAID"
        family = orders_of(sale, "family")
        assert {order["paymentReference"] for order in family} == {"family-paid"}
        assert sorted(item["goodsSKU"] for order in family for item in order["items"]) == sorted(GOODS)
        for order in family:
            assert len({shard_of(item["goodsSKU"], inventories) for item in order["items"]}) == 1
            assert state(get(sale, order)) == "PAID"
        again = checkout(sale, "later-5", "later-5-checkout")
        assert [order["orderId"] for order in again.json()["orders"]] == [later[5]["orderId"]], again.text

        # And it goes on: paid, cancelled, bought.
        one, other = later[2 * shards.changes - 2], later[2 * shards.changes - 1]
        assert confirm(sale, one, "later").status_code == 200
        orders[one["orderId"]] = "PAID"
        if shards.changes < 3:
            assert act(sale, other, "cancel").status_code == 200
            orders[other["orderId"]] = "CANCELLED"
        for sku in GOODS:
            user = f"new-{shards.changes}"
            held[user, sku] = attempt(sale, user, sku, 1, f"{user}-{sku}").body["holdId"]
            check_books(sale, sku, shards.inventory(sku))
        for shard in range(inventories):
            followers = sale.grpc.call(service("inventory", shard), "ListFollowers").followers
            assert [(one.cart_shard, one.epoch) for one in followers] == [(cart, 1) for cart in range(carts)]
        if shards.changes < 3:
            sale.down()

    # A part is refunded alone; what is held ends.
    assert act(sale, family[0], "refund").status_code == 200
    assert {state(order) for order in orders_of(sale, "family")} == {"REFUNDED", "PAID"}
    for (user, sku), hold in held.items():
        assert sale.rest.delete(f"/v1/carts/{user}/items/{sku}").status_code in (200, 204)
    assert sum(row["held"] for row in shards.books().values()) == 3 + 1  # limited, and later-5


def test_what_runs_out_during_a_change(installations, tmp_path):
    sale = installations("--no-demo", "--inventory-shards", "2", "--hold-ttl", "4s")
    sale.up()
    shards = Shards(sale, tmp_path)
    shards.inventories = 2
    for sku in GOODS:
        put_on_sale(sale, sku, 5)
    orders = [order_of(sale, f"buyer-{sku}", sku) for sku in GOODS]
    for sku in GOODS:
        assert attempt(sale, f"holder-{sku}", sku, 2, "key").outcome == "yes"
    sale.down()
    shards.change(1, 2)
    for order, sku in zip(orders, GOODS):
        assert attempt(sale, f"holder-{sku}", sku, 2, "key").body["repeated"]
        wait_until(lambda o=order: state(get(sale, o)) == "EXPIRED", what="time goes on")
        wait_until(lambda s=sku: check_books(sale, s).available == 5, what="its units are for sale again")
        assert confirm(sale, order, "too late").json()["reason"] == "HOLD_EXPIRED"
        assert units(sale, f"holder-{sku}", sku) == 0
    sale.down()
    shards.change(2, 1)
    assert [state(get(sale, order)) for order in orders] == ["EXPIRED"] * len(orders)
