"""Bans and the allow list as operators make them: over REST, in batches, from lists."""

import json
import subprocess

from flashsale_client import PRESET, PROJECT, free_port, grpcurl, wait_until
from tools import tool


def refused(sale, user, ip="127.0.0.1"):
    return sale.rest.buy(user, ip=ip).json()["repResult"] is False


def test_the_allow_list(sale, fresh):
    ban = sale.rest.post("/v1/bans", {"address": "198.51.100.0/25", "reason": "a test"}).json()
    wait_until(lambda: refused(sale, fresh("user"), "198.51.100.7"))
    made = sale.rest.post("/v1/allowlist", {"address": "198.51.100.4/30", "reason": "an office"})
    assert made.status_code == 201, made.text
    entry = made.json()
    assert (entry["address"], entry["reason"]) == ("198.51.100.4/30", "an office")
    assert made.headers["Location"] == f"/v1/allowlist/{entry['allowanceId']}"
    wait_until(lambda: not refused(sale, fresh("user"), "198.51.100.7"))
    assert refused(sale, fresh("user"), "198.51.100.8")
    listed = sale.rest.get("/v1/allowlist?pageSize=1000").json()["allowances"]
    assert entry in listed and any(one["reason"] == "--allow" and one["address"] == "127.0.0.0/8" for one in listed)
    assert sale.rest.get(f"/v1/allowlist/{entry['allowanceId']}").json() == entry
    assert sale.rest.get(f"/v1/allowlist/{ban['banId']}").status_code == 404
    assert sale.rest.delete(f"/v1/allowlist/{entry['allowanceId']}").json() == entry
    wait_until(lambda: refused(sale, fresh("user"), "198.51.100.7"))
    assert sale.rest.delete(f"/v1/allowlist/{entry['allowanceId']}").status_code == 404
    (standing,) = [one for one in listed if one["address"] == "127.0.0.0/8"]
    assert sale.rest.delete(f"/v1/allowlist/{standing['allowanceId']}").status_code == 403
    assert sale.rest.delete(f"/v1/bans/{ban['banId']}").status_code == 200


def test_an_allowed_account(sale, fresh):
    user = fresh("user")
    sale.rest.post("/badguy/add", {"userID": user})
    assert refused(sale, user)
    entry = sale.rest.post("/v1/allowlist", {"userID": user}).json()  # in place of the ban
    wait_until(lambda: not refused(sale, user))
    assert sale.rest.delete(f"/v1/allowlist/{entry['allowanceId']}").status_code == 200
    assert sale.rest.post("/v1/allowlist", {"address": "1.2.3"}).status_code == 400


def test_a_batch_is_a_convoy_of_strangers(sale, fresh):
    bad, worse = fresh("bad"), fresh("worse")
    items = [{"user_id": bad}, {"address": "1.2.3.4/33"}, {}, {"user_id": worse, "reason": "in a batch"}, {"user_id": "x" * 65}]
    answer = sale.grpc.call("protector", "BatchCreateBans", items=items)
    assert [item.WhichOneof("outcome") for item in answer.items] == ["ban_id", "refusal", "refusal", "ban_id", "refusal"]
    assert [answer.items[at].refusal.field for at in (1, 2, 4)] == ["address", "user_id", "user_id"]
    assert sale.rest.get(f"/v1/bans/{answer.items[3].ban_id}").json()["reason"] == "in a batch"
    assert refused(sale, bad) and refused(sale, worse)


