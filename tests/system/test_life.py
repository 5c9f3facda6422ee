"""How services begin and end, and what callers notice of it."""

import os
import signal
import subprocess
import sys
import time

import pytest
from by_hand import Service
from crowd import Load, attempt, check_books, crowd
from flashsale_client import wait_until
from tools import supervise, tool

STATELESS_FOR_A_BUY = ("policy", "protector")  # a buy only reads there: any instance with the same rules and bans will do


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


def write_whole(path, text):
    path.with_name(path.name + ".new").write_text(text)
    path.with_name(path.name + ".new").rename(path)

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


@pytest.fixture
def doubled(own_sale, by_hand, tmp_path):
    """A sale with a second policy and a second protector, which know what the first ones know; name -> the second one."""
    others, lines = {}, []
    for name in STATELESS_FOR_A_BUY:
        copy = tmp_path / f"copy-of-{name}"
        assert tool(name, "backup", "--store", own_sale.home / "store" / name, "--to", copy).returncode == 0
        others[name] = by_hand(name, store=copy).start()
        lines.append(f"{name} {others[name].address}\n")
    wait_until(lambda: all(other.health() == 200 for other in others.values()), what="the second ones serve")
    services = own_sale.home / "etc" / "services.list"
    write_whole(services, services.read_text() + "".join(lines))
    wait_until(lambda: connected(own_sale) == 2 * len(others), what="the gatekeeper is connected to all of them")
    return own_sale, others


def connected(sale):
    lines = sale.admin("gatekeeper", "/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines
               if any(line.startswith(f'flashsale_client_instances_ready{{service="{name}"}}') for name in STATELESS_FOR_A_BUY))


@pytest.fixture
def busy_sale(doubled, fresh):
    """(sale, others, sku, load): shoppers keep coming to a sale with two of each."""
    sale, others = doubled
    sku = fresh("SKU")
    sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 1000000, "goodsPrice": 5})
    wait_until(lambda: crowd(sale, sku, [(fresh("user"), 1, None)], 1)[0].outcome == "yes", what="the goods are on sale")
    load = Load(sale, sku, fresh("shopper"))
    yield sale, others, sku, load
    load.stop()


def more_buys(load, count):
    moment = time.monotonic()
    wait_until(lambda: load.yes_since(moment) > count, what=f"{count} more buys")


@pytest.mark.parametrize("name", STATELESS_FOR_A_BUY)
def test_one_of_two_is_killed(busy_sale, name):
    """It costs at most the buys that were with it, and none after 2 s."""
    sale, others, sku, load = busy_sale
    more_buys(load, 100)
    killed = time.monotonic()
    others[name].end(kill=True)
    more_buys(load, 100)
    wait_until(lambda: time.monotonic() > killed + 2, what="2 s have passed")
    more_buys(load, 100)
    answers = load.stop()
    failed = [at - killed for at, answer in load.answers if answer.outcome != "yes" or answer.body.get("degraded")]
    assert len(failed) <= len(load.threads) and all(late < 2 for late in failed), (failed, len(answers))
    check_books(sale, sku)


def test_a_rolling_restart_of_what_is_doubled(busy_sale):
    """One by one, gracefully: nobody notices, no fallback is needed."""
    sale, others, sku, load = busy_sale
    for name in STATELESS_FOR_A_BUY:
        more_buys(load, 50)
        assert others[name].end() == 0
        more_buys(load, 50)
        others[name].start()
        wait_until(lambda: connected(sale) == 4, what="the second one is back")
        pid = sale.pid(name)
        supervise(sale, "stop", name)
        more_buys(load, 50)
        supervise(sale, "start", name)
        wait_until(lambda: sale.pid(name) != pid and connected(sale) == 4, what="the first one is back")
    more_buys(load, 50)
    answers = load.stop()
    assert [(answer.status, answer.body) for answer in answers if answer.outcome != "yes" or answer.body.get("degraded")] == []
    check_books(sale, sku)


def test_the_gatekeeper_takes_a_new_configuration_under_load(busy_sale):
    """nginx's workers are exchanged; requests that they have are answered. A connection can close under a shopper who was just going to use it, as with any
    server of HTTP: the same key on a new one gives the one effect."""
    sale, _, sku, load = busy_sale
    for _ in range(3):
        workers = sale.status()["gatekeeper"]["workers"]
        more_buys(load, 50)
        os.kill(sale.pid("gatekeeper"), signal.SIGHUP)
        wait_until(lambda: (now := sale.status()["gatekeeper"]["workers"]) and not set(now) & set(workers), what="other workers")
    more_buys(load, 50)
    answers = load.stop()
    failed = [answer for answer in answers if answer.outcome != "yes"]
    assert [(answer.status, answer.body) for answer in failed if answer.status] == []
    assert len(failed) <= 3 * len(load.threads)
    assert [attempt(sale, answer.user, sku, 1, answer.key).outcome for answer in failed] == ["yes"] * len(failed)
    check_books(sale, sku)


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
