/* cart/rpc_keys.c - BatchLookupKeys: what is known of idempotency keys, from memory. */
#include "base/memory.h"
#include "cart/placement.h"
#include "rpc/reason.h"

struct lookup {
	Cart__KeyLookupOutcome outcome;
	struct outcome_message message;
};

static void lookup_refuse(struct lookup *lookup, Common__Reason reason, uint32_t retry_after_ms)
{
	outcome_refusal_set(&lookup->message, reason, retry_after_ms);
	lookup->outcome.outcome_case = CART__KEY_LOOKUP_OUTCOME__OUTCOME_REFUSAL;
	lookup->outcome.refusal = &lookup->message.refusal;
}

static void lookup_key(const struct cart_service *service, const Cart__KeyLookup *item, struct lookup *lookup)
{
	struct span user = span_of(item->user_id), key = span_of(item->idempotency_key),
		    sku = span_of(item->sku);
	struct hash128 scope = key_scope(user.text, user.length, key.text, key.length);
	struct hash128 print = key_fingerprint(KEY_ADD, sku.text, sku.length, item->quantity);
	const struct cart_link *link = &service->cart->links[placement_of_sku(service, item->sku)];
	struct outcome outcome;

	switch (cart_lookup_key(service->cart, &scope, &print, &outcome)) {
	case KEY_GRANTED:
		outcome_grant_set(&lookup->message, &outcome);
		lookup->outcome.outcome_case = CART__KEY_LOOKUP_OUTCOME__OUTCOME_GRANT;
		lookup->outcome.grant = &lookup->message.grant;
		return;
	case KEY_REFUSED:
		lookup_refuse(lookup, outcome.reason, outcome.retry_after_ms);
		return;
	case KEY_UNKNOWN:
		break;
	}
	if (!link->was_usable) { /* it may be in the part of the ledger that was not read yet */
		lookup_refuse(lookup,
			link->stopped ? COMMON__REASON__REASON_DEPENDENCY_DOWN
				      : COMMON__REASON__REASON_STARTING,
			0);
		return;
	}
	lookup->outcome.outcome_case = CART__KEY_LOOKUP_OUTCOME__OUTCOME_UNKNOWN;
	lookup->outcome.unknown = true;
}

static void lookup_item(const struct cart_service *service, const Cart__KeyLookup *item, struct arena *arena,
	size_t i, struct lookup *lookup)
{
	struct complaint complaint = complain_lookup(item);
	char *message;

	if (complaint.field) {
		lookup_refuse(lookup, COMMON__REASON__REASON_INVALID, 0);
		message = arena_format(arena, "items[%zu].%s: %s", i, complaint.field, complaint.why);
		lookup->message.refusal.field = (char *)(uintptr_t)complaint.field;
		lookup->message.refusal.message = message ? message : (char *)(uintptr_t)complaint.why;
	} else if (!placement_owns(service, item->user_id)) {
		lookup_refuse(lookup, COMMON__REASON__REASON_WRONG_SHARD, 0);
	} else {
		lookup_key(service, item, lookup);
	}
}

CART_METHOD(batch_lookup_keys, BatchLookupKeys)
{
	struct cart_service *cart = container_of(service, struct cart_service, methods);
	Cart__BatchLookupKeysResponse response = CART__BATCH_LOOKUP_KEYS_RESPONSE__INIT;
	struct arena *arena = rpc_arena(call);
	struct lookup *lookups;

	if (!placement_check(cart, request->placement, call))
		return;
	lookups = ARENA_ARRAY(arena, request->n_items + 1, struct lookup);
	response.items = ARENA_ARRAY(arena, request->n_items + 1, Cart__KeyLookupOutcome *);
	if (!lookups || !response.items) {
		rpc_fail_reason(call, COMMON__REASON__REASON_OVERLOADED,
			"the batch needs more memory than a call may have");
		return;
	}
	response.n_items = request->n_items;
	for (size_t i = 0; i < request->n_items; i++) {
		response.items[i] = &lookups[i].outcome;
		cart__key_lookup_outcome__init(&lookups[i].outcome);
		lookup_item(cart, request->items[i], arena, i, &lookups[i]);
	}
	answer(&response, call);
}
