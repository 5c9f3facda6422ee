/* tests/simulation/tally.c - see tally.h. */
#include "tally.h"

#include <inttypes.h>
#include <stdio.h>

#include "rpc/reason.h"

#define REASONS 64
#define REPEATED (REASONS - 1) /* a yes, and it was so already */

static const char *const wire_names[WIRE_KINDS] = {"create hold", "release hold", "resize hold",
	"confirm hold", "fence cart", "acknowledge", "bind order", "confirm order", "release order",
	"refund order", "open goods", "update goods", "adjust stock", "close goods", "archive goods",
	"export goods"};
static const char *const shop_names[SHOP_KINDS] = {
	"add", "shrink", "look up key", "check out", "pay", "cancel", "refund", "see order"};
static uint64_t wire_counts[WIRE_KINDS][REASONS], shop_counts[SHOP_KINDS][REASONS];

void tally_inventory(enum wire_kind kind, Common__Reason reason, bool repeated)
{
	wire_counts[kind][!reason && repeated ? REPEATED : reason]++;
}

void tally_cart(enum shop_kind kind, Common__Reason reason)
{
	shop_counts[kind][reason]++;
}

/* ---- the table ---- */

static const char *verdict_name(int verdict)
{
	if (!verdict)
		return "yes";
	return verdict == REPEATED ? "again" : rpc_reason_get((Common__Reason)verdict)->name;
}

static void show(const char *side, const char *const *names, int kinds, uint64_t (*counts)[REASONS])
{
	for (int kind = 0; kind < kinds; kind++) {
		printf("%-9s  %-13s", side, names[kind]);
		for (int verdict = 0; verdict < REASONS; verdict++)
			if (counts[kind][verdict])
				printf("  %s %" PRIu64, verdict_name(verdict), counts[kind][verdict]);
		printf("\n");
	}
}

void tally_show(void)
{
	show("inventory", wire_names, WIRE_KINDS, wire_counts);
	show("cart", shop_names, SHOP_KINDS, shop_counts);
}

/* ---- what must occur ---- */

#define R(name) COMMON__REASON__REASON_##name
#define END (-1)

static const int wire_wanted[WIRE_KINDS][16] = {
	[WIRE_CREATE] = {0, REPEATED, R(SOLD_OUT), R(NOT_ENOUGH), R(CLOSED), R(STALE_EPOCH), R(STORE_FULL),
		END},
	[WIRE_RELEASE] = {0, REPEATED, R(HOLD_EXPIRED), R(WRONG_STATE), R(STALE_EPOCH), END},
	[WIRE_RESIZE] = {0, REPEATED, R(HOLD_EXPIRED), R(WRONG_STATE), END},
	[WIRE_CONFIRM] = {0, REPEATED, R(HOLD_EXPIRED), R(WRONG_STATE), END},
	[WIRE_FENCE] = {0, REPEATED, R(STALE_EPOCH), R(LINEAGE_CHANGED), END},
	[WIRE_ACKNOWLEDGE] = {0, REPEATED, R(STALE_EPOCH), R(LINEAGE_CHANGED), END},
	[WIRE_BIND] = {0, REPEATED, R(HOLD_EXPIRED), R(WRONG_STATE), R(STALE_EPOCH), R(STORE_FULL), END},
	[WIRE_PAY] = {0, REPEATED, R(HOLD_EXPIRED), R(STALE_EPOCH), END},
	[WIRE_CANCEL] = {0, REPEATED, R(HOLD_EXPIRED), R(STALE_EPOCH), END},
	[WIRE_REFUND] = {0, REPEATED, R(STALE_EPOCH), END},
	[WIRE_OPEN] = {0, R(ALREADY_OPEN), R(IN_PROGRESS), R(STORE_FULL), END},
	[WIRE_UPDATE] = {0, R(UNKNOWN_SKU), END},
	[WIRE_ADJUST] = {0, REPEATED, R(NOT_ENOUGH), R(UNKNOWN_SKU), R(STORE_FULL), END},
	[WIRE_CLOSE] = {0, R(UNKNOWN_SKU), END},
	[WIRE_ARCHIVE] = {0, R(VERSION_MISMATCH), R(WRONG_STATE), R(IN_PROGRESS), END},
	[WIRE_EXPORT] = {0, R(WRONG_STATE), R(IN_PROGRESS), END},
};
static const int shop_wanted[SHOP_KINDS][16] = {
	[SHOP_ADD] = {0, R(SOLD_OUT), R(NOT_ENOUGH), R(LIMIT_REACHED), R(CLOSED), R(KEY_REUSED),
		R(OVERLOADED), R(OUTCOME_UNKNOWN), R(STORE_FULL), R(DEPENDENCY_DOWN), END},
	[SHOP_SHRINK] = {0, R(OUTCOME_UNKNOWN), R(NOT_FOUND), END},
	[SHOP_LOOKUP] = {0, R(NOT_FOUND), R(KEY_REUSED), R(IN_PROGRESS), END},
	[SHOP_CHECKOUT] = {0, R(NOT_FOUND), R(IN_PROGRESS), R(KEY_REUSED), R(HOLD_EXPIRED), R(WRONG_STATE),
		R(OUTCOME_UNKNOWN), R(STARTING), END},
	[SHOP_PAY] = {0, R(HOLD_EXPIRED), R(WRONG_STATE), R(IN_PROGRESS), R(OUTCOME_UNKNOWN), END},
	[SHOP_CANCEL] = {0, R(HOLD_EXPIRED), R(WRONG_STATE), R(OUTCOME_UNKNOWN), END},
	[SHOP_REFUND] = {0, R(WRONG_STATE), R(OUTCOME_UNKNOWN), END},
	[SHOP_SEE] = {0, END},
};

static unsigned missing(const char *side, const char *const *names, int kinds, uint64_t (*counts)[REASONS],
	const int (*wanted)[16])
{
	unsigned count = 0;

	for (int kind = 0; kind < kinds; kind++)
		for (const int *verdict = wanted[kind]; *verdict != END; verdict++)
			if (!counts[kind][*verdict]) {
				fprintf(stderr, "never: %s: %s: %s\n", side, names[kind],
					verdict_name(*verdict));
				count++;
			}
	return count;
}

static unsigned missing_troubles(void)
{
	const uint64_t *counts = (const uint64_t *)&world.troubles;
	unsigned count = 0;

	for (size_t i = 0; i < sizeof(world.troubles) / sizeof(*counts); i++)
		if (!counts[i]) {
			fprintf(stderr, "never: trouble %zu of world.h\n", i + 1);
			count++;
		}
	return count;
}

bool tally_complete(void)
{
	unsigned count = missing("inventory", wire_names, WIRE_KINDS, wire_counts, wire_wanted) +
			 missing("cart", shop_names, SHOP_KINDS, shop_counts, shop_wanted) +
			 missing_troubles();

	return count == 0;
}
