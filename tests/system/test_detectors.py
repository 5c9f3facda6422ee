"""Bots are banned by themselves: from what the gatekeepers report, at the edge, explained, for a time, also over crashes.

One installation. Windows are long, so that a bot on a slow machine is one too. Addresses are erased a moment after a ban's end.
"""

import itertools
import os
import time
from datetime import datetime

import pytest
import requests
from by_hand import Service
from conftest import run_installation
from crowd import crowd
from flashsale_client import PATIENCE_S, grpcurl, wait_until
from tools import tool

ANALYSED = 'flashsale_protector_traffic_events_total{outcome="analysed"}'
RATE = "/v1/detectors/account-rate"
SETTINGS = ("enabled", "shadow", "window", "slow", "challenge", "ban")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    home = tmp_path_factory.mktemp("guarded")
    flags = (f"protector.record={home}.traffic", "protector.address-retention=1s", "gatekeeper.access-log=off")
    for one in run_installation(home, *(word for flag in flags for word in ("--set", flag))):
        one.recording = f"{home}.traffic"
        yield one


@pytest.fixture
def sale(guarded):
    """With no detector in the way of account-rate, and all as it was afterwards."""
    before = guarded.rest.get("/v1/detectors").json()
    assert guarded.rest.put("/v1/detectors/refusals", {"enabled": False}).status_code == 200
    yield guarded
    for detector in before["detectors"]:
        guarded.rest.put(f"/v1/detectors/{detector['detector']}", {name: detector[name] for name in SETTINGS})
    guarded.rest.put("/v1/ladder", before["ladder"])
    assert guarded.rest.get("/v1/detectors").json() == before


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


def is_back(sale):
    """The protector, and the gatekeeper's connection to it."""
    return sale.is_healthy("protector") and sale.rest.get("/v1/detectors").status_code == 200


def decisions_about(sale, query):
    """What was decided, but for what is in shadow; the oldest first. By `userID=...`, with `&ended=true` what is over."""
    return [ban for ban in sale.rest.get(f"/v1/bans?{query}").json()["bans"] if ban["effect"] != "BAN_EFFECT_SHADOW"]


def bans_of(sale, query):
    return [ban for ban in decisions_about(sale, query) if ban["effect"] == "BAN_EFFECT_DENY"]


def ban_of(sale, user):
    """The one in force."""
    return next(iter(bans_of(sale, f"userID={user}")), None)


def all_bans_of(sale, user):
    """Also those that are over; each lasts twice as long as the one before it."""
    bans = {ban["banId"]: ban for ban in bans_of(sale, f"userID={user}") + bans_of(sale, f"userID={user}&ended=true")}
    bans = [bans[ban_id] for ban_id in sorted(bans)]
    assert [(ban["detection"]["repetition"], length_s(ban)) for ban in bans] == [(n, 3 * 2 ** n) for n in range(len(bans))]
    return bans


def length_s(ban):
    made, ends = (datetime.fromisoformat(ban[name].replace("Z", "+00:00")) for name in ("createTime", "expireTime"))
    return (ends - made).total_seconds()


def without_end(ban):
    return {name: value for name, value in ban.items() if name not in ("state", "endTime")}


def test_a_burst_is_fine_and_hundreds_a_second_are_not(guarded, fresh):
    sale, sku, person, bot = guarded, fresh("CROWD"), fresh("person"), fresh("bot")
    assert sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 100, "goodsPrice": 1}).status_code == 200
    assert sale.rest.post("/policy/add", {"goodsSKU": sku, "userLevel": -1, "quantityLimit": 5}).status_code == 200
    before = counted(sale.port + 11, ANALYSED)
    answers = crowd(sale, sku, [(person, 1, None)] * 150)
    assert {answer.reason for answer in answers} <= {"", "LIMIT_REACHED", "IN_PROGRESS"}
    wait_until(lambda: counted(sale.port + 11, ANALYSED) >= before + 150)
    assert decisions_about(sale, f"userID={person}") == []
    crowd(sale, sku, [(bot, 1, None)] * 300)
    wait_until(lambda: reason_of(sale, bot) == "BANNED")
    assert ban_of(sale, bot)["detection"]["detector"] == "account-rate"
    assert decisions_about(sale, f"userID={person}") == []

    # Recorded, and played again: the same decision, with the same words.
    replayed = tool("protector", "replay", sale.recording)
    assert replayed.returncode == 0, replayed.stderr
    (line,) = [line for line in replayed.stdout.splitlines() if f"account {bot} " in line and " ban " in line]
    assert ban_of(sale, bot)["evidence"].partition(";")[0] in line
    assert f"account {person} " not in replayed.stdout
    assert tool("protector", "replay").returncode == 2


