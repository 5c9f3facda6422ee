/* tests/simulation/cart_changes.c - giving back, after cart/rpc_changes.c: wait for the link, ask, wait for the ledger, answer. */
#include <stdlib.h>

#include "base/memory.h"
#include "cart_process.h"
#include "model.h"
#include "tally.h"

#define TIME_US (1900 * MS)
#define HOLDS_MAX 64

enum phase { PHASE_LINK, PHASE_ASK, PHASE_LEDGER };

struct change {
	struct change *previous, *next;
	struct cart_process *process;
	struct cart_wire *wire;
	struct shop_request request;
	enum phase phase;
	int64_t deadline_us;
	size_t asked;
	uint64_t epoch, sequence;
	bool lost, refused;
	/* what was asked for */
	size_t count;
	struct {
		struct id id;
		uint32_t left;
		bool ended_before; /* by itself: the ledger's word of it may be still on its way */
	} holds[HOLDS_MAX];
};

static void change_free(struct change *change)
{
	*(change->previous ? &change->previous->next : &change->process->changes) = change->next;
	if (change->next)
		change->next->previous = change->previous;
	free(change);
}

/* A yes: the books have it, and (told) the cart shows it. */
static void change_answer(struct change *change, bool told)
{
	for (size_t i = 0; i < change->count; i++) {
		const struct line *line = lines_find(&change->process->cart->lines, &change->holds[i].id);

		model_told_ended(&change->holds[i].id, change->holds[i].left);
		WORLD_CHECK(!told || change->holds[i].ended_before || !line || !line_in_cart(line) ||
				    line->quantity <= change->holds[i].left,
			"given back, and the cart still shows %u units", line ? line->quantity : 0);
	}
	tally_cart(change->request.kind, COMMON__REASON__REASON_UNSPECIFIED);
	world_note("shopper hears: given back", change->request.user, change->request.sku, change->count);
	change_free(change);
}

static void change_fail(struct change *change, Common__Reason reason)
{
	tally_cart(change->request.kind, reason);
	world_note("shopper hears: not given back", change->request.user, change->request.sku, change->count);
	change_free(change);
}

static void change_settle(struct change *change)
{
	if (change->lost || change->refused)
		change_fail(change, change->lost ? COMMON__REASON__REASON_OUTCOME_UNKNOWN
						 : COMMON__REASON__REASON_WRONG_STATE);
	else if (!change->sequence)
		change_answer(change, false); /* all had ended by themselves */
	else
		change->phase = PHASE_LEDGER;
}

static void note_ended_before(struct change *change, const struct id *id)
{
	for (size_t i = 0; i < change->count; i++)
		if (id_compare(&change->holds[i].id, id) == 0)
			change->holds[i].ended_before = true;
}

void change_heard(struct change *change, const struct id *id, const struct answer *answer)
{
	struct cart *cart = change->process->cart;

	switch (answer->kind) {
	case ANSWER_GRANT:
		if (change->sequence < answer->sequence)
			change->sequence = answer->sequence;
		break;
	case ANSWER_REFUSAL:
		if (answer->reason == COMMON__REASON__REASON_STALE_EPOCH)
			cart_stale(cart, change->wire->shard, change->epoch);
		if (answer->reason != COMMON__REASON__REASON_HOLD_EXPIRED &&
			answer->reason != COMMON__REASON__REASON_NOT_FOUND)
			change->refused = true;
		note_ended_before(change, id);
		break;
	case ANSWER_UNSENT:
	case ANSWER_BUSY:
		change->refused = true;
		break;
	case ANSWER_LOST:
		change->lost = true;
		cart_doubt(cart, change->wire->shard);
		break;
	}
	if (--change->asked == 0)
		change_settle(change);
}

static void resize_done(void *context, struct wire_call *call, enum wire_end end)
{
	struct change *change = context;
	struct cart_process *process = change->process;
	struct answer answer = lane_answer(call, 0, end);

	change_heard(change, &call->items[0].id, &answer);
	changes_look(process);
}

static void resize_ask(struct change *change, const struct line *line, uint32_t quantity)
{
	struct wire_call *call = wire_call_new(WIRE_RESIZE, change->wire->shard, 1);

	wire_sender_fill(change->wire, &call->sender);
	call->items[0].id = line->id;
	call->items[0].quantity = quantity;
	call->items[0].deadline_us = call->deadline_us = change->deadline_us;
	call->from = &change->process->base;
	call->done = resize_done;
	call->context = change;
	network_send(call);
}

static void change_note(struct change *change, const struct line *line, uint32_t left)
{
	change->holds[change->count].id = line->id;
	change->holds[change->count++].left = left;
	change->asked++;
}

/* The link is usable: newest first, until `excess` units are given back. */
static void change_ask(struct change *change)
{
	const struct lines *lines = &change->process->cart->lines;
	const struct usage *usage = lines_usage(
		lines, span_of(world_user(change->request.user)), span_of(world_sku(change->request.sku)));
	uint64_t have = 0, excess;

	for (const struct line *line = usage ? usage->lines : NULL; line; line = line->next)
		have += line_in_cart(line) ? line->quantity : 0;
	if (have <= change->request.quantity) {
		change_fail(change, COMMON__REASON__REASON_NOT_FOUND);
		return;
	}
	excess = have - change->request.quantity;
	change->phase = PHASE_ASK;
	change->epoch = change->process->cart->links[change->wire->shard].fence.accepted;
	for (const struct line *line = usage->lines; line && excess && change->count < HOLDS_MAX;
		line = line->next) {
		if (!line_in_cart(line))
			continue;
		if (line->quantity <= excess) {
			excess -= line->quantity;
			change_note(change, line, 0);
			lane_send_release(change->wire, change, &line->id, change->deadline_us);
		} else {
			change_note(change, line, line->quantity - (uint32_t)excess);
			resize_ask(change, line, line->quantity - (uint32_t)excess);
			excess = 0;
		}
	}
}

/* True: it moved on, and may be gone. */
static bool change_look(struct change *change)
{
	const struct cart_link *link = &change->process->cart->links[change->wire->shard];

	if (change->phase == PHASE_LINK && (link->stopped || change->deadline_us <= world.now_us))
		change_fail(change, COMMON__REASON__REASON_DEPENDENCY_DOWN);
	else if (change->phase == PHASE_LINK && link->usable)
		change_ask(change);
	else if (change->phase == PHASE_LEDGER && link->position >= change->sequence)
		change_answer(change, true);
	else if (change->phase == PHASE_LEDGER && (link->stopped || change->deadline_us <= world.now_us))
		change_answer(change, false); /* committed it is */
	else
		return false;
	return true;
}

void changes_look(struct cart_process *process)
{
	struct change *change = process->changes;

	while (change)
		change = change_look(change) ? process->changes : change->next;
}

static void run_look(void *context, uint64_t a, uint64_t b)
{
	changes_look(context);
}

void change_start(struct cart_process *process, const struct shop_request *request)
{
	struct change *change = NEW(struct change);

	change->process = process;
	change->wire = &process->wires[world_inventory_of(request->sku)];
	change->request = *request;
	change->deadline_us = world.now_us + TIME_US;
	change->next = process->changes;
	if (change->next)
		change->next->previous = change;
	process->changes = change;
	world_after(&process->base, TIME_US, run_look, process, 0, 0);
	changes_look(process);
}

void changes_release(struct cart_process *process)
{
	while (process->changes)
		change_free(process->changes);
}
