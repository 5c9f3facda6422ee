"""How soon a bot is refused at the edge, while a crowd of 100,000 clients buys beside it.

A bot buys as fast as one connection lets it. What is measured begins when it sends the request that reaches the threshold of the rate detector, and ends when it reads its
first refusal by a ban; so the bot's own requests in between are in it. Nobody of the crowd may be banned.
"""

import http.client
import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flashsale_client import Installation, wait_until

HERE = Path(__file__).resolve().parent
NAMES = ("ban",)
SKU = "BENCH-BAN"
CROWD = 100_000
CONNECTIONS = 64
BOTS, AT_ONCE = 100, 4
PATIENCE_S = 20
BAN_MS_MAX = 1000


def attempt(connection, user, address):
    """The reason of a refusal, or ""."""
    body = json.dumps({"userID": user, "userLevel": 5, "goodsSKU": SKU, "goodsQuantity": 1, "clientIP": address})
    connection.request("POST", "/v1/buy", body, {"Content-Type": "application/json"})
    return json.loads(connection.getresponse().read()).get("reason", "")


def run_bot(port, number, threshold):
    """From the threshold to the ban, in ms, and how many requests were answered in between; None: it was not banned."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    began = time.monotonic()
    crossed = count = 0
    while time.monotonic() - began < PATIENCE_S:
        count += 1
        if count == threshold:
            crossed = time.monotonic()
        if attempt(connection, f"bench-bot-{number}", f"192.168.{number // 250}.{number % 250 + 1}") == "BANNED":
            now = time.monotonic()
            return (now - (crossed or now)) * 1000, max(0, count - threshold)
    return None


def start_crowd(sale, seconds):
    words = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s", "--latency", "--timeout", "5s",
             "--script", str(HERE / "crowd.lua"), sale.rest.base, "--", "bench-crowd", SKU, str(CROWD)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def figure(sale, line):
    text = sale.admin("protector", "/metrics").text
    return next(int(one.split()[-1]) for one in text.splitlines() if one.startswith(line))


def banned_of_the_crowd(sale):
    found, token = 0, ""
    while True:
        page = sale.rest.get(f"/v1/bans?pageSize=1000&pageToken={token}").json()
        found += sum(one.get("userID", one.get("address", "")).startswith(("bench-crowd", "10.")) for one in page["bans"]
                     if one["effect"] != "BAN_EFFECT_SHADOW")
        token = page["nextPageToken"]
        if not token:
            return found


def measure(sale, seconds):
    threshold = sale.rest.get("/v1/detectors/account-rate").json()["ban"]
    crowd = start_crowd(sale, max(seconds, 10) + 170)
    try:
        analysed = 'flashsale_protector_traffic_events_total{outcome="analysed"}'
        wait_until(lambda: figure(sale, analysed) >= CROWD, 120, "each of the crowd was there once")
        before, began = figure(sale, analysed), time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            bots = list(pool.map(lambda number: run_bot(sale.port, number, threshold), range(BOTS)))
        rate = (figure(sale, analysed) - before) / (time.monotonic() - began)
        clients = figure(sale, 'flashsale_protector_clients{kind="account"}')
    finally:
        crowd.terminate()
        crowd.communicate()
    took = sorted(one[0] for one in bots if one)
    return {"rate": round(rate, 1), "p50_ms": round(took[len(took) // 2], 1), "p99_ms": round(took[int(len(took) * 0.99)], 1),
            "bots": BOTS, "banned": len(took), "clients": clients,
            "dropped": figure(sale, 'flashsale_protector_traffic_events_total{outcome="dropped"}') + figure(sale, "flashsale_protector_traffic_lost_total "),
            "banned_of_the_crowd": banned_of_the_crowd(sale)} if took else {"rate": rate, "p50_ms": 0, "p99_ms": 0, "bots": BOTS, "banned": 0}


def run(names, seconds, folder):
    sale = Installation(folder / "home", ["--no-demo"])
    try:
        sale.up()
        for path, body in (("/add", {"goodsSKU": SKU, "goodsQuantity": 1_000_000_000, "goodsPrice": 99}),
                           ("/policy/add", {"goodsSKU": SKU, "userLevel": -1, "quantityLimit": 0})):
            assert sale.rest.post(path, body).status_code == 200
        figures = measure(sale, seconds)
    finally:
        sale.down()
    print(f"ban: {figures['banned']} of {figures['bots']} bots banned, p50 {figures['p50_ms']:.0f} ms, p99 {figures['p99_ms']:.0f} ms after the "
          f"threshold, beside {figures.get('clients', 0):,} clients and {figures['rate']:,.0f} requests a second", flush=True)
    wrong = []
    if figures["banned"] < BOTS or figures["p99_ms"] >= BAN_MS_MAX:
        wrong.append(f"ban: {figures}")
    if figures.get("banned_of_the_crowd"):
        wrong.append(f"ban: {figures['banned_of_the_crowd']} of the crowd have a ban")
    return {"ban": figures}, wrong
