/* buy_answer.c - what a shopper hears, on both surfaces; see buy.h.
 *
 * On the compatible surface a refusal by a rule is 200 with its flags, also where the route shows a cart's line; so is an unknown SKU: a buy is no route of goods.
 * What is no verdict (unknown, a service away, a key of another request, malformed) is a problem there too: repResult false would claim too much. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "flashsale/gatekeeper/v1/gatekeeper.pb-c.h"
#include "gatekeeper/edge/buy.h"
#include "gatekeeper/edge/edge_metrics.h"
#include "rpc/timestamp.h"

/* 0: no rule's refusal. */
static int flags_status(const struct problem *problem)
{
	switch (problem->reason ? problem->reason->value : COMMON__REASON__REASON_UNSPECIFIED) {
	case COMMON__REASON__REASON_SOLD_OUT:
	case COMMON__REASON__REASON_NOT_ENOUGH:
	case COMMON__REASON__REASON_LIMIT_REACHED:
	case COMMON__REASON__REASON_NOT_OPEN:
	case COMMON__REASON__REASON_CLOSED:
	case COMMON__REASON__REASON_BANNED:
	case COMMON__REASON__REASON_UNKNOWN_SKU:
	case COMMON__REASON__REASON_CHALLENGE_REQUIRED:
		return 200;
	case COMMON__REASON__REASON_THROTTLED:
	case COMMON__REASON__REASON_SLOWED:
		return 429;
	default:
		return 0;
	}
}

void buy_answer_problem(struct work *work, const struct problem *problem)
{
	const int status = work->surface == JSON_COMPATIBLE ? flags_status(problem) : 0;
	struct edge_output *out = &work->request->out;
	const char *message;
	char details[384];

	if (!status) {
		answer_problem(work, problem);
		return;
	}
	out->reason = problem->reason->name;
	out->challenge = problem->challenge;
	work->reason = problem->reason->value;
	message = problem->reason->title;
	out->retry_after_s = status == 429 ? (int32_t)problem_retry_after_s(problem) : 0;
	/* A detail that only repeats the title, which stands in for an empty one, is not said twice. */
	if (problem->detail[0] && strcmp(problem->detail, problem->reason->title) != 0) {
		snprintf(details, sizeof(details), "%.120s: %.250s", problem->reason->title, problem->detail);
		message = details;
	}
	answer_flags(work, status, message, false, status == 429);
}

void buy_answer_refusal(struct work *work, const struct problem *problem, bool degraded)
{
	edge_metrics_buy(problem, degraded);
	buy_answer_problem(work, problem);
}

/* The same key hears the same again. */
static const char *message_of(const Cart__ItemGrant *grant)
{
	switch (grant->state) {
	case INVENTORY__HOLD_STATE__HOLD_STATE_HELD:
		return "bought: in the cart";
	case INVENTORY__HOLD_STATE__HOLD_STATE_SOLD:
		return "bought and paid";
	default:
		return "bought before with this key, but no longer held";
	}
}

static bool is_live(const Cart__ItemGrant *grant)
{
	return grant->state == INVENTORY__HOLD_STATE__HOLD_STATE_HELD ||
	       grant->state == INVENTORY__HOLD_STATE__HOLD_STATE_SOLD;
}

void buy_answer_grant(struct buy *buy, const Cart__ItemGrant *grant)
{
	struct work *work = buy->work;
	Gatekeeper__BuyResponse response = GATEKEEPER__BUY_RESPONSE__INIT;
	Google__Protobuf__Timestamp now;

	edge_metrics_buy(NULL, buy->degraded);
	work->request->out.reason = "GRANTED";
	if (work->surface == JSON_COMPATIBLE) {
		answer_flags(work, 200, message_of(grant), is_live(grant), false);
		return;
	}
	timestamp_set(&now, clock_wall_ms(&clock_system));
	response.session_id = (char *)(uintptr_t)buy->purchase.session_id;
	response.hold_id = grant->hold_id;
	response.state = grant->state;
	response.sku = (char *)(uintptr_t)buy->purchase.sku;
	response.quantity = grant->quantity;
	response.price_micros = grant->price_micros;
	response.deadline = grant->deadline;
	response.remaining = grant->remaining;
	response.user_units = grant->user_units;
	response.repeated = grant->repeated;
	response.degraded = buy->degraded;
	response.server_time = &now;
	answer_message(work, 200, &response.base);
}

void buy_answer_line(struct buy *buy, Cart__CartLine *line)
{
	Gatekeeper__AddCartItemResponse added = GATEKEEPER__ADD_CART_ITEM_RESPONSE__INIT;
	Gatekeeper__UpdateCartItemResponse updated = GATEKEEPER__UPDATE_CART_ITEM_RESPONSE__INIT;

	edge_metrics_buy(NULL, buy->degraded);
	buy->work->request->out.reason = "GRANTED";
	added.line = line;
	updated.line = line;
	answer_message(buy->work, 200, buy->purchase.kind == PURCHASE_ADD ? &added.base : &updated.base);
}
