/* Holds: made, ended, shrunk, and ended by time. */
#include <assert.h>
#include <string.h>

#include "base/hash.h"
#include "inventory/books.h"
#include "inventory/books_rows.h"

int books_ledger_append(struct books *books, struct ledger_entry *entry)
{
	uint8_t record[LEDGER_RECORD_MAX], bytes[8];
	MDB_val key, value;

	entry->time_ms = inventory_time_shown_ms(&books->time, books->now_ms);
	store_put_be64(bytes, ++books->sequence);
	key = books_value(bytes, sizeof(bytes));
	value = books_value(record, ledger_pack(entry, record));
	books->wrote = true;
	return mdb_cursor_put(books->ledger, &key, &value, MDB_APPEND);
}

static int put_hold(struct books *books, const struct hold *hold)
{
	uint8_t record[HOLD_RECORD_MAX];
	MDB_val key = books_value(hold->id.bytes, ID_BYTES);
	MDB_val value = books_value(record, hold_pack(hold, record));

	books->wrote = true;
	return mdb_cursor_put(books->holds, &key, &value, 0);
}

int books_delete_expiry(struct books *books, const struct hold *hold)
{
	uint8_t bytes[EXPIRY_KEY_BYTES];
	MDB_val key, value;
	int rc;

	expiry_key_pack(hold->deadline_ms, &hold->id, bytes);
	key = books_value(bytes, sizeof(bytes));
	rc = mdb_cursor_get(books->expiry, &key, &value, MDB_SET);
	return rc ? rc : mdb_cursor_del(books->expiry, 0);
}

int books_put_expiry(struct books *books, const struct hold *hold)
{
	uint8_t bytes[EXPIRY_KEY_BYTES];
	MDB_val key, nothing = books_value("", 0);

	expiry_key_pack(hold->deadline_ms, &hold->id, bytes);
	key = books_value(bytes, sizeof(bytes));
	return mdb_cursor_put(books->expiry, &key, &nothing, 0);
}

int books_write_change(struct books *books, struct hold *hold, struct goods_row *row,
	uint32_t quantity_before, struct bytes payment)
{
	struct ledger_entry entry = {.kind = LEDGER_HOLD_CHANGED,
		.cart_shard = hold->cart_shard,
		.changed = {.id = hold->id,
			.order = hold->order,
			.state = hold->state,
			.quantity = hold->quantity,
			.quantity_before = quantity_before,
			.version = ++hold->version,
			.deadline_ms = inventory_time_shown_ms(&books->time, hold->deadline_ms),
			.sku = books_sku(row),
			.payment = payment}};
	int rc = books_ledger_append(books, &entry);

	books_row_touch(books, row);
	row->now.last = books->sequence;
	hold->changed = books->sequence;
	if (!rc)
		rc = put_hold(books, hold);
	if (!rc && hold->state != HOLD_HELD && hold->state != HOLD_REFUNDED)
		rc = books_delete_expiry(books, hold);
	return rc;
}

int books_load_hold(struct books *books, const struct id *id, struct hold *ret, struct goods_row **ret_row)
{
	MDB_val key = books_value(id->bytes, ID_BYTES), value;
	int rc = mdb_cursor_get(books->holds, &key, &value, MDB_SET);

	if (rc)
		return rc;
	if (!hold_unpack(value.mv_data, value.mv_size, id->bytes, ID_BYTES, ret) ||
		ret->goods >= books->row_count)
		return MDB_CORRUPTED;
	*ret_row = books->rows[ret->goods];
	return 0;
}

static int settle(struct books *books, struct hold *hold, struct goods_row *row, uint32_t *ret_ended)
{
	int rc;

	*ret_ended = 0;
	if (hold->state != HOLD_HELD || books->now_ms < hold->deadline_ms)
		return 0;
	if (!id_is_zero(&hold->order)) {
		rc = books_expire_order(books, &hold->order, ret_ended);
		return rc ? rc : books_load_hold(books, &hold->id, hold, &row);
	}
	*ret_ended = 1;
	engine_settle(&row->now, hold, books->now_ms);
	books->counts.expired++;
	return books_write_change(books, hold, row, hold->quantity, (struct bytes){0});
}

int books_settle(struct books *books, struct hold *hold, struct goods_row *row)
{
	uint32_t ended;

	return settle(books, hold, row, &ended);
}

