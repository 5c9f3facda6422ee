"""The books as an outsider keeps them: every entry of the ledger once, checked against the rules when it comes."""

from collections import defaultdict

from books import HELD, SOLD
from crowd import STEPS


class Hold:
    def __init__(self, hold):
        self.id, self.sku, self.user, self.session = hold.hold_id, hold.sku, hold.user_id, hold.session_id
        self.state, self.quantity, self.first_quantity = HELD, hold.quantity, hold.quantity


class Model:
    """limit: sku -> units per person, from the outside. All sums are kept by SKU and checked at every entry."""

    def __init__(self):
        self.position = 0
        self.limit = {}
        self.rows = defaultdict(lambda: [0, 0, 0, 0])  # stock, available, held, sold
        self.holds, self.orders = {}, {}
        self.by_session, self.by_sku, self.units = defaultdict(list), defaultdict(list), defaultdict(int)

    def read(self, sale):
        """What the ledger says beyond what is known."""
        for message in sale.grpc.stream("inventory", "ReadLedger", after_sequence=self.position, timeout=120):
            for entry in message.entries:
                assert entry.sequence == self.position + 1, f"the ledger has {entry.sequence} after {self.position}"
                self.position = entry.sequence
                kind = entry.WhichOneof("change")
                getattr(self, "_" + kind, lambda change: None)(getattr(entry, kind))
        return self

    def _goods_changed(self, change):
        row, goods = self.rows[change.goods.sku], change.goods
        assert row[2:] == [goods.held, goods.sold], f"{goods.sku} at {self.position}"
        row[:2] = [goods.stock, goods.available]
        self._check(goods.sku)

    def _hold_created(self, change):
        hold = Hold(change.hold)
        assert hold.id not in self.holds
        self.holds[hold.id] = hold
        self.by_session[hold.session].append(hold)
        self.by_sku[hold.sku].append(hold)
        self._move(hold, 1, 2, hold.quantity)
        self.units[hold.user, hold.sku] += hold.quantity
        limit = self.limit.get(hold.sku)
        assert limit is None or self.units[hold.user, hold.sku] <= limit, f"{hold.user} is over the limit at {self.position}"

    def _hold_changed(self, change):
        hold = self.holds[change.hold_id]
        assert change.state in STEPS[hold.state], f"{hold.id} went from {hold.state} to {change.state} at {self.position}"
        assert change.quantity_before == hold.quantity
        live = 2 if hold.state == HELD else 3
        if change.state == SOLD:
            self._move(hold, live, 3, hold.quantity)
        else:
            gone = hold.quantity - (change.quantity if change.state == HELD else 0)
            self._move(hold, live, 1, gone)
            self.units[hold.user, hold.sku] -= gone
        hold.state, hold.quantity = change.state, change.quantity

    def _order_changed(self, change):
        """Comes after the entries of its holds: all are in its state, or none of them."""
        if change.state == HELD:
            assert change.order_id not in self.orders and change.items
            self.orders[change.order_id] = [HELD, "", [item.hold_id for item in change.items]]
        order = self.orders[change.order_id]
        assert change.state == order[0] == HELD or change.state in STEPS[order[0]]
        order[0] = change.state
        if change.state == SOLD:
            order[1] = change.payment_reference
        assert all(self.holds[hold].state == change.state for hold in order[2]), f"order {change.order_id} at {self.position}"

    def _move(self, hold, come_from, to, units):
        row = self.rows[hold.sku]
        row[come_from] -= units
        row[to] += units
        self._check(hold.sku)

    def _check(self, sku):
        stock, available, held, sold = self.rows[sku]
        assert min(available, held, sold) >= 0 and stock == available + held + sold, f"{sku} at {self.position}: {self.rows[sku]}"

    def state(self):
        """Everything, to compare two of them."""
        return (self.position, dict(self.rows), {hold.id: (hold.state, hold.quantity, hold.user, hold.sku) for hold in self.holds.values()},
                self.orders)


