"""Between welcome and banned: clients that are slowed, and clients that solve a challenge first; whom that is about cannot be forged."""

import importlib.util
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from by_hand import Gatekeeper
from flashsale_client import PATIENCE_S, PROJECT, wait_until

SOLVERS = PROJECT / "tools" / "challenge"


def solve(challenge):
    spec = importlib.util.spec_from_file_location("solve", SOLVERS / "solve.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.solve(challenge)


def solve_in_javascript(challenge):
    result = subprocess.run([shutil.which("node"), str(SOLVERS / "solve.js"), challenge], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture
def ban(sale):
    """ban(effect, userID=... or address=...) gives its id; lifted after the test."""
    made = []

    def put(effect, **subject):
        answer = sale.rest.post("/v1/bans", {"effect": f"BAN_EFFECT_{effect}", "reason": "a test"} | subject)
        assert answer.status_code in (200, 201), answer.text
        made.append(answer.json()["banId"])
        return made[-1]

    yield put
    for ban_id in made:
        sale.rest.delete(f"/v1/bans/{ban_id}")


def buy(sale, user, ip="192.0.2.1", solution=None, key=None, path="/v1/buy"):
    headers = {name: value for name, value in (("Flashsale-Solution", solution), ("Idempotency-Key", key)) if value}
    return sale.rest.post(path, {"userID": user, "goodsSKU": "SKU0001", "goodsQuantity": 1, "clientIP": ip}, headers=headers)


def challenge_of(sale, user, ip="192.0.2.1"):
    """Waits until the client is challenged, and gives the challenge."""
    return wait_until(lambda: buy(sale, user, ip).headers.get("Flashsale-Challenge"), PATIENCE_S, f"{user} is not challenged")


@pytest.mark.parametrize("solver", [solve, solve_in_javascript])
def test_a_challenge_is_solved_once(sale, fresh, ban, solver):
    user = fresh("worker")
    ban_id = ban("CHALLENGE", userID=user)
    challenge = challenge_of(sale, user)
    refused = buy(sale, user)
    problem = refused.json()
    assert (problem["status"], problem["reason"], problem["retry"]) == (428, "CHALLENGE_REQUIRED", "with-solution")
    assert problem["challenge"] == refused.headers["Flashsale-Challenge"] != challenge
    assert ban_id in problem["detail"]
    solution = solver(challenge)
    done = buy(sale, user, solution=solution)
    assert done.status_code == 200, done.text
    again = buy(sale, user, solution=solution)
    assert again.status_code == 428 and "used before" in again.json()["detail"]


def test_a_challenge_on_the_compatible_path(sale, fresh, ban):
    user = fresh("worker")
    ban("CHALLENGE", userID=user)
    solution = solve(challenge_of(sale, user))
    refused = buy(sale, user, path="/buy")
    assert (refused.status_code, refused.json()["repResult"], refused.json()["isThrottled"]) == (200, False, False)
    assert refused.headers["Flashsale-Challenge"]
    assert buy(sale, user, solution=solution, path="/buy").json()["repResult"] is True


def test_a_solution_brought_many_times_at_once_counts_once(sale, fresh, ban):
    user = fresh("worker")
    ban("CHALLENGE", userID=user)
    solution = solve(challenge_of(sale, user))
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: buy(sale, user, solution=solution).status_code, range(64)))
    assert sorted(set(answers)) == [200, 428] and answers.count(200) == 1


def test_a_challenge_is_its_clients_alone(sale, fresh, ban):
    ann, eve = fresh("worker"), fresh("worker")
    ban("CHALLENGE", userID=ann)
    ban("CHALLENGE", address="198.51.100.0/28")
    of_ann, of_address = solve(challenge_of(sale, ann)), solve(challenge_of(sale, eve, "198.51.100.3"))
    assert buy(sale, eve, "198.51.100.3", solution=of_ann).status_code == 428
    assert buy(sale, eve, "198.51.100.4", solution=of_address).status_code == 428
    assert buy(sale, fresh("worker"), "198.51.100.3", solution=of_address).status_code == 428
    assert buy(sale, ann, "203.0.113.77", solution=of_ann).status_code == 200  # an account's is good wherever it is
    assert buy(sale, eve, "::ffff:198.51.100.3", solution=of_address).status_code == 200


@pytest.mark.parametrize("forge", [
    lambda challenge, solution: "",
    lambda challenge, solution: challenge,
    lambda challenge, solution: challenge + ".",
    lambda challenge, solution: challenge + ".x",
    lambda challenge, solution: solution + "\t0",
    lambda challenge, solution: solution.replace("v1.18.", "v1.0.", 1),
    lambda challenge, solution: solution.replace("v1.18.", "v1.018.", 1),
    lambda challenge, solution: solution.upper(),
    lambda challenge, solution: "v1." + "9" * 4000,
    lambda challenge, solution: "%00" + solution,
])
def test_what_is_no_solution_is_none(sale, fresh, ban, forge):
    user = fresh("worker")
    ban("CHALLENGE", userID=user)
    challenge = challenge_of(sale, user)
    answer = buy(sale, user, solution=forge(challenge, challenge + ".1"))
    assert (answer.status_code, answer.json()["reason"]) == (428, "CHALLENGE_REQUIRED")


