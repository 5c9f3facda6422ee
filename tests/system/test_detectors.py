"""Bots are banned by themselves: from what the gatekeepers report, at the edge, explained, for a time, also over crashes."""

import os
import subprocess
import time

import requests
from flashsale_client import PATIENCE_S, PRESET, PROJECT, free_port, wait_until


def reason_of(sale, user, ip="127.0.0.1"):
    """The reason of a refusal, or "" of a yes."""
    body = {"userID": user, "userLevel": 5, "goodsSKU": "SKU0001", "goodsQuantity": 1, "clientIP": ip}
    return sale.rest.post("/v1/buy", body).json().get("reason", "")


def hammer(sale, user, ip="127.0.0.1"):
    """Buys as fast as one connection can until it is banned; how many requests that took."""
    end = time.monotonic() + 2 * PATIENCE_S
    for count in range(1, 1_000_000):
        if reason_of(sale, user, ip) == "BANNED":
            return count
        assert time.monotonic() < end, f"{user} is not banned after {count} requests"


def ban_of(sale, user):
    token = ""
    while True:
        page = sale.rest.get(f"/v1/bans?pageSize=1000&pageToken={token}").json()
        for ban in page["bans"]:
            if ban.get("userID") == user and ban["effect"] == "BAN_EFFECT_DENY":
                return ban
        token = page["nextPageToken"]
        if not token:
            return None


def test_a_bot_is_banned_and_its_ban_explains_itself(own_sale, fresh):
    sale, bot, person = own_sale, fresh("bot"), fresh("person")
    assert sale.rest.put("/v1/detectors/refusals", {"enabled": False}).status_code == 200  # one at a time
    for _ in range(60):  # in about a second: that is fine
        assert reason_of(sale, person) != "BANNED"
    assert hammer(sale, bot) > 100
    ban = ban_of(sale, bot)
    assert ban["source"] == "BAN_SOURCE_DETECTOR" and ban["detection"]["detector"] == "account-rate"
    assert ban["detection"]["value"] >= ban["detection"]["threshold"] == 150
    assert "account-rate" in ban["evidence"] and ban["expireTime"] > ban["createTime"]
    assert sale.rest.get(f"/v1/bans/{ban['banId']}").json() == ban
    assert sale.rest.get(f"/badguy/userid/{bot}").json()["isBadGuy"] is True
    assert reason_of(sale, person) != "BANNED"

    busy = fresh("busy")

    def is_seen():
        for _ in range(5):
            reason_of(sale, busy)
        top = sale.rest.get("/v1/clients/top?count=2").json()["accounts"]
        return top and top[0]["userID"] == busy and top[0]["requests"] >= 5 and top[0]["distinct"] == 1

    wait_until(is_seen)
    assert sale.rest.get("/v1/clients/top?count=1001").status_code == 400

    # It bites with the protector down, and is there again after kill -9.
    sale.kill("protector")
    assert reason_of(sale, bot) == "BANNED"
    wait_until(lambda: sale.rest.get(f"/v1/bans/{ban['banId']}").json() == ban)
    assert reason_of(sale, bot) == "BANNED"

    # Who was lifted is left alone by that detector.
    assert sale.rest.delete(f"/v1/bans/{ban['banId']}").status_code == 200
    wait_until(lambda: reason_of(sale, bot) != "BANNED", 5)
    for _ in range(300):
        assert reason_of(sale, bot) != "BANNED"
    assert ban_of(sale, bot) is None


