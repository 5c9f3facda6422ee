"""Durable before yes: nothing that inventory answers leaves before what it rests on is synced. Seen between the program and libc."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from books import (HELD, PLACEMENT, RELEASED, SENDER, SOLD, audit, change_fields, fence, hold, hold_fields, ledger, new_id, sell)
from flashsale_client import wait_until
from witness import GATES, SEND, SYNC, SYNCED, WRITE, WRITTEN, Disk, Sent, commits, random_of

CUTS = 12


@pytest.fixture
def inventory(program):
    """A running inventory that has been watched since its `init`."""
    one = program("inventory")
    assert one.init() is None
    one.start()
    fence(one)
    return one


# ---- the order of things, one answer after the other ----


def test_each_answer_follows_the_sync_of_its_commit(inventory):
    sell(inventory, "GOODS", 1000)
    holds = [new_id() for _ in range(10)]
    asked = [("CreateHold", hold_fields("GOODS", hold_id=one)) for one in holds]
    asked += [("ConfirmHold", change_fields(one, payment_reference="p")) for one in holds[:3]]
    asked += [("ReleaseHold", change_fields(one)) for one in holds[3:6]]
    asked += [("AdjustStock", {"sku": "GOODS", "change": 1, "request_id": new_id()}) for number in range(3)]
    asked += [("SetAvailable", {"sku": "GOODS", "quantity": 7 + number}) for number in range(3)]
    before = inventory.witness.events(payloads=False)[-1].number
    answers = [inventory.ask(method, **fields).result() for method, fields in asked]
    inventory.kill()
    events = inventory.witness.events()
    sent = Sent([event for event in events if event.number > before])
    for raw, (method, _) in zip(answers, asked):
        left = sent.first(raw)
        check_commit([event for event in events if before < event.number < left], method)
        before = left


def check_commit(events, method):
    """In these events is a whole commit: pages written, then synced, then the meta page written on a descriptor that syncs."""
    pages = [event.number for event in events if event.kind == WRITTEN and not event.durable]
    begun = [event.number for event in events if event.kind == SYNC]
    synced = [event.number for event in events if event.kind == SYNCED and event.result == 0]
    meta = [event.number for event in events if event.kind == WRITE and event.durable]
    done = commits(events)
    assert pages and begun and synced, f"{method}: answered, and its pages were not synced"
    assert meta and done, f"{method}: answered, and its meta page was not synced"
    assert pages[-1] < begun[-1] < synced[-1] < meta[-1] < done[-1], f"{method}: synced in the wrong order"


# ---- power cuts ----


@pytest.mark.parametrize("seed", range(2))
def test_after_a_power_cut_every_answer_is_true(program, seed):
    chance = random_of(seed)
    inventory = program("inventory")
    assert inventory.init() is None
    before = inventory.store.joinpath("data.mdb").read_bytes()
    inventory.start()
    fence(inventory)
    sell(inventory, "GOODS", 100000)
    answers = busy_time(inventory, chance)
    inventory.kill()
    events = inventory.witness.events()
    sent = Sent(events)
    left = {raw: sent.first(raw) for raw, _, _ in answers}
    assert len(left) == len(answers), "each answer is told from each other by its ledger sequence"
    disk, replayed = Disk(before), 0
    # Just when an answer had left, and between them.
    moments = chance.sample(sorted(left.values()), CUTS - 3) + [chance.randrange(min(left.values()), len(events)) for _ in range(3)]
    for moment in sorted(moments):
        disk.replay(events[replayed:moment])
        replayed = moment
        told = [(hold_id, state) for raw, hold_id, state in answers if left[raw] <= moment]
        check_image(program("inventory"), disk.image(chance), told)


def busy_time(inventory, chance, threads=8, each=25):
    """Holds, many at once, some of them sold, released or resized: (raw answer, hold, the state it says) of all that got a yes."""
    seeds = [chance.random() for _ in range(threads)]
    answers, lock = [], threading.Lock()

    def tell(hold_id, state, method, fields):
        raw = inventory.ask(method, **fields).result()
        with lock:
            answers.append((raw, hold_id, state))

    def shop(seed):
        mine = random_of(seed)
        for _ in range(each):
            hold_id = new_id()
            tell(hold_id, (HELD, 2), "CreateHold", hold_fields("GOODS", 2, hold_id))
            fate = mine.choice(["stay", "sell", "release", "resize"])
            if fate == "sell":
                tell(hold_id, (SOLD, 2), "ConfirmHold", change_fields(hold_id, payment_reference=f"pay {hold_id}"))
            elif fate == "release":
                tell(hold_id, (RELEASED, 2), "ReleaseHold", change_fields(hold_id))
            elif fate == "resize":
                tell(hold_id, (HELD, 1), "ResizeHold", {"placement": PLACEMENT, "sender": SENDER, "hold_id": hold_id, "quantity": 1})

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(shop, seeds))
    return answers


# A later answer that was on its way may be true already.
LATER = {(HELD, 2): {(HELD, 2), (HELD, 1), (SOLD, 2), (RELEASED, 2)}}


def check_image(inventory, image, told):
    """A program starts with this data file, and everything that was told is so."""
    assert inventory.init() is None
    inventory.store.joinpath("data.mdb").write_bytes(image)
    inventory.start()
    latest = dict(told)  # of one hold the answers came one after the other
    rows = audit(inventory)
    for hold_id, state in latest.items():
        now = inventory.call("GetHold", hold_id=hold_id).hold
        assert (now.state, now.quantity) in LATER.get(state, {state}), f"{hold_id}: told {state}"
    assert rows["GOODS"].stock == 100000
    inventory.kill()


# ---- the gates ----


def health_answers(inventory, times=50):
    """Proof that the program goes on meanwhile: so often health is asked and answered."""
    for _ in range(times):
        assert inventory.grpc.call("inventory", "Check", of="grpc.health.v1.Health").status == 1


class Watcher:
    """Collects what a stream says, in a thread of its own."""

    def __init__(self, inventory, method, **fields):
        self.messages = []
        self.stream = inventory.grpc.stream("inventory", method, timeout=120, **fields)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            for one in self.stream:
                self.messages.append(one)
        except grpc.RpcError:
            pass  # cancelled, or the program was killed


@pytest.mark.parametrize("gate", GATES)
def test_nothing_is_told_while_the_commit_is_not_synced(inventory, gate):
    row = sell(inventory, "GOODS", 5)
    other = hold(inventory, "GOODS", 1)
    entries = Watcher(inventory, "ReadLedger", follow=True, after_sequence=ledger(inventory)[-1].sequence)
    marks = Watcher(inventory, "WatchStock")
    wait_until(lambda: marks.messages and marks.messages[-1].header.snapshot_end)
    seen = sum(len(one.items) for one in marks.messages)
    witness, first, second = inventory.witness, new_id(), new_id()

    # One commit stands at the gate; what comes now is gathered for the next one.
    witness.shut(gate)
    standing = inventory.ask("SetAvailable", sku="GOODS", quantity=4)
    witness.wait_held(gate)
    together = {}
    for what, method, fields in [
            ("takes all", "CreateHold", hold_fields("GOODS", 4, first)),
            ("the same again", "CreateHold", hold_fields("GOODS", 4, first)),
            ("finds nothing left", "CreateHold", hold_fields("GOODS", 1, second)),
            ("sells it", "ConfirmHold", change_fields(first, payment_reference="p")),
            ("releases what was sold", "ReleaseHold", change_fields(first)),
            ("releases another", "ReleaseHold", change_fields(other)),
            ("opens it again", "CreateGoods", {"sku": "GOODS", "quantity": 1, "price_micros": 1}),
            ("adjusts", "AdjustStock", {"sku": "GOODS", "change": 1, "request_id": new_id()})]:
        together[what] = inventory.ask(method, **fields)
        wait_until(lambda: queued(inventory) == len(together), what=f"what {what} waits for the writer")
    assert not standing.done()
    witness.let_one_pass(gate)
    standing.result()
    witness.wait_held(gate, before=1)

    # Now all of them stand there. Health goes on, reads show what was before, streams are silent.
    health_answers(inventory)
    now = inventory.call("GetGoods", sku="GOODS").goods
    assert (now.available, now.held, now.sold) == (4, 1, 0) and row.stock == 5
    for unseen in (first, second):
        with pytest.raises(grpc.RpcError) as no:
            inventory.call("GetHold", hold_id=unseen)
        assert no.value.code() == grpc.StatusCode.NOT_FOUND
    assert inventory.call("GetHold", hold_id=other).hold.state == HELD
    assert inventory.call("ValidateStock", sku="GOODS", quantity=4).is_allowed
    assert len(inventory.call("ListHolds", sku="GOODS").holds) == 1
    health_answers(inventory)
    assert [what for what, answer in together.items() if answer.done()] == [], "answered before its commit was synced"
    told = [entry for one in entries.messages for entry in one.entries]
    assert [entry.WhichOneof("change") for entry in told] == ["goods_changed"]
    assert [item.available for one in marks.messages for item in one.items][seen:] == [4]

    witness.open(gate)
    outcome = {what: answer.exception() for what, answer in together.items()}
    assert {what for what, no in outcome.items() if no is None} == {"takes all", "the same again", "sells it", "releases another", "adjusts"}
    assert outcome["finds nothing left"].code() == grpc.StatusCode.FAILED_PRECONDITION
    wait_until(lambda: any(item.available == 2 for one in marks.messages for item in one.items))
    wait_until(lambda: sum(len(one.entries) for one in entries.messages) >= 5)
    assert audit(inventory)["GOODS"].sold == 4


def queued(inventory):
    """Items that wait for the writer."""
    return inventory.metric("flashsale_writer_queued_items")


@pytest.mark.parametrize("gate", GATES)
def test_a_kill_while_nothing_was_told(inventory, gate):
    """Killed at the gate: what was not told may be or not be, and the books close."""
    sell(inventory, "GOODS", 5)
    inventory.witness.shut(gate)
    hold_id = new_id()
    answer = inventory.ask("CreateHold", **hold_fields("GOODS", 5, hold_id))
    inventory.witness.wait_held(gate)
    inventory.kill()
    assert answer.exception().code() == grpc.StatusCode.UNAVAILABLE
    inventory.start()
    fence(inventory, 2)
    fields = hold_fields("GOODS", 5, hold_id) | {"sender": SENDER | {"epoch": 2}}
    assert inventory.call("CreateHold", **fields, wait_for_ready=True).grant.quantity == 5
    assert audit(inventory)["GOODS"].available == 0


# ---- after an open ----


@pytest.mark.parametrize("gate", GATES)
def test_no_answer_before_the_incarnation(inventory, gate):
    sell(inventory, "GOODS", 5)
    inventory.kill()
    inventory.start()  # what an ordinary start does
    inventory.call("GetGoods", sku="GOODS", wait_for_ready=True)
    inventory.kill()
    begun = [event for event in before_first_sending(inventory) if event.kind == SYNC or (event.kind == WRITE and event.durable)]
    coming = sum(1 for event in begun if (event.kind == SYNC) == (gate == "hold-sync"))
    assert coming >= 1, "the first answer rests on no commit of this process"

    inventory.start(gates=[gate], wait=False)
    for number in range(coming):
        inventory.witness.wait_held(gate, before=number)
        assert not inventory.is_healthy()
        with pytest.raises(grpc.RpcError) as no:
            inventory.call("GetGoods", sku="GOODS", timeout=0.3, wait_for_ready=True)
        assert no.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert len(before_first_sending(inventory)) == len(inventory.witness.events()), "something was sent"
        inventory.witness.let_one_pass(gate)
    inventory.witness.open(gate)
    assert inventory.call("GetGoods", sku="GOODS", wait_for_ready=True).goods.available == 5


def before_first_sending(inventory):
    return list(itertools.takewhile(lambda event: event.kind != SEND, inventory.witness.events()))


def test_a_power_cut_at_the_first_answer_leaves_the_incarnation(program, inventory):
    sell(inventory, "GOODS", 5)
    inventory.kill()
    disk = Disk(inventory.store.joinpath("data.mdb").read_bytes())
    inventory.start()
    number = [entry.incarnation.number for entry in ledger(inventory) if entry.WhichOneof("change") == "incarnation"][-1]
    inventory.kill()
    after = program("inventory")
    assert after.init() is None
    after.store.joinpath("data.mdb").write_bytes(disk.replay(before_first_sending(inventory)).image(random_of(1)))
    after.start()
    assert number in [entry.incarnation.number for entry in ledger(after) if entry.WhichOneof("change") == "incarnation"]
