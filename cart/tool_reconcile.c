/* cart/tool_reconcile.c - `flashsale-cart reconcile`: what a restored inventory does not know of what this cart promised; with --apply it is made good. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cart/reconcile.h"
#include "cart/service.h"
#include "cart/tools.h"
#include "rpc/tool_lines.h"

struct reconcile_settings {
	bool apply;
	char *report;
};

static const struct config_setting reconcile_table[] = {
	{"apply", CONFIG_SWITCH, offsetof(struct reconcile_settings, apply), "false", false, 0, 0,
		"make it so; without it nothing is changed. The cart must be stopped"},
	{"report", CONFIG_TEXT, offsetof(struct reconcile_settings, report), NULL, true, 0, 0,
		"file to be made: everything that differs, as JSON lines"},
};

/* ---- what is said ---- */

static const char *state_text(uint8_t state)
{
	static const char *const names[] = {"NONE", "HELD", "SOLD", "RELEASED", "EXPIRED", "REFUNDED"};

	return names[state <= LINE_REFUNDED ? state : 0];
}

static const char *fate_text(enum fate fate)
{
	static const char *const names[FATES] = {"NOTHING", "ADOPT", "MAKE", "SELL", "SHRINK", "GIVE_BACK"};

	return names[fate];
}

static const char *result_text(const struct reconcile *r, enum fate fate, enum outcome_of_fate outcome)
{
	if (outcome == OUTCOME_SHORT)
		return "SHORT";
	if (fate == FATE_SAME || fate == FATE_THEIRS)
		return "NOTHING_TO_DO";
	return r->apply ? "DONE" : "POSSIBLE";
}

static json_t *id_json(const struct id *id)
{
	char text[ID_TEXT_LENGTH + 1];

	return json_string(id_format(id, text));
}

static json_t *promise_json(const struct reconcile *r, const struct promise *promise)
{
	const struct line *line = promise->ours ? promise->ours : promise->theirs;
	json_t *order = promise->pact ? id_json(&promise->pact->ours->id) : json_null();

	return json_pack("{ss so so so ss sI ss ss ss ss ss so}", "kind", "hold", "holdId",
		id_json(&line->id), "holdIdThere", id_json(&promise->there), "userID",
		tool_text(line->usage->person->user, line->usage->person->length), "goodsSKU",
		line->usage->goods->sku, "goodsQuantity", (json_int_t)line->quantity, "stateHere",
		state_text(promise->ours ? promise->ours->state : 0), "stateThere",
		state_text(promise->theirs ? promise->theirs->state : 0), "action", fate_text(promise->fate),
		"result", result_text(r, promise->fate, promise->outcome), "reason", promise->why, "orderId",
		order);
}

static json_t *pact_json(const struct reconcile *r, const struct pact *pact)
{
	const struct order *order = pact->ours;

	return json_pack("{ss so so so sI ss ss ss ss ss ss}", "kind", "order", "orderId",
		id_json(&order->id), "orderIdThere", id_json(&pact->there), "userID",
		tool_text(order->customer->user, order->customer->length), "holds",
		(json_int_t)order->item_count, "paymentReference", order->payment ? order->payment : "",
		"stateHere", state_text(order->truth), "stateThere",
		state_text(pact->theirs ? pact->theirs->truth : 0), "action", fate_text(pact->fate), "result",
		result_text(r, pact->fate, pact->outcome), "reason", pact->why);
}

static json_t *sku_json(const struct reconcile_sku *sku)
{
	return json_pack("{ss ss sI sI sI sI}", "kind", "goods", "goodsSKU", sku->sku, "made",
		(json_int_t)sku->made, "sold", (json_int_t)sku->sold, "givenBack",
		(json_int_t)sku->given_back, "short", (json_int_t)sku->lacking);
}