def test_lists_go_in_and_out(sale, fresh, tmp_path):
    bad, worse, services = fresh("bad"), fresh("worse"), sale.home / "etc" / "services.list"
    flags = ("--discovery-file", services)
    (tmp_path / "list").write_text(f"# ours\nuser:{bad}\n198.18.7.0/24\n\n")
    (tmp_path / "rows").write_text(json.dumps({"userID": worse, "reason": "in a row"}) + "\n")
    (tmp_path / "wrong").write_text("198.18.8.1\n198.18.8.2.3\n")
    (tmp_path / "old").write_text(json.dumps({"address": "198.18.8.1", "expireMs": 1}) + "\n")
    assert "--discovery-file" in tool("protector", "import", "--help").stdout
    assert tool("protector", "import", tmp_path / "list", *flags).stdout == "2 bans imported\n"
    assert tool("protector", "import", tmp_path / "rows", *flags).returncode == 0
    refusal = tool("protector", "import", tmp_path / "wrong", *flags)
    assert refusal.returncode == 1 and "wrong:2: " in refusal.stderr
    assert refused(sale, bad) and refused(sale, worse) and refused(sale, fresh("user"), "198.18.7.9")
    assert tool("protector", "import", tmp_path / "old", *flags).stdout == "0 bans imported, 1 had ended\n"
    assert sale.rest.post("/v1/allowlist", {"address": "198.18.9.1"}).status_code == 201
    (tmp_path / "elsewhere").write_text("198.18.9.0\n198.18.9.1\n198.18.9.1/32\n198.18.9.2\n")
    assert tool("protector", "import", tmp_path / "elsewhere", *flags).stdout == "2 bans imported, 2 left out: they are on the allow list\n"
    assert not refused(sale, fresh("user"), "198.18.9.1")
    odd = f"{worse}\n0.0.0.0/0"  # who is called so must not ban the world where the list goes next
    sale.rest.post("/v1/bans", {"userID": odd})
    told = tool("protector", "export", *flags)
    assert told.returncode == 1 and "--json" in told.stderr
    out = told.stdout.splitlines()
    assert "0.0.0.0/0" not in out and {f"user:{bad}", f"user:{worse}", "198.18.7.0/24"} <= set(out) and "198.18.8.1" not in out
    made = tool("protector", "export", "--json", "--out", tmp_path / "out.jsonl", *flags)
    assert made.returncode == 0, made.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    (row,) = [row for row in rows if row.get("userID") == worse]
    assert (row["reason"], row["effect"], row["source"]) == ("in a row", "BAN_EFFECT_DENY", "BAN_SOURCE_OPERATOR")
    assert rows[-1]["rows"] == len(rows) - 1 and odd in [row.get("userID") for row in rows]
    assert tool("protector", "import", tmp_path / "out.jsonl", *flags).returncode == 0  # over itself


def test_gatekeepers_watch_every_protector(own_sale, fresh, tmp_path):
    """A ban of the second one bites, also when that one is dead, and ends when it is lifted there."""
    port, user, other = free_port(), fresh("bad"), fresh("worse")
    services, program = own_sale.home / "etc" / "services.list", PROJECT / "build" / PRESET / "bin" / "flashsale-protector"
    subprocess.run([program, "init", "--store", tmp_path / "store"], check=True, stdout=subprocess.DEVNULL)
    with (own_sale.home / "log" / "protector2.log").open("w") as log:
        second = subprocess.Popen([program, "--store", tmp_path / "store", "--listen", f"127.0.0.1:{port}", "--admin",
                                   f"127.0.0.1:{port + 10}", "--discovery-file", services], stdout=log, stderr=log)
    try:
        services.write_text(services.read_text() + f"protector 127.0.0.1:{port} id=second\n")
        ask = lambda method, body: grpcurl("-d", json.dumps(body), f"127.0.0.1:{port}",
                                           f"flashsale.protector.v1.ProtectorService/{method}")
        wait_until(lambda: ask("CreateBan", {"user_id": user}).returncode == 0, what="the second protector answers")
        assert ask("CreateBan", {"user_id": other}).returncode == 0
        wait_until(lambda: all(refused(own_sale, user) for _ in range(10)), what="the second protector's ban bites")
        assert ask("RemoveBadAccount", {"user_id": other}).returncode == 0
        wait_until(lambda: not refused(own_sale, other), what="the lifted ban has gone")
    finally:
        second.kill()
        second.wait()
    assert all(refused(own_sale, user) for _ in range(10))
