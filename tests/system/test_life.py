"""How services begin and end, and what callers notice of it."""

import os
import signal
import subprocess
import sys
import time

import pytest
import requests
from by_hand import Gatekeeper, Service
from crowd import check_books, held_units
from flashsale_client import Installation, wait_until
from restarts import OWNERS, READ_BY_A_BUY, Doubled, Restart, Shoppers, all_of_them, metric, more_buys, write_whole


@pytest.fixture
def by_hand(tmp_path):
    """by_hand(NAME, FLAG..., store=...): a service, ended after the test."""
    made = []

    def make(*words, **options):
        made.append(Service(tmp_path, *words, **options))
        return made[-1]

    yield make
    for service in made:
        service.end(kill=True)
    assert [line for service in made for line in service.sanitizer_reports()] == []


# A client that has called once and then sleeps: gRPC's own poller of idle channels is off, so it does not even hear the server's goodbye.
SLEEPER = """
import sys, grpc
channel = grpc.insecure_channel(sys.argv[1], [("grpc.enable_http_proxy", 0)])
channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=10)
print("called", flush=True)
sys.stdin.read()
"""


def test_an_idle_client_does_not_hold_a_service_up(installations):
    sale = installations("--no-demo", "--set", "inventory.drain-time=2m")
    sale.up()
    sleeper = subprocess.Popen([sys.executable, "-c", SLEEPER, sale.address("inventory")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               env=os.environ | {"GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS": "0"})
    try:
        assert sleeper.stdout.readline() == b"called\n"
        pid = sale.kill("inventory", signal.SIGTERM)
        # gRPC itself gives up on such a client after 20 s.
        wait_until(lambda: sale.status()["inventory"]["pid"] not in (None, pid), 12, "inventory ended and was started again")
    finally:
        sleeper.kill()
        sleeper.wait()


@pytest.fixture(scope="module")
def doubled(tmp_path_factory):
    """A sale with a second policy, protector and gatekeeper, which tests restart and kill, and leave healthy."""
    folder = tmp_path_factory.mktemp("doubled")
    installation = Installation(folder / "home")
    second = None
    try:
        installation.up()
        second = Doubled(installation, folder)
        yield second
    finally:
        if second:
            second.end()
        installation.down()
    assert installation.sanitizer_reports() + (second.sanitizer_reports() if second else []) == []


@pytest.fixture
def shoppers(doubled, fresh):
    """They keep coming, to both gatekeepers."""
    sku = fresh("LIFE")
    doubled.sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 1000000, "goodsPrice": 5})
    for base in doubled.bases():
        wait_until(lambda: requests.get(f"{base}/sku/{sku}", timeout=5).status_code == 200, what="the goods are on sale")
    load = Shoppers(doubled, sku, fresh("shopper"))
    yield load
    load.stop()


def check_settled(load):
    """Everybody who was told so has a unit, and nobody else."""
    load.stop()
    users = load.settle()
    assert held_units(load.sale, load.sku) == dict.fromkeys(users, 1)
    check_books(load.sale, load.sku)


@pytest.mark.parametrize("name", READ_BY_A_BUY)
def test_one_of_two_is_killed(doubled, shoppers, name):
    """It costs at most the buys that were with it, and none after 2 s."""
    more_buys(shoppers, 100)
    killed = time.monotonic()
    doubled.others[name].end(kill=True)
    more_buys(shoppers, 100)
    wait_until(lambda: time.monotonic() > killed + 2, what="2 s have passed")
    more_buys(shoppers, 100)
    answers = shoppers.stop()
    failed = [at - killed for at, answer in shoppers.answers if answer.outcome != "yes" or answer.body.get("degraded")]
    doubled.others[name].start()
    assert len(failed) <= len(shoppers.threads) and all(late < 2 for late in failed), (failed, len(answers))
    check_settled(shoppers)
    doubled.await_all()


def test_a_rolling_restart_of_everything(doubled, shoppers):
    """One by one, gracefully, under load. While the only owner of a shard restarts, who asks is told to come again, or to ask again with the same key; of all others
    nobody notices."""
    more_buys(shoppers, 50)
    for what, steps in all_of_them(doubled):
        restart = Restart(shoppers, what, steps)
        print(f"{what}: {restart.gap_s:.3f} s without a yes, {len(restart.others())} of {len(restart.answers)} answers were another")
        if what in OWNERS:
            bad = [answer for answer in restart.others() if answer.status not in (503, 504) or int(answer.retry_after or 0) < 1]
        else:
            bad = restart.others()
        assert [(what, answer.status, answer.body, answer.retry_after) for answer in bad] == []
    check_settled(shoppers)