def test_a_bot_is_banned_and_its_ban_explains_itself(sale, fresh):
    bot, person = fresh("bot"), fresh("person")
    assert sale.rest.put(RATE, {"window": "60s"}).status_code == 200
    for _ in range(60):  # that is fine
        assert reason_of(sale, person) not in ("BANNED", "SLOWED")
    assert hammer(sale, bot) >= 250
    ban = ban_of(sale, bot)
    assert ban["source"] == "BAN_SOURCE_DETECTOR" and ban["detection"]["detector"] == "account-rate"
    assert ban["detection"]["value"] >= ban["detection"]["threshold"] == 250
    assert "account-rate" in ban["evidence"] and ban["expireTime"] > ban["createTime"]
    assert sale.rest.get(f"/v1/bans/{ban['banId']}").json() == ban
    assert sale.rest.get(f"/badguy/userid/{bot}").json()["isBadGuy"] is True
    assert reason_of(sale, person) != "BANNED"

    busy = fresh("busy")
    for _ in range(5):
        reason_of(sale, busy)

    def is_seen():
        top = sale.rest.get("/v1/clients/top").json()["accounts"]
        assert top == sorted(top, key=lambda one: -one["requests"])
        seen = {one["userID"]: (one["requests"], one["distinct"]) for one in top}
        return seen[person] == (61, 1) and seen.get(busy) == (5, 1)

    wait_until(is_seen)
    assert sale.rest.get("/v1/clients/top?count=1001").status_code == 400

    # It bites with the protector down, and is there again after kill -9.
    sale.kill("protector")
    assert reason_of(sale, bot) == "BANNED"
    wait_until(lambda: is_back(sale))
    assert sale.rest.get(f"/v1/bans/{ban['banId']}").json() == ban
    assert reason_of(sale, bot) == "BANNED"

    # Who was lifted is left alone by that detector.
    assert sale.rest.delete(f"/v1/bans/{ban['banId']}").status_code == 200
    wait_until(lambda: reason_of(sale, bot) != "BANNED")
    for _ in range(300):
        assert reason_of(sale, bot) != "BANNED"
    assert ban_of(sale, bot) is None

    # What became of it is known, and what it was.
    lifted = sale.rest.get(f"/v1/bans/{ban['banId']}").json()
    assert lifted["state"] == "BAN_STATE_LIFTED" and ban["createTime"] < lifted["endTime"] < ban["expireTime"]
    assert without_end(lifted) == without_end(ban) and ban["state"] == "BAN_STATE_IN_FORCE" and "endTime" not in ban
    assert bans_of(sale, f"userID={bot}&ended=true") == [lifted]
    assert sale.rest.delete(f"/v1/bans/{ban['banId']}").status_code == 404


def test_settings_change_at_run_time_and_stay(sale, fresh):
    listed = sale.rest.get("/v1/detectors").json()
    rate = next(one for one in listed["detectors"] if one["detector"] == "account-rate")
    assert (rate["enabled"], rate["shadow"], rate["window"], rate["ban"]) == (True, False, "10s", 250)
    assert sale.rest.get(RATE).json() == rate
    assert sale.rest.get("/v1/detectors/nothing").status_code == 404
    wrong = sale.rest.put(RATE, {"slow": 500})
    assert wrong.status_code == 400 and "ascend" in wrong.json()["detail"]
    for name, value in ("window", "0.5s"), ("ban", 100001), ("least", 1):
        wrong = sale.rest.put(RATE, {name: value})
        assert (wrong.status_code, wrong.json()["field"]) == (400, name)
    assert sale.rest.get(RATE).json() == rate

    # A short ban ends on time, and by itself.
    assert sale.rest.put("/v1/ladder", {"banLongest": "1s"}).json()["field"] == "banLongest"
    ladder = sale.rest.put("/v1/ladder", {"ban": "3s", "slow": "1s", "challenge": "1s"}).json()
    assert ladder["ban"] == "3s" and ladder == sale.rest.get("/v1/ladder").json()
    assert sale.rest.get("/v1/detectors/refusals").json()["enabled"] is False
    changed = sale.rest.put(RATE, {"slow": 0, "challenge": 0, "ban": 40, "window": "30s"}).json()
    assert (changed["ban"], changed["window"], changed["slow"]) == (40, "30s", 0)
    bot = fresh("bot")
    assert hammer(sale, bot) > 40
    ban = all_bans_of(sale, bot)[-1]
    assert ban["detection"]["threshold"] == 40
    wait_until(lambda: reason_of(sale, bot) != "BANNED")
    ended = sale.rest.get(f"/v1/bans/{ban['banId']}").json()
    assert (ended["state"], ended["endTime"]) == ("BAN_STATE_EXPIRED", ban["expireTime"])
    assert without_end(ended) == without_end(ban)

    # In shadow it is recorded and refuses nobody; and all of it stays over a crash.
    assert sale.rest.put(RATE, {"shadow": True}).json()["shadow"] is True
    sale.kill("protector")
    wait_until(lambda: is_back(sale))
    assert sale.rest.get(RATE).json() == {**changed, "shadow": True}
    assert sale.rest.get("/v1/detectors").json()["ladder"]["ban"] == "3s"
    assert sale.rest.get(f"/v1/bans/{ban['banId']}").json() == ended

    # That it was banned before is known too: now for twice as long.
    assert sale.rest.put(RATE, {"shadow": False}).status_code == 200
    hammer(sale, bot)
    assert all_bans_of(sale, bot)[-1]["banId"] > ban["banId"]
    assert sale.rest.put(RATE, {"shadow": True}).status_code == 200
    bot = fresh("bot")

    def is_recorded():
        assert reason_of(sale, bot) != "BANNED"
        return any(one.get("userID") == bot and one["effect"] == "BAN_EFFECT_SHADOW"
                   for one in sale.rest.get("/v1/bans?pageSize=1000").json()["bans"])

    wait_until(lambda: [is_recorded() for _ in range(20)][-1])


