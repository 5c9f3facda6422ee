"""Who a client is cannot be forged outside demo mode: no header and no body evades a ban, and none puts it on somebody else.

One installation: tokens say who asks, 127.0.0.1 is a trusted proxy, the other loopback addresses are clients that come directly.
"""

import http.client
import itertools
import json

import pytest
from flashsale_client import PATIENCE_S, Installation, wait_until
from issuer import Issuer

BANNED, OTHER = "198.51.100.9", "203.0.113.5"
BANNED6, OTHER6 = "2001:db8::9", "2001:db9::5"
PROXY, BANNED_PEER, OTHER_PEER = "127.0.0.1", "127.0.0.5", "127.0.0.6"


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spoofing")
    issuer = Issuer(folder)
    sale = Installation(folder / "home", ["--no-demo", "--set", "gatekeeper.demo=off", "--set", f"gatekeeper.keys={issuer.public.parent}",
                                          "--set", f"gatekeeper.trusted-proxies={PROXY}", "--set", "protector.allow="])
    sale.up()
    boss = issuer.bearer(sub="boss", scope="operator")
    assert sale.rest.post("/add", {"goodsSKU": "KEEN", "goodsQuantity": 100000, "goodsPrice": 1}, headers=boss).status_code == 200
    assert sale.rest.post("/policy/add", {"goodsSKU": "KEEN", "userLevel": 0, "quantityLimit": 0}, headers=boss).status_code == 200
    assert sale.rest.put("/v1/detectors/address-rate", {"window": "60s"}, headers=boss).status_code == 200  # a flood is one on a slow machine too
    for address in (BANNED, BANNED6, BANNED_PEER):
        assert sale.rest.post("/v1/bans", {"address": address}, headers=boss).status_code == 201
    ask = Asker(sale, issuer)
    for address in (BANNED, BANNED6):
        wait_until(lambda: not ask.may(PROXY, [("X-Forwarded-For", address)]), PATIENCE_S, f"{address} is not banned")
    wait_until(lambda: not ask.may(BANNED_PEER), PATIENCE_S, f"{BANNED_PEER} is not banned")
    yield ask
    sale.down()
    assert sale.sanitizer_reports() == []


class Asker:
    """ask.may(peer, headers): whether a buy from there is granted; the only other answer allowed is that the client is banned."""

    def __init__(self, sale, issuer):
        # Several accounts, in turn: none of them does so much that a detector minds.
        self.boss = issuer.bearer(sub="boss", scope="operator")
        self.sale, self.tokens = sale, itertools.cycle([issuer.bearer(sub=f"ann{number}")["Authorization"] for number in range(20)])

    def banned_by_detectors(self):
        bans = self.sale.rest.get("/v1/bans?page_size=1000", headers=self.boss).json()["bans"]
        return {ban.get("address") or ban["userID"] for ban in bans if ban["source"] == "BAN_SOURCE_DETECTOR"}

    def flood(self, peer, claims, count=400):
        """That many reads, as fast as it gets answers, each with the next of the claims."""
        connection = http.client.HTTPConnection("127.0.0.1", self.sale.port, timeout=10, source_address=(peer, 0))
        for _, claim in zip(range(count), itertools.cycle(claims)):
            connection.request("GET", "/all", headers={"X-Forwarded-For": claim})
            connection.getresponse().read()
        connection.close()

    def may(self, peer, headers=(), body=None, target="/v1/buy"):
        connection = http.client.HTTPConnection("127.0.0.1", self.sale.port, timeout=10, source_address=(peer, 0))
        text = json.dumps({"goodsSKU": "KEEN", "goodsQuantity": 1} | (body or {}))
        connection.putrequest("POST", target)
        for name, value in [("Authorization", next(self.tokens)), ("Content-Type", "application/json"), ("Content-Length", str(len(text))), *headers]:
            connection.putheader(name, value.encode() if isinstance(value, str) else value)
        connection.endheaders(text.encode())
        answer = connection.getresponse()
        content = json.loads(answer.read())
        connection.close()
        assert answer.status == 200 or content["reason"] == "BANNED", content
        return answer.status == 200


# What a client may claim to be; each as headers.
CLAIMS = [
    lambda address: [("X-Forwarded-For", address)],
    lambda address: [("X-Forwarded-For", f"{address}, {address}")],
    lambda address: [("X-Forwarded-For", address), ("X-Forwarded-For", address)],
    lambda address: [("x-forwarded-for", f" {address} ,")],
    lambda address: [("X-Forwarded-For", f"{PROXY}, {address}")],
    lambda address: [("X-Real-IP", address), ("Client-IP", address), ("True-Client-IP", address), ("CF-Connecting-IP", address)],
    lambda address: [("Forwarded", f"for={address};proto=https")],
    lambda address: [("X_Forwarded_For", address)],
    lambda address: [("X-Forwarded-Host", address), ("X-Originating-IP", address), ("X-Client-IP", address), ("X-Remote-Addr", address)],
    lambda address: [("Via", f"1.1 {address}"), ("Connection", "X-Forwarded-For")],
]


@pytest.mark.parametrize("claim", CLAIMS)
def test_who_comes_directly_is_who_they_are(strict, claim):
    for claimed in (OTHER, OTHER6, OTHER_PEER, PROXY, "::1", "::ffff:127.0.0.1", "garbage"):
        assert not strict.may(BANNED_PEER, claim(claimed)), f"{BANNED_PEER} evades its ban as {claimed}"
    for claimed in (BANNED, BANNED6, BANNED_PEER, f"::ffff:{BANNED}", f"::ffff:{BANNED_PEER}"):
        assert strict.may(OTHER_PEER, claim(claimed)), f"{OTHER_PEER} is refused as {claimed}"


