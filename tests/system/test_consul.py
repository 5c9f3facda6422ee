"""Services that find each other through a real Consul: it comes, goes, forgets, refuses, lies; and so do services."""

import json
import os
import signal
import subprocess
import time

import grpc
import pytest
import requests
from consul_agent import Agent, Process, Proxy, metric, other_environment
from crowd import Load, check_books
from flashsale_client import PROJECT, Installation, run_script, wait_until

LEFT_WITHIN_S = 2
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
MANAGEMENT = "0b8dd4a8-0b6b-4b6c-9a53-6f5d9a3d2a11"


@pytest.fixture
def agent(tmp_path):
    made = Agent(tmp_path / "consul")
    yield made
    made.kill()


@pytest.fixture
def processes(tmp_path):
    """processes(SERVICE, VARIABLES, ...) is a service by hand, ended after the test."""
    made = []

    def make(*words, **options):
        made.append(Process(tmp_path, *words, **options))
        return made[-1]

    yield make
    for process in made:
        process.end(kill=True)
    assert [line for process in made for line in process.sanitizer_reports()] == []


@pytest.fixture
def consul_sales(tmp_path):
    """Installations that use a Consul; without an address, one of their own."""
    made = []

    def make(address=None, *flags, **variables):
        where = {"CONSUL_HTTP_ADDR": address} if address else {}
        made.append(Installation(tmp_path / f"home{len(made)}", flags, other_environment(**where, **variables)))
        made[-1].discovery = "consul"
        return made[-1]

    yield make
    for installation in made:
        installation.down()
    assert [installation.sanitizer_reports() for installation in made] == [[] for _ in made]


def variables_of(agent):
    return {"CONSUL_HTTP_ADDR": agent.address}


def new_goods(sale, sku, units=100_000):
    assert sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": units, "goodsPrice": 1}).status_code == 200


def gatekeeper_metric(sale, name):
    return metric(sale.admin("gatekeeper", "/metrics").text, name)


def others(answers):
    """What was not a yes."""
    return [(answer.status, answer.reason) for answer in answers if answer.outcome != "yes"]


# ---- with a Consul of the installation's own ----

def test_consul_dies_under_load_and_forgets_everything(consul_sales, fresh):
    sale, sku = consul_sales(), fresh("SKU")
    sale.up()
    new_goods(sale, sku)
    catalog = f"http://127.0.0.1:{sale.port + 20}/v1/agent/services"
    everybody = set(requests.get(catalog, timeout=10).json())
    assert {name.split("-")[0] for name in everybody} == {"gatekeeper", "protector", "policy", "inventory", "cart"}
    load = Load(sale, sku, "consul-dies", threads=2)
    for _ in range(3):
        begun = time.monotonic()
        os.kill(consul_pid(sale), signal.SIGKILL)
        wait_until(lambda: is_back(catalog, everybody), what="supervisor has started Consul again, all have registered again")
        wait_until(lambda: load.yes_since(begun) > 20)
    answers = load.stop()
    assert others(answers) == [], "Consul's death is nobody's business"
    check_books(sale, sku)
    assert sale.is_healthy()


def is_back(catalog, everybody):
    try:
        return set(requests.get(catalog, timeout=2).json()) == everybody
    except (requests.RequestException, ValueError):
        return False


def consul_pid(sale):
    """Of the agent that supervisord looks after."""
    words = ["supervisorctl", "-s", f"unix://{sale.home}/run/supervisor.sock", "pid", "consul"]
    return int(wait_until(lambda: subprocess.run(words, stdout=subprocess.PIPE, text=True).stdout.strip().isdigit()
                          and subprocess.run(words, stdout=subprocess.PIPE, text=True).stdout))


def test_down_takes_everybody_out_and_ends_the_agent(consul_sales):
    sale = consul_sales(None, "--no-demo")
    sale.up()
    pid = consul_pid(sale)
    sale.down()
    assert not os.path.exists(f"/proc/{pid}")
    for service in ("gatekeeper", "protector", "policy", "inventory", "cart"):
        assert '"left Consul"' in sale.log(service), service


