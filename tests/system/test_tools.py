"""What an operator does with stores: audit, backup, export, restore, reconcile, on the real programs."""

import hashlib
import json
import os
import shutil
import signal
from contextlib import contextmanager

import grpc

from crowd import Load, attempt, check_books, held_units
from flashsale_client import wait_until
from test_orders import confirm, get, order_of, put_on_sale, state
from tools import change_entry, supervise, tool


def audit(store):
    result = tool("inventory", "audit", store)
    return result.returncode, result.stdout.splitlines() + result.stderr.splitlines()


def proved(store):
    code, lines = audit(store)
    assert code == 0 and lines[-1].startswith("PROVED"), "\n".join(lines)
    return lines


def test_backup_audit_and_export_under_load(own_sale, tmp_path):
    sale, store, copy = own_sale, own_sale.home / "store" / "inventory", tmp_path / "copy"
    put_on_sale(sale, "TOOLS", 100000, ttl="2s")  # so that they end as well
    order = order_of(sale, "payer", "TOOLS")
    assert confirm(sale, order, "pay-1").status_code == 200
    load = Load(sale, "TOOLS", "load")
    try:
        wait_until(lambda: len([answer for _, answer in load.answers if answer.outcome == "yes"]) > 200)
        made = tool("inventory", "backup", "--store", store, "--to", copy)
        assert made.returncode == 0, made.stderr
        lines = proved(copy)
        assert any(line.startswith("agree   TOOLS: row 100000 = ") for line in lines), lines
        proved(store)  # it is in use
        assert tool("cart", "backup", "--store", sale.home / "store" / "cart", "--to", tmp_path / "cart").returncode == 0
        assert tool("policy", "backup", "--store", sale.home / "store" / "policy", "--to", tmp_path / "policy").returncode == 0
        written = tool("inventory", "export", "--store", store, "--out", tmp_path / "live.jsonl")
        assert written.returncode == 0, written.stderr
    finally:
        answers = load.stop()
    assert {answer.outcome for answer in answers} == {"yes"}
    check_export(tool("inventory", "export", "--store", copy).stdout)
    check_export((tmp_path / "live.jsonl").read_text())
    cart = [json.loads(line) for line in tool("cart", "export", "--store", sale.home / "store" / "cart").stdout.splitlines()]
    assert cart[0]["service"] == "cart" and cart[-1]["rows"] == len(cart) - 1
    (paid,) = [row for row in cart if row["kind"] == "order"]
    assert (paid["orderId"], paid["userID"], paid["paymentReference"]) == (order["orderId"], "payer", "pay-1")
    sold = [row for row in cart if row["kind"] == "line" and row["state"] == "HOLD_STATE_SOLD"]
    assert [row["holdId"] for row in sold] == [item["holdId"] for item in paid["items"]]
    one = check_export(tool("inventory", "export", "--store", copy, "--sku", "TOOLS").stdout)
    assert {row["goodsSKU"] for row in one if row["kind"] in ("goods", "hold")} == {"TOOLS"}
    again = tool("inventory", "backup", "--store", store, "--to", copy)
    assert again.returncode == 1 and "can't be made" in again.stderr
    wait_until(lambda: sale.grpc.call("inventory", "GetGoods", sku="TOOLS").goods.held == 0, what="the last hold has ended")
    check_books(sale, "TOOLS")


def check_export(text):
    """Whole, and its rows are the books."""
    lines = text.splitlines()
    rows = [json.loads(line) for line in lines]
    body = "".join(line + "\n" for line in lines[:-1])
    assert rows[-1] == {"kind": "end", "rows": len(rows) - 1, "digest": hashlib.sha256(body.encode()).hexdigest()}
    assert rows[0]["kind"] == "store" and rows[0]["service"] == "inventory"
    holds = [row for row in rows if row["kind"] == "hold"]
    for goods in (row for row in rows if row["kind"] == "goods"):
        mine = [hold for hold in holds if hold["goodsSKU"] == goods["goodsSKU"]]
        for name, kept in (("held", "HOLD_STATE_HELD"), ("sold", "HOLD_STATE_SOLD")):
            assert sum(hold["goodsQuantity"] for hold in mine if hold["state"] == kept) == goods[name]
    return rows