int books_expire_due(struct books *books, int64_t *ret_next_ms)
{
	uint32_t left = books->options.expiry_step, ended;

	for (;; left = left > ended ? left - ended : 0) {
		struct goods_row *row;
		struct hold hold;
		int64_t deadline_ms;
		struct id id;
		MDB_val key, value;
		int rc = mdb_cursor_get(books->expiry, &key, &value, MDB_FIRST);

		if (rc == MDB_NOTFOUND) {
			*ret_next_ms = INT64_MAX;
			return 0;
		}
		if (rc)
			return rc;
		if (!expiry_key_unpack(key.mv_data, key.mv_size, &deadline_ms, &id))
			return MDB_CORRUPTED;
		if (deadline_ms > books->now_ms || left == 0) {
			*ret_next_ms = deadline_ms;
			return 0;
		}
		rc = books_load_hold(books, &id, &hold, &row);
		if (rc)
			return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
		if (hold.state != HOLD_HELD || hold.deadline_ms != deadline_ms)
			return MDB_CORRUPTED;
		rc = settle(books, &hold, row, &ended);
		if (rc)
			return rc;
		assert(ended >= 1);
	}
}

static int refuse(struct books *books, struct hold_answer *ret, enum verdict verdict)
{
	ret->verdict = verdict;
	books->counts.refused[verdict]++;
	return 0;
}

static int answer(struct books *books, const struct hold *hold, const struct goods_row *row,
	enum verdict verdict, struct hold_answer *ret)
{
	*ret = (struct hold_answer){.verdict = verdict,
		.state = hold->state,
		.quantity = hold->quantity,
		.version = hold->version,
		.deadline_ms = inventory_time_shown_ms(&books->time, hold->deadline_ms),
		.price_micros = hold->price_micros,
		.sequence = hold->changed,
		.remaining = row->now.available};
	if (verdict == VERDICT_REPEATED)
		books->counts.repeated++;
	return 0;
}

enum verdict books_check_sender(const struct books *books, const struct sender *sender)
{
	static const struct fence none;
	const struct cart_row *cart;

	if (!sender->given)
		return VERDICT_YES;
	if (books->cart_shards && sender->cart_shards != books->cart_shards)
		return VERDICT_WRONG_SHARD;
	HASH_FIND(hh, books->carts, &sender->cart_shard, sizeof(sender->cart_shard), cart);
	return engine_check_epoch(cart ? &cart->now : &none, sender->epoch, sender->instance);
}

int books_read_created(struct books *books, const struct hold *hold, struct ledger_entry *ret)
{
	int rc = books_read_ledger(books->store, books->txn, hold->created, ret);

	if (rc)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	return ret->kind == LEDGER_HOLD_CREATED && id_compare(&ret->created.id, &hold->id) == 0
		       ? 0
		       : MDB_CORRUPTED;
}

/* The id is known: the first grant with its present state, if the request is the same. */
static int repeat(struct books *books, const struct sender *sender, const struct hold_request *request,
	struct hold *hold, struct goods_row *row, struct hold_answer *ret)
{
	struct ledger_entry first;
	int rc = books_settle(books, hold, row);

	if (!rc)
		rc = books_read_created(books, hold, &first);
	if (rc)
		return rc;
	if (first.created.quantity != request->quantity || hold->cart_shard != sender->cart_shard ||
		!books_same_bytes(first.created.sku, request->sku) ||
		!books_same_bytes(first.created.user, request->user) ||
		!books_same_bytes(first.created.key_hash, request->key_hash) ||
		!books_same_bytes(first.created.fingerprint, request->fingerprint))
		return refuse(books, ret, VERDICT_KEY_REUSED);
	return answer(books, hold, row, VERDICT_REPEATED, ret);
}

static int grant(struct books *books, const struct sender *sender, const struct hold_request *request,
	struct goods_row *row, struct hold *hold)
{
	struct ledger_entry entry = {.kind = LEDGER_HOLD_CREATED,
		.cart_shard = sender->cart_shard,
		.created = {.id = request->id,
			.quantity = request->quantity,
			.epoch = sender->epoch,
			.sku = request->sku,
			.user = request->user,
			.session = request->session,
			.key_hash = request->key_hash,
			.fingerprint = request->fingerprint}};
	int rc;

