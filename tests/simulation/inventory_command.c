/* tests/simulation/inventory_command.c - see inventory_command.h. */
#include "inventory_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "inventory/messages.h"

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){text, (uint8_t)strlen(text)};
}

static int apply_create(
	struct node_command *self, struct books *books, const struct wire_item *item, struct hold_answer *ret)
{
	const char *sku = world_sku(item->sku);
	uint8_t hash_bytes = item->keyed ? HASH_BYTES : 0;
	struct hold_request request = {.id = item->id,
		.sku = bytes_of(sku),
		.user = bytes_of(world_user(item->user)),
		.session = bytes_of("s"),
		.key_hash = {item->key.bytes, hash_bytes},
		.fingerprint = {item->fingerprint.bytes, hash_bytes},
		.sku_hash = books_sku_hash(sku, strlen(sku)),
		.quantity = item->quantity,
		.deadline_ns = item->deadline_us * 1000};

	return books_create_hold(books, &self->sender, &request, ret);
}

static int apply_change(
	struct node_command *self, struct books *books, const struct wire_item *item, struct hold_answer *ret)
{
	char payment[24];

	if (item->deadline_us * 1000 <= books->group_ns) {
		ret->verdict = VERDICT_OVERLOADED;
		return 0;
	}
	switch (self->call->kind) {
	case WIRE_RELEASE:
		return books_release_hold(books, &item->id, ret);
	case WIRE_RESIZE:
		return books_resize_hold(books, &item->id, item->quantity, ret);
	default:
		snprintf(payment, sizeof(payment), "pay-%u", item->payment);
		return books_confirm_hold(books, &item->id, bytes_of(payment), ret);
	}
}

static void answer_hold(const struct hold_answer *from, struct wire_answer *ret)
{
	*ret = (struct wire_answer){
		.reason = verdict_reason(from->verdict), .repeated = from->verdict == VERDICT_REPEATED};
	if (!verdict_is_yes(from->verdict))
		return;
	ret->state = (int)from->state;
	ret->quantity = from->quantity;
	ret->version = from->version;
	ret->deadline_ms = from->deadline_ms;
	ret->price_micros = from->price_micros;
	ret->remaining = from->remaining;
	ret->sequence = from->sequence;
}

static int order_command(struct node_command *self, struct books *books, struct order_answer *ret)
{
	const struct wire_item *item = self->call->items;
	struct bind_request bind = {.order = item->id,
		.user = bytes_of(world_user(item->user)),
		.hold_count = self->call->hold_count,
		.ttl_ms = item->ttl_ms};
	char payment[24];

	switch (self->call->kind) {
	case WIRE_BIND:
		memcpy(bind.holds, self->call->holds, bind.hold_count * sizeof(struct id));
		return books_bind_order(books, &self->sender, &bind, ret);
	case WIRE_PAY:
		snprintf(payment, sizeof(payment), "pay-%u", item->payment);
		return books_confirm_order(books, &item->id, bytes_of(payment), ret);
	case WIRE_CANCEL:
		return books_release_order(books, &item->id, ret);
	default:
		return books_refund_order(books, &item->id, ret);
	}
}

static void answer_order(struct wire_call *call, const struct order_answer *from)
{
	struct order_message message;

	order_message_set(&message, from);
	free(call->outcome);
	call->outcome_size = inventory__order_outcome__get_packed_size(&message.outcome);
	call->outcome = memory_new(call->outcome_size);
	inventory__order_outcome__pack(&message.outcome, call->outcome);
	call->answers[0] = (struct wire_answer){.reason = verdict_reason(from->verdict),
		.repeated = from->verdict == VERDICT_REPEATED,
		.state = (int)from->state,
		.deadline_ms = from->deadline_ms,
		.sequence = from->sequence,
		.bad = from->bad};
}

static int apply_order(struct node_command *self, struct books *books)
{
	struct order_answer answer = {.verdict = books_check_sender(books, &self->sender)};
	int rc = 0;

	if (answer.verdict == VERDICT_YES && self->call->items->deadline_us * 1000 <= books->group_ns)
		answer.verdict = VERDICT_OVERLOADED;
	if (answer.verdict == VERDICT_YES)
		rc = order_command(self, books, &answer);
	if (!rc)
		answer_order(self->call, &answer);
	return rc;
}

