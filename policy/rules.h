/* policy/rules.h - the rules in memory: how many units of a SKU one person of a level may have, and when the sale is open.
 *
 * A rule is for a SKU or for every one ("*"), and for a level or for every one (-1). Of those that fit a purchase the closest counts, as a whole:
 * SKU and level, else the SKU with every level, else every SKU with the level, else every SKU with every level, else the standard, which
 * is always there, has no window, and is given by rules_new. Look-ups cost at most four probes of a hash table.
 * Pure: asks no clock. Threads: belongs to one; the service's loop. */
#ifndef FLASHSALE_POLICY_RULES_H
#define FLASHSALE_POLICY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RULES_SKU_MAX 64
#define RULES_EVERY_SKU "*"
#define RULES_EVERY_LEVEL (-1)
#define RULES_LEVEL_MAX 1000
#define RULES_UNITS_MAX 1000000
#define RULES_ALWAYS_OPEN INT64_MIN
#define RULES_NEVER_CLOSED INT64_MAX

struct rule {
	char sku[RULES_SKU_MAX + 1];
	int32_t level;
	bool unlimited;
	uint32_t units;	  /* 1 to RULES_UNITS_MAX; 0 when unlimited */
	int64_t open_ms;  /* open from here on, or RULES_ALWAYS_OPEN */
	int64_t close_ms; /* closed from here on, after open_ms, or RULES_NEVER_CLOSED */
};

bool rules_sku_valid(const char *text);	    /* 1 to 64 characters of A-Z a-z 0-9 . _ - */
bool rules_subject_valid(const char *text); /* that, or "*" */
bool rules_rule_valid(const struct rule *rule);

struct rules;

struct rules *rules_new(const struct rule *standard); /* its SKU, level and window are not looked at */
void rules_free(struct rules *rules);
size_t rules_count(const struct rules *rules); /* without the standard */

void rules_put(
	struct rules *rules, const struct rule *rule); /* new, or in place of the one for its SKU and level */
bool rules_remove(struct rules *rules, const char *sku, int32_t level); /* false: none was there */

/* What is returned is valid until the next put or remove. */
const struct rule *rules_get(
	const struct rules *rules, const char *sku, int32_t level); /* exactly this one; NULL: none */
const struct rule *rules_standard(const struct rules *rules);	    /* as "*" with -1 */
const struct rule *rules_closest(const struct rules *rules, const char *sku, int32_t level); /* never NULL */
/* The next in the order of SKU and level; NULL: no more. Begin with "" and RULES_EVERY_LEVEL: nothing stands before it. */
const struct rule *rules_after(const struct rules *rules, const char *sku, int32_t level);

enum rules_verdict { RULES_WITHIN, RULES_NOT_OPEN, RULES_CLOSED, RULES_OVER };
enum rules_verdict rules_judge(const struct rule *rule, uint32_t quantity, int64_t now_ms);

#endif
