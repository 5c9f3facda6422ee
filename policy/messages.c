#include "policy/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/timestamp.h"

static const struct complaint content;

static struct complaint complain(const char *field, const char *why)
{
	return (struct complaint){field, why};
}

struct complaint complain_purchase(const char *sku, int32_t level, uint32_t quantity)
{
	if (!rules_sku_valid(sku))
		return complain("sku", "expected 1 to 64 characters of A-Z a-z 0-9 . _ -");
	if (level < 0 || level > RULES_LEVEL_MAX)
		return complain("user_level", "expected 0 to 1,000");
	if (quantity < 1 || quantity > RULES_UNITS_MAX)
		return complain("quantity", "expected 1 to 1,000,000");
	return content;
}

struct complaint complain_subject(const char *sku, int32_t level)
{
	if (!rules_subject_valid(sku))
		return complain(
			"sku", "expected 1 to 64 characters of A-Z a-z 0-9 . _ -, or * for every SKU");
	if (level < RULES_EVERY_LEVEL || level > RULES_LEVEL_MAX)
		return complain("user_level", "expected 0 to 1,000, or -1 for every level");
	return content;
}

static struct complaint read_limit(const Common__Limit *limit, struct rule *rule)
{
	if (!limit || limit->kind_case == COMMON__LIMIT__KIND__NOT_SET)
		return complain("limit", "must be given: a number of units, or unlimited");
	rule->unlimited = limit->kind_case == COMMON__LIMIT__KIND_UNLIMITED;
	rule->units = rule->unlimited ? 0 : limit->units;
	if (!rule->unlimited && (rule->units < 1 || rule->units > RULES_UNITS_MAX))
		return complain("limit.units", "expected 1 to 1,000,000; to have none, say unlimited");
	return content;
}

static struct complaint read_window(
	const Google__Protobuf__Timestamp *open, const Google__Protobuf__Timestamp *close, struct rule *rule)
{
	rule->open_ms = RULES_ALWAYS_OPEN;
	rule->close_ms = RULES_NEVER_CLOSED;
	if (open && !timestamp_get(open, &rule->open_ms))
		return complain("open_time", "not a time of the years 1 to 9999");
	if (close && !timestamp_get(close, &rule->close_ms))
		return complain("close_time", "not a time of the years 1 to 9999");
	if (rule->close_ms <= rule->open_ms)
		return complain("close_time", "expected a time after open_time");
	return content;
}

struct complaint rule_from_message(const Policy__Policy *message, struct rule *ret)
{
	struct rule rule = {.level = message->user_level};
	struct complaint complaint = complain_subject(message->sku, message->user_level);

	if (!complaint.field)
		complaint = read_limit(message->limit, &rule);
	if (!complaint.field)
		complaint = read_window(message->open_time, message->close_time, &rule);
	if (!complaint.field) {
		strcpy(rule.sku, message->sku);
		*ret = rule;
	}
	return complaint;
}

struct complaint rule_from_request(const Policy__SetPolicyRequest *request, struct rule *ret)
{
	Policy__Policy message = POLICY__POLICY__INIT;

	message.sku = request->sku;
	message.user_level = request->user_level;
	message.limit = request->limit;
	message.open_time = request->open_time;
	message.close_time = request->close_time;
	return rule_from_message(&message, ret);
}

Common__Limit *message_limit(struct arena *arena, const struct rule *rule)
{
	Common__Limit *limit = ARENA_NEW(arena, Common__Limit);

	if (!limit)
		return NULL;
	common__limit__init(limit);
	if (!rule->unlimited) {
		limit->kind_case = COMMON__LIMIT__KIND_UNITS;
		limit->units = rule->units;
		return limit;
	}
	limit->kind_case = COMMON__LIMIT__KIND_UNLIMITED;
	limit->unlimited = ARENA_NEW(arena, Common__Unlimited);
	if (!limit->unlimited)
		return NULL;
	common__unlimited__init(limit->unlimited);
	return limit;
}

Policy__Policy *message_policy(struct arena *arena, const struct rule *rule)
{
	Policy__Policy *policy = ARENA_NEW(arena, Policy__Policy);

	if (!policy)
		return NULL;
	policy__policy__init(policy);
	policy->sku = (char *)(uintptr_t)rule->sku;
	policy->user_level = rule->level;
	policy->limit = message_limit(arena, rule);
	if (!policy->limit)
		return NULL;
	if (rule->open_ms != RULES_ALWAYS_OPEN && !(policy->open_time = timestamp_new(arena, rule->open_ms)))
		return NULL;
	if (rule->close_ms != RULES_NEVER_CLOSED &&
		!(policy->close_time = timestamp_new(arena, rule->close_ms)))
		return NULL;
	return policy;
}

