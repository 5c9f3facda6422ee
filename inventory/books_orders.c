/* Orders: holds bound together, then sold, released, refunded or ended by time, all of them in one group or none. */
#include <assert.h>
#include <string.h>

#include "base/hash.h"
#include "inventory/books.h"
#include "inventory/books_rows.h"

static int put_order(struct books *books, const struct order *order)
{
	uint8_t record[ORDER_RECORD_MAX];
	MDB_val key = books_value(order->id.bytes, ID_BYTES);
	MDB_val value = books_value(record, order_pack(order, record));

	books->wrote = true;
	return mdb_put(books->txn, books->store->tables[TABLE_ORDERS], &key, &value, 0);
}

static struct bytes payment_of(const struct order *order)
{
	return (struct bytes){order->payment, (uint8_t)strlen(order->payment)};
}

/* The entry that made the order: its user and its items. */
static int read_bound(struct books *books, const struct order *order, struct ledger_entry *ret)
{
	int rc = books_read_ledger(books->store, books->txn, order->bound, ret);

	if (rc)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	return ret->kind == LEDGER_ORDER_CHANGED && id_compare(&ret->order.id, &order->id) == 0 &&
			       ret->order.item_count == order->hold_count
		       ? 0
		       : MDB_CORRUPTED;
}

/* The order's new state goes to the ledger and its row. `items` only when it is made. */
static int write_order(
	struct books *books, struct order *order, struct bytes user, const struct order_item *items)
{
	struct ledger_entry entry = {.kind = LEDGER_ORDER_CHANGED,
		.cart_shard = order->cart_shard,
		.order = {.id = order->id,
			.state = order->state,
			.deadline_ms = inventory_time_shown_ms(&books->time, order->deadline_ms),
			.user = user,
			.payment = payment_of(order),
			.item_count = items ? order->hold_count : 0,
			.items = items}};
	int rc = books_ledger_append(books, &entry);

	order->changed = books->sequence;
	if (items)
		order->bound = books->sequence;
	return rc ? rc : put_order(books, order);
}

/* The sequence of an order's own entry, which follows one of each of its holds: it is about their goods too. */
static uint64_t order_sequence(const struct books *books, const struct order *order)
{
	return books->sequence + order->hold_count + 1;
}

static int move_hold(struct books *books, const struct order *order, const struct id *id, enum hold_state to,
	uint64_t sequence)
{
	struct bytes payment = to == HOLD_SOLD ? payment_of(order) : (struct bytes){0};
	struct goods_row *row;
	struct hold hold;
	int rc = books_load_hold(books, id, &hold, &row);

	if (rc)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	if (hold.state != order->state || id_compare(&hold.order, &order->id) != 0)
		return MDB_CORRUPTED;
	engine_order_move(&row->now, &hold, to);
	rc = books_write_change(books, &hold, row, hold.quantity, payment);
	row->now.last = sequence;
	return rc;
}

static void count(struct books_counts *counts, enum hold_state to, uint32_t holds)
{
	switch (to) {
	case HOLD_HELD:
		break;
	case HOLD_SOLD:
		counts->confirmed += holds;
		counts->paid++;
		break;
	case HOLD_RELEASED:
		counts->released += holds;
		counts->cancelled++;
		break;
	case HOLD_EXPIRED:
		counts->expired += holds;
		counts->overdue++;
		break;
	case HOLD_REFUNDED:
		counts->refunded += holds;
		counts->taken_back++;
		break;
	}
}

/* All holds, then the order. An error half-way is the store's, and aborts the group. */
static int move_order(struct books *books, struct order *order, enum hold_state to)
{
	const uint64_t sequence = order_sequence(books, order);
	struct ledger_entry bound;
	int rc = 0;

	for (uint32_t i = 0; !rc && i < order->hold_count; i++)
		rc = move_hold(books, order, &order->holds[i], to, sequence);
	if (!rc)
		rc = read_bound(books, order, &bound);
	if (rc)
		return rc;
	order->state = to;
	count(&books->counts, to, order->hold_count);
	return write_order(books, order, bound.order.user, NULL);
}

int books_expire_order(struct books *books, const struct id *id, uint32_t *ret_holds)
{
	struct order order;
	int rc = books_read_order(books->store, books->txn, id, &order);

	if (rc)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	if (!engine_order_overdue(&order, books->now_ms))
		return MDB_CORRUPTED;
	*ret_holds = order.hold_count;
	return move_order(books, &order, HOLD_EXPIRED);
}

