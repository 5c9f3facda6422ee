"""The benches that go through the gatekeeper: wrk over loopback, at 64, 256 and 1,024 connections.

The benches take turns at each number of connections, because machines drift and only figures of one run can be compared.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from flashsale_client import PRESET, PROJECT, Installation, free_port, wait_until

HERE = Path(__file__).resolve().parent
NAMES = ("echo", "buy", "soldout", "static")
CONNECTIONS = (64, 256, 1024)
WARM_UP_S = 1
STOCK = 1_000_000_000
BY_BANS = ("BANNED", "SLOWED", "CHALLENGE_REQUIRED")


@dataclass
class Bench:
    """One thing to measure: a wrk script against a base address."""
    name: str
    script: str
    base: str
    wrong: str = ""  # why the answers of the last measurement were not right

    def prepare(self):
        """Runs once, before all measurements."""

    def close(self):
        """Runs once, after all measurements."""

    def check(self, measured):
        """Runs after each measurement, and sets self.wrong."""
        self.wrong = "" if not measured["not_2xx"] and not measured["socket_errors"] else (
            f"{measured['not_2xx']} answers were not 2xx, {measured['socket_errors']} socket errors")


class Buy(Bench):
    """Every shopper is new and gets a unit; the stock afterwards proves it."""
    sku = "BENCH-BUY"

    def __init__(self, sale):
        super().__init__("buy", "buy.lua", sale.rest.base)
        self.sale = sale
        self.left = STOCK

    def prepare(self):
        put_on_sale(self.sale, self.sku, STOCK)

    def check(self, measured):
        super().check(measured)
        left = self.sale.rest.get(f"/sku/{self.sku}").json()["goodsQuantity"]
        granted, self.left = self.left - left, left
        if granted < measured["requests"]:  # what was on its way when the time was up may be granted beyond that
            self.wrong = f"{measured['requests']} answers, but only {granted} units granted"


class SoldOut(Bench):
    sku = "BENCH-SOLDOUT"

    def __init__(self, sale):
        super().__init__("soldout", "buy.lua", sale.rest.base)
        self.sale = sale

    def prepare(self):
        put_on_sale(self.sale, self.sku, 0)
        wait_until(lambda: self.sale.rest.buy("bench-early", sku=self.sku).json()["repResult"] is False)


class Echo(Bench):
    """Three echo services, one a hop; they join the installation's list of services."""
    hops = 3

    def __init__(self, sale):
        super().__init__("echo", "echo.lua", sale.rest.base)
        self.sale, self.processes = sale, []

    def prepare(self):
        program = PROJECT / "build" / PRESET / "bin" / "flashsale-echo"
        services = self.sale.home / "etc" / "services.list"
        lines = ""
        for hop in range(self.hops):
            port = free_port()
            with (self.sale.home / "log" / f"echo-{hop}.log").open("w") as log:
                self.processes.append(subprocess.Popen(
                    [program, "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{port + 10}", "--discovery-file", services,
                     "--shard", str(hop), "--shards", str(self.hops)], stdout=log, stderr=log))
            lines += f"echo 127.0.0.1:{port} shard={hop}/{self.hops}\n"
        services.write_text(services.read_text() + lines)
        wait_until(lambda: self.sale.rest.post("/bench/echo", {}).status_code == 200, what="/bench/echo answers")

    def close(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(10)


def put_on_sale(sale, sku, quantity):
    for path, body in (("/add", {"goodsSKU": sku, "goodsQuantity": quantity, "goodsPrice": 99}),
                       ("/policy/add", {"goodsSKU": sku, "userLevel": -1, "quantityLimit": 5})):
        answer = sale.rest.post(path, body)
        if answer.status_code != 200:
            raise SystemExit(f"bench: POST {path} was answered {answer.status_code}: {answer.text}")


def refused_by_bans(sale):
    """Attempts, since the start: every shopper of a bench is somebody else, so the detectors have no reason, and a refusal of theirs is not what is measured."""
    lines = sale.admin("gatekeeper", "/metrics").text.splitlines()
    return sum(int(line.split()[-1]) for line in lines for reason in BY_BANS if line.startswith(f'flashsale_gatekeeper_buys_total{{outcome="{reason}"}}'))


def check(bench, measured, sale, before):
    """Whether what was measured is what the bench is about."""
    bench.check(measured)
    if refused := refused_by_bans(sale) - before:
        bench.wrong = f"{refused} answers were refusals by bans ({', '.join(BY_BANS)}): these shoppers look like programs to the detectors. {bench.wrong}"


def measure(bench, connections, seconds, run):
    words = ["wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{seconds}s", "--latency", "--timeout", "5s",
             "--script", str(HERE / bench.script), bench.base, "--", bench.name, getattr(bench, "sku", ""), str(run)]
    result = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    if result.returncode or not lines:
        raise SystemExit(f"bench: wrk failed\n{result.stdout}{result.stderr}")
    return json.loads(lines[-1])


def run_all(benches, seconds, sale):
    """name -> connections -> figures, printed as they come."""
    figures = {bench.name: {} for bench in benches}
    wrong, run = [], 0
    print(f"{'BENCH':8} {'CONNECTIONS':>11} {'PER SECOND':>11} {'P50 MS':>8} {'P99 MS':>8}", flush=True)
    for bench in benches:
        bench.prepare()
        check(bench, measure(bench, CONNECTIONS[0], WARM_UP_S, run), sale, 0)
    for connections in CONNECTIONS:
        for bench in benches:
            run += 1
            before = refused_by_bans(sale)
            measured = measure(bench, connections, seconds, run)
            check(bench, measured, sale, before)
            figures[bench.name][str(connections)] = {key: measured[key] for key in ("rate", "p50_ms", "p99_ms", "requests")}
            print(f"{bench.name:8} {connections:>11,} {measured['rate']:>11,.0f} {measured['p50_ms']:>8.2f} {measured['p99_ms']:>8.2f}"
                  f"  {bench.wrong}", flush=True)
            if bench.wrong:
                wrong.append(f"{bench.name} at {connections}: {bench.wrong}")
    return figures, wrong


def as_json(figures):
    """The best rate of each bench with its latencies, and all of them below "connections"."""
    result = {}
    for name, by_connections in figures.items():
        best = max(by_connections, key=lambda connections: by_connections[connections]["rate"])
        result[name] = {**by_connections[best], "best_connections": int(best), "connections": by_connections}
    return result


def run(names, seconds, folder):
    """name -> figures, and what was wrong."""
    echo = ["--set", "gatekeeper.bench=on"] if "echo" in names else []
    sale = Installation(folder / "home", ["--no-demo", *echo])
    all_benches = {"echo": Echo(sale), "buy": Buy(sale), "soldout": SoldOut(sale),
                   "static": Bench("static", "static.lua", sale.rest.base)}
    benches = [all_benches[name] for name in names]
    try:
        sale.up()
        figures, wrong = run_all(benches, seconds, sale)
    finally:
        for bench in benches:
            bench.close()
        sale.down()
    return as_json(figures), wrong
