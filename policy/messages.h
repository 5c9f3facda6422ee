/* policy/messages.h - between the contract's messages and the rules: checks of what came in, making of what goes out.
 *
 * Messages are made in the arena given; NULL or false: it is at its cap. Texts of messages point to the rule or the request that they were made
 * from. Pure: any thread. */
#ifndef FLASHSALE_POLICY_MESSAGES_H
#define FLASHSALE_POLICY_MESSAGES_H

#include "base/arena.h"
#include "flashsale/policy/v1/policy.pb-c.h"
#include "policy/rules.h"

/* What is wrong with a request; `field` NULL: nothing. */
struct complaint {
	const char *field; /* by its name in the contract */
	const char *why;   /* for a person */
};

struct complaint complain_purchase(const char *sku, int32_t level, uint32_t quantity);
struct complaint complain_subject(const char *sku, int32_t level); /* a rule's */

/* Fills *ret with the rule that is asked for, unless there is a complaint. */
struct complaint rule_from_request(const Policy__SetPolicyRequest *request, struct rule *ret);

/* The same for a rule that was told by another instance. */
struct complaint rule_from_message(const Policy__Policy *message, struct rule *ret);

Policy__Policy *message_policy(struct arena *arena, const struct rule *rule);
Common__Limit *message_limit(struct arena *arena, const struct rule *rule);

/* The outcome of one purchase check; *ret is initialised here. */
bool message_outcome(struct arena *arena, const struct rules *rules, const Policy__PurchaseCheck *check,
	int64_t now_ms, Policy__PurchaseOutcome *ret);

/* "SKU/level": the key of watches and the token of pages. */
#define RULE_NAME_MAX (RULES_SKU_MAX + 8)
char *rule_name_format(const char *sku, int32_t level, char name[RULE_NAME_MAX]);
bool rule_name_parse(const char *name, char ret_sku[RULES_SKU_MAX + 1], int32_t *ret_level);

#endif
