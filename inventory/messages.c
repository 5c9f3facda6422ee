#include "inventory/messages.h"

#include <string.h>

#include "rpc/timestamp.h"

static char empty[] = "";

Common__Reason verdict_reason(enum verdict verdict)
{
	static const Common__Reason reasons[VERDICT_COUNT] = {
		[VERDICT_SOLD_OUT] = COMMON__REASON__REASON_SOLD_OUT,
		[VERDICT_NOT_ENOUGH] = COMMON__REASON__REASON_NOT_ENOUGH,
		[VERDICT_CLOSED] = COMMON__REASON__REASON_CLOSED,
		[VERDICT_UNKNOWN_SKU] = COMMON__REASON__REASON_UNKNOWN_SKU,
		[VERDICT_ALREADY_OPEN] = COMMON__REASON__REASON_ALREADY_OPEN,
		[VERDICT_KEY_REUSED] = COMMON__REASON__REASON_KEY_REUSED,
		[VERDICT_NOT_FOUND] = COMMON__REASON__REASON_NOT_FOUND,
		[VERDICT_ARCHIVING] = COMMON__REASON__REASON_IN_PROGRESS,
		[VERDICT_GONE] = COMMON__REASON__REASON_GONE,
		[VERDICT_HOLD_EXPIRED] = COMMON__REASON__REASON_HOLD_EXPIRED,
		[VERDICT_WRONG_STATE] = COMMON__REASON__REASON_WRONG_STATE,
		[VERDICT_FORBIDDEN] = COMMON__REASON__REASON_FORBIDDEN,
		[VERDICT_STALE_EPOCH] = COMMON__REASON__REASON_STALE_EPOCH,
		[VERDICT_LINEAGE_CHANGED] = COMMON__REASON__REASON_LINEAGE_CHANGED,
		[VERDICT_WRONG_SHARD] = COMMON__REASON__REASON_WRONG_SHARD,
		[VERDICT_VERSION_MISMATCH] = COMMON__REASON__REASON_VERSION_MISMATCH,
		[VERDICT_INVALID] = COMMON__REASON__REASON_INVALID,
		[VERDICT_OVERLOADED] = COMMON__REASON__REASON_OVERLOADED,
		[VERDICT_STORE_FULL] = COMMON__REASON__REASON_STORE_FULL,
		[VERDICT_STORE_FAILED] = COMMON__REASON__REASON_STORE_FAILED,
	};

	return reasons[verdict];
}

static void duration_set(Google__Protobuf__Duration *duration, int64_t ms)
{
	google__protobuf__duration__init(duration);
	duration->seconds = ms / 1000;
	duration->nanos = (int32_t)(ms % 1000 * 1000000);
}

static Inventory__HoldState state_of(enum hold_state state)
{
	return (Inventory__HoldState)state; /* the same numbers, in the store for good */
}

void goods_message_set(struct goods_message *message, const struct goods *goods, int64_t standard_ttl_ms)
{
	inventory__goods__init(&message->goods);
	duration_set(&message->hold_ttl, goods->hold_ttl_ms ? goods->hold_ttl_ms : standard_ttl_ms);
	message->goods.sku = (char *)(uintptr_t)goods->sku;
	message->goods.available = (uint64_t)goods->available;
	message->goods.price_micros = goods->price_micros;
	message->goods.stock = (uint64_t)goods->stock;
	message->goods.held = (uint64_t)goods->held;
	message->goods.sold = (uint64_t)goods->sold;
	message->goods.currency = (char *)(uintptr_t)goods->currency;
	message->goods.hold_ttl = &message->hold_ttl;
	message->goods.closed = goods->closed;
	message->goods.archived = (uint64_t)goods->archived;
	message->goods.version = goods->version;
}

Inventory__Goods *message_goods(struct arena *arena, const struct goods *goods, int64_t standard_ttl_ms)
{
	struct goods_message *message = arena_alloc(arena, sizeof(*message));
	struct goods *copy = arena_copy(arena, goods, sizeof(*goods));

	if (!message || !copy)
		return NULL;
	goods_message_set(message, copy, standard_ttl_ms);
	return &message->goods;
}