/* MDB_NOTFOUND: there is none. */
static int load_settled(struct books *books, const struct id *id, struct order *ret)
{
	int rc = books_read_order(books->store, books->txn, id, ret);

	if (!rc && engine_order_overdue(ret, books->now_ms))
		rc = move_order(books, ret, HOLD_EXPIRED);
	return rc;
}

/* ---- answers ---- */

static int refuse(
	struct books *books, const struct order *order, enum verdict verdict, struct order_answer *ret)
{
	memset(ret, 0, offsetof(struct order_answer, items));
	ret->verdict = verdict;
	books->counts.refused[verdict]++;
	if (!order)
		return 0;
	ret->state = order->state;
	ret->deadline_ms = inventory_time_shown_ms(&books->time, order->deadline_ms);
	ret->sequence = order->changed;
	strcpy(ret->payment, order->payment);
	return 0;
}

static int answer(
	struct books *books, const struct order *order, enum verdict verdict, struct order_answer *ret)
{
	struct ledger_entry bound;
	size_t at = 0;
	int rc = read_bound(books, order, &bound);

	if (rc)
		return rc;
	*ret = (struct order_answer){.verdict = verdict,
		.state = order->state,
		.deadline_ms = inventory_time_shown_ms(&books->time, order->deadline_ms),
		.sequence = order->changed};
	strcpy(ret->payment, order->payment);
	while (ret->item_count < ORDER_HOLDS_MAX &&
		ledger_order_item(&bound, &at, &ret->items[ret->item_count]))
		ret->item_count++;
	assert(ret->item_count == order->hold_count);
	if (verdict == VERDICT_REPEATED)
		books->counts.repeated++;
	return 0;
}

/* ---- binding ---- */

/* The order is there: it with its present state, if it is the same. */
static int bind_again(struct books *books, const struct sender *sender, const struct bind_request *request,
	const struct order *order, struct order_answer *ret)
{
	struct ledger_entry bound;
	int rc = read_bound(books, order, &bound);

	if (rc)
		return rc;
	if (order->hold_count != request->hold_count || order->cart_shard != sender->cart_shard ||
		memcmp(order->holds, request->holds, request->hold_count * sizeof(struct id)) != 0 ||
		!books_same_bytes(bound.order.user, request->user))
		return refuse(books, NULL, VERDICT_KEY_REUSED, ret);
	return answer(books, order, VERDICT_REPEATED, ret);
}

/* What a bind gathers before its first write. */
struct binding {
	const struct sender *sender;
	const struct bind_request *request;
	struct hold holds[ORDER_HOLDS_MAX];
	struct goods_row *rows[ORDER_HOLDS_MAX];
	struct order_item items[ORDER_HOLDS_MAX];
	int64_t ttl_ms, total_micros;
};

static int check_hold(struct books *books, struct binding *binding, uint32_t i, enum verdict *ret)
{
	const struct bind_request *request = binding->request;
	struct order_item *item = &binding->items[i];
	struct hold *hold = &binding->holds[i];
	struct ledger_entry created;
	int rc = books_load_hold(books, &request->holds[i], hold, &binding->rows[i]);

	*ret = books_missing_verdict(books, &request->holds[i]);
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : rc;
	rc = books_read_created(books, hold, &created);
	if (!rc)
		rc = books_settle(books, hold, binding->rows[i]);
	if (rc)
		return rc;
	*ret = VERDICT_FORBIDDEN;
	if (hold->cart_shard != binding->sender->cart_shard ||
		!books_same_bytes(created.created.user, request->user))
		return 0;
	*ret = engine_can_bind(hold);
	if (*ret == VERDICT_YES && !engine_add_price(&binding->total_micros, hold))
		*ret = VERDICT_INVALID;
	*item = (struct order_item){
		.hold = hold->id, .quantity = hold->quantity, .price_micros = hold->price_micros};
	strcpy(item->sku, binding->rows[i]->now.sku);
	memcpy(item->currency, created.created.currency, sizeof(item->currency));
	binding->ttl_ms =
		engine_order_ttl_ms(binding->ttl_ms, &binding->rows[i]->now, books->options.hold_ttl_ms);
	return 0;
}

static int bind_hold(struct books *books, struct hold *hold, struct goods_row *row, const struct order *order,
	uint64_t sequence)
{
	int rc = books_delete_expiry(books, hold);

	if (rc)
		return rc;
	engine_bind(hold, &order->id, order->deadline_ms);
	rc = books_write_change(books, hold, row, hold->quantity, (struct bytes){0});
	row->now.last = sequence;
	return rc ? rc : books_put_expiry(books, hold);
}