	books_row_touch(books, row);
	engine_hold(&row->now, request->quantity, request->ttl_ms, books->options.hold_ttl_ms, books->now_ms,
		hold);
	hold->id = request->id;
	hold->cart_shard = sender->cart_shard;
	entry.created.deadline_ms = inventory_time_shown_ms(&books->time, hold->deadline_ms);
	entry.created.price_micros = hold->price_micros;
	memcpy(entry.created.currency, row->now.currency, sizeof(entry.created.currency));
	rc = books_ledger_append(books, &entry);
	hold->created = hold->changed = row->now.last = books->sequence;
	if (!rc)
		rc = put_hold(books, hold);
	return rc ? rc : books_put_expiry(books, hold);
}

/* A SKU of another shard was sent to the wrong place; otherwise there are no such goods. */
static enum verdict missing_sku(const struct books *books, struct bytes sku)
{
	bool ours = hash64(sku.data, sku.size) % books->store->shards == books->store->shard;

	return ours ? VERDICT_UNKNOWN_SKU : VERDICT_WRONG_SHARD;
}

int books_create_hold(struct books *books, const struct sender *sender, const struct hold_request *request,
	struct hold_answer *ret)
{
	struct goods_row *row;
	enum verdict verdict;
	struct hold hold;
	int rc;

	if (request->deadline_ns <= books->group_ns)
		return refuse(books, ret, VERDICT_OVERLOADED);
	rc = books_load_hold(books, &request->id, &hold, &row);
	if (rc == 0)
		return repeat(books, sender, request, &hold, row, ret);
	if (rc != MDB_NOTFOUND)
		return rc;
	if (compaction_may_be_gone(books, sender->cart_shard, &request->id))
		return refuse(books, ret, VERDICT_GONE);
	row = books_row(books, request->sku.data, request->sku.size, request->sku_hash);
	if (!row)
		return refuse(books, ret, missing_sku(books, request->sku));
	verdict = engine_can_hold(&row->now, request->quantity);
	if (verdict == VERDICT_YES && books->full)
		verdict = VERDICT_STORE_FULL;
	if (verdict != VERDICT_YES)
		return refuse(books, ret, verdict);
	rc = grant(books, sender, request, row, &hold);
	if (rc)
		return rc;
	books->counts.granted++;
	return answer(books, &hold, row, VERDICT_YES, ret);
}

enum verdict books_missing_verdict(const struct books *books, const struct id *id)
{
	return compaction_may_be_gone(books, UINT32_MAX, id) ? VERDICT_GONE : VERDICT_NOT_FOUND;
}

/* Loads and settles. *ret_verdict: NOT_FOUND, GONE or yes. */
static int load_settled(struct books *books, const struct id *id, struct hold *hold,
	struct goods_row **ret_row, enum verdict *ret_verdict)
{
	int rc = books_load_hold(books, id, hold, ret_row);

	*ret_verdict = rc == MDB_NOTFOUND ? books_missing_verdict(books, id) : VERDICT_YES;
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	return books_settle(books, hold, *ret_row);
}

int books_release_hold(struct books *books, const struct id *id, struct hold_answer *ret)
{
	struct goods_row *row;
	enum verdict verdict;
	struct hold hold;
	int rc = load_settled(books, id, &hold, &row, &verdict);

	if (!rc && verdict == VERDICT_YES)
		verdict = engine_release(&row->now, &hold);
	if (!rc && verdict == VERDICT_YES) {
		books->counts.released++;
		rc = books_write_change(books, &hold, row, hold.quantity, (struct bytes){0});
	}
	if (rc)
		return rc;
	return verdict_is_yes(verdict) ? answer(books, &hold, row, verdict, ret)
				       : refuse(books, ret, verdict);
}

/* Whether the hold was sold for this payment. */
static int same_payment(struct books *books, const struct hold *hold, struct bytes payment, bool *ret)
{
	struct ledger_entry sale;
	int rc;

	*ret = false;
	if (hold->state != HOLD_SOLD)
		return 0;
	rc = books_read_ledger(books->store, books->txn, hold->changed, &sale);
	if (rc)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	*ret = sale.kind == LEDGER_HOLD_CHANGED && books_same_bytes(sale.changed.payment, payment);
	return 0;
}

int books_confirm_hold(
	struct books *books, const struct id *id, struct bytes payment, struct hold_answer *ret)
{
	struct goods_row *row;
	enum verdict verdict;
	struct hold hold;
	bool same = false;
	int rc = load_settled(books, id, &hold, &row, &verdict);

	if (!rc && verdict == VERDICT_YES) {
		rc = same_payment(books, &hold, payment, &same);
		if (!rc)
			verdict = engine_confirm(&row->now, &hold, same);
	}
	if (!rc && verdict == VERDICT_YES) {
		books->counts.confirmed++;
		rc = books_write_change(books, &hold, row, hold.quantity, payment);
	}
	if (rc)
		return rc;
	return verdict_is_yes(verdict) ? answer(books, &hold, row, verdict, ret)
				       : refuse(books, ret, verdict);
}