def test_one_changed_byte_is_refuted(own_sale, tmp_path):
    sale, store, copy = own_sale, own_sale.home / "store" / "inventory", tmp_path / "copy"
    put_on_sale(sale, "BYTE", 10)
    hold = attempt(sale, "buyer", "BYTE", 2).body["holdId"]
    assert tool("inventory", "backup", "--store", store, "--to", copy).returncode == 0
    proved(copy)
    rows = [json.loads(line) for line in tool("inventory", "export", "--store", copy).stdout.splitlines()]
    (entry,) = [row for row in rows if row["kind"] == "entry" and row.get("holdCreated", {}).get("holdId") == hold]

    def fewer(record):  # kind, cart shard, time; id; then the units
        assert record[13 + 16] == 2
        record[13 + 16] = 1

    change_entry(copy, entry["sequence"], fewer)
    code, lines = audit(copy)
    assert code == 1 and lines[-1].startswith("REFUTED")
    assert f"REFUTED hold {hold}: the row says 2 units HELD, the replay 1 units HELD" in lines
    assert any("BYTE" in line and "REFUTED" in line and "the replay 9, 1, 0" in line for line in lines), lines
    restored = tool("inventory", "restore", "--from", copy, "--store", tmp_path / "new")
    assert restored.returncode == 1 and "is not good" in restored.stderr and not (tmp_path / "new" / "data.mdb").exists()