def test_settings_change_at_run_time_and_stay(own_sale, fresh):
    sale = own_sale
    listed = sale.rest.get("/v1/detectors").json()
    rate = next(one for one in listed["detectors"] if one["detector"] == "account-rate")
    assert (rate["enabled"], rate["shadow"], rate["window"], rate["ban"]) == (True, False, "5s", 150)
    assert sale.rest.get("/v1/detectors/account-rate").json() == rate
    assert sale.rest.get("/v1/detectors/nothing").status_code == 404
    wrong = sale.rest.put("/v1/detectors/account-rate", {"slow": 500})
    assert wrong.status_code == 400 and "ascend" in wrong.json()["detail"]
    assert sale.rest.put("/v1/detectors/account-rate", {"window": "0.5s"}).status_code == 400
    assert sale.rest.get("/v1/detectors/account-rate").json() == rate

    # A short ban ends on time, and by itself.
    assert sale.rest.put("/v1/ladder", {"ban": "3s", "slow": "1s", "challenge": "1s"}).json()["ban"] == "3s"
    assert sale.rest.put("/v1/detectors/refusals", {"enabled": False}).json()["enabled"] is False
    changed = sale.rest.put("/v1/detectors/account-rate", {"slow": 0, "challenge": 0, "ban": 40, "window": "2s"}).json()
    assert (changed["ban"], changed["window"], changed["slow"]) == (40, "2s", 0)
    bot = fresh("bot")
    hammer(sale, bot)
    ban = ban_of(sale, bot)
    assert ban["detection"]["threshold"] == 40
    wait_until(lambda: reason_of(sale, bot) != "BANNED", 10)
    assert sale.rest.get(f"/v1/bans/{ban['banId']}").status_code == 404

    # In shadow it is recorded and refuses nobody; and all of it stays over a crash.
    assert sale.rest.put("/v1/detectors/account-rate", {"shadow": True}).json()["shadow"] is True
    sale.kill("protector")
    wait_until(lambda: sale.rest.get("/v1/detectors/account-rate").json() == {**changed, "shadow": True})
    assert sale.rest.get("/v1/detectors").json()["ladder"]["ban"] == "3s"
    bot = fresh("bot")

    def is_recorded():
        assert reason_of(sale, bot) != "BANNED"
        return any(one.get("userID") == bot and one["effect"] == "BAN_EFFECT_SHADOW"
                   for one in sale.rest.get("/v1/bans?pageSize=1000").json()["bans"])

    wait_until(lambda: [is_recorded() for _ in range(20)][-1])


def is_up(port):
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=10).status_code == 200
    except requests.ConnectionError:
        return False


def counted(port, line):
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    return next(int(one.split()[-1]) for one in text.splitlines() if one.startswith(line))


def test_two_protectors_share_the_traffic(own_sale, fresh, tmp_path):
    sale, port, store = own_sale, free_port(), tmp_path / "store"
    program, services = PROJECT / "build" / PRESET / "bin" / "flashsale-protector", sale.home / "etc" / "services.list"
    subprocess.run([program, "init", "--store", store], check=True, timeout=60)
    with open(tmp_path / "second.log", "w", encoding="utf-8") as log:
        second = subprocess.Popen([program, "--store", store, "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{port + 10}",
                                   "--discovery-file", services], stdout=log, stderr=log)
    try:
        wait_until(lambda: is_up(port + 10))
        fresh_list = services.with_suffix(".new")
        fresh_list.write_text(services.read_text() + f"protector 127.0.0.1:{port} admin=127.0.0.1:{port + 10}\n")
        os.replace(fresh_list, services)
        admins = (sale.port + 11, port + 10)
        analysed, made = 'flashsale_protector_traffic_events_total{outcome="analysed"}', 'flashsale_protector_decisions_total{outcome="made"}'

        def both_hear():
            reason_of(sale, fresh("person"), f"203.0.113.{time.monotonic_ns() % 250}")
            return all(counted(admin, analysed) > 0 for admin in admins)

        wait_until(both_hear)
        # Whichever of them counts an account: it is banned at the edge; and before long each has banned somebody.
        for bots in range(1, 40):
            assert hammer(sale, fresh("bot"), f"203.0.113.{bots}") < 2000
            if bots >= 4 and all(counted(admin, made) > 0 for admin in admins):
                break
        assert all(counted(admin, made) > 0 for admin in admins)
    finally:
        second.terminate()
        assert second.wait(timeout=30) == 0
    assert "Sanitizer" not in (tmp_path / "second.log").read_text()