void outcome_message_set(
	struct outcome_message *message, const struct hold_answer *answer, const char *field, const char *why)
{
	inventory__hold_outcome__init(&message->outcome);
	if (!verdict_is_yes(answer->verdict)) {
		common__refusal__init(&message->refusal);
		message->refusal.reason = verdict_reason(answer->verdict);
		if (field) {
			message->refusal.field = (char *)(uintptr_t)field;
			message->refusal.message = (char *)(uintptr_t)why;
		}
		message->outcome.outcome_case = INVENTORY__HOLD_OUTCOME__OUTCOME_REFUSAL;
		message->outcome.refusal = &message->refusal;
		return;
	}
	inventory__hold_grant__init(&message->grant);
	timestamp_set(&message->deadline, answer->deadline_ms);
	message->grant.state = state_of(answer->state);
	message->grant.quantity = answer->quantity;
	message->grant.deadline = &message->deadline;
	message->grant.price_micros = answer->price_micros;
	message->grant.version = answer->version;
	message->grant.sequence = answer->sequence;
	message->grant.remaining = (uint64_t)answer->remaining;
	message->grant.repeated = answer->verdict == VERDICT_REPEATED;
	message->outcome.outcome_case = INVENTORY__HOLD_OUTCOME__OUTCOME_GRANT;
	message->outcome.grant = &message->grant;
}

static void order_item_set(Inventory__OrderItem *message, const struct order_item *item, char *id)
{
	inventory__order_item__init(message);
	message->hold_id = id_format(&item->hold, id);
	message->sku = (char *)(uintptr_t)item->sku;
	message->quantity = item->quantity;
	message->price_micros = item->price_micros;
	message->currency = (char *)(uintptr_t)item->currency;
}

static void order_refusal_set(struct order_message *message, const struct order_answer *answer)
{
	Inventory__OrderRefusal *refusal = &message->refusal;

	inventory__order_refusal__init(refusal);
	refusal->reason = verdict_reason(answer->verdict);
	if (!id_is_zero(&answer->bad))
		refusal->hold_id = id_format(&answer->bad, message->ids[0]);
	if (answer->state) {
		refusal->state = state_of(answer->state);
		refusal->payment_reference = (char *)(uintptr_t)answer->payment;
		refusal->deadline = &message->deadline;
	}
	message->outcome.outcome_case = INVENTORY__ORDER_OUTCOME__OUTCOME_REFUSAL;
	message->outcome.refusal = refusal;
}

void order_message_set(struct order_message *message, const struct order_answer *answer)
{
	Inventory__OrderGrant *grant = &message->grant;

	inventory__order_outcome__init(&message->outcome);
	timestamp_set(&message->deadline, answer->deadline_ms);
	if (!verdict_is_yes(answer->verdict)) {
		order_refusal_set(message, answer);
		return;
	}
	inventory__order_grant__init(grant);
	grant->state = state_of(answer->state);
	grant->deadline = &message->deadline;
	grant->sequence = answer->sequence;
	grant->payment_reference = (char *)(uintptr_t)answer->payment;
	grant->repeated = answer->verdict == VERDICT_REPEATED;
	grant->n_items = answer->item_count;
	grant->items = message->list;
	for (uint32_t i = 0; i < answer->item_count; i++) {
		order_item_set(&message->items[i], &answer->items[i], message->ids[i]);
		message->list[i] = &message->items[i];
	}
	message->outcome.outcome_case = INVENTORY__ORDER_OUTCOME__OUTCOME_GRANT;
	message->outcome.grant = grant;
}

/* Each of these notes a failure in *bad and goes on, so that one look at the end is enough. */
static char *copy_text(struct arena *arena, struct bytes bytes, bool *bad)
{
	char *copy;

	if (!bytes.size)
		return empty;
	copy = arena_text(arena, bytes.data, bytes.size);
	if (!copy)
		*bad = true;
	return copy;
}

static ProtobufCBinaryData copy_bytes(struct arena *arena, struct bytes bytes, bool *bad)
{
	ProtobufCBinaryData copy = {0};

	if (!bytes.size)
		return copy;
	copy.data = arena_copy(arena, bytes.data, bytes.size);
	copy.len = bytes.size;
	if (!copy.data)
		*bad = true;
	return copy;
}

static char *copy_id(struct arena *arena, const struct id *id, bool *bad)
{
	char *text;

	if (id_is_zero(id))
		return empty;
	text = arena_alloc(arena, ID_TEXT_LENGTH + 1);
	if (!text) {
		*bad = true;
		return empty;
	}
	return id_format(id, text);
}

static Google__Protobuf__Timestamp *copy_time(struct arena *arena, int64_t ms, bool *bad)
{
	Google__Protobuf__Timestamp *timestamp = timestamp_new(arena, ms);

	if (!timestamp)
		*bad = true;
	return timestamp;
}

