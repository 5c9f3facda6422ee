"""The benches of the books: inventory and the cart over gRPC, without the gatekeeper, by flashsale-load.

Each measurement has services of its own on stores of their own, so that none finds what another left. Beside inventory's holds LMDB does the
same writes alone (flashsale-raw-lmdb), in groups of the size that inventory's were, right after: what the machine's disk can do at that moment.
"""

import json
import shutil
import subprocess
import time
from contextlib import contextmanager

import requests
from flashsale_client import PRESET, PROJECT, Grpc, free_port, wait_until

NAMES = ("inventory", "cart", "expiry")
BATCHES = (1, 16, 128, 1024)
IN_FLIGHT = (1, 2, 4)
MOST = 4_000_000  # holds a measurement: what a slower disk takes in a minute
STOCK = 1_000_000_000_000
SKU, OTHER_SKU = "BENCH", "OTHER"
EXPIRING = 1_000_000
EXPIRY_SETUP_S = 20
EXPIRY_NEW_BATCH = 16
PROGRAMS = PROJECT / "build" / PRESET / "bin"


class Service:
    """One process with a store."""

    def __init__(self, name, port, folder, services):
        self.name, self.address, self.admin = name, f"127.0.0.1:{port}", f"127.0.0.1:{port + 10}"
        self.store = folder / f"{name}-store"
        program = str(PROGRAMS / f"flashsale-{name}")
        subprocess.run([program, "init", "--store", self.store], check=True, stdout=subprocess.DEVNULL)
        with (folder / f"{name}.log").open("w") as log:
            self.process = subprocess.Popen([program, "--store", self.store, "--listen", self.address, "--admin", self.admin,
                                             "--discovery-file", services, "--log-level", "warn"], stdout=log, stderr=log)
        wait_until(self.is_healthy, what=f"{name} is healthy")
        self.memory_before = self.memory()

    def is_healthy(self):
        try:
            return requests.get(f"http://{self.admin}/healthz", timeout=5).status_code == 200
        except requests.ConnectionError:
            if self.process.poll() is not None:
                raise SystemExit(f"bench: {self.name} did not start") from None
            return False

    def metric(self, name):
        lines = requests.get(f"http://{self.admin}/metrics", timeout=10).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def memory(self):
        """Bytes of its own; the store's pages in the page cache are not its own."""
        for line in open(f"/proc/{self.process.pid}/status", encoding="ascii"):
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise SystemExit(f"bench: {self.name} is gone")

    def disk(self):
        return (self.store / "data.mdb").stat().st_blocks * 512

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


class Books:
    """Inventory, and a cart in front of it if need be, with goods on sale."""

    def __init__(self, folder, with_cart):
        port = free_port()
        self.folder, self.services, self.grpc = folder, {}, Grpc(self)
        listed = folder / "services.list"
        listed.write_text(f"inventory 127.0.0.1:{port + 3} shard=0/1\ncart 127.0.0.1:{port + 4} shard=0/1\n")
        try:
            self.inventory = self.services["inventory"] = Service("inventory", port + 3, folder, listed)
            for sku in (SKU, OTHER_SKU):
                self.grpc.call("inventory", "CreateGoods", sku=sku, quantity=STOCK, price_micros=99_000_000, wait_for_ready=True)
            if with_cart:
                self.services["cart"] = Service("cart", port + 4, folder, listed)
            else:
                self.grpc.call("inventory", "FenceCart", sender={
                    "cart_shard": 0, "cart_shards": 1, "epoch": 1, "instance": "Zmxhc2hzYWxlLWJlbmNoAA=="})  # tests/bench/requests.c
        except BaseException:
            self.stop()
            raise

    def address(self, name):
        return self.services[name].address

    def held(self, sku=SKU):
        if self.inventory.process.poll() is not None:
            raise SystemExit(f"bench: inventory ended with {self.inventory.process.returncode}")
        return self.fresh().call("inventory", "GetGoods", sku=sku, wait_for_ready=True).goods.held

    def fresh(self):
        """Connected anew: minutes may have gone by, and the machine was busy."""
        self.grpc.close()
        self.grpc = Grpc(self)
        return self.grpc

    def stop(self):
        self.grpc.close()
        for service in reversed(self.services.values()):
            service.stop()


@contextmanager
def books(folder, with_cart=False):
    """In a folder that is gone afterwards."""
    own = folder / "books"
    own.mkdir()
    running = Books(own, with_cart)
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(own)


def load(what, service, **options):
    words = [str(PROGRAMS / "flashsale-load"), what, "--address", service.address, "--sku", SKU]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    result = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode:
        raise SystemExit(f"bench: the load ended with {result.returncode}: {result.stderr.strip()}")
    return json.loads(result.stdout)


def raw_lmdb(folder, group, seconds):
    words = [PROGRAMS / "flashsale-raw-lmdb", folder / "raw", group, seconds, MOST]
    result = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, check=True, text=True)
    shutil.rmtree(folder / "raw")
    return json.loads(result.stdout)


def settle(service):
    """Waits until the cart has stored what it follows: its memory is then that of its holds."""
    wait_until(lambda: service.metric("flashsale_cart_attempts") == 0, 120, "the cart has followed the ledger")
    wait_until(lambda: service.metric("flashsale_cart_store_waiting_bytes") == 0, 120, "the cart's store has all")


def complain(measured, held):
    if measured["granted"] != measured["sent"]:
        return f"{measured['granted']} of {measured['sent']} granted, with stock enough"
    return "" if held == measured["granted"] else f"{measured['granted']} granted, but {held} are held"


