/* What the service counts. Added up per group by the books, so nothing is counted per item here. */
#include "base/metrics.h"
#include "inventory/inventory.h"

#define HOLDS "flashsale_inventory_holds_total"
#define HOLDS_HELP "Commands about holds by what they came to."
#define RESULT(text) \
	{ \
		.name = HOLDS, .help = HOLDS_HELP, .labels = "result=\"" text "\"" \
	}

static struct metric granted = RESULT("granted");
static struct metric repeated = RESULT("repeated");
static struct metric released = RESULT("released");
static struct metric confirmed = RESULT("confirmed");
static struct metric resized = RESULT("resized");
static struct metric expired = RESULT("expired");
static struct metric refunded = RESULT("refunded");
static struct metric refused[VERDICT_COUNT] = {
	[VERDICT_SOLD_OUT] = RESULT("sold_out"),
	[VERDICT_NOT_ENOUGH] = RESULT("not_enough"),
	[VERDICT_CLOSED] = RESULT("closed"),
	[VERDICT_UNKNOWN_SKU] = RESULT("unknown_sku"),
	[VERDICT_KEY_REUSED] = RESULT("key_reused"),
	[VERDICT_NOT_FOUND] = RESULT("not_found"),
	[VERDICT_GONE] = RESULT("gone"),
	[VERDICT_HOLD_EXPIRED] = RESULT("hold_expired"),
	[VERDICT_WRONG_STATE] = RESULT("wrong_state"),
	[VERDICT_FORBIDDEN] = RESULT("forbidden"),
	[VERDICT_WRONG_SHARD] = RESULT("wrong_shard"),
	[VERDICT_INVALID] = RESULT("invalid"),
	[VERDICT_OVERLOADED] = RESULT("overloaded"),
	[VERDICT_STORE_FULL] = RESULT("store_full"),
};

#define ORDERS(text) \
	{ \
		.name = "flashsale_inventory_orders_total", \
		.help = "Changes of orders by what became of them.", .labels = "change=\"" text "\"" \
	}
static struct metric bound = ORDERS("bound");
static struct metric paid = ORDERS("paid");
static struct metric cancelled = ORDERS("cancelled");
static struct metric overdue = ORDERS("expired");
static struct metric taken_back = ORDERS("refunded");

#define GAUGE(n, h) \
	{ \
		.kind = METRIC_GAUGE, .name = "flashsale_inventory_" n, .help = h \
	}
static struct metric goods = GAUGE("goods", "Rows of goods, closed ones too.");
static struct metric live = GAUGE("live_holds", "Holds that are held, as of the last look at the room.");
static struct metric head = GAUGE("ledger_head", "Sequence of the last committed entry.");
static struct metric floor_at = GAUGE("ledger_floor", "Up to this sequence the ledger is compacted.");
static struct metric dropped = {.name = "flashsale_inventory_ledger_dropped_total",
	.help = "Ledger entries that compaction has dropped."};
#define HELD(text) \
	{ \
		.kind = METRIC_GAUGE, .name = "flashsale_inventory_floor_held", \
		.help = "1 for what the floor waits for: nothing (head), the retention (young), a live " \
			"hold, a cart " \
			"shard; or more is to be done.", \
		.labels = "by=\"" text "\"" \
	}
static struct metric held[COMPACTION_STOPS] = {
	[COMPACTION_MORE] = HELD("more"),
	[COMPACTION_HEAD] = HELD("head"),
	[COMPACTION_YOUNG] = HELD("young"),
	[COMPACTION_LIVE] = HELD("live_hold"),
	[COMPACTION_FOLLOWER] = HELD("cart"),
};
static struct metric held_cart =
	GAUGE("floor_held_cart_shard", "The cart shard that the floor waits for; -1: for none.");
static struct metric full = GAUGE("store_full", "1 while new holds are refused for want of room.");
static struct metric moved = {.kind = METRIC_GAUGE,
	.name = "flashsale_inventory_deadlines_moved_seconds",
	.help = "By how much the last start moved live deadlines.",
	.scale = 1e-3};
static struct metric drift = {.kind = METRIC_GAUGE,
	.name = "flashsale_inventory_wall_clock_drift_seconds",
	.help = "By how much the wall clock was moved since the start; it expires nothing.",
	.scale = 1e-3};

void inventory_metrics_register(void)
{
	struct metric *all[] = {&granted, &repeated, &released, &confirmed, &resized, &expired, &refunded,
		&bound, &paid, &cancelled, &overdue, &taken_back, &goods, &live, &head, &floor_at, &dropped,
		&held_cart, &full, &moved, &drift};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		metrics_register(all[i]);
	for (int i = 0; i < VERDICT_COUNT; i++)
		if (refused[i].name)
			metrics_register(&refused[i]);
	for (int i = 0; i < COMPACTION_STOPS; i++)
		metrics_register(&held[i]);
}

void inventory_metrics_count(const struct books *books, const struct books_counts *counts)
{
	metric_add(&granted, counts->granted);
	metric_add(&repeated, counts->repeated);
	metric_add(&released, counts->released);
	metric_add(&confirmed, counts->confirmed);
	metric_add(&resized, counts->resized);
	metric_add(&expired, counts->expired);
	metric_add(&refunded, counts->refunded);
	metric_add(&bound, counts->bound);
	metric_add(&paid, counts->paid);
	metric_add(&cancelled, counts->cancelled);
	metric_add(&overdue, counts->overdue);
	metric_add(&taken_back, counts->taken_back);
	for (int i = 0; i < VERDICT_COUNT; i++)
		if (counts->refused[i])
			metric_add(&refused[i], counts->refused[i]);
	metric_set(&goods, books->row_count);
	metric_set(&live, books->live_holds);
	metric_set(&head, (int64_t)books->sequence);
	metric_set(&floor_at, (int64_t)books->compaction.floor);
	metric_add(&dropped, counts->dropped);
	for (enum compaction_stop stop = 0; stop < COMPACTION_STOPS; stop++)
		metric_set(&held[stop], books->compaction.stop == stop);
	metric_set(&held_cart,
		books->compaction.stop == COMPACTION_FOLLOWER ? (int64_t)books->compaction.behind : -1);
	metric_set(&full, books->full);
	metric_set(&moved, books->time.moved_ms);
}

void inventory_metrics_drift(int64_t drift_ms)
{
	metric_set(&drift, drift_ms);
}