def test_start_in_any_order(by_hand, tmp_path):
    """The cart is ready once it has seen inventory, whenever that comes."""
    services = tmp_path / "services.list"
    services.write_text("")
    cart = by_hand("cart", "--discovery-file", services, "--start-grace", "1h").start()
    wait_until(lambda: cart.health() == 503, what="the cart runs, and is not ready")
    inventory = by_hand("inventory", "--discovery-file", services).start()
    write_whole(services, f"inventory {inventory.address} shard=0/1\n")
    wait_until(lambda: cart.health() == 200, what="the cart is ready")
    assert cart.end() == 0
    assert inventory.end() == 0


def test_a_gatekeeper_before_its_services(doubled, tmp_path):
    """It is ready once it has seen each of them; until then it says so."""
    services = tmp_path / "services.list"
    services.write_text("")
    gatekeeper = Gatekeeper(tmp_path, doubled.sale)
    text = gatekeeper.configuration.read_text()
    gatekeeper.configuration.write_text(text.replace(str(doubled.sale.home / "etc" / "services.list"), str(services)))
    gatekeeper.start()
    try:
        wait_until(lambda: gatekeeper.health() == 503, what="it runs, and is not ready")
        answer = requests.post(f"{gatekeeper.base}/buy", json={"userID": "early", "goodsSKU": "SKU0001", "goodsQuantity": 1}, timeout=10)
        assert answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1
        lines = [line for line in (doubled.sale.home / "etc" / "services.list").read_text().splitlines() if " 127.0.0.1:" in line]
        for name in ("cart", "protector", "policy", "inventory"):
            assert gatekeeper.health() == 503, f"before {name}"
            write_whole(services, services.read_text() + "".join(line + "\n" for line in lines if line.split()[0] == name))
        wait_until(lambda: gatekeeper.health() == 200, what="it has seen all")
        assert gatekeeper.end() == 0
    finally:
        gatekeeper.end(kill=True)
    assert gatekeeper.sanitizer_reports() == []


def test_gatekeepers_divide_the_throttle(installations, tmp_path):
    """Each takes its part of rate and burst, and all of it when it is alone again."""
    sale = installations("--set", "gatekeeper.throttle-rate=1", "--set", "gatekeeper.throttle-burst=99", "--no-demo")
    sale.up()
    other = Gatekeeper(tmp_path, sale).start()
    services = sale.home / "etc" / "services.list"
    alone = services.read_text()
    try:
        write_whole(services, alone + f"gatekeeper {other.address}\n")
        for gatekeeper in (sale, other):
            port = gatekeeper.port + 10
            wait_until(lambda: metric(port, "flashsale_gatekeeper_fleet") == 2, what="they know of each other")
            begun = time.monotonic()
            codes = [requests.get(f"http://127.0.0.1:{gatekeeper.port}/all", timeout=10).status_code for _ in range(150)]
            most = 50 + (time.monotonic() - begun) / 2 + 1
            assert 50 <= codes.count(200) <= most and codes.count(429) == 150 - codes.count(200)
        write_whole(services, alone)
        wait_until(lambda: metric(sale.port + 10, "flashsale_gatekeeper_fleet") == 1, what="one is alone")
    finally:
        other.end(kill=True)
    assert other.sanitizer_reports() == []


@pytest.mark.parametrize("name", ["inventory", "cart", "policy", "protector"])
def test_a_graceful_end(by_hand, tmp_path, name):
    services = tmp_path / "services.list"
    services.write_text("")
    service = by_hand(name, "--discovery-file", services).start()
    wait_until(lambda: service.has_said("listening"), what="it listens")
    assert service.end() == 0
    assert [line["message"] for line in service.said()][-2:] == ["ending", "ended"]
    assert [line for line in service.said() if line["level"] == "error"] == []


def test_the_log_level_changes_by_its_file(by_hand, tmp_path):
    settings = tmp_path / "settings"
    settings.write_text("log_level = info\n")
    service = by_hand("policy", "--config", settings).start()
    wait_until(lambda: service.health() == 200)

    def told(level, times):
        write_whole(settings, f"log_level = {level}\n")
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: sum("read again" in line["message"] or "read the settings again" in line["message"] for line in service.said()) == times,
                   what=f"the level is {level}")

    told("debug", 1)
    assert service.said()[-1]["log_level"] == "debug"
    told("info", 2)
    write_whole(settings, "log_level = loud\n")
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: service.has_said("the settings can't be read again, the old ones stay"))
    write_whole(settings, "log_level = error\n")
    service.process.send_signal(signal.SIGHUP)
    assert service.end() == 0
    assert not service.has_said("ended"), "an information is below the new level"
