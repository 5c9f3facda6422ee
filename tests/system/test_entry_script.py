"""up, down, status, --help: the entry script as a person meets it."""

import os
import signal
import socket
from pathlib import Path

import pytest
import requests
from flashsale_client import PRESET, Installation, free_port, run_script, wait_until

SERVICES = {"gatekeeper": 0, "protector": 1, "policy": 2, "inventory": 3, "cart": 4}


def is_running(pid):
    """A process that has ended and waits for its parent to notice does not run."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("command", ["setup", "build", "up", "down", "status", "test", "bench"])
def test_help_only_prints(command, tmp_path):
    home = ["--home", tmp_path / "home"] if command in ("up", "down", "status") else []
    result = run_script(command, *home, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith(f"usage: ./flashsale {command}")
    assert result.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words, named", [
    (["up", "--colour", "red"], "--colour"), (["down", "--now"], "--now"), (["status", "--yaml"], "--yaml"),
    (["bench", "--second", "3"], "--second"), (["bench", "dance"], "dance"), (["test", "dance"], "dance"),
    (["build", "fast"], "fast"), (["up", "--port", "http"], "http"), (["up", "--port", "70000"], "70000"),
    (["up", "--hold-ttl", "soon"], "soon"), (["up", "--port"], "--port"), (["up", "--discovery", "dns"], "dns"),
    (["setup", "please"], "please"), (["dance"], "dance"),
])
def test_wrong_words_are_named(words, named):
    result = run_script(*words)
    assert result.returncode == 2
    assert named in result.stderr


def test_up_names_ports_that_are_taken(tmp_path):
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port + 3))
        other.listen()
        result = run_script("up", "--home", tmp_path / "home", "--port", port)
    assert result.returncode == 1
    assert str(port + 3) in result.stderr
    assert not (tmp_path / "home" / "store").exists()


def test_up_says_that_its_home_is_a_file(tmp_path):
    (tmp_path / "home").write_text("")
    for home in (tmp_path / "home", tmp_path / "home" / "x"):
        result = run_script("up", "--home", home)
        assert result.returncode == 1
        assert f"{tmp_path}/home" in result.stderr and "is a file and no folder" in result.stderr and "Traceback" not in result.stderr


def test_spaces_in_a_home(installations, tmp_path):
    installation = installations("--no-demo")
    installation.home = tmp_path / "a ü"
    words = installation.up()
    assert f"--home '{installation.home}'" in words
    assert installation.rest.get("/all").json() == []
    assert {service["health"] for service in installation.status().values()} == {"healthy"}


@pytest.mark.parametrize("character", "%$;#'\"\\{}@\n")
def test_up_refuses_a_home_that_the_configurations_would_misread(tmp_path, character):
    home = tmp_path / f"a{character}b"
    result = run_script("up", "--preset", PRESET, "--home", home)
    assert result.returncode == 1
    assert repr(character) in result.stderr and "Traceback" not in result.stderr
    assert not home.exists()


def test_a_home_that_cannot_be_is_told_in_a_line(tmp_path):
    (tmp_path / "file").write_text("")
    result = run_script("up", "--preset", PRESET, "--home", tmp_path / "file" / "home")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "installation.json").write_text("{")
    result = run_script("status", "--home", tmp_path / "home")
    assert result.returncode == 1
    assert "installation.json" in result.stderr and "Traceback" not in result.stderr


def test_status_names_every_service(sale):
    services = sale.status()
    assert {name: service["port"] - sale.port for name, service in services.items()} == SERVICES
    for service in services.values():
        assert service["admin_port"] == service["port"] + 10
        assert service["health"] == "healthy"
        assert is_running(service["pid"])


def test_second_up_starts_only_what_is_missing(sale):
    wait_until(lambda: all(one["state"] == "RUNNING" for one in sale.status().values()))  # healthy comes before that
    before = sale.status()
    words = sale.up()
    assert sale.status() == before
    assert f"http://127.0.0.1:{sale.port}/buy" in words


def test_a_running_home_keeps_its_port(sale):
    result = run_script("up", "--home", sale.home, "--port", free_port())
    assert result.returncode == 1
    assert f"port {sale.port}" in result.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_what_dies_is_started_again(sale, name):
    pid = sale.kill(name)
    again = wait_until(lambda: sale.is_healthy() and sale.pid(name), what=f"{name} is back")
    assert again != pid


def test_the_gatekeepers_worker_is_started_again(sale):
    workers = sale.status()["gatekeeper"]["workers"]
    os.kill(workers[0], signal.SIGKILL)
    wait_until(lambda: workers[0] not in sale.status()["gatekeeper"]["workers"] and sale.is_healthy(), what="a new worker")


def test_two_installations_side_by_side_and_down(installations):
    one, two = installations(), installations()
    one.up()
    two.up()
    assert one.is_healthy() and two.is_healthy()
    pids = [service["pid"] for service in one.status().values()] + one.status()["gatekeeper"]["workers"]
    one.down()
    assert not any(is_running(pid) for pid in pids)
    assert two.is_healthy()
    assert all(service["health"] == "down" and service["pid"] is None for service in one.status().values())
    one.down()


def test_stores_and_sale_survive_down_and_up(installations, fresh):
    sale, sku = installations(), fresh("SKU")
    sale.up()
    assert sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 7, "goodsPrice": 1.5}).status_code == 200
    sale.down()
    sale.up()
    assert sale.rest.get(f"/sku/{sku}").json() == {"goodsSKU": sku, "goodsQuantity": 7, "goodsPrice": 1.5}


def test_services_that_lost_their_supervisor_are_told_and_ended(installations):
    sale = installations()
    sale.up()
    pids = [service["pid"] for service in sale.status().values()]
    os.kill(int((sale.home / "run" / "supervisord.pid").read_text()), signal.SIGKILL)
    wait_until(lambda: {service["health"] for service in sale.status().values()} == {"unsupervised"})
    assert [service["pid"] for service in sale.status().values()] == pids, "they run on, and nobody would start them again"
    sale.down()
    assert not any(is_running(pid) for pid in pids)


def test_up_says_which_service_failed(tmp_path):
    port = free_port()
    result = run_script("up", "--home", tmp_path, "--port", port, "--set", "cart.no-such-setting=1")
    assert result.returncode == 1
    assert "cart did not become healthy" in result.stderr and "no-such-setting" in result.stderr
    result = run_script("up", "--home", tmp_path, "--port", port, "--set", "gatekeeper.access-log=maybe")
    assert result.returncode == 1 and "gatekeeper.access-log=maybe: expected on or off" in result.stderr
    assert all(service["health"] == "down" for service in Installation(tmp_path).status().values())
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://127.0.0.1:{port}/healthz", timeout=2)


def test_the_demo_sale(sale):
    goods = {row["goodsSKU"]: row for row in sale.rest.get("/all").json()}
    assert goods["SKU0001"]["goodsPrice"] == 99
    assert 0 < goods["SKU0001"]["goodsQuantity"] <= 1_000_000
    assert {"SKU0002", "SKU0003"} <= goods.keys()
