"""What shoppers notice when every process is restarted under load, one by one, and when it is killed.

Policy, protector and gatekeeper are there twice, as where a sale matters; inventory and cart are the only owners of their shards. A gap is the longest time in which
nobody of eight shoppers got a yes; each gap is promised to be below 2 s.
"""

import time
from collections import Counter

from crowd import check_books, held_units
from flashsale_client import Installation, wait_until
from restarts import OWNERS, READ_BY_A_BUY, Doubled, Restart, Shoppers, all_of_them, more_buys
from web import STOCK, put_on_sale

NAMES = ("restarts",)
SKU = "BENCH-RESTARTS"


def killed(doubled, name):
    """supervisord starts it again."""
    def steps():
        pid = doubled.sale.kill(name)
        wait_until(lambda: doubled.sale.pid(name) not in (None, pid), what=f"another {name} runs")
        doubled.await_all()
    return steps


def run(names, seconds, folder):
    """name -> figures, and what was wrong; it takes as long as it takes."""
    sale = Installation(folder / "home", ["--no-demo"])
    doubled = None
    try:
        sale.up()
        put_on_sale(sale, SKU, STOCK)
        doubled = Doubled(sale, folder)
        return measure(doubled)
    finally:
        if doubled:
            doubled.end()
        sale.down()


def measure(doubled):
    load = Shoppers(doubled, SKU, "bench")
    figures, wrong, begun = {}, [], time.monotonic()
    print(f"{'RESTARTED':24} {'GAP MS':>7} {'ANSWERS':>8} {'503':>6} {'504':>6} {'OTHERS':>7} {'MOVED':>6}", flush=True)
    try:
        more_buys(load, 100)
        kills = [(f"{name}, killed", killed(doubled, name)) for name in (*READ_BY_A_BUY, *OWNERS, "gatekeeper")]
        for what, steps in [*all_of_them(doubled), *kills]:
            figures[what] = show(what, load, steps)
            if figures[what]["others"]:
                wrong.append(f"{what}: {figures[what]['others']} answers were neither a yes nor told when to come again")
    finally:
        load.stop()
    rate = load.yes_since(begun) / (time.monotonic() - begun)
    users = load.settle()
    if held_units(doubled.sale, SKU) != dict.fromkeys(users, 1):
        wrong.append("who was told that they have a unit, and who has one, are not the same")
    check_books(doubled.sale, SKU)
    return {"restarts": {"rate": rate, "gap_ms": max(figure["gap_ms"] for figure in figures.values()), "restarted": figures}}, wrong


def show(what, load, steps):
    moved, restart = load.moved, Restart(load, what, steps)
    told = Counter(answer.status for answer in restart.others() if answer.status in (503, 504) and int(answer.retry_after or 0) >= 1)
    figure = {"gap_ms": restart.gap_s * 1000, "answers": len(restart.answers), "503": told[503], "504": told[504],
              "others": len(restart.others()) - told.total(), "moved": load.moved - moved}
    print(f"{what:24} {figure['gap_ms']:>7,.0f} {figure['answers']:>8,} {told[503]:>6,} {told[504]:>6,} {figure['others']:>7,} {figure['moved']:>6,}", flush=True)
    return figure