int books_resize_hold(struct books *books, const struct id *id, uint32_t quantity, struct hold_answer *ret)
{
	struct goods_row *row;
	enum verdict verdict;
	struct hold hold;
	uint32_t before = 0;
	int rc = load_settled(books, id, &hold, &row, &verdict);

	if (!rc && verdict == VERDICT_YES) {
		before = hold.quantity;
		verdict = engine_resize(&row->now, &hold, quantity);
	}
	if (!rc && verdict == VERDICT_YES) {
		books->counts.resized++;
		rc = books_write_change(books, &hold, row, before, (struct bytes){0});
	}
	if (rc)
		return rc;
	return verdict_is_yes(verdict) ? answer(books, &hold, row, verdict, ret)
				       : refuse(books, ret, verdict);
}

/* A position of the history before a restore says nothing about this one: taken for one of ours, it would let the floor pass what that cart has yet
 * to read. */
static bool other_lineage(const struct books *books, const struct stored_ledger *stored)
{
	return !id_is_zero(&stored->lineage) && id_compare(&stored->lineage, &books->store->lineage) != 0;
}

int books_fence(struct books *books, const struct sender *sender, const struct stored_ledger *stored,
	struct fence_answer *ret)
{
	struct ledger_entry entry = {.kind = LEDGER_CART_FENCED, .cart_shard = sender->cart_shard};
	struct cart_row *cart;

	assert(sender->given && sender->cart_shard < sender->cart_shards &&
		sender->cart_shards <= CART_SHARDS_MAX);
	memset(&ret->fence, 0, sizeof(ret->fence));
	if (books->cart_shards && sender->cart_shards != books->cart_shards) {
		ret->verdict = VERDICT_WRONG_SHARD;
		return 0;
	}
	if (other_lineage(books, stored)) {
		ret->verdict = VERDICT_LINEAGE_CHANGED;
		return 0;
	}
	cart = books_cart(books, sender->cart_shard);
	books_cart_touch(books, cart);
	ret->verdict = engine_fence(&cart->now, sender->epoch, sender->instance);
	ret->fence = cart->now;
	if (ret->verdict != VERDICT_YES)
		return 0;
	books->cart_shards = sender->cart_shards;
	cart->now.sequence = books->sequence + 1;
	cart->now.position = stored->position < books->sequence ? stored->position : books->sequence;
	cart->now.gone = false;
	ret->fence = cart->now;
	entry.fenced.epoch = sender->epoch;
	entry.fenced.cart_shards = sender->cart_shards;
	memcpy(entry.fenced.instance, sender->instance, INSTANCE_BYTES);
	return books_ledger_append(books, &entry);
}

int books_acknowledge(struct books *books, const struct sender *sender, const struct stored_ledger *stored,
	enum verdict *ret)
{
	struct cart_row *cart;

	assert(sender->given);
	*ret = other_lineage(books, stored) ? VERDICT_LINEAGE_CHANGED : books_check_sender(books, sender);
	if (*ret == VERDICT_YES && stored->position > books->sequence)
		*ret = VERDICT_INVALID;
	if (*ret != VERDICT_YES)
		return 0;
	cart = books_cart(books, sender->cart_shard);
	*ret = VERDICT_REPEATED;
	if (stored->position <= cart->now.position)
		return 0;
	books_cart_touch(books, cart);
	cart->now.position = stored->position;
	books->wrote = true;
	*ret = VERDICT_YES;
	return 0;
}

int books_unregister(struct books *books, uint32_t cart_shard, enum verdict *ret, struct fence *ret_fence)
{
	struct cart_row *cart;

	HASH_FIND(hh, books->carts, &cart_shard, sizeof(cart_shard), cart);
	*ret = VERDICT_NOT_FOUND;
	if (!cart || cart->now.epoch == 0)
		return 0;
	*ret = cart->now.gone ? VERDICT_REPEATED : VERDICT_YES;
	if (*ret == VERDICT_YES) {
		books_cart_touch(books, cart);
		cart->now.gone = true;
		memset(cart->now.instance, 0,
			INSTANCE_BYTES); /* it can do nothing before it has fenced anew */
		books->wrote = true;
	}
	*ret_fence = cart->now;
	return 0;
}
