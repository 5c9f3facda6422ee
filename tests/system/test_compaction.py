"""What is kept, and that a steady sale does not make the stores grow."""

import re
from concurrent.futures import ThreadPoolExecutor

from flashsale_client import wait_until

ROUNDS, WARM, BUYS = 12, 4, 400


def metric(sale, service, name):
    return int(float(re.search(rf"^{name}(?:{{[^}}]*}})? ([-0-9.e+]+)$", sale.admin(service, "/metrics").text, re.M)[1]))


def followers(sale):
    return sale.grpc.call("inventory", "ListFollowers")


def buy_round(sale, pool, number):
    answers = list(pool.map(lambda i: sale.rest.buy(f"round-{number}-{i}", "SKU0001").json(), range(BUYS)))
    assert all(answer["repResult"] for answer in answers)


def settle(sale):
    """Every hold has ended, and the floor has come by."""
    wait_until(lambda: not sale.rest.get("/v1/goods/SKU0001").json()["held"], what="all holds expire")
    head = followers(sale).head
    wait_until(lambda: followers(sale).floor >= head, what="the floor follows")


def test_a_steady_sale_does_not_grow(installations):
    sale = installations("--hold-ttl", "500ms", "--set", "inventory.retention=1s")
    sale.up()
    used = []
    with ThreadPoolExecutor(16) as pool:
        for number in range(ROUNDS):
            buy_round(sale, pool, number)
            settle(sale)
            used.append(metric(sale, "inventory", "flashsale_store_used_bytes"))
    print("bytes in use after each round:", used)
    assert max(used[WARM:]) <= max(used[:WARM]) * 1.1
    assert metric(sale, "cart", "flashsale_cart_anomalies_total") == 0
    audit = sale.rest.get("/v1/audit").json()
    assert audit["consistent"], audit


def units(sale, user):
    return sale.rest.get(f"/user/userid/{user}/sku/SKU0001").json()["goodsQuantity"]


def test_a_cart_made_anew_after_compaction_counts_the_same(installations):
    sale = installations("--hold-ttl", "2s", "--set", "inventory.retention=1s")
    sale.up()
    assert sale.rest.buy("keeper", "SKU0001", 1).json()["repResult"]
    order = sale.rest.post("/v1/carts/keeper/checkout", {}).json()["orders"][0]["orderId"]
    assert sale.rest.post(f"/v1/orders/{order}/confirm", {"paymentReference": "p-1"}).status_code == 200
    with ThreadPoolExecutor(16) as pool:
        buy_round(sale, pool, 0)
    settle(sale)
    sale.down()
    (sale.home / "store" / "cart").rename(sale.home / "old-cart")
    sale.up()
    wait_until(lambda: units(sale, "keeper") == 1, what="the cart knows what was sold")
    assert sale.rest.get(f"/v1/orders/{order}").json()["state"] == "ORDER_STATE_PAID"
    assert all(units(sale, f"round-0-{i}") == 0 for i in range(20))
    assert sale.rest.buy("keeper", "SKU0001", 1).json()["repResult"]
    assert units(sale, "keeper") == 2
    assert metric(sale, "cart", "flashsale_cart_anomalies_total") == 0
    assert not metric(sale, "cart", "flashsale_cart_links_stopped")
    settle(sale)
    assert sale.rest.get("/v1/audit").json()["consistent"]
