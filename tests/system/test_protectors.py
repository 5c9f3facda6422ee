"""Several protectors are one: each has a part of the traffic and bans of its own, and whichever is asked answers for all."""

import time

import grpc
import pytest
from conftest import run_installation
from flashsale_client import PATIENCE_S, wait_until
from tools import supervise, tool

BOTH = ("protector", "protector-1")
REPEATS = 12  # whichever the gatekeeper asks: all of them the same one by chance one time in 2,048


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    home = tmp_path_factory.mktemp("two")
    for one in run_installation(home, "--protectors", "2", "--set", f"protector.record={home}.traffic"):
        one.recordings = [f"{home}.traffic", f"{home}.traffic-1"]
        yield one


def reason_of(sale, user, ip="127.0.0.1"):
    """The reason of a refusal, or "" of a yes."""
    body = {"userID": user, "userLevel": 5, "goodsSKU": "SKU0001", "goodsQuantity": 1, "clientIP": ip}
    return sale.rest.post("/v1/buy", body).json().get("reason", "")


def everybody_says(get, what):
    """get() is asked over REST again and again, and has to be so from some moment on, within a second or two."""
    wait_until(lambda: all(get() for _ in range(REPEATS)), what=what)


def pages(sale, path, name, size):
    """All entries of a list, page by page, each of which either protector may answer."""
    token, found = "", []
    while True:
        page = sale.rest.get(f"{path}?pageSize={size}&pageToken={token}").json()
        assert len(page[name]) <= size
        found += page[name]
        token = page["nextPageToken"]
        if not token:
            return found


def bans_of(sale, **subject):
    ((name, value),) = subject.items()
    return [ban for ban in pages(sale, "/v1/bans", "bans", 7) if ban.get(name) == value and ban["effect"] != "BAN_EFFECT_EXEMPT"]


def decisions_made(sale, protector):
    text = sale.admin(protector, "/metrics").text
    line = 'flashsale_protector_decisions_total{outcome="made"}'
    return next(int(one.split()[-1]) for one in text.splitlines() if one.startswith(line))


def hammer(sale, clients):
    """Buys as each of the clients, (account, address), in turn, until one is banned."""
    end = time.monotonic() + 2 * PATIENCE_S
    while True:
        for user, ip in clients:
            if reason_of(sale, user, ip) == "BANNED":
                return user, ip
        assert time.monotonic() < end, f"nobody of {clients[:3]} ... is banned"


def detect_one_kind(sale, name):
    """Only this detector is on, at every protector; with a window in which a bot on a slow machine is one too."""
    assert sale.rest.put(f"/v1/detectors/{name}", {"window": "60s"}).status_code == 200
    for one in sale.rest.get("/v1/detectors").json()["detectors"]:
        on = one["detector"] == name
        if one["enabled"] != on:
            assert sale.rest.put(f"/v1/detectors/{one['detector']}", {"enabled": on}).status_code == 200

    def is_so():
        listed = sale.rest.get("/v1/detectors").json()["detectors"]
        return [(one["detector"], one["window"]) for one in listed if one["enabled"]] == [(name, "60s")]

    everybody_says(is_so, f"{name} alone is on")


def test_status_shows_them(two):
    assert {"protector", "protector-1"} <= set(two.status()) and two.is_healthy()
    wait_until(lambda: all("\nflashsale_protector_peers 1\n" in two.admin(name, "/metrics").text for name in BOTH), what="they hear each other")
    # The allow list of the setting is in both, and stands in lists once.
    everybody_says(lambda: [one["address"] for one in pages(two, "/v1/allowlist", "allowances", 1)] == ["127.0.0.0/8", "::1"], "two entries")