static int bind_all(struct books *books, struct binding *binding, struct order_answer *ret)
{
	const struct bind_request *request = binding->request;
	struct order order = {.id = request->order,
		.cart_shard = binding->sender->cart_shard,
		.state = HOLD_HELD,
		.deadline_ms = books->now_ms + binding->ttl_ms,
		.hold_count = request->hold_count};
	const uint64_t sequence = order_sequence(books, &order);
	int rc = 0;

	memcpy(order.holds, request->holds, request->hold_count * sizeof(struct id));
	for (uint32_t i = 0; !rc && i < request->hold_count; i++)
		rc = bind_hold(books, &binding->holds[i], binding->rows[i], &order, sequence);
	if (!rc)
		rc = write_order(books, &order, request->user, binding->items);
	if (rc)
		return rc;
	books->counts.bound++;
	books->room_granted +=
		request->hold_count; /* for the look at the room: a hold's binding takes less than a hold */
	return answer(books, &order, VERDICT_YES, ret);
}

int books_bind_order(struct books *books, const struct sender *sender, const struct bind_request *request,
	struct order_answer *ret)
{
	struct binding binding = {.sender = sender, .request = request, .ttl_ms = request->ttl_ms};
	enum verdict verdict = VERDICT_YES;
	struct order order;
	uint32_t i;
	int rc = load_settled(books, &request->order, &order);

	assert(request->hold_count >= 1 && request->hold_count <= ORDER_HOLDS_MAX);
	if (rc == 0)
		return bind_again(books, sender, request, &order, ret);
	if (rc != MDB_NOTFOUND)
		return rc;
	if (books->full)
		return refuse(books, NULL, VERDICT_STORE_FULL, ret);
	for (i = 0; i < request->hold_count; i++) {
		rc = check_hold(books, &binding, i, &verdict);
		if (rc)
			return rc;
		if (verdict != VERDICT_YES)
			break;
	}
	if (verdict == VERDICT_YES)
		return bind_all(books, &binding, ret);
	refuse(books, NULL, verdict, ret);
	ret->bad = request->holds[i];
	return 0;
}

/* ---- the other commands ---- */

/* Its goods are being archived, and it with them: it is as good as gone. */
static int is_archiving(struct books *books, const struct order *order, bool *ret)
{
	struct goods_row *row;
	struct hold hold;
	int rc = 0;

	*ret = false;
	if (books->archive.phase == ARCHIVE_NONE)
		return 0;
	rc = books_load_hold(books, &order->holds[0], &hold, &row);
	*ret = !rc && archive_has(&books->archive, hold.goods);
	return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

static int command(struct books *books, const struct id *id, enum hold_state to, struct bytes payment,
	struct order_answer *ret)
{
	struct order order;
	enum verdict verdict;
	bool archiving = false;
	int rc = load_settled(books, id, &order);

	if (rc == MDB_NOTFOUND)
		return refuse(books, NULL, books_missing_verdict(books, id), ret);
	if (rc)
		return rc;
	verdict = engine_order_judge(&order, to, books_same_bytes(payment_of(&order), payment));
	if (verdict == VERDICT_YES)
		rc = is_archiving(books, &order, &archiving);
	if (rc)
		return rc;
	if (archiving)
		verdict = VERDICT_GONE;
	if (!verdict_is_yes(verdict))
		return refuse(books, &order, verdict, ret);
	if (verdict == VERDICT_YES) {
		if (to == HOLD_SOLD) {
			assert(payment.size >= 1 && payment.size <= PAYMENT_MAX);
			memcpy(order.payment, payment.data, payment.size);
			order.payment[payment.size] = '\0';
		}
		rc = move_order(books, &order, to);
	}
	return rc ? rc : answer(books, &order, verdict, ret);
}

int books_confirm_order(
	struct books *books, const struct id *id, struct bytes payment, struct order_answer *ret)
{
	return command(books, id, HOLD_SOLD, payment, ret);
}

int books_release_order(struct books *books, const struct id *id, struct order_answer *ret)
{
	return command(books, id, HOLD_RELEASED, (struct bytes){0}, ret);
}

int books_refund_order(struct books *books, const struct id *id, struct order_answer *ret)
{
	return command(books, id, HOLD_REFUNDED, (struct bytes){0}, ret);
}
