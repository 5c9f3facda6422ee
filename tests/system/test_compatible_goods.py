"""The goods rows of the compatible API, field by field, and what they refuse."""

import pytest


@pytest.fixture
def sku(sale, fresh):
    """Goods on sale: 10 units at 45.9."""
    name = fresh("GOODS")
    assert sale.rest.post("/add", {"goodsSKU": name, "goodsQuantity": 10, "goodsPrice": 45.9}).status_code == 200
    return name


def test_add_answers_the_goods_as_stored(sale, fresh):
    name = fresh("ADD")
    answer = sale.rest.post("/add", {"goodsSKU": name, "goodsQuantity": 5, "goodsPrice": 99.9})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.text == '{"goodsSKU":"%s","goodsQuantity":5,"goodsPrice":99.9}' % name


def test_a_quantity_of_zero_is_fine_in_add(sale, fresh):
    name = fresh("ADD")
    answer = sale.rest.post("/add", {"goodsSKU": name, "goodsQuantity": 0, "goodsPrice": 99})
    assert answer.text == '{"goodsSKU":"%s","goodsQuantity":0,"goodsPrice":99}' % name


def test_adding_an_open_sku_again_is_refused(sale, sku):
    answer = sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 5, "goodsPrice": 99.9})
    assert answer.status_code == 409
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["reason"] == "ALREADY_OPEN"
    assert sale.rest.get(f"/sku/{sku}").json()["goodsQuantity"] == 10


def test_one(sale, sku):
    answer = sale.rest.get(f"/sku/{sku}")
    assert answer.status_code == 200
    assert answer.text == '{"goodsSKU":"%s","goodsQuantity":10,"goodsPrice":45.9}' % sku


def test_head_is_get_without_a_body(sale, sku):
    answer = sale.rest.request("HEAD", f"/sku/{sku}")
    assert answer.status_code == 200
    assert answer.content == b""
    assert int(answer.headers["Content-Length"]) == len(sale.rest.get(f"/sku/{sku}").content)


def test_all_is_a_bare_array(sale, sku):
    goods = sale.rest.get("/all").json()
    assert isinstance(goods, list)
    assert {"goodsSKU": sku, "goodsQuantity": 10, "goodsPrice": 45.9} in goods
    assert all(set(one) == {"goodsSKU", "goodsQuantity", "goodsPrice"} for one in goods)


def test_the_demo_sale(sale):
    first = next(one for one in sale.rest.get("/all").json() if one["goodsSKU"] == "SKU0001")
    assert first["goodsPrice"] == 99 and isinstance(first["goodsPrice"], int)


def test_update_sets_what_is_available(sale, sku, fresh):
    assert sale.rest.buy(fresh("user"), sku, 3, level=9).json()["repResult"] is True
    answer = sale.rest.put("/update", {"goodsSKU": sku, "goodsQuantity": 900000, "goodsPrice": 99.9})
    assert answer.status_code == 200
    assert answer.text == '{"goodsSKU":"%s","goodsQuantity":900000,"goodsPrice":99.9}' % sku
    row = sale.grpc.call("inventory", "GetGoods", sku=sku).goods
    assert (row.stock, row.available, row.held, row.sold) == (900003, 900000, 3, 0)


def test_delete_answers_the_emptied_row(sale, sku):
    answer = sale.rest.delete(f"/delete/sku/{sku}")
    assert answer.status_code == 200
    assert answer.text == '{"goodsSKU":null,"goodsQuantity":0,"goodsPrice":0.0}'
    assert sale.rest.get(f"/sku/{sku}").status_code == 404
    assert sku not in [one["goodsSKU"] for one in sale.rest.get("/all").json()]
    assert sale.rest.delete(f"/delete/sku/{sku}").status_code == 404


def test_closed_goods_can_be_added_again(sale, sku):
    sale.rest.delete(f"/delete/sku/{sku}")
    answer = sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 7, "goodsPrice": 1.25})
    assert answer.text == '{"goodsSKU":"%s","goodsQuantity":7,"goodsPrice":1.25}' % sku


def test_validate_stock(sale, sku):
    answer = sale.rest.get(f"/validate/sid/sid00001/sku/{sku}/quantity/1")
    assert answer.status_code == 200
    assert answer.text == ('{"sessionID":"sid00001","goodsSKU":"%s","goodsQuantity":1,"totalQuantity":10,"isAllowed":true,'
                           '"isThrottled":false,"version":"1.0"}' % sku)
    assert sale.rest.get(f"/validate/sid/sid00001/sku/{sku}/quantity/11").json()["isAllowed"] is False


@pytest.mark.parametrize("method, path", [
    ("GET", "/sku/NO-SUCH-SKU"),
    ("DELETE", "/delete/sku/NO-SUCH-SKU"),
    ("GET", "/validate/sid/s/sku/NO-SUCH-SKU/quantity/1"),
])
def test_an_unknown_sku_is_404(sale, method, path):
    answer = sale.rest.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["reason"] == "UNKNOWN_SKU"


def test_updating_an_unknown_sku_is_404(sale):
    answer = sale.rest.put("/update", {"goodsSKU": "NO-SUCH-SKU", "goodsQuantity": 1, "goodsPrice": 1})
    assert answer.status_code == 404


@pytest.mark.parametrize("change, field", [
    ({"goodsSKU": None}, "goodsSKU"),
    ({"goodsSKU": ""}, "goodsSKU"),
    ({"goodsSKU": "no spaces"}, "goodsSKU"),
    ({"goodsSKU": "x" * 65}, "goodsSKU"),
    ({"goodsSKU": 5}, "goodsSKU"),
    ({"goodsQuantity": -1}, "goodsQuantity"),
    ({"goodsQuantity": 1.5}, "goodsQuantity"),
    ({"goodsQuantity": "many"}, "goodsQuantity"),
    ({"goodsQuantity": 10**13}, "goodsQuantity"),
    ({"goodsQuantity": 10**30}, "goodsQuantity"),
    ({"goodsPrice": -0.01}, "goodsPrice"),
    ({"goodsPrice": 0.0000001}, "goodsPrice"),
    ({"goodsPrice": [99]}, "goodsPrice"),
    ({"goodsPrice": 10**12}, "goodsPrice"),
])
def test_malformed_input_names_the_field(sale, fresh, change, field):
    body = {"goodsSKU": fresh("BAD"), "goodsQuantity": 5, "goodsPrice": 9} | change
    answer = sale.rest.post("/add", body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 400 and problem["reason"] == "INVALID"
    assert field in problem["detail"]
    assert field in str(problem.get("errors", problem.get("field")))


@pytest.mark.parametrize("missing", ["goodsSKU", "goodsQuantity", "goodsPrice"])
def test_a_missing_field_is_named(sale, fresh, missing):
    body = {"goodsSKU": fresh("BAD"), "goodsQuantity": 5, "goodsPrice": 9}
    del body[missing]
    answer = sale.rest.post("/add", body)
    assert answer.status_code == 400
    assert missing in answer.json()["detail"]


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "5", '{"goodsSKU":', "\xff", '{"goodsSKU":"a"}}', "{" * 5000])
def test_what_is_not_json_is_400(sale, body):
    answer = sale.rest.request("POST", "/add", data=body.encode("latin-1"), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert answer.json()["status"] == 400