def test_bad_stores_are_told(own_sale, tmp_path):
    store, copy = own_sale.home / "store" / "inventory", tmp_path / "copy"
    assert tool("inventory", "backup", "--store", store, "--to", copy).returncode == 0
    data = (copy / "data.mdb").read_bytes()
    expected = {
        "empty": (b"", "its data file is empty (0 bytes)"),
        "cut": (data[: len(data) // 2 // 4096 * 4096], "restore a backup"),
        "short": (data[:4096], "restore a backup"),
        "noise": (b"\xa5" * len(data), "damaged"),
    }
    for name, (content, said) in expected.items():
        shutil.copytree(copy, tmp_path / name)
        (tmp_path / name / "data.mdb").write_bytes(content)
        for words in (["audit", tmp_path / name], ["export", "--store", tmp_path / name],
                      ["backup", "--store", tmp_path / name, "--to", tmp_path / "to"],
                      ["restore", "--from", tmp_path / name, "--store", tmp_path / "to"]):
            result = tool("inventory", *words)
            assert result.returncode == 2 and said in result.stderr, (name, words, result)
    missing = tool("inventory", "audit", tmp_path / "nowhere")
    assert missing.returncode == 2 and "no store in" in missing.stderr
    other = tool("cart", "backup", "--store", copy, "--to", tmp_path / "to")
    assert other.returncode == 2 and "belongs to the service inventory" in other.stderr


def links_stopped(sale):
    for line in sale.admin("cart", "/metrics").text.splitlines():
        if line.startswith("flashsale_cart_links_stopped "):
            return float(line.split()[1])
    return None


def buy(sale, user, sku, quantity=1):
    answer = attempt(sale, user, sku, quantity, f"key-{user}-{sku}")
    assert answer.outcome == "yes", answer.body
    return answer.body["holdId"]


def reconcile(sale, *flags):
    return tool("cart", "reconcile", "--store", sale.home / "store" / "cart", "--discovery-file", sale.home / "etc" / "services.list",
                *flags)


@contextmanager
def inventory_asleep(sale):
    """No hold ends meanwhile, however long it takes to stop who would hear of it."""
    pid = sale.kill("inventory", signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def state_in_cart(store, hold):
    rows = [json.loads(line) for line in tool("cart", "export", "--store", store).stdout.splitlines()]
    return next((row["state"] for row in rows if row["kind"] == "line" and row["holdId"] == hold), None)


LIVES_S = (5, 15, 45)  # of holds that are to end, but not before a slow machine came to where they are still needed


def test_a_restored_inventory_is_reconciled(own_sale, tmp_path):
    sale, home, copy = own_sale, own_sale.home, tmp_path / "copy"
    put_on_sale(sale, "PLENTY", 100)
    put_on_sale(sale, "SCARCE", 1)
    before, leaves = buy(sale, "before", "PLENTY"), buy(sale, "leaves", "PLENTY", 2)
    paid_before = order_of(sale, "paid-before", "PLENTY")
    pays_later = order_of(sale, "pays-later", "PLENTY")
    assert confirm(sale, paid_before, "pay-before").status_code == 200
    assert tool("inventory", "backup", "--store", home / "store" / "inventory", "--to", copy).returncode == 0

    # What only the lost history knows.
    after = buy(sale, "after", "PLENTY", 3)
    paid_after, open_after = order_of(sale, "paid-after", "PLENTY"), order_of(sale, "open-after", "PLENTY")
    assert confirm(sale, paid_after, "pay-after").status_code == 200
    assert confirm(sale, pays_later, "pay-later").status_code == 200
    assert sale.rest.delete("/v1/carts/leaves/items/PLENTY").status_code in (200, 204)
    assert sale.rest.post("/v1/goods/SCARCE/adjustments", {"change": 2, "requestId": "01a2059b-83bb-712a-83b6-b2ab1bb2e3aa"}).status_code == 200
    scarce_held = [buy(sale, f"scarce-{i}", "SCARCE") for i in range(2)]
    scarce_paid = order_of(sale, "scarce-paid", "SCARCE")
    assert confirm(sale, scarce_paid, "pay-scarce").status_code == 200

    supervise(sale, "stop", "inventory")
    (home / "store" / "inventory").rename(tmp_path / "lost")
    restored = tool("inventory", "restore", "--from", copy, "--store", home / "store" / "inventory")
    assert restored.returncode == 0 and "flashsale-cart reconcile" in restored.stdout, restored
    supervise(sale, "start", "inventory")
    wait_until(lambda: links_stopped(sale) == 1, what="the cart stops the shard")
    assert any("flashsale-cart reconcile" in line.get("why", "") for line in sale.log_lines("cart"))
    refused = attempt(sale, "too-soon", "PLENTY", 1)
    assert refused.outcome == "no" and refused.status == 503, refused.body

    busy = reconcile(sale, "--apply")
    assert busy.returncode == 2 and "in use by another process" in busy.stderr
    supervise(sale, "stop", "cart")
    report = tmp_path / "dry.jsonl"
    shown = reconcile(sale, "--report", report)
    assert shown.returncode == 1 and "nothing was changed" in shown.stdout, shown
    rows = {row.get("holdId") or row.get("orderId"): row for row in map(json.loads, report.read_text().splitlines())}
    assert (rows[after]["action"], rows[after]["result"]) == ("MAKE", "POSSIBLE")
    assert (rows[leaves]["action"], rows[leaves]["result"]) == ("GIVE_BACK", "POSSIBLE")
    assert (rows[pays_later["orderId"]]["action"], rows[pays_later["orderId"]]["paymentReference"]) == ("SELL", "pay-later")
    assert rows[scarce_paid["orderId"]]["action"] == "MAKE" and before not in rows
    assert shown.stdout == reconcile(sale).stdout  # and it was true that nothing changed

    applied = reconcile(sale, "--apply", "--report", tmp_path / "applied.jsonl")
    assert applied.returncode == 1 and "accepted" in applied.stdout, applied  # 1: something is short
    rows = {row.get("holdId") or row.get("orderId"): row
            for row in map(json.loads, (tmp_path / "applied.jsonl").read_text().splitlines())}
    assert {name: rows[name]["result"] for name in (after, leaves, paid_after["orderId"], open_after["orderId"])} == {
        after: "DONE", leaves: "DONE", paid_after["orderId"]: "DONE", open_after["orderId"]: "DONE"}
    # One unit is there: for who paid. The two others are short, and told.
    assert rows[scarce_paid["orderId"]]["result"] == "DONE"
    assert [(rows[hold]["result"], rows[hold]["reason"]) for hold in scarce_held] == [("SHORT", "SOLD_OUT")] * 2
    assert all(f"SHORT hold {hold} of scarce-{i}, 1 of SCARCE, HELD: SOLD_OUT" in applied.stdout for i, hold in enumerate(scarce_held))
    second = reconcile(sale)
    assert second.returncode == 0 and "nothing to do" in second.stdout, second

    supervise(sale, "start", "cart")
    wait_until(lambda: sale.is_healthy("cart", "inventory"), what="the sale goes on")
    for order, expected in ((paid_before, "PAID"), (paid_after, "PAID"), (pays_later, "PAID"), (scarce_paid, "PAID"), (open_after, "OPEN")):
        wait_until(lambda o=order, e=expected: state(get(sale, o)) == e, what=f"{order['orderId']} is {expected}")
    assert get(sale, paid_after)["paymentReference"] == "pay-after"
    # The same key is the same hold; what was short is no second unit.
    again = attempt(sale, "after", "PLENTY", 3, "key-after-PLENTY")
    assert (again.body["holdId"], again.body["state"], again.body["repeated"]) == (after, "HOLD_STATE_HELD", True)
    short = attempt(sale, "scarce-0", "SCARCE", 1, "key-scarce-0-SCARCE")
    assert (short.body.get("holdId"), short.body.get("state")) == (scarce_held[0], "HOLD_STATE_EXPIRED"), short.body
    assert held_units(sale, "PLENTY") == {"before": 1, "after": 3, "paid-before": 1, "pays-later": 1, "paid-after": 1, "open-after": 1}
    assert held_units(sale, "SCARCE") == {"scarce-paid": 1}
    buy(sale, "goes-on", "PLENTY")
    assert confirm(sale, open_after, "pay-open").status_code == 200
    check_books(sale, "PLENTY")
    check_books(sale, "SCARCE")
    proved(home / "store" / "inventory")


def test_what_ended_there_meanwhile_is_made_again(own_sale, tmp_path):
    """The restored inventory's time ran on: its holds are over. They get new ids, their keys lead to those."""
    sale, home = own_sale, own_sale.home

    def lived_until_the_cart_stopped(seconds):
        sku, payer, copy = f"SHORT-{seconds}", f"payer-{seconds}", tmp_path / f"copy-{seconds}"
        put_on_sale(sale, sku, 5, ttl=f"{seconds}s")
        order = order_of(sale, payer, sku)
        held = buy(sale, "holder", sku, 2)
        assert tool("inventory", "backup", "--store", home / "store" / "inventory", "--to", copy).returncode == 0
        paid = confirm(sale, order, "pay-1").status_code == 200
        wait_until(lambda: state_in_cart(home / "store" / "cart", held), what="the cart's store has the hold")
        with inventory_asleep(sale):
            supervise(sale, "stop", "gatekeeper", "cart")
        lived = paid and state_in_cart(home / "store" / "cart", held) == "HOLD_STATE_HELD"
        return (sku, payer, copy, order, held) if lived else None

    for seconds in LIVES_S:
        if made := lived_until_the_cart_stopped(seconds):
            break
        supervise(sale, "start", "cart", "gatekeeper")
        wait_until(lambda: sale.is_healthy(), what="the sale goes on")
    sku, payer, copy, order, held = made
    supervise(sale, "stop", "inventory")
    (home / "store" / "inventory").rename(tmp_path / "lost")
    assert tool("inventory", "restore", "--from", copy, "--store", home / "store" / "inventory").returncode == 0
    supervise(sale, "start", "inventory")
    wait_until(lambda: sale.grpc.call("inventory", "GetHold", hold_id=held, wait_for_ready=True).hold.state == 4, what="it has expired")
    # In time: a hold that is made again lasts as long as the goods say.
    sale.grpc.call("inventory", "UpdateGoods", sku=sku, hold_ttl="600s")
    report = tmp_path / "report.jsonl"
    applied = reconcile(sale, "--apply", "--report", report)
    assert applied.returncode == 0, applied
    rows = {row.get("holdId") or row.get("orderId"): row for row in map(json.loads, report.read_text().splitlines())}
    assert rows[held]["holdIdThere"] != held and rows[order["orderId"]]["orderIdThere"] != order["orderId"]
    assert rows[held]["result"] == rows[order["orderId"]]["result"] == "DONE"
    supervise(sale, "start", "cart", "gatekeeper")
    wait_until(lambda: sale.is_healthy(), what="the sale goes on")
    again = wait_until(lambda: [a for a in [attempt(sale, "holder", sku, 2, f"key-holder-{sku}")] if a.outcome == "yes"])[0]
    assert (again.body["holdId"], again.body["state"]) == (rows[held]["holdIdThere"], "HOLD_STATE_HELD"), again.body
    new = wait_until(lambda: get(sale, {"orderId": rows[order["orderId"]]["orderIdThere"]}))
    assert (state(new), new["paymentReference"]) == ("PAID", "pay-1")
    assert held_units(sale, sku) == {"holder": 2, payer: 1}
    assert sale.rest.get(f"/v1/users/holder/units/{sku}").json()["goodsQuantity"] == 2
    check_books(sale, sku)
    proved(home / "store" / "inventory")


def archive(sale, sku):
    """Closed, told to its end, and dropped."""
    assert sale.rest.delete(f"/v1/goods/{sku}").status_code == 200

    def digest():
        try:
            return [page.digest for page in sale.grpc.stream("inventory", "ExportGoods", sku=sku)][-1]
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error  # the floor is on its way
            return None
    answer = sale.rest.post(f"/v1/goods/{sku}/archive", {"withSkus": [], "digest": wait_until(digest, what="the sale can be exported")})
    assert answer.status_code == 200, answer.text
    wait_until(lambda: is_archived(sale, sku), what="it is archived")


def is_archived(sale, sku):
    rows = tool("inventory", "export", "--store", sale.home / "store" / "inventory", "--sku", sku).stdout.splitlines()
    return any(row["kind"] == "entry" and "goodsArchived" in row for row in map(json.loads, rows))


def of_user(sale, user):
    return sale.rest.get(f"/v1/users/{user}/orders").json()["orders"]


def test_what_inventory_let_go_of_is_not_made_again(installations, tmp_path):
    """A cart's store from before a sale was archived: what it still has as held had ended, what was paid is in the export."""
    sale = installations("--hold-ttl", "5s", "--set", "inventory.retention=1s")
    sale.up()
    home, stale, copy = sale.home, tmp_path / "stale", tmp_path / "copy"
    put_on_sale(sale, "OVER", 100)
    put_on_sale(sale, "ON", 100)
    paid, kept = order_of(sale, "payer", "OVER"), order_of(sale, "keeper", "ON")
    for order in (paid, kept):
        assert confirm(sale, order, "pay-1").status_code == 200

    def stale_store_has(holder, other):
        """Of a hold, that it is one."""
        held = buy(sale, holder, "OVER", 2)
        buy(sale, other, "ON", 2)
        wait_until(lambda: state_in_cart(home / "store" / "cart", held), what="the cart's store has the hold")
        with inventory_asleep(sale):
            supervise(sale, "stop", "cart")
        shutil.rmtree(stale, ignore_errors=True)
        shutil.copytree(home / "store" / "cart", stale)
        supervise(sale, "start", "cart")
        wait_until(lambda: sale.is_healthy(), what="the sale goes on")
        return state_in_cart(stale, held) == "HOLD_STATE_HELD"

    # again where the machine was too slow for it
    holder = next(f"holder-{i}" for i in range(10) if stale_store_has(f"holder-{i}", f"other-{i}"))
    archive(sale, "OVER")
    assert tool("inventory", "backup", "--store", home / "store" / "inventory", "--to", copy).returncode == 0
    put_on_sale(sale, "OVER", 50)

    def reconciled(*nothing_of):
        """With the old store of the cart."""
        supervise(sale, "stop", "cart")
        (home / "store" / "cart").rename(tmp_path / f"cart-{len(list(tmp_path.iterdir()))}")
        shutil.copytree(stale, home / "store" / "cart")
        supervise(sale, "start", "cart")
        wait_until(lambda: links_stopped(sale) == 1, what="the cart stops the shard")
        assert any("flashsale-cart reconcile" in line.get("why", "") for line in sale.log_lines("cart"))
        supervise(sale, "stop", "cart")
        applied = reconcile(sale, "--apply")
        assert (applied.returncode, "accepted" in applied.stdout) == (0, True), applied
        assert all(f"goods {sku}" not in applied.stdout for sku in nothing_of) and "SHORT" not in applied.stdout, applied
        supervise(sale, "start", "cart")
        wait_until(lambda: sale.is_healthy(), what="the sale goes on")
        assert of_user(sale, "payer") == []
        assert [(order["state"], order["paymentReference"]) for order in of_user(sale, "keeper")] == [("ORDER_STATE_PAID", "pay-1")]
        assert held_units(sale, "OVER") == {}
        wait_until(lambda: held_units(sale, "ON") == {"keeper": 1}, what="the other holds end")
        assert not [line for line in sale.log_lines("cart") if "a payment was reported" in line.get("message", "")]
        check_books(sale, "ON")
        proved(home / "store" / "inventory")

    reconciled("OVER", "ON")
    buy(sale, holder, "OVER")  # a sale of its own
    supervise(sale, "stop", "inventory")
    (home / "store" / "inventory").rename(tmp_path / "lost")
    assert tool("inventory", "restore", "--from", copy, "--store", home / "store" / "inventory").returncode == 0
    supervise(sale, "start", "inventory")
    reconciled("OVER")  # its time ran on: what was held of the others is made again
