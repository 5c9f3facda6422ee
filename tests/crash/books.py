"""Talking with inventory alone, as a cart would."""

import secrets
import time
import uuid

SENDER = {"cart_shard": 0, "cart_shards": 1, "epoch": 1, "instance": "AAAAAAAAAAAAAAAAAAAAAQ=="}
PLACEMENT = {"shard": 0, "shards": 1}
HELD, SOLD, RELEASED, EXPIRED, REFUNDED = range(1, 6)
ENDED_STATES = (RELEASED, EXPIRED, REFUNDED)


def new_id():
    """A UUIDv7."""
    return str(uuid.UUID(int=time.time_ns() // 1000000 << 80 | 7 << 76 | secrets.randbits(12) << 64 | 2 << 62 | secrets.randbits(62)))


def fence(inventory, epoch=1):
    return inventory.call("FenceCart", placement=PLACEMENT, sender=SENDER | {"epoch": epoch})


def sell(inventory, sku, units, **terms):
    return inventory.call("CreateGoods", sku=sku, quantity=units, price_micros=1000000, **terms).goods


def hold_fields(sku, units=1, hold_id=None, user="somebody"):
    return {"placement": PLACEMENT, "sender": SENDER,
            "hold": {"hold_id": hold_id or new_id(), "sku": sku, "user_id": user, "quantity": units}}


def change_fields(hold_id, **more):
    return {"placement": PLACEMENT, "sender": SENDER, "hold": {"hold_id": hold_id, **more}}


def hold(inventory, sku, units=1, user="somebody", **options):
    """The id of a new hold."""
    fields = hold_fields(sku, units, user=user)
    inventory.call("CreateHold", **fields, **options)
    return fields["hold"]["hold_id"]


def ledger(inventory, after=0):
    return [entry for message in inventory.grpc.stream("inventory", "ReadLedger", after_sequence=after) for entry in message.entries]


def audit(inventory):
    """Rows by SKU; all books must close."""
    answer = inventory.call("AuditStock", timeout=60)
    assert answer.consistent, [item.finding for item in answer.items if item.finding]
    return {item.sku: item.row for item in answer.items}
