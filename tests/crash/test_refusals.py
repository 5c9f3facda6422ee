"""What a program can't work with it refuses, with a clear message; full or damaged, it never says a wrong number."""

import itertools
import os
import random
import re
import shutil
import signal
import subprocess

import grpc
import pytest
from books import (EXPIRED, HELD, PLACEMENT, RELEASED, SENDER, SOLD, audit, change_fields, fence, hold, hold_fields, new_id, sell)
from flashsale_client import wait_until

PAGE = 4096
DAMAGED = "the store's data file is damaged, or was cut while in use"


@pytest.fixture
def inventory(program):
    """Has sold and held something, and does not run."""
    one = program("inventory", watched=False)
    assert one.init() is None
    one.start()
    fence(one)
    sell(one, "GOODS", 1000)
    items = [hold_fields("GOODS", user=f"user-{number}")["hold"] for number in range(200)]
    one.call("BatchCreateHolds", placement=PLACEMENT, sender=SENDER, items=items)
    one.kill()
    return one


def refused(one, *flags):
    """What it says and ends with, instead of serving."""
    before = one.log.stat().st_size if one.log.exists() else 0
    one.start(*flags, wait=False)
    code = one.ended()
    said = one.log.read_text()[before:]
    assert code == 1, f"{code}: {said}"
    assert "can't start" in said and "listening" not in said
    return said


def data(one):
    return one.store / "data.mdb"


# ---- the wrong store ----


def test_a_store_of_another_shard(inventory):
    assert "is shard 0 of 1, the settings say shard 1 of 2" in refused(inventory, "--shard", "1", "--shards", "2")
    assert "is shard 0 of 1, the settings say shard 0 of 2" in refused(inventory, "--shards", "2")
    unharmed(inventory)


def test_a_store_of_another_service(program, inventory):
    cart = program("cart", watched=False)
    shutil.copytree(inventory.store, cart.store)
    assert "belongs to the service inventory, not to cart" in refused(cart)


def test_a_store_of_another_format(inventory):
    content = bytearray(data(inventory).read_bytes())
    places = [match.start() for match in re.finditer(b"FLSHSALE", content)]
    assert places
    for at in places:
        content[at + 15] += 1
    data(inventory).write_bytes(content)
    assert re.search(r"has format \d+, this program reads format \d+: use the program that made it", refused(inventory))


def test_an_empty_volume_where_a_store_was(inventory):
    shutil.rmtree(inventory.store)
    inventory.store.mkdir()
    said = refused(inventory)
    assert "no store in" in said and "flashsale-inventory init" in said
    assert not data(inventory).exists(), "it makes none by itself"


def test_two_processes_on_one_store(program, inventory):
    inventory.start()
    second = program("inventory", watched=False)
    second.store = inventory.store
    assert "in use by another process: stop that one first" in refused(second)
    assert "in use by another process" in second.init()
    assert inventory.call("GetGoods", sku="GOODS").goods.held == 200
    fence(inventory, 2)
    inventory.call("CreateHold", **hold_fields("GOODS") | {"sender": SENDER | {"epoch": 2}})
    assert audit(inventory)["GOODS"].held == 201


def unharmed(inventory):
    inventory.start()
    assert audit(inventory)["GOODS"].held == 200


# ---- the damaged store ----


@pytest.mark.parametrize("left", [0, 1, 0.1, 0.3, 0.6, 0.9, "a page less", "a byte less"])
def test_a_file_that_was_cut(inventory, left):
    size = data(inventory).stat().st_size
    size = {"a page less": size - PAGE, "a byte less": size - 1}.get(left, int(size * left) if isinstance(left, float) else left)
    os.truncate(data(inventory), size)
    said = refused(inventory)
    if left == 0:
        assert "its data file is empty (0 bytes)" in said
    else:
        assert re.search(r"the data file is cut off|the data file is damaged", said), said
    assert data(inventory).stat().st_size == size, "it is left as it is"


@pytest.mark.parametrize("content", [b"\0", b"\xff", b"no store"])
def test_a_file_that_is_something_else(inventory, content):
    data(inventory).write_bytes((content * 40 * PAGE)[:40 * PAGE])
    assert re.search(r"the data file is damaged, restore a backup", refused(inventory))


