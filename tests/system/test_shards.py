"""Two inventories and two carts behind one gatekeeper: who has what, and what is refused when a shard is away or somebody is mistaken."""

import json
import os

import grpc
import pytest
from crowd import attempt, check_books, crowd, held_units
from flashsale_client import run_script, wait_until
from shards import names_on, service, shard_of
from test_orders import act, checkout, confirm, get, put_on_sale, state

WRONG_SHARD = 18  # Reason
SHARDS = ("--inventory-shards", "2", "--cart-shards", "2")
GOODS = [names_on("SKU", shard, 2, 2) for shard in (0, 1)]
PEOPLE = [names_on("person", shard, 2, 30) for shard in (0, 1)]


@pytest.fixture
def sale(installations):
    sale = installations("--no-demo", *SHARDS)
    sale.up()
    for shard in (0, 1):
        for sku in GOODS[shard]:
            put_on_sale(sale, sku, 30)
    return sale


def refused(sale, name, method, **fields):
    """Whatever it is told of the refusal: its text, and the reason in the trailing metadata."""
    with pytest.raises(grpc.RpcError) as caught:
        sale.grpc.call(name, method, **fields)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION, caught.value
    return f"{caught.value.details()} {caught.value.trailing_metadata()}"


def test_a_sale_over_two_shards(sale):
    services = sale.status()
    assert {name: (one["port"] - sale.port, one["shard"], one["shards"], one["health"]) for name, one in services.items() if one["shards"]} == {
        "inventory": (3, 0, 2, "healthy"), "inventory-1": (31, 1, 2, "healthy"), "cart": (4, 0, 2, "healthy"), "cart-1": (51, 1, 2, "healthy")}

    # Stock of either shard goes to people of both.
    for sku in (GOODS[0][0], GOODS[1][0]):
        people = [(user, 1, f"{user}-{sku}") for user in PEOPLE[0][:20] + PEOPLE[1][:20]]
        answers = crowd(sale, sku, people, threads=20)
        assert sum(answer.outcome == "yes" for answer in answers) == 30 and all(answer.outcome != "unknown" for answer in answers)
        assert {answer.reason for answer in answers if answer.outcome == "no"} <= {"SOLD_OUT"}
        again = [attempt(sale, *person[:1], sku, *person[1:]) for person in people[:3] + people[-3:]]
        assert [answer.body.get("holdId") for answer in again] == [answer.body.get("holdId") for answer in answers[:3] + answers[-3:]]

    # A cart that spans shards is one order a shard, and each of them is found by its id.
    for home in (0, 1):
        buyer, skus = PEOPLE[home][29], [GOODS[0][1], GOODS[1][1]]
        for sku in skus:
            assert attempt(sale, buyer, sku, 2, f"{buyer}-{sku}").outcome == "yes"
        response = checkout(sale, buyer, f"{buyer}-checkout")
        assert response.status_code == 200, response.text
        orders = response.json()["orders"]
        assert sorted(item["goodsSKU"] for order in orders for item in order["items"]) == sorted(skus)
        assert [shard_of(order["orderId"], 2) for order in orders] == [home, home] and len(orders) == 2
        assert confirm(sale, orders[0], "paid").status_code == 200
        assert act(sale, orders[1], "cancel").status_code == 200
        assert [state(get(sale, order)) for order in orders] == ["PAID", "CANCELLED"]
        assert checkout(sale, buyer, f"{buyer}-checkout").json()["orders"][0]["orderId"] in {order["orderId"] for order in orders}

    # Lists are of all shards; a hold is found wherever it is.
    everything = sorted(GOODS[0] + GOODS[1])
    assert sorted(row["goodsSKU"] for row in sale.rest.get("/all").json()) == everything
    seen, token = [], ""
    while True:
        page = sale.rest.get(f"/v1/goods?pageSize=1&pageToken={token}").json()
        seen += [row["goodsSKU"] for row in page["goods"]]
        token = page["nextPageToken"]
        if not token:
            break
    assert sorted(seen) == everything
    assert sale.rest.get("/v1/goods?pageToken=7.X").status_code == 400
    books = sale.rest.get("/v1/audit").json()
    assert books["consistent"] and sorted(item["row"] and item["goodsSKU"] for item in books["items"]) == everything
    for shard in (0, 1):
        (hold,) = sale.grpc.call(service("inventory", shard), "ListHolds", sku=GOODS[shard][0], page_size=1).holds
        assert sale.rest.get(f"/v1/holds/{hold.hold_id}").json()["goodsSKU"] == GOODS[shard][0]
    assert sale.rest.get(f"/v1/holds/{hold.hold_id[:-4]}0000").status_code == 404
    assert sale.rest.get(f"/v1/orders/{hold.hold_id}").status_code == 404

    # Each inventory is followed by both carts, and has nothing of the other.
    for shard in (0, 1):
        name = service("inventory", shard)
        assert [one.cart_shard for one in sale.grpc.call(name, "ListFollowers").followers] == [0, 1]
        assert sorted(row.sku for row in sale.grpc.call(name, "ListGoods").goods) == sorted(GOODS[shard])
        for sku in GOODS[shard]:
            check_books(sale, sku, name)

    # Whoever is mistaken about the shard or their number is refused: by number, by what is asked for, by what they say they are.
    sender = {"cart_shard": 0, "cart_shards": 2, "epoch": 99, "instance": "AAAAAAAAAAAAAAAAAAAAAQ=="}
    for placement in ({"shard": 1, "shards": 2}, {"shard": 0, "shards": 1}, {"shard": 0, "shards": 3}):
        hold = {"hold_id": "01a2059b-83bb-712a-83b6-b2ab1bb2e3aa", "sku": GOODS[0][0], "user_id": PEOPLE[0][0], "quantity": 1}
        (item,) = sale.grpc.call("inventory", "BatchCreateHolds", placement=placement, sender=sender, items=[hold]).items
        assert item.refusal.reason == WRONG_SHARD, item
        assert "WRONG_SHARD" in refused(sale, "cart", "BatchAddItems", placement=placement, items=[
            {"user_id": PEOPLE[0][0], "sku": GOODS[0][0], "quantity": 1, "limit": {"units": 1}}])
    assert "WRONG_SHARD" in refused(sale, "inventory", "CreateGoods", sku=GOODS[1][0], quantity=1)
    assert "WRONG_SHARD" in refused(sale, "cart", "GetCart", user_id=PEOPLE[1][0])
    assert "WRONG_SHARD" in refused(sale, "inventory-1", "FenceCart", sender=sender | {"cart_shards": 3})