def measure_holds(folder, batch, in_flight, seconds):
    """Straight to inventory, and the same by LMDB alone."""
    with books(folder) as running:
        inventory = running.inventory
        disk = inventory.disk()
        groups, items = (inventory.metric(f"flashsale_writer_{name}_total") for name in ("groups", "items"))
        measured = load("holds", inventory, batch=batch, in_flight=in_flight, seconds=seconds, most=MOST)
        groups = inventory.metric("flashsale_writer_groups_total") - groups
        items = inventory.metric("flashsale_writer_items_total") - items
        wrong = complain(measured, running.held())
        measured["disk_bytes_a_hold"] = (inventory.disk() - disk) / measured["granted"]
        measured["memory_bytes_a_hold"] = (inventory.memory() - inventory.memory_before) / measured["granted"]
        measured["group"] = items / groups
    raw = raw_lmdb(folder, max(1, round(measured["group"])), seconds)
    measured["raw_rate"], measured["raw_disk_bytes_a_hold"] = raw["rate"], raw["bytes_a_hold"]
    measured["raw_ratio"] = measured["rate"] / raw["rate"]
    return measured, wrong


def measure_items(folder, batch, in_flight, seconds):
    """Through the cart; memory and disk of both."""
    with books(folder, with_cart=True) as running:
        cart = running.services["cart"]
        disk = {name: service.disk() for name, service in running.services.items()}
        measured = load("items", cart, batch=batch, in_flight=in_flight, seconds=seconds, most=MOST)
        settle(cart)
        wrong = complain(measured, running.held())
        for name, service in running.services.items():
            measured[f"{name}_disk_bytes_a_hold"] = (service.disk() - disk[name]) / measured["granted"]
            measured[f"{name}_memory_bytes_a_hold"] = (service.memory() - service.memory_before) / measured["granted"]
        measured["disk_bytes_a_hold"] = sum(measured[f"{name}_disk_bytes_a_hold"] for name in running.services)
        measured["memory_bytes_a_hold"] = sum(measured[f"{name}_memory_bytes_a_hold"] for name in running.services)
    return measured, wrong


def run_batches(name, measure, seconds, folder):
    """Every batch size with 1, 2 and 4 batches in flight; the figures are those of the best at the largest batch, all others below."""
    print(f"{'BENCH':10} {'BATCH':>6} {'IN FLIGHT':>9} {'PER SECOND':>11} {'P50 MS':>8} {'P99 MS':>8} {'DISK B':>7} {'MEMORY B':>8}"
          f" {'OF RAW LMDB':>16}", flush=True)
    result, wrong = {}, []
    for batch in BATCHES:
        by_flight = {}
        for in_flight in IN_FLIGHT:
            measured, complaint = measure(folder, batch, in_flight, seconds)
            by_flight[str(in_flight)] = measured
            raw = f"{measured['raw_ratio']:.2f} of {measured['raw_rate']:,.0f}" if "raw_rate" in measured else ""
            print(f"{name:10} {batch:>6,} {in_flight:>9} {measured['rate']:>11,.0f} {measured['p50_ms']:>8.2f} {measured['p99_ms']:>8.2f}"
                  f" {measured['disk_bytes_a_hold']:>7.0f} {measured['memory_bytes_a_hold']:>8.0f} {raw:>16}  {complaint}", flush=True)
            if complaint:
                wrong.append(f"{name}, batches of {batch}, {in_flight} in flight: {complaint}")
        best = max(by_flight, key=lambda in_flight: by_flight[in_flight]["rate"])
        result[str(batch)] = {**by_flight[best], "in_flight": int(best), "by_in_flight": by_flight}
    figures = {key: value for key, value in result[str(BATCHES[-1])].items() if key != "by_in_flight"}
    return {**figures, "batch": BATCHES[-1], **result}, wrong


def run_expiry(folder):
    """A million holds end at once, while new ones come."""
    with books(folder) as running:
        measured = load("expiry", running.inventory, batch=EXPIRY_NEW_BATCH, most=EXPIRING, seconds=EXPIRY_SETUP_S, other_sku=OTHER_SKU)
        held, new_held = running.held(), running.held(OTHER_SKU)
    complaint = ""
    if measured["granted"] != measured["sent"] or measured["new_granted"] != measured["new_sent"]:
        complaint = f"{measured['granted']} of {measured['sent']} and {measured['new_granted']} of {measured['new_sent']} granted"
    elif held or new_held != measured["new_granted"]:
        complaint = f"{held} are held past their deadline, {new_held} of {measured['new_granted']} before it"
    print(f"expiry: {measured['granted']:,} holds ended at {measured['rate']:,.0f} a second, the last {measured['seconds']:.2f} s after the first"
          f" deadline (deadlines lie {measured['deadlines_ms']} ms apart); new holds' p99 {measured['before_p99_ms']:.1f} ms before,"
          f" {measured['p99_ms']:.1f} ms meanwhile, at worst {measured['worst_ms']:.1f}  {complaint}", flush=True)
    return measured, [f"expiry: {complaint}"] if complaint else []


def run(names, seconds, folder):
    """name -> figures, and what was wrong."""
    figures, wrong = {}, []
    for name in names:
        if name == "expiry":
            figures[name], complaints = run_expiry(folder)
        else:
            figures[name], complaints = run_batches(name, measure_holds if name == "inventory" else measure_items, seconds, folder)
        wrong += complaints
        time.sleep(1)  # what was written is on its way to the disk
    return figures, wrong