static void print_short(const struct reconcile *r)
{
	char text[ID_TEXT_LENGTH + 1];

	for (size_t i = 0; i < r->pact_count; i++)
		if (r->pacts[i].outcome == OUTCOME_SHORT)
			printf("SHORT order %s of %s, %s%s%s: %s\n", id_format(&r->pacts[i].ours->id, text),
				r->pacts[i].ours->customer->user, state_text(r->pacts[i].ours->truth),
				r->pacts[i].ours->payment ? ", paid with " : "",
				r->pacts[i].ours->payment ? r->pacts[i].ours->payment : "", r->pacts[i].why);
	for (size_t i = 0; i < r->our_count; i++) {
		const struct line *line = r->promises[i].ours;

		if (r->promises[i].outcome == OUTCOME_SHORT)
			printf("SHORT hold %s of %s, %u of %s, %s: %s\n", id_format(&line->id, text),
				line->usage->person->user, line->quantity, line->usage->goods->sku,
				state_text(line->state), r->promises[i].why);
	}
}

/* What is short by SKU is counted here, when everything is known. Returns how many promises that are. */
static size_t count_short(struct reconcile *r, struct error *error)
{
	size_t count = 0;

	for (size_t i = 0; i < r->our_count; i++) {
		const struct line *line = r->promises[i].ours;
		struct reconcile_sku *sku;

		if (r->promises[i].outcome != OUTCOME_SHORT || !reconcile_counts(line->state))
			continue;
		count++;
		if (reconcile_ask_goods(r, line->usage->goods->sku, &sku, error))
			sku->lacking += line->quantity;
	}
	return count;
}

static void print_summary(const struct reconcile *r)
{
	size_t fates[FATES] = {0}, orders[FATES] = {0};

	for (size_t i = 0; i < r->promise_count; i++)
		fates[r->promises[i].fate]++;
	for (size_t i = 0; i < r->pact_count; i++)
		orders[r->pacts[i].fate]++;
	for (int fate = 0; fate < FATES; fate++)
		if (fates[fate] || orders[fate])
			printf("%-10s %zu holds, %zu orders\n", fate_text((enum fate)fate), fates[fate],
				orders[fate]);
	for (const struct reconcile_sku *sku = r->skus; sku; sku = sku->hh.next)
		printf("goods %s: %llu units %s again, %llu sold again, %llu given back, %llu short\n",
			sku->sku, (unsigned long long)sku->made, r->apply ? "held" : "to be held",
			(unsigned long long)sku->sold, (unsigned long long)sku->given_back,
			(unsigned long long)sku->lacking);
}

static void write_report(const struct reconcile *r, struct tool_lines *lines)
{
	char before[ID_TEXT_LENGTH + 1], now[ID_TEXT_LENGTH + 1];

	tool_lines_put(
		lines, json_pack("{ss sI sI ss sI ss sI sb}", "kind", "reconcile", "cartShard",
			       (json_int_t)r->cart_shard, "inventoryShard", (json_int_t)r->inventory_shard,
			       "lineageHere", id_format(&r->position.lineage, before), "positionHere",
			       (json_int_t)r->position.sequence, "lineageThere", id_format(&r->lineage, now),
			       "headThere", (json_int_t)r->head, "applied", r->apply));
	for (size_t i = 0; i < r->pact_count; i++)
		if (r->pacts[i].fate != FATE_SAME)
			tool_lines_put(lines, pact_json(r, &r->pacts[i]));
	for (size_t i = 0; i < r->promise_count; i++)
		if (r->promises[i].fate != FATE_SAME || r->promises[i].outcome == OUTCOME_SHORT)
			tool_lines_put(lines, promise_json(r, &r->promises[i]));
	for (const struct reconcile_sku *sku = r->skus; sku; sku = sku->hh.next)
		tool_lines_put(lines, sku_json(sku));
}

/* ---- one shard ---- */

struct run {
	const struct tool_call *call;
	struct store *store;
	struct tool_client *client;
	struct tool_lines *lines; /* NULL: no report */
	bool differs, is_short;
};

