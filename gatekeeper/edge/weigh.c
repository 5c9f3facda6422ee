#include "gatekeeper/edge/weigh.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "flashsale/policy/v1/policy.pb-c.h"
#include "flashsale/protector/v1/protector.pb-c.h"
#include "rpc/timestamp.h"

static void go(struct verdict *verdict)
{
	*verdict = (struct verdict){.go = true};
}

static struct problem *stop(struct verdict *verdict)
{
	*verdict = (struct verdict){.go = false};
	return &verdict->problem;
}

void weigh_refusal(const struct route *route, const Common__Refusal *refusal, struct problem *ret)
{
	struct rpc_status status;

	if (!rpc_reason_get(refusal->reason)) {
		problem_from_http(ret, 500, "refused for a reason that is not known here");
		return;
	}
	rpc_status_set_reason(&status, refusal->reason, "%s", refusal->message);
	snprintf(status.field, sizeof(status.field), "%s", refusal->field);
	if (refusal->retry_after_ms)
		status.retry_after_ms = refusal->retry_after_ms;
	route_problem(route, &status, ret);
}

static void down(const char *service, struct problem *ret)
{
	problem_from_reason(ret, COMMON__REASON__REASON_DEPENDENCY_DOWN,
		"%s is not available; nothing was changed", service);
}

static void unknown(struct problem *ret)
{
	problem_from_reason(ret, COMMON__REASON__REASON_OUTCOME_UNKNOWN,
		"it may or may not have taken effect; ask again with the same Idempotency-Key");
}

/* The service's own word: it was refused as a whole, before anything was done. */
static bool has_word(const struct hop *hop)
{
	return hop->status->code != RPC_OK && rpc_reason_by_name(hop->status->reason);
}

void weigh_failure(const struct hop *hop, const char *service, struct problem *ret)
{
	if (has_word(hop))
		route_problem(hop->route, hop->status, ret);
	else if (hop->sent)
		unknown(ret);
	else
		down(service, ret);
}

void weigh_ban(const char *ban_id, int64_t end_ms, struct problem *ret)
{
	char end[CLOCK_TEXT_MAX];

	if (end_ms == INT64_MAX)
		problem_from_reason(ret, COMMON__REASON__REASON_BANNED, "ban %.63s, without an end", ban_id);
	else
		problem_from_reason(ret, COMMON__REASON__REASON_BANNED, "ban %.63s, until %s", ban_id,
			clock_format_rfc3339(end_ms, end));
}

/* ---- the protector ---- */

static void fall_back_client(const struct client_fallback *fallback, struct verdict *ret)
{
	if (fallback->fail_closed || !fallback->known) {
		down("the protector", stop(ret));
		return;
	}
	if (fallback->ban)
		weigh_ban(fallback->ban->ban_id, fallback->ban->end_ms, stop(ret));
	else
		go(ret);
	ret->degraded = true;
}

static int64_t end_of(const Protector__BanNotice *notice)
{
	int64_t end_ms;

	return notice->expire_time && timestamp_get(notice->expire_time, &end_ms) ? end_ms : INT64_MAX;
}

void weigh_client(const struct hop *hop, const struct client_fallback *fallback, struct verdict *ret)
{
	const Protector__ClientOutcome *outcome = (const Protector__ClientOutcome *)hop->answer;

	switch (outcome ? outcome->outcome_case : PROTECTOR__CLIENT_OUTCOME__OUTCOME__NOT_SET) {
	case PROTECTOR__CLIENT_OUTCOME__OUTCOME_WELCOME:
		go(ret);
		break;
	case PROTECTOR__CLIENT_OUTCOME__OUTCOME_BAN:
		weigh_ban(outcome->ban->ban_id, end_of(outcome->ban), stop(ret));
		break;
	case PROTECTOR__CLIENT_OUTCOME__OUTCOME_REFUSAL:
		weigh_refusal(hop->route, outcome->refusal, stop(ret));
		break;
	default:
		fall_back_client(fallback, ret);
		break;
	}
}

/* ---- policy ---- */

bool weigh_rule(const struct rule *rule, uint32_t quantity, int64_t now_ms, struct problem *ret)
{
	char at[CLOCK_TEXT_MAX];

	if (now_ms < rule->open_ms) {
		problem_from_reason(ret, COMMON__REASON__REASON_NOT_OPEN, "it opens at %s",
			clock_format_rfc3339(rule->open_ms, at));
		if (rule->open_ms - now_ms > ret->retry_after_ms)
			ret->retry_after_ms = rule->open_ms - now_ms;
		return false;
	}
	if (now_ms >= rule->close_ms) {
		problem_from_reason(ret, COMMON__REASON__REASON_CLOSED, "it closed at %s",
			clock_format_rfc3339(rule->close_ms, at));
		return false;
	}
	if (!rule->unlimited && quantity > rule->units) {
		problem_from_reason(
			ret, COMMON__REASON__REASON_LIMIT_REACHED, "one person may have %u", rule->units);
		return false;
	}
	return true;
}