static Common__Refusal *refuse(struct arena *arena, Policy__PurchaseOutcome *outcome, Common__Reason reason)
{
	Common__Refusal *refusal = ARENA_NEW(arena, Common__Refusal);

	if (!refusal)
		return NULL;
	common__refusal__init(refusal);
	refusal->reason = reason;
	outcome->outcome_case = POLICY__PURCHASE_OUTCOME__OUTCOME_REFUSAL;
	outcome->refusal = refusal;
	return refusal;
}

static bool refuse_invalid(
	struct arena *arena, const struct complaint *complaint, Policy__PurchaseOutcome *outcome)
{
	Common__Refusal *refusal = refuse(arena, outcome, COMMON__REASON__REASON_INVALID);

	if (!refusal)
		return false;
	refusal->field = (char *)(uintptr_t)complaint->field;
	refusal->message = (char *)(uintptr_t)complaint->why;
	return true;
}

static bool refuse_over(struct arena *arena, const struct rule *rule, Policy__PurchaseOutcome *outcome)
{
	Common__Refusal *refusal = refuse(arena, outcome, COMMON__REASON__REASON_LIMIT_REACHED);

	if (!refusal)
		return false;
	refusal->message = arena_format(arena, "the limit per person is %u", rule->units);
	return refusal->message != NULL;
}

static bool refuse_early(
	struct arena *arena, const struct rule *rule, int64_t now_ms, Policy__PurchaseOutcome *outcome)
{
	Common__Refusal *refusal = refuse(arena, outcome, COMMON__REASON__REASON_NOT_OPEN);
	int64_t wait_ms = rule->open_ms - now_ms;

	if (!refusal)
		return false;
	refusal->retry_after_ms = wait_ms < UINT32_MAX ? (uint32_t)wait_ms : UINT32_MAX;
	return true;
}

bool message_outcome(struct arena *arena, const struct rules *rules, const Policy__PurchaseCheck *check,
	int64_t now_ms, Policy__PurchaseOutcome *ret)
{
	struct complaint complaint = complain_purchase(check->sku, check->user_level, check->quantity);
	const struct rule *rule;

	policy__purchase_outcome__init(ret);
	if (complaint.field)
		return refuse_invalid(arena, &complaint, ret);
	rule = rules_closest(rules, check->sku, check->user_level);
	switch (rules_judge(rule, check->quantity, now_ms)) {
	case RULES_NOT_OPEN:
		return refuse_early(arena, rule, now_ms, ret);
	case RULES_CLOSED:
		return refuse(arena, ret, COMMON__REASON__REASON_CLOSED) != NULL;
	case RULES_OVER:
		return refuse_over(arena, rule, ret);
	case RULES_WITHIN:
		break;
	}
	ret->outcome_case = POLICY__PURCHASE_OUTCOME__OUTCOME_LIMIT;
	ret->limit = message_limit(arena, rule);
	return ret->limit != NULL;
}

char *rule_name_format(const char *sku, int32_t level, char name[RULE_NAME_MAX])
{
	snprintf(name, RULE_NAME_MAX, "%s/%d", sku, level);
	return name;
}

bool rule_name_parse(const char *name, char ret_sku[RULES_SKU_MAX + 1], int32_t *ret_level)
{
	const char *slash = strchr(name, '/');
	char sku[RULES_SKU_MAX + 1], again[RULE_NAME_MAX];
	size_t length = slash ? (size_t)(slash - name) : 0;
	long level;

	if (!slash || length > RULES_SKU_MAX || strlen(slash) > 5)
		return false;
	memcpy(sku, name, length);
	sku[length] = '\0';
	level = strtol(slash + 1, NULL, 10);
	/* The one spelling that rule_name_format has. */
	if (strcmp(rule_name_format(sku, (int32_t)level, again), name) != 0 ||
		complain_subject(sku, (int32_t)level).field)
		return false;
	strcpy(ret_sku, sku);
	*ret_level = (int32_t)level;
	return true;
}
