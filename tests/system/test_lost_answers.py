"""Between cart and inventory answers get lost, late and doubled: the shopper hears unknown or the truth, never a false no."""

import itertools

import pytest
from crowd import attempt, check_books, crowd, held_units
from flashsale_client import wait_until
from grpc_proxy import Proxy


@pytest.fixture
def between(installations, tmp_path, fresh):
    """(sale, sku, proxy): the cart reaches inventory through the proxy; everybody else directly."""
    services = tmp_path / "cart-services.list"
    services.write_text("")
    sale = installations("--no-demo", "--set", f"cart.discovery-file={services}")
    proxy = Proxy(sale.address("inventory"))
    services.write_text(f"inventory 127.0.0.1:{proxy.port} shard=0/1\n")
    sale.up()
    sku = fresh("LOST")
    sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 1000, "goodsPrice": 1})
    sale.rest.post("/policy/add", {"goodsSKU": sku, "userLevel": -1, "quantityLimit": 1})
    yield sale, sku, proxy
    proxy.close()


def once(fate):
    """A fate for the first BatchCreateHolds only."""
    calls = itertools.count()
    return lambda method: fate if method == "BatchCreateHolds" and next(calls) == 0 else "pass"


def check_truth(sale, sku, answers):
    """Every yes is held, no definite no is, and in the end everybody who asks again has exactly one."""
    held = held_units(sale, sku)
    for answer in answers:
        assert answer.outcome != "yes" or held.get(answer.user) == 1
        assert answer.outcome != "no" or answer.user not in held, f"{answer.user} was told no: {answer.body}"
    for answer in answers:
        again = wait_until(lambda a=answer: told(attempt(sale, a.user, sku, 1, a.key)))
        if answer.outcome == "yes":
            assert again.body["holdId"] == answer.body["holdId"]
    assert held_units(sale, sku) == {answer.user: 1 for answer in answers}
    assert check_books(sale, sku).held == len(answers)


def told(answer):
    return answer if answer.outcome == "yes" else None


@pytest.mark.parametrize("fate", ["lose request", "lose answer", "swallow answer", "double"])
def test_one_attempt(between, fate):
    sale, sku, proxy = between
    proxy.fate = once(fate)
    answer = attempt(sale, "shopper", sku, 1, "key")
    assert proxy.count(fate) == 1
    if fate == "double":
        assert answer.outcome == "yes"
    check_truth(sale, sku, [answer])


@pytest.mark.parametrize("fate", ["lose request", "lose answer", "swallow answer", "double"])
def test_a_crowd(between, fate):
    sale, sku, proxy = between
    calls = itertools.count()
    proxy.fate = lambda method: fate if method == "BatchCreateHolds" and next(calls) % 7 == 3 else "pass"
    answers = crowd(sale, sku, [(f"shopper-{number}", 1, f"key-{number}") for number in range(200)], threads=25)
    proxy.fate = lambda method: "pass"
    check_truth(sale, sku, answers)


def test_lost_fences_only_delay(between):
    sale, sku, proxy = between
    calls, fences = itertools.count(), itertools.count()
    fates = {"BatchCreateHolds": lambda: "lose answer" if next(calls) == 0 else "pass",
             "FenceCart": lambda: ["lose request", "lose answer", "double"][n] if (n := next(fences)) < 3 else "pass"}
    proxy.fate = lambda method: fates.get(method, lambda: "pass")()
    answer = attempt(sale, "shopper", sku, 1, "key")
    check_truth(sale, sku, [answer])