@pytest.mark.parametrize("made_by", BOTH)
def test_a_ban_of_one_is_read_and_lifted_through_any(two, fresh, made_by):
    user, ip = fresh("bad"), "198.51.100.7" if made_by == "protector" else "198.51.100.8"
    ban = two.grpc.call(made_by, "CreateBan", user_id=user, reason="a test").ban
    two.grpc.call(made_by, "AddBadAddress", client_ip=ip)
    assert all(two.rest.get(f"/v1/bans/{ban.ban_id}").json()["reason"] == "a test" for _ in range(REPEATS))  # at once
    everybody_says(lambda: len(bans_of(two, userID=user)) == 1, "listed once")
    everybody_says(lambda: two.rest.get(f"/badguy/userid/{user}").json()["isBadGuy"], "a bad account")
    everybody_says(lambda: sum(one["clientIP"] == ip for one in two.rest.get("/badip/all").json()) == 1, "one bad address")
    for protector in BOTH:
        assert not two.grpc.call(protector, "ValidateClient", user_id=user, client_ip="192.0.2.1").is_allowed
        (outcome,) = two.grpc.call(protector, "BatchValidateClients", items=[{"client_ip": ip}]).items
        assert outcome.WhichOneof("outcome") == "ban"
    assert reason_of(two, user) == "BANNED" and reason_of(two, fresh("user"), ip) == "BANNED"

    other = BOTH[made_by == "protector"]
    lifted = two.grpc.call(other, "DeleteBan", ban_id=ban.ban_id).ban
    assert lifted.ban_id == ban.ban_id
    assert 0 <= lifted.end_time.ToMilliseconds() - ban.create_time.ToMilliseconds() < 600_000  # its own protector said when
    assert two.grpc.call(other, "ValidateClient", user_id=user, client_ip="192.0.2.1").is_allowed  # its answer counts for the next call
    assert not two.grpc.call(other, "RemoveBadAddress", client_ip=ip).address.is_bad
    everybody_says(lambda: not bans_of(two, userID=user) and not two.rest.get(f"/badip/clientip/{ip}").json()["isBadIP"], "lifted")
    wait_until(lambda: not reason_of(two, user, ip), what="the edge has heard of it")
    with pytest.raises(grpc.RpcError) as refusal:
        two.grpc.call(other, "DeleteBan", ban_id=ban.ban_id)
    assert refusal.value.code() == grpc.StatusCode.NOT_FOUND
    # What is over is kept by one, and explained by any.
    assert all(two.rest.get(f"/v1/bans/{ban.ban_id}").json()["reason"] == "a test" for _ in range(REPEATS))
    over = lambda: two.rest.get(f"/v1/bans?ended=true&userID={user}").json()
    assert all([one["banId"] for one in over()["bans"]] == [ban.ban_id] and over()["missing"] == [] for _ in range(REPEATS))
    assert two.rest.get("/v1/bans/01890a5d-ac96-774b-bcce-b302099a8057").status_code == 404


def test_a_ban_is_lifted_at_once_through_the_other(two, fresh):
    """Who is asked has not heard of it yet, or just so; either way it is there, and then it is not."""
    for number in range(20):
        made_by, other = BOTH[number % 2], BOTH[1 - number % 2]
        ban = two.grpc.call(made_by, "CreateBan", user_id=fresh("bad")).ban
        assert two.grpc.call(other, "DeleteBan", ban_id=ban.ban_id).ban.ban_id == ban.ban_id
        entry = two.grpc.call(made_by, "CreateAllowance", user_id=fresh("good")).allowance
        assert two.grpc.call(other, "GetAllowance", allowance_id=entry.allowance_id).allowance == entry
        assert two.grpc.call(other, "DeleteAllowance", allowance_id=entry.allowance_id).allowance == entry
        over_rest = two.rest.post("/v1/bans", {"userID": fresh("bad")}).json()["banId"]
        assert [two.rest.delete(f"/v1/bans/{over_rest}").status_code for _ in range(3)] == [200, 404, 404]


