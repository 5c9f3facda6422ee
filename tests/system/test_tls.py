"""Mutual TLS between the services: who may speak, who may do what, and new certificates while all goes on."""

import shutil
import signal
import socket
import ssl
import sys
import threading
from contextlib import contextmanager

import grpc
import pytest
from by_hand import Gatekeeper, Service
from conftest import run_installation
from crowd import Load, check_books, crowd
from flashsale_client import PROJECT, Grpc, grpcurl, wait_until
from tools import tool

sys.path.insert(0, str(PROJECT / "scripts"))
from installation import certificates  # noqa: E402

SERVICES = ("inventory", "cart", "policy", "protector", "gatekeeper")
# Every attempt under load is a yes, also on a slow machine: a broken connection would be another answer than yes, a slow one is none.
PATIENT = "--set=gatekeeper.deadline=12s"


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """An installation with --tls that these tests share."""
    yield from run_installation(tmp_path_factory.mktemp("secure"), "--tls", PATIENT)


@contextmanager
def speaking_as(sale, name):
    speaker = Grpc(sale, name)
    try:
        yield speaker
    finally:
        speaker.close()


def expect(code, call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() == code, caught.value
    return caught.value.details()


def test_a_buy_from_end_to_end(secure, fresh):
    user, sku = fresh("user"), fresh("SKU")
    assert secure.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 3, "goodsPrice": 5}).status_code == 200
    assert wait_until(lambda: secure.rest.buy(user, sku).json()["repResult"], what="the goods are known everywhere")
    order = secure.rest.post(f"/v1/carts/{user}/checkout", {}).json()
    assert order, "a checkout goes from the gatekeeper over the cart to inventory"
    row = check_books(secure, sku)
    assert (row.stock, row.available, row.held) == (3, 2, 1)
    assert secure.is_healthy()
    assert "flashsale_tls_certificate_expires_timestamp_seconds" in secure.admin("inventory", "/metrics").text


def test_keys_are_for_their_owner_only(secure):
    assert {path.stat().st_mode & 0o777 for path in secure.tls.glob("*.key")} == {0o600}
    assert len(list(secure.tls.glob("*.key"))) == len(SERVICES) + 2  # the operator's, the authority's


def test_grpcurl(secure):
    security = ("-cacert", secure.tls / "ca.crt", "-cert", secure.tls / "operator.crt", "-key", secure.tls / "operator.key")
    result = grpcurl(secure.address("inventory"), "list", security=security)
    assert "flashsale.inventory.v1.InventoryService" in result.stdout.split(), result.stderr
    result = grpcurl("-d", '{"sku":"SKU0001"}', secure.address("inventory"), "flashsale.inventory.v1.InventoryService/GetGoods",
                     security=security)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name, service, method, fields, may", [
    ("gatekeeper", "inventory", "GetGoods", {"sku": "SKU0001"}, True),
    ("gatekeeper", "cart", "GetCart", {"user_id": "nobody"}, True),
    ("gatekeeper", "inventory", "ConfirmHold", {}, False),
    ("gatekeeper", "inventory", "CreateHold", {}, False),
    ("gatekeeper", "inventory", "FenceCart", {}, False),
    ("cart", "inventory", "ConfirmHold", {}, True),
    ("cart", "inventory", "FenceCart", {}, True),
    ("cart", "inventory", "CloseGoods", {"sku": "SKU0001"}, False),
    ("cart", "policy", "ListPolicies", {}, False),
    ("policy", "inventory", "GetGoods", {"sku": "SKU0001"}, False),
    ("protector", "cart", "GetCart", {"user_id": "nobody"}, False),
    ("operator", "inventory", "ConfirmHold", {}, True),
    ("operator", "policy", "ListPolicies", {}, True),
])
def test_who_may_do_what(secure, name, service, method, fields, may):
    with speaking_as(secure, name) as speaker:
        try:
            speaker.call(service, method, **fields)
            code, details = grpc.StatusCode.OK, ""
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
        assert (code != grpc.StatusCode.PERMISSION_DENIED) == may, details
        if not may:
            assert details.startswith(f"the client's certificate is that of {name}; this method is for ")


def test_health_is_open_to_every_certificate(secure):
    with speaking_as(secure, "protector") as speaker:
        for service in ("inventory", "cart", "policy"):
            assert speaker.call(service, "Check", of="grpc.health.v1.Health").status == 1


@pytest.mark.parametrize("stranger, why", [
    ("of another authority", "unable to get local issuer certificate"),
    ("expired", "certificate has expired"),
    ("without a certificate", "the client has no certificate"),
    ("in plain text", "one side speaks TLS and the other does not"),
])
def test_strangers_are_refused(secure, tmp_path, stranger, why):
    shutil.copytree(secure.tls, tmp_path / "tls")
    folder = tmp_path / "tls"
    if stranger == "of another authority":
        certificates.make_authority(folder, "other")
        certificates.make(folder, "operator", authority="other")
    elif stranger == "expired":
        certificates.make(folder, "operator", days=-1)
    ca, key, certificate = ((folder / name).read_bytes() for name in ("ca.crt", "operator.key", "operator.crt"))

    def channel():
        address, options = secure.address("inventory"), [("grpc.enable_http_proxy", 0)]
        if stranger == "in plain text":
            return grpc.insecure_channel(address, options)
        if stranger == "without a certificate":
            return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca), options)
        return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, certificate), options)

    def is_told():
        with channel() as one:
            call = one.unary_unary("/flashsale.inventory.v1.InventoryService/ListGoods")
            assert expect(grpc.StatusCode.UNAVAILABLE, lambda: call(b"", timeout=30))
        return why in secure.log("inventory")

    wait_until(is_told, what=f"the log says: {why}")
    assert secure.is_healthy()