static void limit_of_rule(const struct rule *rule, Common__Limit *ret)
{
	static const Common__Unlimited unlimited = COMMON__UNLIMITED__INIT;

	common__limit__init(ret);
	ret->kind_case = rule->unlimited ? COMMON__LIMIT__KIND_UNLIMITED : COMMON__LIMIT__KIND_UNITS;
	if (rule->unlimited)
		ret->unlimited = (Common__Unlimited *)(uintptr_t)&unlimited;
	else
		ret->units = rule->units;
}

static void fall_back_limit(
	const struct limit_fallback *fallback, struct verdict *ret, Common__Limit *ret_limit)
{
	struct problem problem;

	if (!fallback->rule) {
		down("policy", stop(ret));
		return;
	}
	if (weigh_rule(fallback->rule, fallback->quantity, fallback->now_ms, &problem)) {
		go(ret);
		limit_of_rule(fallback->rule, ret_limit);
	} else {
		*stop(ret) = problem;
	}
	ret->degraded = true;
}

/* A copy that points to nothing of the answer. False: it says nothing. */
static bool copy_limit(const Common__Limit *limit, Common__Limit *ret)
{
	const struct rule rule = {.unlimited = limit && limit->kind_case == COMMON__LIMIT__KIND_UNLIMITED,
		.units = limit && limit->kind_case == COMMON__LIMIT__KIND_UNITS ? limit->units : 0};

	limit_of_rule(&rule, ret);
	return rule.unlimited || rule.units;
}

void weigh_limit(const struct hop *hop, const struct limit_fallback *fallback, struct verdict *ret,
	Common__Limit *ret_limit)
{
	const Policy__PurchaseOutcome *outcome = (const Policy__PurchaseOutcome *)hop->answer;

	if (outcome && outcome->outcome_case == POLICY__PURCHASE_OUTCOME__OUTCOME_LIMIT &&
		copy_limit(outcome->limit, ret_limit))
		go(ret);
	else if (outcome && outcome->outcome_case == POLICY__PURCHASE_OUTCOME__OUTCOME_REFUSAL)
		weigh_refusal(hop->route, outcome->refusal, stop(ret));
	else
		fall_back_limit(fallback, ret, ret_limit);
}

/* ---- the cart ---- */

void weigh_line(const struct hop *hop, struct verdict *ret, const Cart__ItemGrant **ret_grant)
{
	const Cart__ItemOutcome *outcome = (const Cart__ItemOutcome *)hop->answer;

	if (!outcome) {
		weigh_failure(hop, "the cart", stop(ret));
	} else if (outcome->outcome_case == CART__ITEM_OUTCOME__OUTCOME_GRANT) {
		go(ret);
		*ret_grant = outcome->grant;
	} else if (outcome->outcome_case == CART__ITEM_OUTCOME__OUTCOME_REFUSAL) {
		weigh_refusal(hop->route, outcome->refusal, stop(ret));
	} else {
		unknown(stop(ret));
	}
}

/* A look-up changes nothing; but whether the key has a grant must be known before anybody hears no. */
static void weigh_key_failure(const struct hop *hop, struct problem *ret)
{
	if (hop->sent && !has_word(hop))
		problem_from_reason(ret, COMMON__REASON__REASON_OUTCOME_UNKNOWN,
			"whether the key was granted something before is not known; ask again with the same "
			"key");
	else
		weigh_failure(hop, "the cart", ret);
}

void weigh_key(const struct hop *hop, struct verdict *ret, const Cart__ItemGrant **ret_grant)
{
	const Cart__KeyLookupOutcome *outcome = (const Cart__KeyLookupOutcome *)hop->answer;

	*ret_grant = NULL;
	switch (outcome ? outcome->outcome_case : CART__KEY_LOOKUP_OUTCOME__OUTCOME__NOT_SET) {
	case CART__KEY_LOOKUP_OUTCOME__OUTCOME_GRANT:
		*ret_grant = outcome->grant;
		go(ret);
		break;
	case CART__KEY_LOOKUP_OUTCOME__OUTCOME_UNKNOWN:
		go(ret);
		break;
	case CART__KEY_LOOKUP_OUTCOME__OUTCOME_REFUSAL:
		weigh_refusal(hop->route, outcome->refusal, stop(ret));
		break;
	default:
		weigh_key_failure(hop, stop(ret));
		break;
	}
}

bool weigh_key_may_know(const struct problem *problem)
{
	switch (problem->reason ? problem->reason->value : COMMON__REASON__REASON_UNSPECIFIED) {
	case COMMON__REASON__REASON_SOLD_OUT:
	case COMMON__REASON__REASON_NOT_ENOUGH:
	case COMMON__REASON__REASON_LIMIT_REACHED:
	case COMMON__REASON__REASON_NOT_OPEN:
	case COMMON__REASON__REASON_CLOSED:
		return true;
	default:
		return false;
	}
}