def lose(sale, name):
    """kill -9, and it can't come back: its store is elsewhere."""
    store = sale.home / "store" / name
    os.rename(store, f"{store}.away")
    sale.kill(name)
    wait_until(lambda: not is_there(sale, name), what=f"{name} is away")


def is_there(sale, name):
    return sale.status()[name]["health"] == "healthy"


def bring_back(sale, name):
    store = sale.home / "store" / name
    os.rename(f"{store}.away", store)
    wait_until(lambda: is_there(sale, name), what=f"{name} is back")


def test_a_shard_that_is_away(sale):
    sku, other = GOODS[1][0], GOODS[0][0]
    user, neighbour = PEOPLE[1][0], PEOPLE[0][0]
    for one in (user, neighbour):
        for what in (sku, other):
            assert attempt(sale, one, what, 1, f"{one}-{what}").outcome == "yes"
    first = attempt(sale, user, sku, 1, f"{user}-{sku}").body["holdId"]

    def away(buyer, what):
        """503 with Retry-After; the first ones may have been under way, and are unknown."""
        def tried():
            answer = sale.rest.post("/v1/buy", {"userID": buyer, "userLevel": 0, "goodsSKU": what, "goodsQuantity": 1}, headers={"Idempotency-Key": f"away-{buyer}-{what}"})
            assert answer.status_code in (503, 504), answer.text
            return answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1
        wait_until(tried, what="503 with Retry-After")

    lose(sale, "inventory-1")
    for buyer in (PEOPLE[0][1], PEOPLE[1][1]):
        away(buyer, sku)
        assert attempt(sale, buyer, other, 1, f"{buyer}-{other}").outcome == "yes"
    answer = sale.rest.get(f"/v1/goods/{sku}")
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1
    assert sale.rest.get(f"/v1/goods/{other}").status_code == 200
    assert sale.rest.get("/all").status_code == 503  # half a list is no list
    assert sale.rest.post("/add", {"goodsSKU": GOODS[1][1] + "-new", "goodsQuantity": 1, "goodsPrice": 1}).status_code == (
        503 if shard_of(GOODS[1][1] + "-new", 2) else 200)
    assert held_units(sale, "").keys() == {user, neighbour, PEOPLE[0][1], PEOPLE[1][1]}
    assert {hold.sku for hold in sale.grpc.call("inventory", "ListHolds").holds} == {other}
    bring_back(sale, "inventory-1")
    wait_until(lambda: attempt(sale, PEOPLE[0][2], sku, 1, "back").outcome == "yes", what="the shard sells again")
    assert attempt(sale, user, sku, 1, f"{user}-{sku}").body["holdId"] == first

    lose(sale, "cart-1")
    away(user, sku)
    away(user, other)
    assert sale.rest.get(f"/v1/carts/{user}").status_code == 503
    assert attempt(sale, neighbour, sku, 1, "a neighbour").outcome == "yes"
    assert sale.rest.get(f"/v1/carts/{neighbour}").status_code == 200
    bring_back(sale, "cart-1")
    wait_until(lambda: attempt(sale, user, sku, 1, f"{user}-{sku}").body.get("holdId") == first, what="the key is known again")
    for shard in (0, 1):
        for one in GOODS[shard]:
            check_books(sale, one, service("inventory", shard))

    # A list that can't be true is no list: the last good one goes on.
    services = sale.home / "etc" / "services.list"
    good = services.read_text()
    for bad, said in ((good.replace("shard=1/2", "shard=1/3"), "of 3"), (good.replace("shard=1/2", "shard=0/2"), "is there twice")):
        services.with_suffix(".new").write_text(bad)
        os.replace(services.with_suffix(".new"), services)
        wait_until(lambda s=said: s in sale.log("cart") and s in sale.log("gatekeeper"), what=f"the list is refused: {said}")
        assert attempt(sale, neighbour, sku, 1, f"list {said}").outcome == "yes"
    services.write_text(good)

    # So is another number of shards for stores that are there.
    sale.down()
    result = run_script("up", "--home", sale.home, "--port", sale.port, "--discovery", "static", "--inventory-shards", "3")
    assert result.returncode == 1 and "has the stores of 2 shards of inventory, not of 3" in result.stderr
    assert not (sale.home / "store" / "inventory-2").exists()
    assert json.loads((sale.home / "installation.json").read_text())["inventory_shards"] == 2