class Renewal:
    """New certificates for everybody, time and again, until stop()."""

    def __init__(self, sale):
        self.sale, self.ended, self.rounds = sale, threading.Event(), 0
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.ended.wait(0.3):
            for name in SERVICES:
                certificates.make(self.sale.tls, name)
            self.rounds += 1

    def stop(self):
        self.ended.set()
        self.thread.join()


def read_again(sale, service):
    return sale.log(service).count("the certificates were read again")


def test_certificates_are_renewed_under_load(secure, fresh):
    sku = fresh("SKU")
    secure.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 1000000, "goodsPrice": 5})
    wait_until(lambda: crowd(secure, sku, [(fresh("user"), 1, None)], 1)[0].outcome == "yes", what="the goods are on sale")
    before = {service: read_again(secure, service) for service in SERVICES}
    load = Load(secure, sku, fresh("renewal"))
    renewal = Renewal(secure)
    try:
        wait_until(lambda: renewal.rounds >= 5 and all(read_again(secure, name) > before[name] + 2 for name in SERVICES), 120, "renewals")
    finally:
        renewal.stop()
        answers = load.stop()
    assert len(answers) > 100
    assert [(answer.status, answer.body) for answer in answers if answer.outcome != "yes"] == []
    check_books(secure, sku)


def test_another_authority_under_load(own_secure, fresh):
    """Both are believed for a while: first every process knows the new one, then everybody has its certificates, then the old one goes."""
    sale, sku, folder = own_secure, fresh("SKU"), own_secure.tls
    sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 1000000, "goodsPrice": 5})
    wait_until(lambda: crowd(sale, sku, [(fresh("user"), 1, None)], 1)[0].outcome == "yes", what="the goods are on sale")
    load = Load(sale, sku, fresh("authority"))

    def all_read(change):
        before = {service: read_again(sale, service) for service in SERVICES}
        change()
        # who only answers looks when somebody connects, which the others do for themselves
        wait_until(lambda: all(read_again(sale, service) > before[service] for service in SERVICES), what="everybody has read it")

    def write_authorities(*names):
        (folder / "ca.crt.new").write_text("".join((folder / f"{name}.crt").read_text() for name in names))
        certificates.replace(folder, "ca.crt")

    def sign_all():
        for name in (*SERVICES, "operator"):
            certificates.make(folder, name, authority="next")

    try:
        shutil.copy(folder / "ca.crt", folder / "old.crt")
        certificates.make_authority(folder, "next")
        all_read(lambda: write_authorities("old", "next"))
        all_read(sign_all)
        all_read(lambda: write_authorities("next"))
    finally:
        answers = load.stop()
    assert [(answer.status, answer.body) for answer in answers if answer.outcome != "yes"] == []
    sale.grpc.close()  # its connections are of before
    check_books(sale, sku)


@pytest.fixture
def own_secure(tmp_path):
    yield from run_installation(tmp_path / "home", "--tls", PATIENT)


def shown_certificate(port, folder):
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    context.load_cert_chain(folder / "operator.crt", folder / "operator.key")
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw, context.wrap_socket(raw, server_hostname="localhost") as connection:
        return connection.getpeercert(binary_form=True)


def test_sighup_reads_certificates(secure, tmp_path):
    """Of a service that nobody speaks to: it knows of the new one before the next connection."""
    folder = tmp_path / "tls"
    shutil.copytree(secure.tls, folder)
    files = [word for name, file in (("cert", "policy.crt"), ("key", "policy.key"), ("ca", "ca.crt")) for word in (f"--tls-{name}", folder / file)]
    policy = Service(tmp_path, "policy", *files).start()
    try:
        wait_until(lambda: policy.health() == 200)
        before = shown_certificate(policy.port, folder)
        certificates.make(folder, "policy")
        told = sum(line["message"] == "the certificates were read again" for line in policy.said())
        policy.process.send_signal(signal.SIGHUP)
        wait_until(lambda: sum(line["message"] == "the certificates were read again" for line in policy.said()) == told + 1)
        after = shown_certificate(policy.port, folder)
        assert after == ssl.PEM_cert_to_DER_cert((folder / "policy.crt").read_text()) != before
        assert policy.end() == 0
    finally:
        policy.end(kill=True)
    assert policy.sanitizer_reports() == []


def test_half_of_the_settings_is_refused(secure, tmp_path):
    result = tool("inventory", "--store", tmp_path / "store", "--tls-cert", secure.tls / "inventory.crt", "--tls-key", secure.tls / "inventory.key")
    assert result.returncode == 2
    assert "--tls-key is set and --tls-ca is not: TLS needs all three of them, or none" in result.stderr


def test_a_gatekeeper_with_half_of_them_does_not_start(sale, secure, tmp_path):
    refusal = Gatekeeper(tmp_path, sale).refusal(f"flashsale_tls_cert {secure.tls / 'gatekeeper.crt'};")
    assert "TLS to the services needs flashsale_tls_cert, flashsale_tls_key and flashsale_tls_ca" in refusal


@pytest.mark.parametrize("certificate, key, why", [
    ("cart", "cart", "is not made out to inventory.flashsale.internal"),
    ("inventory", "cart", "is not the key of"),
    ("nobody", "inventory", "nobody.crt: No such file or directory"),
])
def test_a_service_with_the_wrong_files_does_not_start(secure, tmp_path, certificate, key, why):
    store = tmp_path / "store"
    assert tool("inventory", "init", "--store", store).returncode == 0
    result = tool("inventory", "--store", store, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--tls-cert", secure.tls / f"{certificate}.crt",
                  "--tls-key", secure.tls / f"{key}.key", "--tls-ca", secure.tls / "ca.crt", timeout=60)
    assert result.returncode == 1
    assert why in result.stderr
