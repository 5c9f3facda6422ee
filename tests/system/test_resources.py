"""Resources under /v1: created, versioned, paged."""

import pytest


@pytest.fixture
def goods(sale, fresh):
    """Goods on sale, and the answer that made them."""
    sku = fresh("RES")
    return sku, sale.rest.post("/v1/goods", {"goodsSKU": sku, "goodsQuantity": 10, "goodsPrice": 45.9})


def test_what_is_created_has_a_location(sale, goods):
    sku, answer = goods
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/goods/{sku}"
    assert sale.rest.get(answer.headers["Location"]).json() == answer.json()


def test_a_resource_shows_more_than_the_compatible_row(sale, goods):
    sku, _ = goods
    row = sale.rest.get(f"/v1/goods/{sku}").json()
    assert row["stock"] == 10 and row["held"] == 0 and row["sold"] == 0 and row["closed"] is False
    assert set(sale.rest.get(f"/sku/{sku}").json()) == {"goodsSKU", "goodsQuantity", "goodsPrice"}


def test_if_match_guards_a_change(sale, goods):
    sku, _ = goods
    first = sale.rest.get(f"/v1/goods/{sku}").headers["ETag"]
    changed = sale.rest.put(f"/v1/goods/{sku}", {"goodsPrice": 50}, headers={"If-Match": first})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first
    stale = sale.rest.put(f"/v1/goods/{sku}", {"goodsPrice": 60}, headers={"If-Match": first})
    assert (stale.status_code, stale.json()["reason"]) == (412, "VERSION_MISMATCH")
    assert sale.rest.get(f"/v1/goods/{sku}").json()["goodsPrice"] == 50
    assert sale.rest.put(f"/v1/goods/{sku}", {"goodsPrice": 60}, headers={"If-Match": "*"}).status_code == 200


@pytest.mark.parametrize("tag", ["7", '""', '"x"', 'W/"1"', '"0"', '"99999999999999999999999"'])
def test_an_if_match_that_is_none_is_400_and_changes_nothing(sale, goods, tag):
    sku, _ = goods
    assert sale.rest.put(f"/v1/goods/{sku}", {"goodsPrice": 60}, headers={"If-Match": tag}).status_code == 400
    assert sale.rest.get(f"/v1/goods/{sku}").json()["goodsPrice"] == 45.9


@pytest.mark.parametrize("header", [{"If-Match": '"1"'}, {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, {"If-None-Match": "*"}])
def test_other_conditions_do_not_turn_a_yes_into_a_no(sale, goods, fresh, header):
    sku, _ = goods
    answer = sale.rest.post("/buy", {"userID": fresh("user"), "goodsSKU": sku, "goodsQuantity": 1}, headers=header)
    assert answer.status_code == 200 and answer.json()["repResult"] is True
    assert sale.rest.get("/all", headers=header).status_code == 200


def test_pages(sale, fresh):
    skus = sorted(fresh("PAGE") for _ in range(5))
    for sku in skus:
        sale.rest.post("/v1/goods", {"goodsSKU": sku, "goodsQuantity": 1, "goodsPrice": 1})
    seen, token = [], ""
    while True:
        page = sale.rest.get("/v1/goods", params={"pageSize": 2, "pageToken": token}).json()
        assert len(page["goods"]) <= 2
        seen += [one["goodsSKU"] for one in page["goods"]]
        token = page["nextPageToken"]
        if not token:
            break
    assert seen == sorted(seen) and set(skus) <= set(seen)


def test_an_unknown_member_or_parameter_is_named_under_v1(sale, fresh):
    answer = sale.rest.post("/v1/goods", {"goodsSKU": fresh("RES"), "goodsQuantity": 1, "goodsPrice": 1, "colour": "red"})
    assert answer.status_code == 400 and "colour" in answer.json()["detail"]
    answer = sale.rest.get("/v1/goods?colour=red")
    assert answer.status_code == 400 and "colour" in answer.json()["detail"]
