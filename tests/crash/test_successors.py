"""A cart that was succeeded while it stood still, and an inventory that is not the one the cart knew."""

import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from books import PLACEMENT, audit, sell
from flashsale_client import wait_until
from ledger_model import Model
from shoppers import Attempt, until_known

LIMIT = 2


@pytest.fixture
def shop(program, tmp_path):
    """(inventory, cart()): each cart() is another process for the same shard, with a store of its own."""
    inventory = program("inventory", watched=False)
    assert inventory.init() is None
    inventory.start()
    services = tmp_path / "services.list"
    services.write_text(f"inventory {inventory.address()} shard=0/1\n")

    def cart():
        one = program("cart", "--discovery-file", services, watched=False)
        assert one.init() is None
        one.start()
        return one

    sell(inventory, "GOODS", 100000)
    return inventory, cart


def add(cart, attempt):
    """One AddItem, noted."""
    try:
        grant = cart.call("AddItem", placement=PLACEMENT, item=attempt.item(LIMIT), timeout=5).grant
    except grpc.RpcError as no:
        code = no.code()
        refused = code in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INVALID_ARGUMENT) and "limit" in no.details()
        attempt.note("no" if refused else "unknown", f"{code.name} {no.details()}")
    else:
        attempt.note("yes", hold_id=grant.hold_id)


def attempts(name, count):
    return [Attempt(f"{name}-{number}", f"user-{number % (count // 2)}", "GOODS", 1 + number % 2) for number in range(count)]


@pytest.mark.parametrize("round_", range(3))
def test_a_paused_cart_wakes_after_its_successor_started(shop, round_):
    inventory, cart = shop
    first = cart()
    early, late, new = attempts("early", 60), attempts("late", 200), attempts("new", 60)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda one: add(first, one), early))
        asked = pool.map(lambda one: add(first, one), late)  # runs while the cart is stopped in the middle of it
        wait_until(lambda: sum(1 for one in late if one.hold_ids) > 10 * (round_ + 1))
        os.kill(first.process.pid, signal.SIGSTOP)
        second = cart()
        with ThreadPoolExecutor(8) as others:
            list(others.map(lambda one: until_known(lambda: add(second, one), lambda: one.last == "unknown"), new))
        os.kill(first.process.pid, signal.SIGCONT)
        list(asked)
    # It does nothing more: what it had sent was refused, and it ends.
    add(first, Attempt("after", "user-after", "GOODS", 1))
    assert first.ended() == 1
    assert "another process has taken over this cart shard" in first.log.read_text()

    # The successor knows what the first one was told, and the same keys are the same attempts.
    for one in early + late:
        until_known(lambda o=one: add(second, o), lambda o=one: o.last == "unknown")
        if one.hold_ids:
            add(second, one)
    model = Model()
    model.limit["GOODS"] = LIMIT
    model.read(inventory)
    for one in early + late + new:
        assert [hold.id for hold in model.by_session.get(one.name, [])] == sorted(one.hold_ids), str(one)
    assert model.by_session.get("after", []) == []
    row = audit(inventory)["GOODS"]
    assert [row.stock, row.available, row.held, row.sold] == model.rows["GOODS"]
    assert second.metric("flashsale_cart_anomalies_total") == 0


def tool(inventory, *words):
    result = subprocess.run(inventory.words(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    assert result.returncode == 0, result.stdout


def restored(inventory, folder):
    tool(inventory, "backup", "--to", str(folder / "backup"))
    inventory.kill()
    shutil.rmtree(inventory.store)
    tool(inventory, "restore", "--from", str(folder / "backup"))


def made_anew(inventory, folder):
    inventory.kill()
    shutil.rmtree(inventory.store)
    assert inventory.init() is None


def older_copy(inventory, folder):
    """The same lineage with a shorter ledger: what a copy of the folder is, put in place of the store."""
    inventory.kill()
    shutil.rmtree(inventory.store)
    shutil.copytree(folder / "copy", inventory.store)


@pytest.mark.parametrize("another", [restored, made_anew, older_copy])
def test_a_cart_stops_before_an_inventory_that_is_not_its_own(shop, tmp_path, another):
    inventory, cart = shop
    inventory.kill()
    shutil.copytree(inventory.store, tmp_path / "copy")
    inventory.start()
    one = cart()
    known = attempts("known", 20)
    for each in known:
        until_known(lambda e=each: add(one, e), lambda e=each: e.last == "unknown")
    granted = {each.name for each in known if each.hold_ids}
    wait_until(lambda: one.metric("flashsale_cart_attempts") == 0, what="the cart has read all of it in the ledger")
    another(inventory, tmp_path)
    inventory.start()
    wait_until(lambda: one.metric("flashsale_cart_links_stopped") == 1, what="the cart stops this link")
    assert ("LEDGER_AHEAD: the ledger ends at" if another is older_copy else "LINEAGE_CHANGED: this store is") in one.log.read_text()
    assert not one.is_healthy()
    wish = Attempt("wish", "user-wish", "GOODS", 1)
    with pytest.raises(grpc.RpcError) as no:
        one.call("AddItem", placement=PLACEMENT, item=wish.item(LIMIT))
    assert no.value.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE), no.value
    # No units are forgotten, and none are taken.
    for each in known:
        units = sum(other.quantity for other in known if other.user == each.user and other.name in granted)
        assert one.call("GetUserUnits", user_id=each.user, sku="GOODS").quantity == units
    # And so after a restart of the cart.
    one.kill()
    one.start(wait=False)
    wait_until(lambda: one.process.poll() is not None or "reconciles it" in one.log.read_text())
    assert not one.is_healthy()
