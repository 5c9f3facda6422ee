"""What /metrics of every process shows: well-formed, and exactly what docs/operations.md lists.

With FLASHSALE_WRITE_METRICS=1 the table in docs/operations.md is written instead of compared; rows that need another installation (Consul, TLS) stay as they are.
"""

import os
import re
import signal
import time

import prometheus_text
import pytest
from flashsale_client import PROJECT, Installation, wait_until

PROCESSES = ("gatekeeper", "protector", "policy", "inventory", "cart")
PAGE = PROJECT / "docs" / "operations.md"
BEGIN, END = "<!-- all metrics: begin -->\n", "<!-- all metrics: end -->\n"
# What is not there from the start.
WHEN = {
    "flashsale_rpc_server_calls_total": "after the first", "flashsale_rpc_server_refused_total": "after the first",
    "flashsale_rpc_server_items_total": "after the first", "flashsale_rpc_server_batch_items": "after the first",
    "flashsale_tls_certificate_expires_timestamp_seconds": "TLS",
}
STRANGERS = {"user", "user_id", "sku", "ip", "client", "address", "session", "trace"}


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """With something of everything: yes, no, reads, an order, a ban."""
    sale = Installation(tmp_path_factory.mktemp("busy") / "home", ["--tls"])
    sale.up()
    for number in range(3):
        assert sale.rest.buy("mia", "SKU0001", quantity=2, level=5, key=f"metrics-{number}").json()["repResult"]
    assert not sale.rest.buy("mia", "SKU0001", quantity=9, level=5).json()["repResult"]
    sale.rest.buy("max", "NO-SUCH-SKU")
    sale.rest.post("/v1/bans", {"userID": "mallory"})
    wait_until(lambda: sale.rest.post("/v1/buy", {"userID": "mallory", "goodsSKU": "SKU0001", "goodsQuantity": 1}).status_code == 403)
    assert sale.rest.post("/v1/carts/mia/checkout", {}).status_code == 200
    for service in PROCESSES[1:]:  # one refusal each
        with pytest.raises(Exception):
            sale.grpc.call(service, {"protector": "GetBan", "policy": "GetPolicy", "inventory": "GetGoods", "cart": "GetOrder"}[service])
    yield sale
    sale.down()
    assert sale.sanitizer_reports() == []


@pytest.fixture(scope="module")
def families(busy):
    """process -> name -> Family."""
    found = {}
    for process in PROCESSES:
        answer = busy.admin(process, "/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        found[process] = prometheus_text.read(answer.text)
    return found


def value(families, process, name, suffix="", **labels):
    """The sum over the series that have these labels."""
    return sum(number for (end, have), number in families[process][name].samples.items()
               if end == suffix and labels.items() <= dict(have).items())


# ---- the list ----

def when(name):
    return "Consul" if name.startswith("flashsale_discovery_") else WHEN.get(name, "")


def rows_of(families):
    """name -> (name with labels, type, where, when, help), as the table has them."""
    rows = {}
    for name in sorted({name for known in families.values() for name in known}):
        where = [process for process in PROCESSES if name in families[process]]
        shown = [families[process][name] for process in where]
        assert len({(family.kind, family.help) for family in shown}) == 1, f"{name} is not the same everywhere"
        labels = sorted({label for family in shown for label in family.label_names()})
        rows[name] = (f"`{name}`" + (f" {{{', '.join(labels)}}}" if labels else ""), shown[0].kind,
                      "all" if len(where) == len(PROCESSES) else ", ".join(where), when(name), shown[0].help.removesuffix("."))
    return rows


def documented():
    text = PAGE.read_text()
    assert BEGIN in text and END in text
    lines = text.partition(BEGIN)[2].partition(END)[0].splitlines()[2:]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if line]
    return {re.match("`([^`]+)`", row[0])[1]: row for row in rows}


def write(rows):
    text = PAGE.read_text()
    head, rest = text.partition(BEGIN)[::2]
    table = ["| metric, {labels} | type | of | when | what |", "|---|---|---|---|---|"]
    table += ["| " + " | ".join(rows[name]) + " |" for name in sorted(rows)]
    PAGE.write_text(head + BEGIN + "\n".join(table) + "\n" + END + rest.partition(END)[2])


def needs_another(row, sale):
    return row[3] == "Consul" and sale.discovery != "consul"