static int apply_holds(struct node_command *self, struct books *books)
{
	enum verdict sender = books_check_sender(books, &self->sender);

	for (uint32_t i = 0; i < self->call->count; i++) {
		const struct wire_item *item = &self->call->items[i];
		struct hold_answer answer = {.verdict = sender};
		int rc = 0;

		if (sender == VERDICT_YES && self->call->kind == WIRE_CREATE)
			rc = apply_create(self, books, item, &answer);
		else if (sender == VERDICT_YES)
			rc = apply_change(self, books, item, &answer);
		if (rc)
			return rc;
		answer_hold(&answer, &self->call->answers[i]);
	}
	return 0;
}

static int apply_goods(struct node_command *self, struct books *books)
{
	const struct wire_item *item = self->call->items;
	const struct goods_terms terms = {
		.quantity = item->amount, .price_micros = item->price_micros, .currency = "USD"};
	const struct goods_update update = {.has_quantity = item->amount >= 0,
		.quantity = item->amount,
		.has_price = item->price_micros != 0,
		.price_micros = item->price_micros};
	const char *sku = world_sku(item->sku);
	struct goods_answer answer;
	int rc;

	switch (self->call->kind) {
	case WIRE_OPEN:
		rc = books_open_goods(books, sku, &terms, &answer);
		break;
	case WIRE_UPDATE:
		rc = books_update_goods(books, sku, &update, &answer);
		break;
	case WIRE_ADJUST:
		rc = books_adjust_goods(books, sku, item->amount, &item->id, &answer);
		break;
	default:
		rc = books_close_goods(books, sku, &answer);
		break;
	}
	if (rc)
		return rc;
	self->call->answers[0] = (struct wire_answer){
		.reason = verdict_reason(answer.verdict), .repeated = answer.verdict == VERDICT_REPEATED};
	if (verdict_is_yes(answer.verdict)) {
		self->call->answers[0].stock = answer.goods.stock;
		self->call->answers[0].available = answer.goods.available;
		self->call->answers[0].held = answer.goods.held;
		self->call->answers[0].sold = answer.goods.sold;
		self->call->answers[0].goods_version = answer.goods.version;
	}
	return 0;
}

static struct stored_ledger stored_of(const struct wire_call *call)
{
	return (struct stored_ledger){call->items->lineage, call->items->position};
}

static int apply_fence(struct node_command *self, struct books *books)
{
	const struct stored_ledger stored = stored_of(self->call);
	int rc = books_fence(books, &self->sender, &stored, &self->fenced);

	if (self->fenced.verdict == VERDICT_LINEAGE_CHANGED)
		self->call->answers[0].reason = verdict_reason(self->fenced.verdict);
	return rc;
}

static int apply_acknowledge(struct node_command *self, struct books *books)
{
	enum verdict verdict;
	const struct stored_ledger stored = stored_of(self->call);
	int rc = books_acknowledge(books, &self->sender, &stored, &verdict);

	self->call->answers[0] = (struct wire_answer){
		.reason = verdict_reason(verdict), .repeated = verdict == VERDICT_REPEATED};
	return rc;
}

static int apply_archive(struct node_command *self, struct books *books)
{
	enum verdict verdict;
	uint32_t bad;
	int rc = archive_begin(books, &self->sale, &verdict, &bad);

	self->call->answers[0] = (struct wire_answer){.reason = verdict_reason(verdict)};
	return rc;
}

int inventory_apply(struct command *command, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct node_command *self = container_of(command, struct node_command, command);

	if (self->call->kind == WIRE_FENCE)
		return apply_fence(self, domain);
	if (self->call->kind == WIRE_ACKNOWLEDGE)
		return apply_acknowledge(self, domain);
	if (wire_is_order(self->call->kind))
		return apply_order(self, domain);
	if (self->call->kind == WIRE_ARCHIVE)
		return apply_archive(self, domain);
	return self->call->kind >= WIRE_OPEN ? apply_goods(self, domain) : apply_holds(self, domain);
}