@pytest.mark.parametrize("seed", range(12))
def test_damaged_pages(inventory, seed):
    """Nobody can promise to notice; what is promised is that no wrong number comes of it: an error, a death that says why, or the truth."""
    chance = random.Random(seed)
    content = bytearray(data(inventory).read_bytes())
    for page in chance.sample(range(2, len(content) // PAGE), 4):
        content[page * PAGE:(page + 1) * PAGE] = chance.choice((bytes(PAGE), chance.randbytes(PAGE), b"\xff" * PAGE))
    data(inventory).write_bytes(content)
    before = inventory.log.stat().st_size
    inventory.start(wait=False)
    wait_until(inventory.is_healthy_or_dead)
    if inventory.process.poll() is None:
        for ask in (lambda: inventory.call("GetGoods", sku="GOODS").goods.held, lambda: audit(inventory)["GOODS"].held, lambda: grows(inventory)):
            try:
                assert ask() == 200
            except grpc.RpcError as no:
                assert no.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS), no
            except AssertionError as no:
                assert "consistent" in str(no) or "the " in str(no), no  # the audit refutes it
    code = inventory.kill()
    said = inventory.log.read_text()[before:]
    if code in (-signal.SIGBUS, -signal.SIGSEGV, -signal.SIGABRT):
        assert DAMAGED in said, said
    elif code != -signal.SIGKILL:
        assert "damaged" in said or "a commit failed" in said, f"{code}: {said}"


def grows(inventory):
    fence(inventory, 2)
    inventory.call("CreateHold", **hold_fields("GOODS") | {"sender": SENDER | {"epoch": 2}})
    return inventory.call("GetGoods", sku="GOODS").goods.held - 1


def test_a_file_that_is_cut_while_in_use(inventory):
    inventory.start()
    fence(inventory, 2)
    os.truncate(data(inventory), 3 * PAGE)
    with pytest.raises(grpc.RpcError) as no:
        grows(inventory)
    assert no.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)
    inventory.process.wait(30)
    assert inventory.kill() in (-signal.SIGBUS, -signal.SIGSEGV)
    assert DAMAGED in inventory.log.read_text()
    assert re.search(r"cut off|damaged", refused(inventory))


# ---- full ----


def test_a_full_map(program):
    one = program("inventory", "--store-size", "2m", watched=False)
    assert one.init() is None
    one.start()
    full_store(one)
    one.kill()
    one.flags = ["--store-size", "16m"]
    one.start()
    on_sale_again(one)


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own, of 96 MiB; fill() leaves only so much free."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if mounted.returncode:
        pytest.skip(f"this machine lets nobody mount a small disk: {mounted.stdout.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder, free):
    """Leaves so many bytes free, or gives all back."""
    filler = folder / "filler"
    filler.unlink(missing_ok=True)
    if free is None:
        return
    disk = os.statvfs(folder)
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - free)


def test_a_disk_that_is_nearly_full(program, small_disk):
    one = program("inventory", watched=False)
    one.store = small_disk / "store"
    assert one.init() is None
    one.start()
    full_store(one, lambda: fill(small_disk, 16 << 20))
    fill(small_disk, None)
    on_sale_again(one)


def test_a_disk_that_is_full_to_the_last_byte(program, small_disk):
    """No commit can be made: it ends rather than to guess, and does not start until there is room."""
    one = program("inventory", watched=False)
    one.store = small_disk / "store"
    assert one.init() is None
    one.start()
    fence(one)
    sell(one, "GOODS", 1000)
    told = [hold(one, "GOODS") for _ in range(20)]
    fill(small_disk, 0)
    unknown = []
    with pytest.raises(grpc.RpcError) as no:
        for _ in range(1000):  # the file has pages to use again, but not for ever
            unknown.append(new_id())
            one.call("CreateHold", **hold_fields("GOODS", hold_id=unknown[-1]))
            told.append(unknown.pop())
    assert no.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED), no.value
    if no.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:  # the watermark was seen first: then ends of holds take the last pages
        with pytest.raises(grpc.RpcError) as no:
            for number in range(1000):
                one.call("AdjustStock", sku="GOODS", change=1, request_id=new_id())
        assert no.value.code() == grpc.StatusCode.UNAVAILABLE
    assert one.ended() == 1
    assert "a commit failed, its outcome is unknown: No space left on device" in one.log.read_text()
    # What it needs to begin it finds in pages to use again, or it says that it can't.
    one.start(wait=False)
    wait_until(one.is_healthy_or_dead)
    if one.process.poll() is None:
        assert all(one.call("GetHold", hold_id=each).hold.state == HELD for each in told)
        one.kill()
    else:
        assert one.ended() == 1 and re.search("can't start.*No space left on device", one.log.read_text())
    fill(small_disk, None)
    one.start()
    assert audit(one)["GOODS"].held in (len(told), len(told) + len(unknown))
    assert all(one.call("GetHold", hold_id=each).hold.state == HELD for each in told)


