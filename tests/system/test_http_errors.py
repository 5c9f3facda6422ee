"""nginx's own errors, the throttle, and what every answer carries: JSON everywhere, nothing of nginx's pages."""

import re
import socket
import threading

import pytest
from flashsale_client import PATIENCE_S


def check_problem(answer, status, content_type="application/problem+json"):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == content_type
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"]
    return problem


def raw(sale, text):
    """What comes back for exactly these bytes."""
    with socket.create_connection(("127.0.0.1", sale.port), timeout=10) as connection:
        connection.sendall(text)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts).decode()


def test_an_unknown_path_is_404(sale):
    check_problem(sale.rest.get("/no/such/path"), 404)


def test_a_wrong_method_is_405_with_allow(sale):
    answer = sale.rest.get("/buy")
    check_problem(answer, 405)
    assert answer.headers["Allow"] == "POST"
    assert set(sale.rest.delete("/v1/goods").headers["Allow"].replace(" ", "").split(",")) >= {"GET", "POST"}


def test_a_body_that_is_too_large_is_413(sale):
    check_problem(sale.rest.request("POST", "/buy", data=b" " * 100000, headers={"Content-Type": "application/json"}), 413)


def test_two_keys_that_differ_are_400(sale):
    head = b"POST /buy HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(BUY)
    same = raw(sale, head + b"Idempotency-Key: a\r\nIdempotency-Key: a\r\n\r\n" + BUY)
    assert "No such goods" in same
    for keys in ((b"a", b"b"), (b"a", b"b", b"b"), (b"a", b"b", b"a")):
        lines = b"".join(b"Idempotency-Key: %s\r\n" % key for key in keys)
        answer = raw(sale, head + lines + b"\r\n" + BUY)
        assert " 400 " in answer.splitlines()[0] and '"field":"Idempotency-Key"' in answer


def in_chunks(body, size):
    parts = [body[at:at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


BUY = b'{"userID":"parts","goodsSKU":"NONE","goodsQuantity":1}'


@pytest.mark.parametrize("size", [len(BUY), 1500, 2500, 9000, 60000])
@pytest.mark.parametrize("headers", [0, 1700, 1900, 6000])
def test_a_body_is_read_whole_however_it_lies_in_nginxs_buffers(sale, size, headers):
    body = BUY[:1] + b" " * (size - len(BUY)) + BUY[1:]
    answer = raw(sale, b"POST /buy HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
                       b"X-Long: %s\r\nContent-Length: %d\r\n\r\n%s" % (b"x" * headers, len(body), body))
    assert "No such goods" in answer


@pytest.mark.parametrize("at", [1, 10, len(BUY) - 1])
def test_a_body_in_two_packets_is_read_whole(sale, at):
    head = b"POST /buy HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BUY)
    with socket.create_connection(("127.0.0.1", sale.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head + BUY[:at])
        sale.rest.get("/sku/SKU0001")  # nginx has come round: the first part is read
        connection.sendall(BUY[at:])
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    assert b"No such goods" in b"".join(parts)


@pytest.mark.parametrize("size", [1, 3, 100, 8000])
@pytest.mark.parametrize("length", [len(BUY), 1000, 20000, 60000])
def test_a_body_in_chunks_is_read_whole(sale, length, size):
    body = BUY[:1] + b" " * (length - len(BUY)) + BUY[1:]
    answer = raw(sale, b"POST /buy HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n"
                       b"Transfer-Encoding: chunked\r\n\r\n" + in_chunks(body, size))
    assert "No such goods" in answer


def test_a_path_that_is_too_long_is_414(sale):
    check_problem(sale.rest.get("/sku/" + "x" * 10000), 414)


def test_another_content_type_is_415(sale):
    check_problem(sale.rest.request("POST", "/buy", data="a=b", headers={"Content-Type": "application/x-www-form-urlencoded"}), 415)


def test_headers_that_are_too_large_are_refused_in_json(sale):
    answer = sale.rest.get("/all", headers={"X-Large": "x" * 20000})
    assert answer.reason == "Request Header Fields Too Large"
    check_problem(answer, 431)


def test_a_body_that_trickles_in_ends(installations):
    """Each byte comes well before nginx's own timeout of 10 s, which begins anew with it."""
    sale = installations("--no-demo", "--set", "gatekeeper.body-timeout=500ms")
    sale.up()
    with socket.create_connection(("127.0.0.1", sale.port), timeout=PATIENCE_S) as connection:
        connection.sendall(b"POST /buy HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{")
        ended = threading.Event()
        trickle = threading.Thread(target=send_now_and_then, args=(connection, ended))
        trickle.start()
        assert is_ended_by_the_other_side(connection)
        ended.set()
        trickle.join()
    assert sale.rest.get("/all").status_code == 200


def send_now_and_then(connection, ended):
    while not ended.wait(0.1):
        try:
            connection.sendall(b" ")
        except OSError:
            return


def is_ended_by_the_other_side(connection):
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_what_is_not_http_is_400_in_json(sale):
    answer = raw(sale, b"GET /all HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
    assert answer.startswith("HTTP/1.1 400 ")
    assert '"status":400' in answer


def test_bad_percent_encoding_is_400(sale):
    assert " 400 " in raw(sale, b"GET /sku/%zz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").splitlines()[0]


def test_every_answer_carries_a_trace(sale):
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", sale.rest.get("/sku/SKU0001").headers["traceparent"])


def test_a_trace_is_taken_over(sale):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = sale.rest.get("/sku/SKU0001", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    assert answer.headers["traceparent"].split("-")[1] == trace


def test_nothing_tells_the_servers_version(sale):
    assert not re.search(r"\d", sale.rest.get("/all").headers.get("Server", ""))


def test_openapi_names_every_route(sale):
    document = sale.rest.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert {"/buy", "/v1/buy", "/add", "/all", "/policy/add", "/v1/bans"} <= set(document["paths"])


@pytest.mark.parametrize("path", ["/buy", "/add", "/cart/add"])
def test_a_throttled_request_says_so(installations, path):
    installation = installations("--set", "gatekeeper.throttle-rate=1", "--set", "gatekeeper.throttle-burst=3", "--no-demo")
    installation.up()
    answers = [installation.rest.post(path, {"userID": "u", "goodsSKU": "A", "goodsQuantity": 1}) for _ in range(12)]
    throttled = [answer for answer in answers if answer.status_code == 429]
    assert throttled
    for answer in throttled:
        assert answer.json()["isThrottled"] is True
        assert int(answer.headers["Retry-After"]) >= 1
    if path == "/buy":
        assert throttled[0].json()["repResult"] is False and throttled[0].json()["reponseMsg"]
