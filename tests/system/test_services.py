"""GET /v1/services and its page: every instance of every service, well or not."""

import signal
from html.parser import HTMLParser

import pytest
from flashsale_client import wait_until

SERVICES = ["cart", "gatekeeper", "inventory", "policy", "protector"]


def look(sale):
    """service -> its only instance."""
    answer = sale.rest.get("/v1/services")
    assert answer.status_code == 200, answer.text
    services = answer.json()["services"]
    assert [service["service"] for service in services] == SERVICES
    assert all(len(service["instances"]) == 1 for service in services), answer.text
    return {service["service"]: service["instances"][0] for service in services}


def health(sale, service):
    return look(sale)[service]["health"].removeprefix("INSTANCE_HEALTH_")


class Page(HTMLParser):
    """Rows of its tables, and every tag and attribute in it."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags, self.attributes = [], set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, text):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += text


def test_every_instance_is_shown(sale):
    shown = look(sale)
    for service, instance in shown.items():
        assert instance["address"] == sale.address(service)
        host, port = sale.address(service).split(":")
        assert instance["adminAddress"] == f"{host}:{int(port) + 10}"
        assert instance["health"] == "INSTANCE_HEALTH_SERVING", instance
        assert instance["version"] and float(instance["age"].removesuffix("s")) > 0 and instance["startTime"]
    assert shown["gatekeeper"]["detail"] == "this one"
    registry = sale.rest.get("/v1/services").json()["registry"]
    assert registry == sale.discovery
    expected = "REGISTRY_HEALTH_PASSING" if registry == "consul" else "REGISTRY_HEALTH_UNSPECIFIED"
    wait_until(lambda: {instance["registryHealth"] for instance in look(sale).values()} == {expected})


def test_an_instance_tells_of_itself(sale):
    for service in ("inventory", "cart", "policy", "protector"):
        told = sale.grpc.call(service, "GetInstance", of="flashsale.common.v1.InstanceService")
        assert (told.service, told.serving, told.shards) == (service, True, int(service in ("inventory", "cart")))


def test_the_page(sale):
    answer = sale.rest.get("/v1/services.html")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["Cache-Control"] == "no-store"
    page = Page(answer.text)
    assert not page.tags & {"script", "link", "img", "iframe", "form"} and not page.attributes & {"style", "src", "href", "onload"}
    rows = [row for row in page.rows if "serving" in row]
    assert len(rows) == len(SERVICES) and {row[6] for row in rows} == {sale.address(service) for service in SERVICES}


@pytest.mark.parametrize("path", ["/v1/services", "/v1/services.html"])
def test_other_methods(sale, path):
    answer = sale.rest.post(path, {})
    assert answer.status_code == 405 and "GET" in answer.headers["Allow"]


def test_one_that_hangs_and_one_that_is_gone(own_sale):
    started = look(own_sale)["policy"]["startTime"]
    own_sale.kill("policy", signal.SIGSTOP)
    first = look(own_sale)["policy"]
    assert first["health"] in ("INSTANCE_HEALTH_UNSPECIFIED", "INSTANCE_HEALTH_UNREACHABLE") and first["detail"], first
    wait_until(lambda: health(own_sale, "policy") == "UNREACHABLE")
    if own_sale.discovery == "consul":
        wait_until(lambda: look(own_sale)["policy"]["registryHealth"] == "REGISTRY_HEALTH_CRITICAL")
    assert "unreachable" in own_sale.rest.get("/v1/services.html").text
    own_sale.kill("policy", signal.SIGCONT)
    wait_until(lambda: health(own_sale, "policy") == "SERVING")
    assert look(own_sale)["policy"]["startTime"] == started
    own_sale.kill("policy")
    wait_until(lambda: health(own_sale, "policy") == "SERVING" and look(own_sale)["policy"]["startTime"] > started)