def full_store(inventory, fill_up=lambda: None):
    """Takes holds until there is no room for more; what ends them goes on. fill_up() hurries that after the first of them."""
    fence(inventory)
    sell(inventory, "FULL", 1000000)
    sell(inventory, "BRIEF", 1000, hold_ttl="1s")
    brief = [hold(inventory, "BRIEF") for _ in range(20)]
    told = [hold(inventory, "FULL") for _ in range(60)]
    fill_up()
    refusal = None
    while refusal is None:
        assert len(told) < 100000
        items = [hold_fields("FULL")["hold"] for _ in range(100)]
        answer = inventory.call("BatchCreateHolds", placement=PLACEMENT, sender=SENDER, items=items)
        for item, outcome in zip(items, answer.items):
            if outcome.WhichOneof("outcome") == "grant":
                told.append(item["hold_id"])
            else:
                refusal = outcome.refusal
    assert refusal.reason == 21, refusal  # STORE_FULL
    with pytest.raises(grpc.RpcError) as no:
        hold(inventory, "FULL")
    assert no.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "full" in no.value.details()
    assert inventory.metric("flashsale_inventory_store_full") == 1
    for each in told[:20]:
        inventory.call("ConfirmHold", **change_fields(each, payment_reference="pay"))
    for each in told[20:40]:
        inventory.call("ReleaseHold", **change_fields(each))
    wait_until(lambda: all(inventory.call("GetHold", hold_id=each).hold.state == EXPIRED for each in brief), what="holds expire")
    wait_until(lambda: inventory.call("GetGoods", sku="BRIEF").goods.available == 1000)
    row = audit(inventory)["FULL"]
    assert (row.sold, row.held) == (20, len(told) - 40)
    for at, state in ((0, SOLD), (20, RELEASED), (40, HELD)):
        assert all(inventory.call("GetHold", hold_id=each).hold.state == state for each in told[at:at + 20])
    assert inventory.is_healthy()


def on_sale_again(inventory):
    fence(inventory, 2)
    fields = hold_fields("FULL") | {"sender": SENDER | {"epoch": 2}}
    wait_until(lambda: granted(inventory, fields), what="there is room again")
    audit(inventory)


def granted(inventory, fields):
    try:
        return inventory.call("CreateHold", **fields, wait_for_ready=True).grant.quantity == 1
    except grpc.RpcError as no:
        assert no.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        return False


def test_a_cart_with_a_full_map(program, tmp_path):
    """It decides nothing that it can't store; what inventory has granted is counted, and is stored when there is room."""
    inventory = program("inventory", watched=False)
    assert inventory.init() is None
    inventory.start()
    sell(inventory, "GOODS", 100000)
    (tmp_path / "services.list").write_text(f"inventory {inventory.address()} shard=0/1\n")
    cart = program("cart", "--discovery-file", tmp_path / "services.list", watched=False)
    assert cart.init() is None
    cart.start("--store-size", "1m")
    count = 0

    def add():
        nonlocal count
        assert count < 20000, "the cart's store never fills"
        items = [{"user_id": f"user-{count + each}", "sku": "GOODS", "quantity": 1, "limit": {"units": 1}} for each in range(500)]
        answer = cart.call("BatchAddItems", placement=PLACEMENT, items=items)
        assert all(item.WhichOneof("outcome") == "grant" for item in answer.items)
        count += 500

    def batches(result=""):
        return cart.metric("flashsale_cart_store_batches_total", result)

    while "full" not in cart.log.read_text() and not batches('result="refused"'):
        before = batches()
        add()
        wait_until(lambda b=before: batches() > b, what="the store, which writes behind, has come to some of it")
    ordered = []
    with pytest.raises(grpc.RpcError) as no:
        for user in itertools.count():  # a small decision finds room where a batch does not, for a while
            if user == count:
                add()
            ordered += cart.call("Checkout", placement=PLACEMENT, user_id=f"user-{user}").orders
    assert no.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and "full" in no.value.details(), no.value
    assert cart.call("GetUserUnits", user_id=f"user-{count - 1}", sku="GOODS").quantity == 1
    again = {"user_id": f"user-{count - 1}", "sku": "GOODS", "quantity": 1, "limit": {"units": 1}}
    with pytest.raises(grpc.RpcError) as no:
        cart.call("AddItem", placement=PLACEMENT, item=again)
    assert no.value.code() == grpc.StatusCode.FAILED_PRECONDITION, "the limit holds"
    cart.kill()
    cart.start("--store-size", "64m")
    assert audit(inventory)["GOODS"].held == count
    for user in (0, count // 2, count - 1):
        assert cart.call("GetUserUnits", user_id=f"user-{user}", sku="GOODS").quantity == 1
    for order in ordered:
        assert cart.call("GetOrder", order_id=order.order_id).order.state == 1
    (order,) = cart.call("Checkout", placement=PLACEMENT, user_id=f"user-{len(ordered)}").orders
    cart.call("ConfirmOrder", placement=PLACEMENT, order_id=order.order_id, payment_reference="pay")
    assert audit(inventory)["GOODS"].sold == 1
