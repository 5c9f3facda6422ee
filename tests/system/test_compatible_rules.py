"""Bad accounts, bad addresses and policies on the compatible API, and how soon they count."""

import pytest
from flashsale_client import wait_until


def test_bad_accounts(sale, fresh):
    user = fresh("bad")
    assert sale.rest.get(f"/badguy/userid/{user}").text == '{"userID":"%s","isBadGuy":false}' % user
    assert sale.rest.post("/badguy/add", {"userID": user, "isBadGuy": True}).text == '{"userID":"%s","isBadGuy":true}' % user
    assert sale.rest.get(f"/badguy/userid/{user}").text == '{"userID":"%s","isBadGuy":true}' % user
    assert {"userID": user, "isBadGuy": True} in sale.rest.get("/badguy/all").json()
    assert sale.rest.delete(f"/badguy/delete/userid/{user}").text == '{"userID":"%s","isBadGuy":false}' % user
    assert {"userID": user, "isBadGuy": True} not in sale.rest.get("/badguy/all").json()


def test_a_list_that_is_cut_says_so(own_sale):
    """A bare array can't hold a sign of it, so a header is there, and only then."""
    names = [f"bad-{number:05}" for number in range(10_001)]
    for at in range(0, len(names), 4096):
        own_sale.grpc.call("protector", "BatchCreateBans", items=[{"user_id": name} for name in names[at : at + 4096]])
    cut = own_sale.rest.get("/badguy/all")
    assert cut.headers["Flashsale-Truncated"] == "true"
    assert cut.json() == [{"userID": name, "isBadGuy": True} for name in names[:10_000]]
    assert own_sale.grpc.call("protector", "ListBadAccounts").truncated
    assert own_sale.rest.delete(f"/badguy/delete/userid/{names[0]}").status_code == 200
    whole = own_sale.rest.get("/badguy/all")
    assert "Flashsale-Truncated" not in whole.headers and [one["userID"] for one in whole.json()] == names[1:]
    assert "Flashsale-Truncated" not in own_sale.rest.get("/badip/all").headers
    # The other bare lists, which take a size; the lists of /v1 say it in their own way.
    for path in ("/all", "/policy/all"):
        rows = own_sale.rest.get(path)
        assert len(rows.json()) > 1 and "Flashsale-Truncated" not in rows.headers
        cut = own_sale.rest.get(f"{path}?pageSize=1")
        assert cut.json() == rows.json()[:1] and cut.headers["Flashsale-Truncated"] == "true"
    assert "Flashsale-Truncated" not in own_sale.rest.get("/v1/goods?pageSize=1").headers


def test_bad_addresses(sale):
    ip = "198.51.100.23"
    assert sale.rest.get(f"/badip/clientip/{ip}").text == '{"clientIP":"%s","isBadIP":false}' % ip
    assert sale.rest.post("/badip/add", {"clientIP": ip}).text == '{"clientIP":"%s","isBadIP":true}' % ip
    assert sale.rest.get(f"/badip/clientip/{ip}").json() == {"clientIP": ip, "isBadIP": True}
    assert {"clientIP": ip, "isBadIP": True} in sale.rest.get("/badip/all").json()
    assert sale.rest.delete(f"/badip/delete/clientip/{ip}").text == '{"clientIP":"%s","isBadIP":false}' % ip
    assert sale.rest.get(f"/badip/clientip/{ip}").json()["isBadIP"] is False


def test_an_address_of_a_banned_range_is_bad(sale, fresh):
    ban = sale.rest.post("/v1/bans", {"address": "203.0.113.0/24", "reason": "a test"})
    assert ban.status_code in (200, 201), ban.text
    assert sale.rest.get("/badip/clientip/203.0.113.200").json()["isBadIP"] is True
    wait_until(lambda: sale.rest.buy(fresh("user"), ip="203.0.113.9").json()["repResult"] is False)
    assert sale.rest.delete(f"/v1/bans/{ban.json()['banId']}").status_code == 200
    wait_until(lambda: sale.rest.buy(fresh("user"), ip="203.0.113.9").json()["repResult"] is True)


def test_a_ban_counts_for_the_next_request(sale, fresh):
    user = fresh("bad")
    assert sale.rest.buy(user).json()["repResult"] is True
    sale.rest.post("/badguy/add", {"userID": user})
    assert sale.rest.buy(user).json()["repResult"] is False
    sale.rest.delete(f"/badguy/delete/userid/{user}")
    wait_until(lambda: sale.rest.buy(user).json()["repResult"] is True, 5, "the lifted ban still bites")


