/* gatekeeper/edge/rule_list.h - the rules of policy, as it last told them: limits by SKU and level, and when a sale is open.
 *
 * Of the rules that fit a purchase the closest counts, whole: SKU and level, else the SKU with every level, else every SKU with the level, else every SKU with every
 * level. A rule without a limit is none. Bounded: past RULE_LIST_MAX a rule is not kept.
 * Threads: applied on the loop, read from any; one mutex inside. */
#ifndef FLASHSALE_EDGE_RULE_LIST_H
#define FLASHSALE_EDGE_RULE_LIST_H

#include <stdbool.h>

#include "flashsale/policy/v1/policy.pb-c.h"

#define RULE_LIST_MAX 1000000

struct rule {
	bool unlimited;
	uint32_t units;		   /* unless unlimited */
	int64_t open_ms, close_ms; /* wall clock; INT64_MIN: from ever, INT64_MAX: for ever */
};

struct rule_list;
struct rule_list *rule_list_new(void);
void rule_list_free(struct rule_list *list);

void rule_list_apply(struct rule_list *list, const Policy__WatchPoliciesResponse *message);
bool rule_list_find(struct rule_list *list, const char *sku, int32_t level, struct rule *ret);

#endif