def test_the_newest_word_counts_at_every_protector(two, fresh):
    user = fresh("user")
    first = two.grpc.call("protector", "CreateBan", user_id=user, reason="first").ban
    wait_until(lambda: bans_of(two, userID=user))
    two.grpc.call("protector-1", "CreateAllowance", user_id=user, reason="second")
    everybody_says(lambda: [ban["reason"] for ban in bans_of(two, userID=user)] == ["second"], "one word stands")
    wait_until(lambda: not reason_of(two, user), what="the allowance counts at the edge")
    everybody_says(lambda: two.rest.get(f"/v1/bans?ended=true&userID={user}").json()["bans"][0]["banId"] == first.ban_id, "the older is over")
    (entry,) = [one for one in pages(two, "/v1/allowlist", "allowances", 1) if one.get("userID") == user]
    two.grpc.call("protector", "CreateBan", user_id=user, reason="third")
    everybody_says(lambda: [ban["reason"] for ban in bans_of(two, userID=user)] == ["third"], "one word stands")
    wait_until(lambda: reason_of(two, user) == "BANNED")
    wait_until(lambda: two.rest.delete(f"/v1/allowlist/{entry['allowanceId']}").status_code == 404, what="the allowance was replaced")
    assert two.rest.delete(f"/badguy/delete/userid/{user}").status_code == 200
    everybody_says(lambda: not bans_of(two, userID=user), "nothing comes back")


def test_settings_reach_every_protector_also_one_that_was_away(two):
    assert two.rest.put("/v1/detectors/regularity", {"window": "20s", "ban": 97}).status_code == 200
    everybody_says(lambda: two.rest.get("/v1/detectors/regularity").json()["ban"] == 97, "both have it")
    supervise(two, "stop", "protector-1")
    two.grpc.call("protector", "UpdateDetector", detector="regularity", ban=98)
    two.grpc.call("protector", "UpdateLadder", decay="1800s")
    supervise(two, "start", "protector-1")
    has = lambda name: (two.grpc.call(name, "GetDetector", detector="regularity", wait_for_ready=True).detector.ban,
                        two.grpc.call(name, "ListDetectors").ladder.decay.seconds)
    wait_until(lambda: has("protector-1") == (98, 1800), what="it hears what it has missed")
    # It stored that; and what is changed there now is newer everywhere.
    pid = two.kill("protector-1")
    wait_until(lambda: two.pid("protector-1") not in (None, pid) and two.is_healthy("protector-1"))
    two.grpc.forget("protector-1")
    supervise(two, "stop", "protector")
    assert has("protector-1") == (98, 1800)
    two.grpc.call("protector-1", "UpdateDetector", detector="regularity", ban=96)
    supervise(two, "start", "protector")
    wait_until(lambda: has("protector") == (96, 1800))
    assert has("protector-1") == (96, 1800)
    wait_until(two.is_healthy)


def test_one_is_away(two, fresh):
    """Killed: its bans bite, and the other answers for them; what is its own to lift waits for it."""
    user, own = fresh("bad"), fresh("worse")
    ban = two.grpc.call("protector-1", "CreateBan", user_id=user, reason="of the second").ban
    two.grpc.call("protector", "CreateBan", user_id=own)
    everybody_says(lambda: bans_of(two, userID=user) and bans_of(two, userID=own), "both are known")
    two.kill("protector-1")
    for _ in range(REPEATS):
        assert reason_of(two, user) == "BANNED"
        assert not two.grpc.call("protector", "ValidateClient", user_id=user, client_ip="192.0.2.1").is_allowed
        assert two.grpc.call("protector", "GetBan", ban_id=ban.ban_id).ban.reason == "of the second"
    wait_until(lambda: two.is_healthy("protector-1"))
    everybody_says(lambda: len(bans_of(two, userID=user)) == 1, "once, after its restart")

    supervise(two, "stop", "protector-1")
    wait_until(lambda: two.rest.delete(f"/v1/bans/{ban.ban_id}").status_code == 503)
    refusal = two.rest.delete(f"/badguy/delete/userid/{user}")
    assert refusal.status_code == 503 and "away" in refusal.text, refusal.text
    assert reason_of(two, user) == "BANNED" and two.rest.get(f"/badguy/userid/{user}").json()["isBadGuy"]
    top = two.rest.get("/v1/clients/top").json()
    assert len(top["missing"]) <= 1  # none when discovery has heard of its end
    assert two.rest.delete(f"/badguy/delete/userid/{own}").status_code == 200
    # A newer word of a person counts all the same, and stays when the other is back.
    assert two.rest.post("/v1/bans", {"userID": user, "effect": "BAN_EFFECT_SHADOW", "reason": "newer"}).status_code == 201
    wait_until(lambda: reason_of(two, user) != "BANNED", what="the newer word counts")
    supervise(two, "start", "protector-1")
    wait_until(two.is_healthy)
    everybody_says(lambda: [one["reason"] for one in bans_of(two, userID=user)] == ["newer"], "the older is over")
    assert reason_of(two, user) != "BANNED"


