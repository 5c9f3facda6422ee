"""What a crowd must never break: never oversold, the limit, one effect a key, no undersold stock."""

import random

import pytest
from crowd import attempt, check_books, crowd, held_units
from flashsale_client import wait_until


def put_on_sale(sale, sku, units, limit):
    assert sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": units, "goodsPrice": 9.5}).status_code == 200
    assert sale.rest.post("/policy/add", {"goodsSKU": sku, "userLevel": -1, "quantityLimit": limit}).status_code == 200


@pytest.mark.parametrize("round_", range(3))
def test_500_shoppers_100_units_one_each(sale, fresh, round_):
    sku = fresh("CROWD")
    put_on_sale(sale, sku, 100, 1)
    answers = crowd(sale, sku, [(f"{sku}-{number}", 1, None) for number in range(500)])
    assert [answer.outcome for answer in answers].count("yes") == 100
    assert {answer.reason for answer in answers if answer.outcome != "yes"} == {"SOLD_OUT"}
    row = check_books(sale, sku)
    assert (row.stock, row.available, row.held) == (100, 0, 100)
    assert held_units(sale, sku) == {answer.user: 1 for answer in answers if answer.outcome == "yes"}


@pytest.mark.parametrize("seed", range(3))
def test_one_to_three_units_each(sale, fresh, seed):
    sku, chance = fresh("CROWD"), random.Random(seed)
    put_on_sale(sale, sku, 100, 3)
    answers = crowd(sale, sku, [(f"{sku}-{number}", chance.randint(1, 3), None) for number in range(300)])
    granted = sum(answer.quantity for answer in answers if answer.outcome == "yes")
    assert granted <= 100
    left = 100 - granted
    for answer in answers:
        if answer.outcome != "yes":
            assert answer.reason in ("SOLD_OUT", "NOT_ENOUGH")
            # What was left only shrank: refused then, it must want more than is left now.
            assert answer.quantity > left
    assert check_books(sale, sku).available == left


def test_the_limit_holds_under_concurrency(sale, fresh):
    sku, user = fresh("CROWD"), fresh("user")
    put_on_sale(sale, sku, 1000, 5)
    answers = crowd(sale, sku, [(user, 1 + number % 2, None) for number in range(100)])
    granted = sum(answer.quantity for answer in answers if answer.outcome == "yes")
    assert granted == 5
    assert {answer.reason for answer in answers if answer.outcome != "yes"} <= {"LIMIT_REACHED", "IN_PROGRESS"}
    assert held_units(sale, sku) == {user: 5}
    check_books(sale, sku)


def test_the_same_key_50_times_at_once(sale, fresh):
    sku, user = fresh("CROWD"), fresh("user")
    put_on_sale(sale, sku, 1000, 100)
    answers = crowd(sale, sku, [(user, 1, "one-key")] * 50)
    assert {answer.outcome for answer in answers} == {"yes"}
    assert len({answer.body["holdId"] for answer in answers}) == 1
    equal = [{name: value for name, value in answer.body.items() if name not in ("serverTime", "sessionID", "repeated", "remaining")}
             for answer in answers]
    assert all(body == equal[0] for body in equal)
    assert held_units(sale, sku) == {user: 1}
    other = attempt(sale, user, sku, 2, "one-key")
    assert (other.status, other.reason) == (422, "KEY_REUSED")
    assert held_units(sale, sku) == {user: 1}


def test_the_buyer_of_the_last_unit_who_asks_again_gets_the_hold(sale, fresh):
    sku, user = fresh("CROWD"), fresh("user")
    put_on_sale(sale, sku, 1, 5)
    first = attempt(sale, user, sku, 1, "last")
    assert first.outcome == "yes"
    # Until the edge itself refuses others as sold out, and beyond.
    assert attempt(sale, fresh("other"), sku, 1).reason == "SOLD_OUT"
    again = attempt(sale, user, sku, 1, "last")
    assert again.outcome == "yes"
    assert again.body["holdId"] == first.body["holdId"] and again.body["repeated"] is True
    sale.rest.delete(f"/v1/goods/{sku}")
    wait_until(lambda: attempt(sale, fresh("other"), sku, 1).reason in ("CLOSED", "UNKNOWN_SKU"))
    assert attempt(sale, user, sku, 1, "last").body["holdId"] == first.body["holdId"]


def test_what_is_given_back_can_be_bought(sale, fresh):
    sku, user = fresh("CROWD"), fresh("user")
    put_on_sale(sale, sku, 1, 1)
    assert attempt(sale, user, sku, 1).outcome == "yes"
    assert attempt(sale, fresh("other"), sku, 1).reason == "SOLD_OUT"
    assert sale.rest.delete(f"/cart/delete/userid/{user}/sku/{sku}").status_code == 200
    wait_until(lambda: attempt(sale, fresh("other"), sku, 1).outcome == "yes")


def test_a_hold_expires_by_itself(installations, fresh):
    sale = installations("--hold-ttl", "1s", "--no-demo")
    sale.up()
    sku, user = fresh("CROWD"), fresh("user")
    put_on_sale(sale, sku, 1, 1)
    held = attempt(sale, user, sku, 1)
    assert held.outcome == "yes"
    wait_until(lambda: attempt(sale, fresh("other"), sku, 1).outcome == "yes", what="the expired unit is sold again")
    row = check_books(sale, sku)
    assert (row.stock, row.held + row.available) == (1, 1)
    wait_until(lambda: sale.rest.get(f"/user/userid/{user}/sku/{sku}").json()["goodsQuantity"] == 0)