# ---- with a Consul from elsewhere ----

def test_up_before_consul(agent, consul_sales, fresh):
    sale = consul_sales(agent.address)
    up = subprocess.Popen(["./flashsale", "up", "--discovery", "consul", "--home", sale.home, "--port", str(sale.port)],
                          cwd=PROJECT,
                          env=sale.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(10)  # the time without Consul is what is tested
    assert up.poll() is None
    agent.start()
    words, _ = up.communicate(timeout=90)
    assert up.returncode == 0, words
    sku = fresh("SKU")
    new_goods(sale, sku)
    assert sale.rest.buy("early", sku).json()["repResult"]


def test_consul_is_gone_and_services_restart(agent, consul_sales, fresh):
    """As long as Consul is away, the last known addresses serve, for services that start anew at theirs as well."""
    sale, sku = consul_sales(agent.start().address), fresh("SKU")
    sale.up()
    new_goods(sale, sku)
    agent.kill()
    for service in ("inventory", "policy", "protector"):
        pid = sale.kill(service)
        wait_until(lambda: sale.pid(service) not in (None, pid) and sale.is_healthy(service))
    wait_until(lambda: sale.rest.buy("alone", sku, key="once").json().get("repResult"))
    load = Load(sale, sku, "gone", threads=2)
    begun = time.monotonic()
    wait_until(lambda: load.yes_since(begun) > 50 and time.monotonic() > begun + 3)
    agent.start()
    prefix = f"flashsale-{sale.port}"
    for service in ("gatekeeper", "protector", "policy", "inventory", "cart"):
        wait_until(lambda: agent.is_passing(f"{prefix}-{service}"), what=f"{service} is there again")
    assert others(load.stop()) == []
    check_books(sale, sku)


def test_one_of_two_restarts_and_is_killed(agent, consul_sales, processes, fresh):
    sale, sku = consul_sales(agent.start().address), fresh("SKU")
    sale.up()
    new_goods(sale, sku)
    name, prefix = f"flashsale-{sale.port}-protector", f"flashsale-{sale.port}"
    second = processes("protector", variables_of(agent), prefix=prefix).start()
    wait_until(lambda: agent.is_passing(name, 2))
    ready = 'flashsale_client_instances_ready{service="protector"}'
    wait_until(lambda: gatekeeper_metric(sale, ready) == 2, what="the gatekeeper has found it")
    workers = sale.status()["gatekeeper"]["workers"]
    sale.kill("gatekeeper", signal.SIGHUP)
    wait_until(lambda: (now := sale.status()["gatekeeper"]["workers"]) and not set(now) & set(workers), what="other workers")
    assert '"left Consul"' not in sale.log("gatekeeper"), "the gatekeeper stays, whichever workers it has"
    wait_until(lambda: gatekeeper_metric(sale, ready) == 2)
    assert gatekeeper_metric(sale, "flashsale_gatekeeper_fleet") == 1
    load = Load(sale, sku, "killed", threads=2)
    begun = time.monotonic()
    wait_until(lambda: load.yes_since(begun) > 20)
    assert second.end() == 0
    wait_until(lambda: gatekeeper_metric(sale, ready) == 1)
    second.start()
    wait_until(lambda: gatekeeper_metric(sale, ready) == 2, what="it is back")
    begun = time.monotonic()
    wait_until(lambda: load.yes_since(begun) > 20)
    assert [answer.body for _, answer in load.answers if answer.outcome != "yes" or answer.body.get("degraded")] == [], "a restart costs nothing"
    killed = time.monotonic()
    second.end(kill=True)
    wait_until(lambda: list(agent.health(name).values()).count("critical") == 1, what="Consul has noticed")
    noticed = time.monotonic() - killed
    wait_until(lambda: gatekeeper_metric(sale, ready) == 1)
    left = time.monotonic() - killed
    wait_until(lambda: load.yes_since(killed + LEFT_WITHIN_S) > 20)
    load.ended.set()
    for thread in load.threads:
        thread.join(60)
    late = [answer for at, answer in load.answers if at > killed + LEFT_WITHIN_S]
    assert others(late) == []
    assert noticed < LEFT_WITHIN_S and left < LEFT_WITHIN_S
    check_books(sale, sku)


def test_a_cart_restarts_elsewhere(agent, consul_sales, processes, fresh):
    sale, sku = consul_sales(agent.start().address), fresh("SKU")
    sale.up()
    new_goods(sale, sku)
    assert sale.rest.buy("mover", sku, key="before").json()["repResult"]
    subprocess.run(["supervisorctl", "-s", f"unix://{sale.home}/run/supervisor.sock", "stop", "cart"], check=True,
                   stdout=subprocess.DEVNULL)
    assert sale.rest.buy("mover", sku).status_code == 503
    prefix = f"flashsale-{sale.port}"
    moved = processes("cart", variables_of(agent), store=sale.home / "store" / "cart", prefix=prefix).start()
    wait_until(lambda: agent.is_passing(f"{prefix}-cart"))
    wait_until(lambda: sale.rest.buy("mover", sku, key="after").json().get("repResult"), what="the gatekeeper has found it")
    assert sale.rest.get(f"/user/userid/mover/sku/{sku}").json()["goodsQuantity"] == 2
    assert moved.end() == 0
    assert agent.health(f"{prefix}-cart") == {}


def test_a_stopped_service_is_out_at_once(agent, processes):
    policy = processes("policy", variables_of(agent.start())).start()
    wait_until(lambda: agent.is_passing("flashsale-policy"))
    assert policy.end() == 0
    assert agent.health("flashsale-policy") == {}


def test_an_end_step_by_step(agent, processes):
    """NOT_SERVING is told, Consul is left, calls are taken until the callers have left; then the end."""
    policy = processes("policy", variables_of(agent.start()), "--drain-delay", "60s").start()
    wait_until(lambda: agent.is_passing("flashsale-policy"))
    with grpc.insecure_channel(f"127.0.0.1:{policy.port}") as channel:
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert next(watch) == check(b"") == SERVING
        policy.process.terminate()
        assert next(watch) == NOT_SERVING
        wait_until(lambda: agent.health("flashsale-policy") == {}, what="it has left Consul")
        assert check(b"", timeout=10) == NOT_SERVING, "who has not left yet is answered"
        assert policy.process.poll() is None
        watch.cancel()
        assert policy.process.wait(timeout=50) == 0, "nobody is left to wait for"


def test_what_took_over_a_port_is_not_taken_for_the_old_service(agent, processes):
    policy = processes("policy", variables_of(agent.start())).start()
    wait_until(lambda: agent.is_passing("flashsale-policy"))
    policy.end(kill=True)
    processes("protector", variables_of(agent), port=policy.port).start()
    wait_until(lambda: agent.is_passing("flashsale-protector"))
    wait_until(lambda: list(agent.health("flashsale-policy").values()) == ["critical"])


@pytest.mark.parametrize("mode", ["garbage", "huge", "slow", "silent", "error", "reset", "empty"])
def test_a_consul_that_misbehaves(misbehaving_sale, processes, mode):
    agent, proxy, sale, sku = misbehaving_sale
    load = Load(sale, sku, f"while-{mode}", threads=1)
    begun = time.monotonic()
    proxy.misbehave(mode)
    wait_until(lambda: proxy.asked > 5, what="services have asked")
    wait_until(lambda: load.yes_since(begun + 1) > 20)
    assert others(load.stop()) == []
    proxy.misbehave("well")
    prefix = f"flashsale-{sale.port}"
    second = processes("protector", variables_of(agent), prefix=prefix).start()
    known = 'flashsale_discovery_instances{service="protector"}'
    wait_until(lambda: gatekeeper_metric(sale, known) == 2, what="the gatekeeper hears of changes again")
    second.end()
    wait_until(lambda: gatekeeper_metric(sale, known) == 1, what="and of the end")


@pytest.fixture(scope="module")
def misbehaving_sale(tmp_path_factory):
    folder = tmp_path_factory.mktemp("misbehaving")
    agent = Agent(folder / "consul").start()
    proxy = Proxy(agent)
    sale = Installation(folder / "home", (), other_environment(CONSUL_HTTP_ADDR=proxy.address))
    sale.discovery = "consul"
    try:
        sale.up()
        new_goods(sale, "MISBEHAVING")
        yield agent, proxy, sale, "MISBEHAVING"
    finally:
        proxy.misbehave("well")
        sale.down()
        proxy.end()
        agent.kill()
    assert sale.sanitizer_reports() == []


# ---- who may, and who is who ----

def test_acls_and_a_token_that_is_renewed(tmp_path, processes):
    agent = Agent(tmp_path / "consul", {"acl": {"enabled": True, "default_policy": "deny",
                                                "tokens": {"initial_management": MANAGEMENT, "agent": MANAGEMENT}}})
    agent.token = MANAGEMENT
    token_file = tmp_path / "token"
    token_file.write_text("11111111-2222-3333-4444-555555555555\n")
    try:
        agent.start()
        cart = processes("cart", variables_of(agent) | {"CONSUL_HTTP_TOKEN_FILE": token_file}).start()
        wait_until(lambda: cart.has_said("can't be registered", "ACL not found"), what="the refusal is told")
        rules = 'service_prefix "flashsale-" { policy = "write" } node_prefix "" { policy = "read" }'
        assert wait_until(lambda: agent.ask("PUT", "/acl/policy", json={"Name": "shop", "Rules": rules}).status_code == 200)
        token = agent.ask("PUT", "/acl/token", json={"Policies": [{"Name": "shop"}]}).json()["SecretID"]
        token_file.write_text(token)
        wait_until(lambda: cart.has_said("registered with Consul"), what="the renewed token counts")
        wait_until(lambda: list(agent.health("flashsale-cart")) != [])
        wait_until(lambda: cart.has_said("instances of a service have changed", '"of":"inventory"'))
        assert token not in cart.log.read_text()
        assert cart.end() == 0
        assert agent.health("flashsale-cart") == {}
    finally:
        agent.kill()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """ca.pem, server.pem, server.key for server.dc1.consul, client.pem, client.key; and other.pem, a CA that signed nothing."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                "-keyout", f"{name}.key", "-out", f"{name}.pem")
    for name, subject in (("server", "server.dc1.consul"), ("client", "client.dc1.consul")):
        (folder / f"{name}.cnf").write_text(f"subjectAltName=DNS:{subject}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={subject}",
                "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", f"{name}.cnf", "-out", f"{name}.pem")
    return folder


def test_tls_with_certificates_on_both_sides(tmp_path, processes, certificates):
    files = {"ca_file": certificates / "ca.pem", "cert_file": certificates / "server.pem", "key_file": certificates / "server.key"}
    agent = Agent(tmp_path / "consul", {"tls": {"https": {name: str(path) for name, path in files.items()} | {"verify_incoming": True}}})
    agent.configuration["ports"] = {"https": agent.port + 3}
    good = {"CONSUL_HTTP_ADDR": f"https://127.0.0.1:{agent.port + 3}", "CONSUL_CACERT": certificates / "ca.pem",
            "CONSUL_CLIENT_CERT": certificates / "client.pem", "CONSUL_CLIENT_KEY": certificates / "client.key",
            "CONSUL_TLS_SERVER_NAME": "server.dc1.consul"}
    bad = {
        "another CA": ({"CONSUL_CACERT": certificates / "other.pem"}, "certificate"),
        "another name": ({"CONSUL_TLS_SERVER_NAME": "somebody.else"}, "somebody.else"),
        "its address instead of its name": ({"CONSUL_TLS_SERVER_NAME": ""}, "127.0.0.1"),
        "no certificate": ({"CONSUL_CLIENT_CERT": "", "CONSUL_CLIENT_KEY": ""}, "alert"),
    }
    try:
        agent.start()
        policy = processes("policy", good).start()
        wait_until(lambda: agent.is_passing("flashsale-policy"), what="it is registered over TLS")
        assert policy.end() == 0
        assert agent.health("flashsale-policy") == {}
        refused = {case: processes("policy", good | change).start() for case, (change, _) in bad.items()}
        for case, process in refused.items():
            wait_until(lambda: process.has_said("can't be registered", bad[case][1]), what=f"{case} is refused, and said so")
        assert agent.health("flashsale-policy") == {}
    finally:
        agent.kill()


def test_a_unix_socket(tmp_path, processes):
    socket = tmp_path / "s"
    agent = Agent(tmp_path / "consul", {"addresses": {"http": f"unix://{socket}"}}).start(wait=False)
    try:
        wait_until(socket.exists)
        policy = processes("policy", {"CONSUL_HTTP_ADDR": f"unix://{socket}"}).start()
        wait_until(lambda: policy.has_said("registered with Consul"))
        assert policy.end() == 0
        assert policy.has_said("left Consul")
    finally:
        agent.kill()


# ---- settings ----

@pytest.mark.parametrize("flags, variables, code, words", [
    (["--discovery", "dns"], {}, 2, "expected consul or static"),
    (["--discovery", "static"], {}, 2, "--discovery-file"),
    (["--discovery", "consul", "--discovery-file", "list"], {}, 2, "contradict"),
    (["--advertise", "10.0.0.1"], {}, 2, "--discovery consul is not set"),
    (["--consul-prefix", "shop"], {}, 2, "--discovery consul"),
    (["--discovery", "consul", "--listen", "0.0.0.0:1"], {}, 2, "--advertise must say"),
    (["--discovery", "consul", "--advertise", "a b"], {}, 2, "expected HOST or HOST:PORT"),
    (["--discovery", "consul", "--advertise", "0.0.0.0"], {}, 2, "expected HOST or HOST:PORT"),
    (["--discovery", "consul", "--consul-prefix", "Shop"], {}, 1, "lower-case"),
    (["--discovery", "consul"], {"CONSUL_HTTP_ADDR": "ftp://h"}, 1, "CONSUL_HTTP_ADDR"),
    (["--discovery", "consul"], {"CONSUL_CLIENT_CERT": "c"}, 1, "CONSUL_CLIENT_KEY"),
])
def test_settings_that_contradict_each_other(tmp_path, flags, variables, code, words):
    policy = Process(tmp_path, "policy", variables)
    command = [policy.program, "--store", policy.store, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", *flags]
    result = subprocess.run([str(word) for word in command], env=policy.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, timeout=60)
    assert result.returncode == code
    assert words in result.stderr


def test_a_service_that_listens_everywhere_says_where_it_is(agent, processes):
    policy = processes("policy", variables_of(agent.start()), "--listen", "0.0.0.0:0", "--admin", "0.0.0.0:0", "--advertise", "127.0.0.1")
    policy.start()
    wait_until(lambda: agent.is_passing("flashsale-policy"))
    service = agent.ask("GET", "/health/service/flashsale-policy").json()[0]["Service"]
    assert service["Address"] == "127.0.0.1" and service["Port"] > 0
    host, _, port = service["Meta"]["admin"].partition(":")
    assert host == "127.0.0.1" and int(port) not in (0, service["Port"])


def test_up_without_a_consul_says_so(tmp_path):
    """A program is looked for on the PATH and in .deps; here is neither."""
    code = ("import sys; sys.path.insert(0, 'scripts'); import installation.__main__ as main; from pathlib import Path; "
            "main.PROJECT = Path('/nowhere'); sys.argv = ['x', 'up', '--home', sys.argv[1], '--discovery', 'consul']; sys.exit(main.main())")
    result = subprocess.run(["/usr/bin/python3", "-B", "-c", code, str(tmp_path / "home")], cwd=PROJECT,
                            env={"PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert "CONSUL_HTTP_ADDR is not set" in result.stderr and "Traceback" not in result.stderr


def test_a_running_home_keeps_its_discovery(consul_sales):
    sale = consul_sales(None, "--no-demo")
    sale.up()
    result = run_script("up", "--home", sale.home, "--discovery", "static", environment=sale.environment)
    assert result.returncode == 1
    assert "discovery consul" in result.stderr
    assert json.loads((sale.home / "installation.json").read_text())["discovery"] == "consul"