/* What is known from the moment of the grant on. */
static void fill_created(
	struct arena *arena, Inventory__Hold *message, const struct ledger_entry *entry, bool *bad)
{
	message->hold_id = copy_id(arena, &entry->created.id, bad);
	message->sku = copy_text(arena, entry->created.sku, bad);
	message->user_id = copy_text(arena, entry->created.user, bad);
	message->session_id = copy_text(arena, entry->created.session, bad);
	message->quantity = entry->created.quantity;
	message->state = INVENTORY__HOLD_STATE__HOLD_STATE_HELD;
	message->deadline = copy_time(arena, entry->created.deadline_ms, bad);
	message->create_time = copy_time(arena, entry->time_ms, bad);
	message->price_micros = entry->created.price_micros;
	message->currency = copy_text(arena, (struct bytes){entry->created.currency, 3}, bad);
	message->version = 1;
	message->cart_shard = entry->cart_shard;
	message->key_hash = copy_bytes(arena, entry->created.key_hash, bad);
	message->fingerprint = copy_bytes(arena, entry->created.fingerprint, bad);
}

Inventory__Hold *message_hold(struct arena *arena, const struct hold *hold,
	const struct ledger_entry *created, struct bytes payment, bool expired, int64_t shift_ms)
{
	Inventory__Hold *message = arena_alloc(arena, sizeof(*message));
	bool bad = false;

	if (!message)
		return NULL;
	inventory__hold__init(message);
	fill_created(arena, message, created, &bad);
	message->quantity = hold->quantity;
	message->state = state_of(expired ? HOLD_EXPIRED : hold->state);
	message->deadline = copy_time(arena, hold->deadline_ms + shift_ms, &bad);
	message->version = hold->version;
	message->order_id = copy_id(arena, &hold->order, &bad);
	message->payment_reference = copy_text(arena, payment, &bad);
	return bad ? NULL : message;
}

static Inventory__HoldCreated *entry_created(struct arena *arena, const struct ledger_entry *entry, bool *bad)
{
	Inventory__HoldCreated *message = arena_alloc(arena, sizeof(*message));
	Inventory__Hold *hold = arena_alloc(arena, sizeof(*hold));

	if (!message || !hold) {
		*bad = true;
		return NULL;
	}
	inventory__hold_created__init(message);
	inventory__hold__init(hold);
	fill_created(arena, hold, entry, bad);
	message->hold = hold;
	message->epoch = entry->created.epoch;
	return message;
}

static Inventory__HoldChanged *entry_changed(struct arena *arena, const struct ledger_entry *entry, bool *bad)
{
	Inventory__HoldChanged *message = arena_alloc(arena, sizeof(*message));

	if (!message) {
		*bad = true;
		return NULL;
	}
	inventory__hold_changed__init(message);
	message->hold_id = copy_id(arena, &entry->changed.id, bad);
	message->sku = copy_text(arena, entry->changed.sku, bad);
	message->state = state_of(entry->changed.state);
	message->quantity = entry->changed.quantity;
	message->quantity_before = entry->changed.quantity_before;
	message->deadline = copy_time(arena, entry->changed.deadline_ms, bad);
	message->version = entry->changed.version;
	message->payment_reference = copy_text(arena, entry->changed.payment, bad);
	message->order_id = copy_id(arena, &entry->changed.order, bad);
	message->cart_shard = entry->cart_shard;
	return message;
}

static Inventory__GoodsChanged *entry_goods(
	struct arena *arena, const struct ledger_entry *entry, int64_t standard_ttl_ms, bool *bad)
{
	Inventory__GoodsChanged *message = arena_alloc(arena, sizeof(*message));

	if (message) {
		inventory__goods_changed__init(message);
		message->goods = message_goods(arena, &entry->goods, standard_ttl_ms);
	}
	if (!message || !message->goods)
		*bad = true;
	return message;
}

static Inventory__CartFenced *entry_fenced(struct arena *arena, const struct ledger_entry *entry, bool *bad)
{
	Inventory__CartFenced *message = arena_alloc(arena, sizeof(*message));

	if (!message) {
		*bad = true;
		return NULL;
	}
	inventory__cart_fenced__init(message);
	message->cart_shard = entry->cart_shard;
	message->epoch = entry->fenced.epoch;
	message->instance = copy_bytes(arena, (struct bytes){entry->fenced.instance, INSTANCE_BYTES}, bad);
	return message;
}