# What the trusted proxy sends on: what the client had written, then, by itself, the client's address.
@pytest.mark.parametrize("written", [
    "", OTHER + ", ", BANNED + ", ", f"{OTHER}, {BANNED}, ", "garbage, ", ", , ", "unknown, ", "::1, ", PROXY + "x, ", "127.0.0.1:80x, ", OTHER6 + "%eth0, ",
    "a" * 3000 + ", ", "1.2.3.4, " * 300, "'\"<>;--, ", "999.1.2.3, ", "0x7f000001, ", "2130706433, ", "fe80::1, ",
])
def test_through_a_trusted_proxy_the_last_address_counts(strict, written):
    for banned in (BANNED, BANNED6):
        assert not strict.may(PROXY, [("X-Forwarded-For", written + banned)])
    for other in (OTHER, OTHER6):
        assert strict.may(PROXY, [("X-Forwarded-For", written + other)])


def test_lines_of_the_header_are_one_list(strict):
    assert not strict.may(PROXY, [("X-Forwarded-For", OTHER), ("X-Forwarded-For", BANNED)])
    assert strict.may(PROXY, [("X-Forwarded-For", BANNED), ("X-Forwarded-For", OTHER)])
    assert strict.may(PROXY, [("X-Forwarded-For", BANNED), ("X-Forwarded-For", ""), ("X-Forwarded-For", OTHER)])


@pytest.mark.parametrize("form", [
    BANNED, f"::ffff:{BANNED}", f"::FFFF:{BANNED}", "::ffff:c633:6409", "0:0:0:0:0:ffff:c633:6409", f"{BANNED}:4711", f"[::ffff:{BANNED}]:4711",
    BANNED6, "2001:DB8::9", "2001:0db8:0000:0000:0000:0000:0000:0009", "2001:db8:0:0::9", f"[{BANNED6}]:443", "2001:db8::0.0.0.9",
])
def test_no_spelling_of_an_address_evades_its_ban(strict, form):
    assert not strict.may(PROXY, [("X-Forwarded-For", form)])
    assert not strict.may(PROXY, [("X-Forwarded-For", f"{OTHER}, {form}")])
    assert strict.may(PROXY, [("X-Forwarded-For", f"{form}, {OTHER}")])


def test_trusted_hops_are_passed_over(strict):
    assert not strict.may(PROXY, [("X-Forwarded-For", f"{OTHER}, {BANNED}, {PROXY}")])
    assert not strict.may(PROXY, [("X-Forwarded-For", f"{BANNED}, {PROXY}, ::ffff:{PROXY}")])
    assert strict.may(PROXY, [("X-Forwarded-For", f"{BANNED}, {OTHER}, {PROXY}")])


def test_an_empty_header_names_nobody(strict):
    for nothing in ("", " ", ",", " , ,"):
        assert strict.may(PROXY, [("X-Forwarded-For", nothing)])


# The proxy's own word, when it is none: the proxy's address then, nobody else's.
@pytest.mark.parametrize("word", ["garbage", "unknown", f"[{BANNED6}]", f"{BANNED}x", f"{BANNED}/24", f"{BANNED} {OTHER}", "::ffff:", f"{BANNED6}%lo", "198.51.100", "0306.063.0144.011"])
def test_what_is_no_address_names_nobody(strict, word):
    assert strict.may(PROXY, [("X-Forwarded-For", word)])
    assert strict.may(PROXY, [("X-Forwarded-For", f"{BANNED}, {word}")])


@pytest.mark.parametrize("address", [BANNED, BANNED6, OTHER, f"::ffff:{BANNED}", BANNED_PEER, "garbage", ""])
def test_an_address_in_the_body_or_the_path_is_nothing(strict, address):
    assert strict.may(OTHER_PEER, body={"clientIP": address})
    assert not strict.may(BANNED_PEER, body={"clientIP": address})
    assert not strict.may(PROXY, [("X-Forwarded-For", BANNED)], body={"clientIP": address})


def test_a_flood_is_its_senders_whatever_it_claims(strict):
    flooder, victims = "127.0.0.7", [OTHER, OTHER6, OTHER_PEER, "192.0.2.77", f"{OTHER}, {PROXY}"]

    def is_found():
        strict.flood(flooder, victims)
        return strict.banned_by_detectors()

    assert wait_until(is_found, PATIENCE_S, "no detector found the flood") == {flooder}
    assert strict.may(OTHER_PEER) and strict.may(PROXY, [("X-Forwarded-For", OTHER)])


def test_a_flood_through_a_proxy_is_its_senders(strict):
    flooder = "192.0.2.99"
    before = strict.banned_by_detectors()

    def is_found():
        strict.flood(PROXY, [f"{OTHER}, {flooder}", f"{OTHER6}, {flooder}", f"garbage, {flooder}", f"{PROXY}, {flooder}"])
        return strict.banned_by_detectors() - before

    assert wait_until(is_found, PATIENCE_S, "no detector found the flood") == {flooder}
    assert strict.may(PROXY, [("X-Forwarded-For", OTHER)]) and strict.may(PROXY, [("X-Forwarded-For", OTHER6)])