def test_addresses_go_and_what_was_said_of_them_stays(sale):
    address = "198.51.100.77"
    made = sale.rest.post("/v1/bans", {"address": address, "reason": f"seen at {address}"}).json()
    other = sale.rest.post("/v1/bans", {"address": address, "reason": "again"}).json()
    assert sale.rest.delete(f"/v1/bans/{other['banId']}").json()["state"] == "BAN_STATE_LIFTED"
    get = lambda: sale.rest.get(f"/v1/bans/{made['banId']}").json()
    assert (get()["state"], get()["replacedBy"]) == ("BAN_STATE_REPLACED", other["banId"])
    wait_until(lambda: "address" not in get())
    erased = get()
    assert erased["reason"] == "seen at [address]" and len(erased["addressHash"]) == 32
    assert erased["state"] == "BAN_STATE_REPLACED" and erased["createTime"] == made["createTime"]
    # Who has the address finds them, in pages too; nobody finds the address.
    found = sale.rest.get(f"/v1/bans?address={address}&ended=true&pageSize=1").json()
    rest = sale.rest.get(f"/v1/bans?address={address}&ended=true&pageToken={found['nextPageToken']}").json()
    assert [ban["banId"] for ban in found["bans"] + rest["bans"]] == [made["banId"], other["banId"]] and rest["nextPageToken"] == ""
    assert bans_of(sale, f"address={address}") == [] == bans_of(sale, "address=198.51.100.78&ended=true")
    wait_until(lambda: address not in sale.rest.get("/v1/bans?ended=true&pageSize=1000").text)
    assert sale.rest.get("/v1/bans?address=nowhere").status_code == 400
    assert not (sale.home / "log" / "access.log").exists()


def counted(port, line):
    text = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
    return next(int(one.split()[-1]) for one in text.splitlines() if one.startswith(line))


def test_two_protectors_share_the_traffic(sale, fresh, tmp_path):
    services = sale.home / "etc" / "services.list"
    alone, second = services.read_text(), Service(tmp_path, "protector", "--discovery-file", services)
    admins = (sale.port + 11, second.port + 10)
    made = 'flashsale_protector_decisions_total{outcome="made"}'

    def list_services(text):
        services.with_suffix(".new").write_text(text)
        os.replace(services.with_suffix(".new"), services)

    def both_hear():
        reason_of(sale, fresh("person"), f"203.0.113.{time.monotonic_ns() % 250}")
        return all(counted(admin, ANALYSED) > heard for admin, heard in zip(admins, before))

    second.start()
    try:
        wait_until(lambda: second.health() == 200)
        assert sale.rest.put(RATE, {"window": "60s"}).status_code == 200
        widened = grpcurl("-d", '{"detector":"account-rate","window":"60s"}', second.address, "flashsale.protector.v1.ProtectorService/UpdateDetector")
        assert widened.returncode == 0, widened.stderr
        list_services(alone + f"protector {second.address} admin=127.0.0.1:{second.port + 10}\n")
        before = [counted(admin, ANALYSED) for admin in admins]
        wait_until(both_hear)
        # Whichever of them counts an account: it is banned at the edge; and before long each has banned somebody.
        before = [counted(admin, made) for admin in admins]
        for bots in itertools.count(1):
            assert bots < 40
            hammer(sale, fresh("bot"), f"203.0.113.{bots}")
            if bots >= 4 and all(counted(admin, made) > earlier for admin, earlier in zip(admins, before)):
                break
    finally:
        list_services(alone)
        status = second.end()
    assert status == 0 and second.sanitizer_reports() == []