static bool settle(struct run *run, struct reconcile *r, struct error *error)
{
	if (!reconcile_plan(r, error) || !reconcile_carry_out(r, error))
		return false;
	run->differs = true;
	run->is_short |= count_short(r, error) > 0;
	print_summary(r);
	print_short(r);
	if (run->lines)
		write_report(r, run->lines);
	if (r->apply && !reconcile_accept(r, error))
		return false;
	printf(r->apply ? "inventory shard %u: accepted, the cart will follow its new history from the "
			  "beginning\n"
			: "inventory shard %u: nothing was changed; --apply makes it so\n",
		r->inventory_shard);
	return true;
}

static bool reconcile_shard(struct run *run, uint32_t shard, struct error *error)
{
	const struct cart_settings *settings = run->call->settings;
	const struct reconcile_settings *own = run->call->own;
	struct reconcile r = {.store = run->store,
		.client = run->client,
		.cart_shard = run->store->shard,
		.cart_shards = run->store->shards,
		.inventory_shard = shard,
		.inventory_shards = (uint32_t)settings->inventory_shards,
		.apply = own->apply};
	bool good = reconcile_load(&r, error);

	if (good && reconcile_needed(&r))
		good = settle(run, &r, error);
	else if (good)
		printf("inventory shard %u: its history is the one that this cart has followed; nothing to "
		       "do\n",
			shard);
	reconcile_release(&r);
	return good;
}

static int reconcile_all(struct run *run)
{
	const struct cart_settings *settings = run->call->settings;
	const struct reconcile_settings *own = run->call->own;
	struct error error;
	bool good = true;

	if (own->report) {
		run->lines = tool_lines_open(own->report, &error);
		if (!run->lines)
			return tool_end(run->call, TOOL_CANNOT, "%s", error.text);
	}
	for (uint32_t shard = 0; good && shard < (uint32_t)settings->inventory_shards; shard++)
		good = reconcile_shard(run, shard, &error);
	if (good && run->lines)
		good = tool_lines_close(run->lines, &error);
	else if (run->lines)
		tool_lines_drop(run->lines);
	if (!good)
		return tool_end(run->call, TOOL_CANNOT, "%s", error.text);
	return run->is_short || (run->differs && !own->apply) ? TOOL_NO : TOOL_FINE;
}

/* To be changed: by its service's rules, with the lock that a running cart has. */
static struct store *open_store(const struct tool_call *call, bool change)
{
	struct store *store = tool_open_reading(call, call->common->store);
	struct store_options options = tool_store_options(call, call->common->store);
	struct error error;

	if (!store || !change)
		return store;
	options.shard = store->shard;
	options.shards = store->shards;
	store_close(store);
	store = store_open(&options, &error);
	if (!store)
		tool_end(call, TOOL_CANNOT, "%s", error.text);
	return store;
}

static int run_reconcile(const struct tool_call *call)
{
	const struct reconcile_settings *own = call->own;
	struct run run = {.call = call};
	struct error error;
	int code;

	if (!tool_needs(call, "store", call->common->store) ||
		!tool_needs(call, "discovery-file", call->common->discovery_file))
		return TOOL_CANNOT;
	run.store = open_store(call, own->apply);
	if (!run.store)
		return TOOL_CANNOT;
	run.client = tool_client_new(call->common, &error);
	code = run.client ? reconcile_all(&run) : tool_end(call, TOOL_CANNOT, "%s", error.text);
	tool_client_free(run.client);
	store_close(run.store);
	return code;
}

const struct service_tool tool_reconcile = {.name = "reconcile",
	.purpose = "compare with an inventory that was restored; with --apply make good what was promised",
	.settings = reconcile_table,
	.settings_count = 2,
	.settings_bytes = sizeof(struct reconcile_settings),
	.uses_store = true,
	.uses_service = true,
	.run = run_reconcile};
