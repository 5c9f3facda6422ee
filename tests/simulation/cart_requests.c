/* tests/simulation/cart_requests.c - adds and look-ups, after cart/rpc_items.c and rpc_keys.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cart_process.h"
#include "model.h"
#include "tally.h"

#define WAIT_MS 1900
#define WAIT_SHORT_MS 120

static void wait_free(struct cart_wait *wait)
{
	*(wait->previous ? &wait->previous->next : &wait->process->waits) = wait->next;
	if (wait->next)
		wait->next->previous = wait->previous;
	free(wait);
}

/* What every shopper hears passes here. */
static void tell(const struct shop_request *request, const struct outcome *outcome)
{
	if (outcome->reason) {
		model_counts.told_no += outcome->reason != COMMON__REASON__REASON_OUTCOME_UNKNOWN;
		model_counts.told_unknown += outcome->reason == COMMON__REASON__REASON_OUTCOME_UNKNOWN;
	} else {
		model_counts.told_yes++;
		model_told_grant(
			&outcome->hold, request->user, request->sku, outcome->quantity, (int)outcome->state);
	}
	world_note("shopper hears", request->user << 16 | request->sku, outcome->reason,
		(uint64_t)outcome->state);
	tally_cart(request->kind, outcome->reason);
	shop_hears(request, outcome->reason, &outcome->hold);
}

static enum model_word word_of(Common__Reason reason)
{
	if (reason == COMMON__REASON__REASON_OUTCOME_UNKNOWN)
		return MODEL_TOLD_UNKNOWN;
	return reason ? MODEL_TOLD_NO : MODEL_TOLD_YES;
}

static void finish(struct cart_wait *wait)
{
	model_told(&wait->hold, word_of(wait->waiter.outcome.reason));
	tell(&wait->request, &wait->waiter.outcome);
	wait_free(wait);
}

void requests_decided(struct waiter *waiter)
{
	finish(container_of(waiter, struct cart_wait, waiter));
}

static uint64_t wait_numbers;

/* Its time is over: the wait with this number, if it still waits. */
static void run_give_up(void *context, uint64_t number, uint64_t unused)
{
	struct cart_process *process = context;
	struct cart_wait *wait = process->waits;

	while (wait && wait->number != number)
		wait = wait->next;
	if (!wait)
		return;
	cart_give_up(process->cart, &wait->waiter);
	finish(wait);
}

static void key_of(const struct shop_request *request, struct add *ret)
{
	char text[16];
	const char *user = world_user(request->user), *sku = world_sku(request->sku);
	int length = snprintf(text, sizeof(text), "k%u", request->key);

	ret->keyed = request->key != 0;
	ret->key = key_scope(user, strlen(user), text, (size_t)length);
	ret->fingerprint = key_fingerprint(KEY_ADD, sku, strlen(sku), request->quantity);
}

static struct cart_wait *wait_new(struct cart_process *process, const struct shop_request *request)
{
	struct cart_wait *wait = NEW(struct cart_wait);

	wait->process = process;
	wait->request = *request;
	wait->number = ++wait_numbers;
	wait->next = process->waits;
	if (wait->next)
		wait->next->previous = wait;
	process->waits = wait;
	return wait;
}

static void take_add(struct cart_process *process, const struct shop_request *request)
{
	int64_t now_ms = cart_process_now_ms(process), wait_ms = world_below(20) ? WAIT_MS : WAIT_SHORT_MS;
	struct cart_wait *wait = wait_new(process, request);
	struct add add = {.user = span_of(world_user(request->user)),
		.session = span_of("s"),
		.sku = span_of(world_sku(request->sku)),
		.quantity = request->quantity,
		.limit = {.unlimited = request->limit == UINT32_MAX, .units = request->limit}};

	key_of(request, &add);
	wait->waiter.deadline_ms = now_ms + wait_ms;
	if (cart_add(process->cart, &add, &wait->waiter, now_ms)) {
		tell(request, &wait->waiter.outcome);
		wait_free(wait);
		return;
	}
	wait->hold = wait->waiter.attempt->id;
	model_waits(&wait->hold);
	world_after(&process->base, wait_ms * MS, run_give_up, process, wait->number, 0);
}

static void take_lookup(struct cart_process *process, const struct shop_request *request)
{
	struct outcome outcome;
	struct add add;

	key_of(request, &add);
	switch (cart_lookup_key(process->cart, &add.key, &add.fingerprint, &outcome)) {
	case KEY_GRANTED:
		tell(request, &outcome);
		break;
	case KEY_REFUSED:
		tally_cart(request->kind, outcome.reason);
		break;
	case KEY_UNKNOWN:
		tally_cart(request->kind, COMMON__REASON__REASON_NOT_FOUND);
		break;
	}
}

void requests_take(struct cart_process *process, const struct shop_request *request)
{
	switch (request->kind) {
	case SHOP_ADD:
		take_add(process, request);
		break;
	case SHOP_SHRINK:
		change_start(process, request);
		break;
	case SHOP_LOOKUP:
		take_lookup(process, request);
		break;
	default:
		orders_take(process, request);
		break;
	}
}

void requests_release(struct cart_process *process)
{
	while (process->waits) {
		struct cart_wait *wait = process->waits;

		if (wait->waiter.attempt)
			attempt_leave(&wait->waiter);
		model_told(&wait->hold, MODEL_TOLD_UNKNOWN);
		wait_free(wait);
	}
}
