/* cart/reconcile_accept.c - the end of a reconciliation: the cart's store lets go of the shard's old history, in one commit. See reconcile.h. */
#include <string.h>

#include "base/clock.h"
#include "cart/order_records.h"
#include "cart/reconcile.h"

static int delete (struct reconcile *r, MDB_txn *txn, enum shelf_table table, const struct id *id)
{
	MDB_val key = {ID_BYTES, (void *)(uintptr_t)id->bytes};
	int rc = mdb_del(txn, r->store->tables[table], &key, NULL);

	return rc == MDB_NOTFOUND ? 0 : rc;
}

/* What is short has ended, as if its time had been over: its key is remembered, and leads to that. */
static int end_hold(struct reconcile *r, MDB_txn *txn, const struct line *line)
{
	uint8_t record[RECORD_HOLD_BYTES_MAX];
	struct line ended = *line;
	MDB_val key = {ID_BYTES, ended.id.bytes}, data = {0, record};

	ended.state = LINE_EXPIRED;
	ended.version++;
	ended.ended_ms = clock_wall_ms(&clock_system);
	data.mv_size = record_hold_pack(&ended, record);
	return mdb_put(txn, r->store->tables[SHELF_HOLDS], &key, &data, 0);
}

/* An order that is short, and was paid: its payment is due for a refund, and says so. */
static int end_order(struct reconcile *r, MDB_txn *txn, const struct order *order)
{
	uint8_t record[RECORD_ORDER_BYTES_MAX];
	struct order ended = *order;
	MDB_val key = {ID_BYTES, ended.id.bytes}, data = {0, record};
	int rc = delete (r, txn, SHELF_DECISIONS, &order->id);

	if (rc)
		return rc;
	ended.truth = LINE_EXPIRED;
	ended.changed_ms = clock_wall_ms(&clock_system);
	data.mv_size = record_order_pack(&ended, record);
	return mdb_put(txn, r->store->tables[SHELF_ORDERS], &key, &data, 0);
}

static int accept_holds(struct reconcile *r, MDB_txn *txn)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < r->our_count; i++) {
		const struct promise *promise = &r->promises[i];
		const struct line *line = promise->ours;

		if (promise->outcome == OUTCOME_SHORT && reconcile_counts(line->state) &&
			!lines_find(&r->theirs->lines, &line->id))
			rc = end_hold(r, txn, line);
		else if (reconcile_counts(line->state) || lines_find(&r->theirs->lines, &line->id))
			rc = delete (r, txn, SHELF_HOLDS, &line->id); /* the new ledger tells of it */
	}
	return rc;
}

static int accept_orders(struct reconcile *r, MDB_txn *txn)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < r->pact_count; i++) {
		const struct pact *pact = &r->pacts[i];
		const struct order *order = pact->ours;
		bool there = orders_find(r->their_orders, &order->id) != NULL;

		if (pact->outcome == OUTCOME_SHORT && reconcile_counts(order->truth))
			rc = end_order(r, txn, order);
		else if (reconcile_counts(order->truth) || there)
			rc = delete (r, txn, SHELF_ORDERS, &order->id);
		if (!rc && !there && order->truth == LINE_SOLD && pact->fate == FATE_THEIRS)
			rc = delete (
				r, txn, SHELF_DECISIONS, &order->id); /* archived: nothing is asked of it */
	}
	return rc;
}

static int accept_position(struct reconcile *r, MDB_txn *txn)
{
	const struct position position = {.lineage = r->lineage, .epoch = r->sender.epoch};
	const uint32_t shard = r->inventory_shard;
	uint8_t record[RECORD_POSITION_BYTES], number[4] = {(uint8_t)(shard >> 24), (uint8_t)(shard >> 16),
						       (uint8_t)(shard >> 8), (uint8_t)shard};
	MDB_val key = {sizeof(number), number}, data = {sizeof(record), record};

	record_position_pack(&position, record);
	return mdb_put(txn, r->store->tables[SHELF_POSITIONS], &key, &data, 0);
}

bool reconcile_accept(struct reconcile *r, struct error *error)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(r->store->env, NULL, 0, &txn);

	if (!rc) {
		rc = accept_holds(r, txn);
		if (!rc)
			rc = accept_orders(r, txn);
		if (!rc)
			rc = accept_position(r, txn);
		if (rc)
			mdb_txn_abort(txn);
		else
			rc = mdb_txn_commit(txn);
	}
	return !rc || error_set(error, "store %s: %s; nothing of it was changed, run it again",
			      r->store->directory, mdb_strerror(rc));
}
