"""A sale in which everything that can be there twice is, shoppers at its gatekeepers, and restarts one by one. For the tests and for `./flashsale bench restarts`."""

import os
import signal
import time

import requests
from by_hand import Gatekeeper, Service
from crowd import Answer, Load, attempt
from flashsale_client import wait_until
from tools import supervise, tool

READ_BY_A_BUY = ("policy", "protector")  # any instance with the same rules and bans will do
OWNERS = ("inventory", "cart")  # of what nobody else has


def write_whole(path, text):
    path.with_name(path.name + ".new").write_text(text)
    path.with_name(path.name + ".new").rename(path)


class Doubled:
    """An installation with a replica of policy, a second protector that knows what the first one knows, and a second gatekeeper."""

    def __init__(self, sale, folder):
        self.sale, self.others = sale, {}
        self.gatekeeper = Gatekeeper(folder, sale)
        copy = folder / "copy-of-protector"
        assert tool("protector", "backup", "--store", sale.home / "store" / "protector", "--to", copy).returncode == 0
        self.others["policy"] = Service(folder, "policy", "--replica-of", sale.address("policy"), store=False).start()
        self.others["protector"] = Service(folder, "protector", store=copy).start()
        lines = f"gatekeeper {self.gatekeeper.address}\n" + "".join(f"{name} {one.address}\n" for name, one in self.others.items())
        wait_until(lambda: all(other.health() == 200 for other in self.others.values()), what="the second ones serve")
        services = sale.home / "etc" / "services.list"
        write_whole(services, services.read_text() + lines)
        self.gatekeeper.start()
        self.await_all()

    def end(self):
        for service in (self.gatekeeper, *self.others.values()):
            service.end(kill=True)

    def sanitizer_reports(self):
        return [line for service in (self.gatekeeper, *self.others.values()) for line in service.sanitizer_reports()]

    def bases(self):
        return [self.sale.rest.base, self.gatekeeper.base]

    def await_all(self):
        """Both gatekeepers are there, and connected to everybody."""
        ports = (self.sale.port + 10, self.gatekeeper.port + 10)
        wait_until(lambda: all(connected(port) == 2 * len(READ_BY_A_BUY) for port in ports), what="all are connected to all")
        wait_until(lambda: self.gatekeeper.health() == 200 and self.sale.is_healthy(), what="all are healthy")


def metric(admin_port, name):
    """0 when it is not there."""
    try:
        lines = requests.get(f"http://127.0.0.1:{admin_port}/metrics", timeout=5).text.splitlines()
    except requests.RequestException:
        return 0
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name + " "))


def connected(admin_port):
    """To how many of those that are there twice a gatekeeper is connected."""
    return sum(metric(admin_port, f'flashsale_client_instances_ready{{service="{name}"}}') for name in READ_BY_A_BUY)


class Shoppers(Load):
    """Half of them begin at each gatekeeper. Who is refused a connection, or finds one closed that was open, goes on at the other with the same key, as behind any
    balancer; `moved` counts that. Who is told to come again does, soon."""

    def __init__(self, doubled, sku, name, threads=8):
        self.bases, self.moved = doubled.bases(), 0
        super().__init__(doubled.sale, sku, name, threads)

    def attempt(self, number, user, key, session):
        body = {"userID": user, "userLevel": 0, "goodsSKU": self.sku, "goodsQuantity": 1}
        for turn in range(2 * len(self.bases)):
            base = self.bases[(number + turn) % len(self.bases)]
            try:
                answer = Answer(user, 1, key, session.post(base + "/v1/buy", json=body, headers={"Idempotency-Key": key}, timeout=15))
                break
            except requests.ConnectionError:
                with self.lock:
                    self.moved += 1
        else:
            answer = Answer(user, 1, key, None)
        if answer.outcome != "yes":
            self.ended.wait(0.02)
        return answer

    def between(self, begun, ended):
        with self.lock:
            return [answer for at, answer in self.answers if begun < at <= ended]

    def gap_s(self, begun, ended):
        """The longest time without a yes that touches these moments."""
        with self.lock:
            yes = [at for at, answer in self.answers if answer.outcome == "yes"]
        return max(after - before for before, after in zip(yes, yes[1:]) if after > begun and before <= ended)

    def settle(self):
        """After stop(): who does not know asks again with the same key. Returns who has units."""
        answers = [answer for _, answer in self.answers]
        again = [attempt(self.sale, answer.user, self.sku, 1, answer.key) for answer in answers if answer.outcome == "unknown"]
        assert all(answer.outcome == "yes" for answer in again), [(answer.status, answer.reason) for answer in again]
        return {answer.user for answer in answers + again if answer.outcome == "yes"}


def more_buys(load, count):
    moment = time.monotonic()
    wait_until(lambda: load.yes_since(moment) > count, what=f"{count} more buys")


class Restart:
    """One that was done under load: what, when, and which answers came meanwhile."""

    def __init__(self, load, what, steps):
        self.what, begun = what, time.monotonic()
        steps()
        more_buys(load, 50)
        ended = time.monotonic()
        self.answers, self.gap_s = load.between(begun, ended), load.gap_s(begun, ended)

    def others(self):
        """What was not a yes, or one that lacked something."""
        return [answer for answer in self.answers if answer.outcome != "yes" or answer.body.get("degraded")]


def supervised(doubled, name):
    def steps():
        pid = doubled.sale.pid(name)
        supervise(doubled.sale, "restart", name)
        wait_until(lambda: doubled.sale.pid(name) not in (None, pid), what=f"another {name} runs")
        doubled.await_all()
    return steps


def by_hand(doubled, service):
    def steps():
        assert service.end() == 0
        service.start()
        wait_until(lambda: service.health() == 200, what=f"{service.name} is back")
        doubled.await_all()
    return steps


def reloaded(doubled):
    """nginx's own way: the workers are exchanged, the sockets stay."""
    def steps():
        workers = set(doubled.sale.status()["gatekeeper"]["workers"])
        os.kill(doubled.sale.pid("gatekeeper"), signal.SIGHUP)
        wait_until(lambda: (now := doubled.sale.status()["gatekeeper"]["workers"]) and not workers & set(now), what="other workers")
        doubled.await_all()
    return steps


def all_of_them(doubled):
    """(what, how) for every process, one by one."""
    for name in READ_BY_A_BUY:
        yield f"{name}, the second", by_hand(doubled, doubled.others[name])
        yield name, supervised(doubled, name)
    for name in OWNERS:
        yield name, supervised(doubled, name)
    yield "gatekeeper, the second", by_hand(doubled, doubled.gatekeeper)
    yield "gatekeeper", supervised(doubled, "gatekeeper")
    yield "gatekeeper, reloaded", reloaded(doubled)