@pytest.mark.parametrize("path, body, field", [
    ("/badguy/add", {}, "userID"),
    ("/badguy/add", {"userID": ""}, "userID"),
    ("/badguy/add", {"userID": "u", "isBadGuy": False}, "isBadGuy"),
    ("/badip/add", {}, "clientIP"),
    ("/badip/add", {"clientIP": "1.2.3"}, "clientIP"),
    ("/badip/add", {"clientIP": "1.2.3.4/33"}, "clientIP"),
    ("/badip/add", {"clientIP": "::g"}, "clientIP"),
    ("/policy/add", {"userLevel": 1, "quantityLimit": 1}, "goodsSKU"),
    ("/policy/add", {"goodsSKU": "A", "quantityLimit": 1}, "userLevel"),
    ("/policy/add", {"goodsSKU": "A", "userLevel": 1}, "quantityLimit"),
    ("/policy/add", {"goodsSKU": "A", "userLevel": 1, "quantityLimit": -1}, "quantityLimit"),
    ("/policy/add", {"goodsSKU": "A", "userLevel": 1, "quantityLimit": 1000001}, "quantityLimit"),
    ("/policy/add", {"goodsSKU": "A", "userLevel": 9999, "quantityLimit": 1}, "userLevel"),
])
def test_malformed_input_names_the_field(sale, path, body, field):
    answer = sale.rest.post(path, body)
    assert answer.status_code == 400, answer.text
    assert field in answer.json()["detail"]


def test_policies(sale, fresh):
    sku = fresh("RULE")
    row = '{"goodsSKU":"%s","userLevel":%d,"quantityLimit":%d}'
    assert sale.rest.post("/policy/add", {"goodsSKU": sku, "userLevel": 1, "quantityLimit": 3}).text == row % (sku, 1, 3)
    assert sale.rest.post("/policy/add", {"goodsSKU": sku, "userLevel": 2, "quantityLimit": 0}).text == row % (sku, 2, 0)
    assert sale.rest.put("/policy/update", {"goodsSKU": sku, "userLevel": 1, "quantityLimit": 4}).text == row % (sku, 1, 4)
    assert sale.rest.get(f"/policy/sku/{sku}").text == "[%s,%s]" % (row % (sku, 1, 4), row % (sku, 2, 0))
    assert {"goodsSKU": sku, "userLevel": 1, "quantityLimit": 4} in sale.rest.get("/policy/all").json()
    deleted = sale.rest.delete(f"/policy/delete/sku/{sku}")
    assert deleted.text == '{"goodsSKU":null,"userLevel":0,"quantityLimit":0}'
    assert sale.rest.get(f"/policy/sku/{sku}").json() == []
    assert sale.rest.delete(f"/policy/delete/sku/{sku}").status_code == 404


def limit_of(sale, sku, level):
    return sale.rest.get(f"/validate/sid/s/userid/u/userlv/{level}/sku/{sku}/quantity/1").json()["quantityLimit"]


def test_the_closest_rule_counts(sale, fresh):
    sku = fresh("RULE")
    set_rule = lambda sku, level, limit: sale.rest.post("/policy/add", {"goodsSKU": sku, "userLevel": level, "quantityLimit": limit})
    standard = limit_of(sale, sku, 77)
    set_rule("*", 77, 21)
    assert limit_of(sale, sku, 77) == 21
    set_rule(sku, -1, 22)
    assert limit_of(sale, sku, 77) == 22
    set_rule(sku, 77, 0)
    assert limit_of(sale, sku, 77) == 0
    sale.rest.delete(f"/policy/delete/sku/{sku}")
    assert limit_of(sale, sku, 77) == 21
    sale.rest.delete("/v1/policies/*/77")
    assert limit_of(sale, sku, 77) == standard


def test_a_limit_of_zero_is_no_limit(sale, fresh):
    sku, user = fresh("RULE"), fresh("user")
    sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 1000, "goodsPrice": 1})
    sale.rest.post("/policy/add", {"goodsSKU": sku, "userLevel": 1, "quantityLimit": 0})
    wait_until(lambda: sale.rest.buy(user, sku, 1000, level=1).json()["repResult"] is True)


def test_a_stricter_rule_counts_for_the_next_buy_a_looser_one_soon(sale, fresh):
    sku = fresh("RULE")
    sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 1000, "goodsPrice": 1})
    sale.rest.post("/policy/add", {"goodsSKU": sku, "userLevel": 1, "quantityLimit": 1})
    assert sale.rest.buy(fresh("user"), sku, 2, level=1).json()["repResult"] is False
    sale.rest.put("/policy/update", {"goodsSKU": sku, "userLevel": 1, "quantityLimit": 2})
    wait_until(lambda: sale.rest.buy(fresh("user"), sku, 2, level=1).json()["repResult"] is True)


def test_a_sale_window(sale, fresh):
    sku = fresh("RULE")
    sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 10, "goodsPrice": 1})
    rule = {"goodsSKU": sku, "userLevel": -1, "quantityLimit": 5}
    sale.rest.post("/v1/policies", rule | {"openTime": "2999-01-01T00:00:00Z"})
    body = {"userID": fresh("user"), "goodsSKU": sku, "goodsQuantity": 1}
    assert sale.rest.post("/v1/buy", body).json()["reason"] == "NOT_OPEN"
    sale.rest.post("/v1/policies", rule | {"closeTime": "2001-01-01T00:00:00Z"})
    wait_until(lambda: sale.rest.post("/v1/buy", body).json().get("reason") == "CLOSED")
    sale.rest.post("/v1/policies", rule | {"openTime": "2001-01-01T00:00:00Z", "closeTime": "2999-01-01T00:00:00Z"})
    wait_until(lambda: sale.rest.post("/v1/buy", body).status_code == 200)