def test_a_slowed_client_has_a_limit_of_its_own(sale, fresh, ban):
    slow, other = fresh("slow"), fresh("slow")
    ban_id = ban("SLOW", userID=slow)
    refused = wait_until(lambda: [answer for answer in (buy(sale, slow) for _ in range(20)) if answer.status_code == 429], PATIENCE_S, "not slowed")[0]
    assert refused.json()["reason"] == "SLOWED" and ban_id in refused.json()["detail"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 2
    compatible = [answer for answer in (buy(sale, slow, path="/buy") for _ in range(8)) if answer.status_code == 429]
    assert compatible and all(answer.json()["isThrottled"] and not answer.json()["repResult"] for answer in compatible)
    assert all(buy(sale, other).status_code != 429 for _ in range(10))  # 409 past the limit per person
    wait_until(lambda: buy(sale, slow).status_code != 429, PATIENCE_S, "a slowed client is let through in its turn")


def test_workers_share_what_was_used_over_a_reload(installations):
    sale = installations("--set", "gatekeeper.workers=2", "--set", "gatekeeper.challenge-difficulty=8")
    sale.up()
    assert sale.rest.put("/v1/detectors/account-rate", {"enabled": False}).status_code == 200  # so many at once would be a bot's
    assert sale.rest.post("/v1/bans", {"userID": "eve", "effect": "BAN_EFFECT_CHALLENGE"}).status_code == 201

    def bring(solution, sku="SKU0001"):  # each by a connection of its own, which any worker may take
        with requests.Session() as session:
            session.trust_env = False
            return session.post(f"{sale.rest.base}/v1/buy", json={"userID": "eve", "goodsSKU": sku, "goodsQuantity": 1, "clientIP": "192.0.2.1"},
                                headers={"Flashsale-Solution": solution}, timeout=10).status_code

    def bring_often(solution, sku="SKU0001"):
        with ThreadPoolExecutor(16) as threads:
            return sorted(threads.map(lambda _: bring(solution, sku), range(64)))

    def all_know():
        return bring_often("none", "NOTHING") == [428] * 64

    wait_until(all_know, PATIENCE_S, "each worker has heard of the ban")
    used, unused = solve(challenge_of(sale, "eve")), solve(challenge_of(sale, "eve"))
    assert bring_often(used) == [200] + [428] * 63
    before = set(sale.status()["gatekeeper"]["workers"])
    sale.kill("gatekeeper", signal.SIGHUP)
    wait_until(lambda: len(now := set(sale.status()["gatekeeper"]["workers"])) == 2 and not now & before, PATIENCE_S, "the old workers do not end")
    wait_until(all_know, PATIENCE_S, "each new worker has heard of the ban")
    assert [bring(used), bring(unused), bring(unused)] == [428, 200, 428]


def test_the_key_is_changed_while_it_runs(installations, tmp_path):
    """A new key counts after a reload; one that is no good changes nothing, and the log says so."""
    key = tmp_path / "key"
    key.write_bytes(b"the first key of all")
    sale = installations("--set", f"gatekeeper.challenge-key={key}", "--set", "gatekeeper.challenge-difficulty=4")
    sale.up()
    assert sale.rest.post("/v1/bans", {"userID": "eve", "effect": "BAN_EFFECT_CHALLENGE"}).status_code == 201

    def reload():
        before = set(sale.status()["gatekeeper"]["workers"])
        sale.kill("gatekeeper", signal.SIGHUP)
        wait_until(lambda: not set(sale.status()["gatekeeper"]["workers"]) & before, PATIENCE_S, "the old workers do not end")

    old = solve(challenge_of(sale, "eve"))
    key.write_bytes(b"another key, as long")
    reload()
    assert "of another challenge" in buy(sale, "eve", solution=old).json()["detail"]
    new = solve(challenge_of(sale, "eve"))
    key.write_bytes(b"too short")
    workers, log = sale.status()["gatekeeper"]["workers"], sale.home / "log" / "gatekeeper.log"
    sale.kill("gatekeeper", signal.SIGHUP)
    wait_until(lambda: "the key of challenges" in log.read_text(), PATIENCE_S, "the log says what is wrong")
    assert sale.status()["gatekeeper"]["workers"] == workers
    assert buy(sale, "eve", solution=new).json().get("reason") != "CHALLENGE_REQUIRED"


def test_the_difficulty_has_limits(sale, tmp_path):
    gatekeeper = Gatekeeper(tmp_path, sale)
    for difficulty in (0, 33):
        assert "flashsale_challenge_difficulty is out of range: 1 to 32" in gatekeeper.refusal(f"flashsale_challenge_difficulty {difficulty};")
    assert gatekeeper.refusal("flashsale_challenge_difficulty 32;") is None
