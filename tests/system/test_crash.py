"""kill -9 of one service at a time in the middle of a sale."""

import time

import pytest
from crowd import Load, attempt, check_books, held_units
from flashsale_client import PATIENCE_S, PRESET, wait_until

UNITS = 1_000_000
# Design: sales go on within 5 s. Sanitizers make the programs' start slower.
RECOVERY_S = 5 if PRESET == "release" else PATIENCE_S


@pytest.fixture
def busy(own_sale, fresh):
    """A sale under load."""
    sku = fresh("CRASH")
    own_sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": UNITS, "goodsPrice": 1})
    own_sale.rest.post("/policy/add", {"goodsSKU": sku, "userLevel": -1, "quantityLimit": 1})
    load = Load(own_sale, sku, sku)
    wait_until(lambda: load.yes_since(0) > 50)
    yield own_sale, sku, load
    load.stop()


@pytest.mark.parametrize("service", ["inventory", "cart", "policy", "protector", "gatekeeper"])
def test_kill_in_the_middle_of_a_sale(busy, service):
    sale, sku, load = busy
    pid = sale.kill(service)
    killed = time.monotonic()
    wait_until(lambda: sale.status()[service]["pid"] not in (None, pid), what=f"{service} is started again")
    wait_until(lambda: load.yes_since(killed + 0.5) > 20, RECOVERY_S, f"sales go on after {service} was killed")
    answers = load.stop()
    wait_until(sale.is_healthy)

    yes = [answer for answer in answers if answer.outcome == "yes"]
    held = held_units(sale, sku)
    for answer in yes:
        assert held.get(answer.user) == 1, f"{answer.user} was told yes"
    assert all(units == 1 for units in held.values()), "nobody is over the limit"
    for answer in answers:
        if answer.outcome == "no":
            assert answer.user not in held, f"{answer.user} was told no ({answer.status} {answer.reason})"
    row = check_books(sale, sku)
    assert row.stock == UNITS and row.held == len(held)

    # The unknown ones ask again with the same key and hear the truth.
    for answer in answers:
        if answer.outcome == "unknown":
            again = wait_until(lambda a=answer: told(attempt(sale, a.user, sku, 1, a.key)))
            assert again.outcome == "yes"
    assert all(units == 1 for units in held_units(sale, sku).values())
    check_books(sale, sku)


def told(answer):
    return answer if answer.outcome == "yes" else None


def test_the_same_key_after_a_restart_of_the_cart(own_sale, fresh):
    user = fresh("user")
    first = attempt(own_sale, user, "SKU0001", 1, "before")
    assert first.outcome == "yes"
    pid = own_sale.kill("cart")
    wait_until(lambda: own_sale.status()["cart"]["pid"] not in (None, pid))
    again = wait_until(lambda: told(attempt(own_sale, user, "SKU0001", 1, "before")))
    assert again.body["holdId"] == first.body["holdId"]
    assert again.body["repeated"] is True
    assert attempt(own_sale, user, "SKU0001", 2, "before").status == 422
    assert own_sale.rest.get(f"/user/userid/{user}/sku/SKU0001").json()["goodsQuantity"] == 1


def test_everything_is_there_after_a_graceful_restart(own_sale, fresh):
    users = [fresh("user") for _ in range(20)]
    holds = {user: attempt(own_sale, user, "SKU0001", 1, user).body["holdId"] for user in users}
    own_sale.down()
    own_sale.up()
    for user in users:
        again = wait_until(lambda u=user: told(attempt(own_sale, u, "SKU0001", 1, u)))
        assert again.body["holdId"] == holds[user]
    check_books(own_sale, "SKU0001")


def test_holds_expire_while_the_cart_is_dead(installations, fresh):
    sale = installations("--hold-ttl", "1s", "--no-demo")
    sale.up()
    sku = fresh("CRASH")
    sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 5, "goodsPrice": 1})
    for _ in range(5):
        assert attempt(sale, fresh("user"), sku, 1).outcome == "yes"
    pid = sale.kill("cart")
    wait_until(lambda: sale.grpc.call("inventory", "GetGoods", sku=sku).goods.available == 5)
    wait_until(lambda: sale.status()["cart"]["pid"] not in (None, pid))
    wait_until(lambda: attempt(sale, fresh("user"), sku, 1).outcome == "yes")
    check_books(sale, sku)
