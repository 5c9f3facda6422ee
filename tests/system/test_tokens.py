"""Outside demo mode a token says who asks: for themselves, as an operator, or not at all."""

import time

import pytest
from by_hand import Gatekeeper
from issuer import Issuer


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """(sale without demo mode, its issuer); goods KEEN with 10 units are on sale."""
    from flashsale_client import Installation
    folder = tmp_path_factory.mktemp("strict")
    issuer = Issuer(folder)
    sale = Installation(folder / "home", ["--no-demo", "--set", "gatekeeper.demo=off", "--set", f"gatekeeper.keys={issuer.public.parent}"])
    sale.up()
    made = sale.rest.post("/add", {"goodsSKU": "KEEN", "goodsQuantity": 10, "goodsPrice": 1},
                          headers=issuer.bearer(sub="boss", scope="operator"))
    assert made.status_code == 200, made.text
    yield sale, issuer
    sale.down()


def buy(sale, headers, **change):
    return sale.rest.post("/v1/buy", {"goodsSKU": "KEEN", "goodsQuantity": 1} | change, headers=headers)


def test_a_shopper_buys_as_themselves(strict):
    sale, issuer = strict
    answer = buy(sale, issuer.bearer(sub="ann", level=3))
    assert answer.status_code == 200, answer.text
    assert sale.grpc.call("inventory", "GetHold", hold_id=answer.json()["holdId"]).hold.user_id == "ann"
    assert sale.rest.get("/v1/users/ann/units/KEEN", headers=issuer.bearer(sub="ann")).json()["goodsQuantity"] == 1


def test_without_a_token_nobody_buys(strict):
    sale, _ = strict
    answer = buy(sale, {}, userID="ann")
    assert (answer.status_code, answer.json()["reason"]) == (401, "UNAUTHENTICATED")


def test_another_identity_in_the_body_is_refused(strict):
    sale, issuer = strict
    assert buy(sale, issuer.bearer(sub="ann"), userID="bob").status_code == 403
    assert buy(sale, issuer.bearer(sub="ann", level=1), userLevel=9).status_code == 403
    assert sale.rest.get("/v1/carts/bob", headers=issuer.bearer(sub="ann")).status_code == 403


def test_a_client_address_in_the_body_is_ignored(strict):
    sale, issuer = strict
    boss = issuer.bearer(sub="boss", scope="operator")
    assert sale.rest.post("/badip/add", {"clientIP": "198.51.100.9"}, headers=boss).status_code == 200
    assert buy(sale, issuer.bearer(sub="carl"), clientIP="198.51.100.9").status_code == 200


@pytest.mark.parametrize("path", ["/v1/services", "/v1/services.html"])
def test_only_operators_see_the_instances(strict, path):
    sale, issuer = strict
    assert sale.rest.get(path).status_code == 401
    assert sale.rest.get(path, headers=issuer.bearer(sub="ann")).status_code == 403
    assert sale.rest.get(path, headers=issuer.bearer(sub="boss", scope="operator")).status_code == 200


def test_operators_routes_want_their_scope(strict):
    sale, issuer = strict
    body = {"goodsSKU": "OTHER", "goodsQuantity": 1, "goodsPrice": 1}
    answer = sale.rest.post("/add", body, headers=issuer.bearer(sub="ann"))
    assert (answer.status_code, answer.json()["reason"]) == (403, "FORBIDDEN")
    assert sale.rest.post("/add", body).status_code == 401
    assert sale.rest.get("/sku/KEEN").status_code == 200


@pytest.mark.parametrize("spoil", [
    lambda issuer, other: issuer.token(sub="ann", exp=int(time.time()) - 10),
    lambda issuer, other: issuer.token(sub="ann", nbf=int(time.time()) + 600),
    lambda issuer, other: issuer.token(),
    lambda issuer, other: issuer.token(sub="x" * 65),
    lambda issuer, other: other.token(sub="ann"),
    lambda issuer, other: issuer.token(sub="ann", algorithm="HS256"),
    lambda issuer, other: issuer.token(sub="ann", algorithm="none").rsplit(".", 1)[0] + ".",
    lambda issuer, other: issuer.token(sub="ann")[:-4],
    lambda issuer, other: "no.token.atall",
    lambda issuer, other: "",
])
def test_a_token_that_is_not_good_is_none(strict, tmp_path, spoil):
    sale, issuer = strict
    token = spoil(issuer, Issuer(tmp_path, "other"))
    answer = buy(sale, {"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["reason"]) == (401, "UNAUTHENTICATED")


def test_demo_off_without_keys_does_not_start(sale, tmp_path):
    assert "flashsale_demo is off, so flashsale_keys must name the folder" in Gatekeeper(tmp_path, sale).refusal("flashsale_demo off;")
