"""One trace id from the request through every hop: in the answer, in the access log, in the lines of all services."""

import json
import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from flashsale_client import wait_until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
INSIDE = ("protector", "policy", "cart", "inventory")


@pytest.fixture(scope="module")
def talkative(tmp_path_factory):
    """Every service logs at debug."""
    from flashsale_client import Installation
    levels = [word for service in ("gatekeeper", *INSIDE) for word in ("--set", f"{service}.log-level=debug")]
    sale = Installation(tmp_path_factory.mktemp("talkative") / "home", ["--no-demo", *levels])
    sale.up()
    assert sale.rest.post("/add", {"goodsSKU": "T", "goodsQuantity": 1000, "goodsPrice": 1}).status_code == 200
    yield sale
    sale.down()
    assert sale.sanitizer_reports() == []


def given(trace):
    return {"traceparent": f"00-{trace}-{PARENT}-01"}


def lines_of(sale, service, trace):
    return [line for line in sale.log_lines(service) if line.get("trace") == trace]


def shown(sale, service, trace, **fields):
    """The lines with the trace and these fields, once there are some."""
    return wait_until(lambda: [line for line in lines_of(sale, service, trace) if fields.items() <= line.items()],
                      what=f"{service} tells of {trace}: {fields}")


def access_line(sale, trace):
    log = sale.home / "log" / "access.log"
    return wait_until(lambda: [line for line in map(json.loads, log.read_text().splitlines()) if line["trace"].split("-")[1:2] == [trace]])[0]


def test_the_access_log_is_rotated_without_a_loss(talkative):
    """As docs/operations.md says: lines of before stay in the old file, those after it are in a new one."""
    log, old = (talkative.home / "log" / name for name in ("access.log", "access.log.1"))
    before, after = "b" * 32, "c" * 32
    talkative.rest.get("/all", headers=given(before))
    access_line(talkative, before)
    log.rename(old)
    talkative.kill("gatekeeper", signal.SIGUSR1)
    wait_until(log.exists, what="a new access.log")
    talkative.rest.get("/all", headers=given(after))
    access_line(talkative, after)
    assert before in old.read_text() and after not in old.read_text() and before not in log.read_text()


def test_a_buy_is_told_of_by_all_five(talkative):
    answer = talkative.rest.post("/v1/buy", {"userID": "tess", "goodsSKU": "T", "goodsQuantity": 1}, headers=given(TRACE))
    assert answer.status_code == 200, answer.text
    assert answer.headers["traceparent"] == given(TRACE)["traceparent"]
    assert access_line(talkative, TRACE)["user"] == "tess"
    assert shown(talkative, "gatekeeper", TRACE, message="request")[0]["status"] == 200
    for service, method, outcome in (("protector", "BatchValidateClients", "welcome"), ("policy", "BatchValidatePurchases", "limit"),
                                     ("cart", "BatchAddItems", "grant"), ("inventory", "BatchCreateHolds", "grant")):
        assert shown(talkative, service, TRACE, message="item")[0].items() >= {"method": method, "outcome": outcome}.items()


@pytest.mark.parametrize("trace, units", [("a" * 32, 6), ("9" * 32, 1)])
def test_a_refused_buy_names_its_trace(talkative, trace, units):
    """By the gatekeeper at a glance, and by the cart: after 5 units there are no more for anybody."""
    talkative.rest.post("/v1/buy", {"userID": "rick", "goodsSKU": "T", "goodsQuantity": 5})
    answer = talkative.rest.post("/v1/buy", {"userID": "rick", "goodsSKU": "T", "goodsQuantity": units}, headers=given(trace))
    assert answer.status_code == 409, answer.text
    assert answer.json()["traceId"] == trace, answer.text
    assert access_line(talkative, trace)["reason"] == "LIMIT_REACHED"
    assert shown(talkative, "gatekeeper", trace, message="request")[0]["reason"] == "LIMIT_REACHED"
    assert lines_of(talkative, "inventory", trace) == []
    if units == 1:
        assert shown(talkative, "cart", trace, message="item")[0]["outcome"] == "LIMIT_REACHED"


def test_strangers_in_one_batch_keep_their_own(talkative, fresh):
    """Whatever shares a batch with it, each buy's trace leads to its person."""
    traces = {f"{number:032x}": fresh("stranger") for number in range(1, 41)}

    def buy(trace):
        body = {"userID": traces[trace], "goodsSKU": "T", "goodsQuantity": 1}
        return requests.post(f"{talkative.rest.base}/v1/buy", json=body, headers=given(trace), timeout=10).status_code

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(buy, traces)) == {200}
    for trace, user in traces.items():
        assert {line["user"] for line in shown(talkative, "cart", trace, message="item")} == {user}


def test_a_cart_and_an_order(talkative):
    """Calls that are no batch, and what the cart asks of inventory for them, later too."""
    add, remove, checkout, cancel = (letter * 32 for letter in "bcde")
    talkative.rest.post("/v1/carts/olga/items", {"goodsSKU": "T", "goodsQuantity": 1}, headers=given(add))
    assert shown(talkative, "inventory", add, message="item")[0]["method"] == "BatchCreateHolds"
    assert talkative.rest.delete("/v1/carts/olga/items/T", headers=given(remove)).status_code == 200
    assert shown(talkative, "cart", remove, message="call")[0]["method"] == "RemoveItem"
    assert shown(talkative, "inventory", remove, message="item")[0]["method"] == "BatchReleaseHolds"
    talkative.rest.post("/v1/carts/olga/items", {"goodsSKU": "T", "goodsQuantity": 1})
    made = talkative.rest.post("/v1/carts/olga/checkout", {}, headers=given(checkout))
    assert made.status_code == 200, made.text
    assert shown(talkative, "inventory", checkout, message="call")[0]["method"] == "BindOrderHolds"
    order = made.json()["orders"][0]["orderId"]
    assert talkative.rest.post(f"/v1/orders/{order}/cancel", {}, headers=given(cancel)).status_code == 200
    assert shown(talkative, "inventory", cancel, message="call")[0]["method"] == "ReleaseOrderHolds"


@pytest.mark.parametrize("header", [None, "", "00-" + "0" * 32 + f"-{PARENT}-01", f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}", "x" * 55])
def test_without_a_good_one_a_trace_begins(talkative, header):
    answer = talkative.rest.get("/sku/T", headers={} if header is None else {"traceparent": header})
    begun = re.fullmatch("00-([0-9a-f]{32})-[0-9a-f]{16}-01", answer.headers["traceparent"])
    assert begun and begun[1] not in (TRACE, "0" * 32)
    assert shown(talkative, "inventory", begun[1], message="call")[0]["method"] == "GetGoods"


def test_what_failed_is_told_at_any_level(own_sale):
    """Asked and not answered: each such line comes at most once a second, and each try takes longer."""
    trace = "f" * 32
    own_sale.kill("inventory", signal.SIGSTOP)

    def tell():
        answer = own_sale.rest.post("/v1/buy", {"userID": "fred", "goodsSKU": "SKU0001", "goodsQuantity": 1}, headers=given(trace))
        assert answer.status_code in (503, 504) and answer.json()["traceId"] == trace, answer.text
        return lines_of(own_sale, "gatekeeper", trace) and lines_of(own_sale, "cart", trace)

    wait_until(tell)
    own_sale.kill("inventory", signal.SIGCONT)
    assert lines_of(own_sale, "gatekeeper", trace)[0]["message"] == "a request failed"
    assert {line["message"] for line in lines_of(own_sale, "cart", trace)} <= {"an item failed", "a call was slow"}