static Inventory__OrderItem *copy_item(struct arena *arena, const struct order_item *item)
{
	Inventory__OrderItem *message = arena_alloc(arena, sizeof(*message));
	struct order_item *copy = arena_copy(arena, item, sizeof(*item));
	char *id = arena_alloc(arena, ID_TEXT_LENGTH + 1);

	if (!message || !copy || !id)
		return NULL;
	order_item_set(message, copy, id);
	return message;
}

static Inventory__OrderChanged *entry_order(struct arena *arena, const struct ledger_entry *entry, bool *bad)
{
	Inventory__OrderChanged *message = arena_alloc(arena, sizeof(*message));
	struct order_item item;
	size_t at = 0;

	if (!message) {
		*bad = true;
		return NULL;
	}
	inventory__order_changed__init(message);
	message->order_id = copy_id(arena, &entry->order.id, bad);
	message->user_id = copy_text(arena, entry->order.user, bad);
	message->state = state_of(entry->order.state);
	message->deadline = copy_time(arena, entry->order.deadline_ms, bad);
	message->payment_reference = copy_text(arena, entry->order.payment, bad);
	message->cart_shard = entry->cart_shard;
	message->items = ARENA_ARRAY(arena, entry->order.item_count + 1, Inventory__OrderItem *);
	while (message->items && ledger_order_item(entry, &at, &item)) {
		message->items[message->n_items] = copy_item(arena, &item);
		if (!message->items[message->n_items++])
			*bad = true;
	}
	if (!message->items)
		*bad = true;
	return message;
}

static Inventory__GoodsArchived *entry_archived(
	struct arena *arena, const struct ledger_entry *entry, bool *bad)
{
	Inventory__GoodsArchived *message = arena_alloc(arena, sizeof(*message));

	if (!message) {
		*bad = true;
		return NULL;
	}
	inventory__goods_archived__init(message);
	message->sku = copy_text(arena, entry->archived.sku, bad);
	message->units = entry->archived.units;
	return message;
}

static Inventory__Incarnation *entry_incarnation(
	struct arena *arena, const struct ledger_entry *entry, bool *bad)
{
	Inventory__Incarnation *message = arena_alloc(arena, sizeof(*message));
	Google__Protobuf__Duration *moved = arena_alloc(arena, sizeof(*moved));

	if (!message || !moved) {
		*bad = true;
		return NULL;
	}
	inventory__incarnation__init(message);
	duration_set(moved, entry->incarnation.moved_ms);
	message->number = entry->incarnation.number;
	message->deadlines_moved = moved;
	return message;
}

Inventory__LedgerEntry *message_entry(
	struct arena *arena, uint64_t sequence, const struct ledger_entry *entry, int64_t standard_ttl_ms)
{
	Inventory__LedgerEntry *message = arena_alloc(arena, sizeof(*message));
	bool bad = false;

	if (!message)
		return NULL;
	inventory__ledger_entry__init(message);
	message->sequence = sequence;
	message->time = copy_time(arena, entry->time_ms, &bad);
	switch (entry->kind) {
	case LEDGER_HOLD_CREATED:
		message->change_case = INVENTORY__LEDGER_ENTRY__CHANGE_HOLD_CREATED;
		message->hold_created = entry_created(arena, entry, &bad);
		break;
	case LEDGER_HOLD_CHANGED:
		message->change_case = INVENTORY__LEDGER_ENTRY__CHANGE_HOLD_CHANGED;
		message->hold_changed = entry_changed(arena, entry, &bad);
		break;
	case LEDGER_GOODS_CHANGED:
		message->change_case = INVENTORY__LEDGER_ENTRY__CHANGE_GOODS_CHANGED;
		message->goods_changed = entry_goods(arena, entry, standard_ttl_ms, &bad);
		break;
	case LEDGER_CART_FENCED:
		message->change_case = INVENTORY__LEDGER_ENTRY__CHANGE_CART_FENCED;
		message->cart_fenced = entry_fenced(arena, entry, &bad);
		break;
	case LEDGER_INCARNATION:
		message->change_case = INVENTORY__LEDGER_ENTRY__CHANGE_INCARNATION;
		message->incarnation = entry_incarnation(arena, entry, &bad);
		break;
	case LEDGER_ORDER_CHANGED:
		message->change_case = INVENTORY__LEDGER_ENTRY__CHANGE_ORDER_CHANGED;
		message->order_changed = entry_order(arena, entry, &bad);
		break;
	case LEDGER_GOODS_ARCHIVED:
		message->change_case = INVENTORY__LEDGER_ENTRY__CHANGE_GOODS_ARCHIVED;
		message->goods_archived = entry_archived(arena, entry, &bad);
		break;
	}
	return bad ? NULL : message;
}
