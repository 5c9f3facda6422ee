#include <string.h>

#include "base/memory.h"
#include "policy/messages.h"
#include "policy/policy.h"
#include "rpc/reason.h"

#define NAME_MAX_BYTES 64
#define API_VERSION "1.0"

POLICY_METHOD(validate_purchase, ValidatePurchase)
{
	struct policy *policy = container_of(service, struct policy, methods);
	Policy__ValidatePurchaseResponse response = POLICY__VALIDATE_PURCHASE_RESPONSE__INIT;
	struct complaint complaint = complain_purchase(request->sku, request->user_level, request->quantity);
	const struct rule *rule;

	if (!policy_answers(policy, call))
		return;
	if (strlen(request->session_id) > NAME_MAX_BYTES)
		complaint = (struct complaint){"session_id", "expected at most 64 bytes"};
	else if (strlen(request->user_id) > NAME_MAX_BYTES)
		complaint = (struct complaint){"user_id", "expected at most 64 bytes"};
	if (complaint.field) {
		rpc_refuse(call, complaint.field, "%s", complaint.why);
		return;
	}
	rule = rules_closest(policy->rules, request->sku, request->user_level);
	response.session_id = request->session_id;
	response.user_id = request->user_id;
	response.is_allowed =
		rules_judge(rule, request->quantity, clock_wall_ms(policy->clock)) == RULES_WITHIN;
	response.api_version = (char *)(uintptr_t)API_VERSION;
	response.limit = message_limit(rpc_arena(call), rule);
	if (response.limit)
		answer(&response, call);
	else
		policy_fail_too_large(call);
}

POLICY_METHOD(batch_validate_purchases, BatchValidatePurchases)
{
	struct policy *policy = container_of(service, struct policy, methods);
	Policy__BatchValidatePurchasesResponse response = POLICY__BATCH_VALIDATE_PURCHASES_RESPONSE__INIT;
	struct arena *arena = rpc_arena(call);
	int64_t now_ms = clock_wall_ms(policy->clock);
	Policy__PurchaseOutcome *outcomes;

	if (!policy_answers(policy, call))
		return;
	response.n_items = request->n_items;
	response.items = ARENA_ARRAY(arena, request->n_items, Policy__PurchaseOutcome *);
	outcomes = ARENA_ARRAY(arena, request->n_items, Policy__PurchaseOutcome);
	if (request->n_items && (!response.items || !outcomes)) {
		policy_fail_too_large(call);
		return;
	}
	for (size_t i = 0; i < request->n_items; i++) {
		response.items[i] = &outcomes[i];
		if (!message_outcome(arena, policy->rules, request->items[i], now_ms, &outcomes[i])) {
			policy_fail_too_large(call);
			return;
		}
	}
	answer(&response, call);
}