def test_the_list_is_complete_and_true(busy, families):
    live, listed = rows_of(families), documented()
    if os.environ.get("FLASHSALE_WRITE_METRICS"):
        write({name: row for name, row in listed.items() if needs_another(row, busy)} | live)
        return
    expected = {name: row for name, row in listed.items() if not needs_another(row, busy)}
    assert {name: row for name, row in live.items() if expected.get(name) != row} == {}, \
        "not in docs/operations.md, or otherwise there: run this file with FLASHSALE_WRITE_METRICS=1, then with FLASHSALE_TEST_DISCOVERY=consul too"
    assert set(expected) - set(live) == set(), "in docs/operations.md, and not there"


def test_every_metric_that_the_page_names_is_in_the_list():
    names = set(re.findall(r"`(flashsale_[a-z_]+[a-z])(?:\{[^`]*\})?`", PAGE.read_text()))
    settings = set(re.findall(r'"(flashsale_[a-z_]+)"', (PROJECT / "gatekeeper" / "nginx" / "ngx_http_flashsale_module.c").read_text()))
    assert names - settings - set(documented()) == set()


def test_labels_have_few_values(families):
    for known in families.values():
        for family in known.values():
            assert not STRANGERS & set(family.label_names()), family.name
            assert not any("mia" in have or "SKU0" in have for _, labels in family.samples for _, have in labels), family.name


# ---- what they say ----

def test_every_hop_is_counted(families):
    assert value(families, "gatekeeper", "flashsale_gatekeeper_requests_total", status="2xx") >= 4
    for service, method in (("protector", "BatchValidateClients"), ("policy", "BatchValidatePurchases"), ("cart", "BatchAddItems"),
                            ("inventory", "BatchCreateHolds")):
        path = f"/flashsale.{service}.v1.{service.capitalize()}Service/{method}"
        assert value(families, service, "flashsale_rpc_server_items_total", method=path, outcome="OK") >= 2
        assert value(families, service, "flashsale_rpc_server_batch_items", "_sum", method=path) >= 2
        assert value(families, service, "flashsale_rpc_server_calls_total", method=path, code="OK") >= 2
        assert value(families, service, "flashsale_rpc_server_seconds", "_count", method=path) >= 2
        assert value(families, service, "flashsale_rpc_server_refused_total") >= 1
    assert value(families, "cart", "flashsale_rpc_server_items_total", outcome="LIMIT_REACHED") == 1
    for caller, service in (("gatekeeper", "protector"), ("gatekeeper", "policy"), ("gatekeeper", "cart"), ("cart", "inventory")):
        assert value(families, caller, "flashsale_client_instances_ready", service=service) == 1
        assert value(families, caller, "flashsale_client_batch_items", "_count", service=service) >= 2


def test_bans_are_counted_by_who_said_so(families):
    assert value(families, "protector", "flashsale_protector_bans", origin="operator") == 1
    assert value(families, "protector", "flashsale_protector_bans", origin="setting") >= 1  # loopback is allowed
    assert value(families, "protector", "flashsale_protector_bans", origin="detector") == 0


def test_streams_are_fresh_and_queues_empty(families):
    streams = {"gatekeeper": {"WatchStock", "WatchBans", "WatchPolicies"}, "cart": {"ReadLedger"}}
    for process, methods in streams.items():
        samples = families[process]["flashsale_client_stream_age_seconds"].samples
        assert {dict(labels)["method"] for _, labels in samples} == methods
        assert all(0 <= age < 60 for age in samples.values()), samples
    for process in PROCESSES[1:]:
        assert 0 <= value(families, process, "flashsale_writer_queue_age_seconds") < 60


def test_processes(families):
    for process, known in families.items():
        assert 0 < time.time() - value(families, process, "process_start_time_seconds") < 3600
        assert value(families, process, "process_resident_memory_bytes") > 1 << 20
        assert value(families, process, "process_cpu_seconds_total") > 0 and value(families, process, "process_open_fds") > 3


def test_a_stream_that_is_silent_ages(busy):
    def age():
        known = {"g": prometheus_text.read(busy.admin("gatekeeper", "/metrics").text)}
        return value(known, "g", "flashsale_client_stream_age_seconds", method="WatchBans")

    before = age()
    busy.kill("protector", signal.SIGSTOP)
    wait_until(lambda: age() > before + 1.5)
    busy.kill("protector", signal.SIGCONT)
    wait_until(lambda: age() < 1)