def test_bots_that_spread_over_both(two, fresh):
    """Accounts that come from many addresses, whichever counts them; and an address with many accounts."""
    detect_one_kind(two, "account-rate")
    before = {name: decisions_made(two, name) for name in BOTH}
    for number in range(1, 40):
        bot = fresh("bot")
        hammer(two, [(bot, f"203.0.113.{5 * number % 200 + last}") for last in range(5)])
        everybody_says(lambda b=bot: [one["source"] for one in bans_of(two, userID=b)] == ["BAN_SOURCE_DETECTOR"], "its ban is listed once")
        if all(decisions_made(two, name) > before[name] for name in BOTH):
            break
    assert all(decisions_made(two, name) > before[name] for name in BOTH)
    played = [tool("protector", "replay", recording) for recording in two.recordings]  # each has written what it counts itself
    assert all(replay.returncode == 0 and int(replay.stdout.split(" events over")[0].split()[-1]) > 0 for replay in played), played
    busy = [fresh("busy") for _ in range(8)]

    def all_are_seen():
        for user in busy:
            reason_of(two, user)
        top = two.rest.get("/v1/clients/top?count=1000").json()
        names = [one["userID"] for one in top["accounts"]]
        return top["missing"] == [] and len(names) == len(set(names)) and set(busy) <= set(names)

    everybody_says(all_are_seen, "the top of both")

    detect_one_kind(two, "address-mix")
    farm = [(fresh("farmer"), "203.0.113.250") for _ in range(12)]
    hammer(two, farm)
    everybody_says(lambda: [one["detection"]["detector"] for one in bans_of(two, address="203.0.113.250")] == ["address-mix"], "the address is banned")
    assert reason_of(two, fresh("late"), "203.0.113.250") == "BANNED"


def test_a_lift_at_one_holds_against_the_detectors_of_the_other(two, fresh):
    detect_one_kind(two, "account-rate")
    bot = fresh("bot")
    before = {name: decisions_made(two, name) for name in BOTH}
    hammer(two, [(bot, "203.0.113.77")])
    (counted,) = [name for name in BOTH if decisions_made(two, name) > before[name]]
    other = BOTH[counted == "protector"]
    wait_until(lambda: bans_of(two, userID=bot))
    (ban,) = bans_of(two, userID=bot)
    wait_until(lambda: two.grpc.call(other, "GetBan", ban_id=ban["banId"], own=False).ban.user_id == bot)
    assert two.grpc.call(other, "DeleteBan", ban_id=ban["banId"]).ban.user_id == bot
    wait_until(lambda: reason_of(two, bot) != "BANNED", what="it is lifted at the edge")
    exempt = lambda: [one for one in two.grpc.call(other, "ListBans", page_size=1000).bans if one.user_id == bot]
    wait_until(exempt, what="the other has heard of the lift")
    supervise(two, "stop", counted)  # now the other counts the account
    other_made = decisions_made(two, other)
    for _ in range(400):
        assert reason_of(two, bot) != "BANNED"
    hammer(two, [(fresh("bot"), "203.0.113.78")])  # which does ban others
    assert decisions_made(two, other) > other_made
    assert reason_of(two, bot) != "BANNED"
    supervise(two, "start", counted)
    wait_until(two.is_healthy)
