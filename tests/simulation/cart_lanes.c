/* tests/simulation/cart_lanes.c - asks on their way to inventory, after cart/sending.c and rpc/batcher.c: gathered while one batch is in flight. */
#include <stdlib.h>

#include "base/memory.h"
#include "cart_process.h"
#include "inventory_node.h"
#include "model.h"

#define ITEMS_MAX 64
#define GRACE_US (250 * MS)

/* Reasons of inventory as the domain hears them. */
struct answer lane_answer(const struct wire_call *call, uint32_t item, enum wire_end end)
{
	const struct wire_answer *from = &call->answers[item];

	switch (end) {
	case WIRE_UNSENT:
		return (struct answer){.kind = ANSWER_UNSENT};
	case WIRE_BUSY:
		return (struct answer){.kind = ANSWER_BUSY};
	case WIRE_LOST:
		return (struct answer){.kind = ANSWER_LOST};
	case WIRE_DECIDED:
		break;
	}
	if (from->reason)
		return (struct answer){.kind = ANSWER_REFUSAL, .reason = from->reason};
	return (struct answer){.kind = ANSWER_GRANT,
		.state = (enum line_state)from->state,
		.quantity = from->quantity,
		.deadline_ms = from->deadline_ms,
		.price_micros = from->price_micros,
		.version = from->version,
		.sequence = from->sequence,
		.remaining = (uint64_t)from->remaining};
}

static void run_lane(void *context, uint64_t a, uint64_t b);

static void lane_turn(struct lane *lane)
{
	if (lane->turn || lane->flying || !lane->first)
		return;
	lane->turn = true;
	world_after(&lane->wire->process->base, 1, run_lane, lane, 0, 0);
}

static void ask_tell(struct lane *lane, struct ask *ask, const struct answer *answer)
{
	struct cart_process *process = lane->wire->process;
	struct attempt *attempt = ask->attempt;
	struct change *change = ask->change;
	struct id id = ask->item.id;

	free(ask);
	if (attempt)
		cart_answered(process->cart, attempt, answer, cart_process_now_ms(process));
	else
		change_heard(change, &id, answer);
}

static void lane_done(void *context, struct wire_call *call, enum wire_end end)
{
	struct lane *lane = context;
	struct ask *ask = lane->flying;

	lane->flying = NULL;
	for (uint32_t i = 0; ask; i++) {
		struct ask *next = ask->next;
		struct answer answer = lane_answer(call, i, end);

		ask_tell(lane, ask, &answer);
		ask = next;
	}
	changes_look(lane->wire->process);
	lane_turn(lane);
}

static struct ask *lane_take(struct lane *lane)
{
	struct ask *ask = lane->first;

	lane->first = ask->next;
	if (!lane->first)
		lane->last = &lane->first;
	ask->next = NULL;
	return ask;
}

/* Takes what may still leave; the others hear that they never did. */
static uint32_t lane_gather(struct lane *lane)
{
	static const struct answer unsent = {.kind = ANSWER_UNSENT};
	struct ask **end = &lane->flying;
	uint32_t count = 0;

	while (lane->first && count < ITEMS_MAX) {
		struct ask *ask = lane_take(lane);

		if (ask->item.deadline_us <= world.now_us) {
			ask_tell(lane, ask, &unsent);
			continue;
		}
		*end = ask;
		end = &ask->next;
		count++;
	}
	return count;
}

static void run_lane(void *context, uint64_t a, uint64_t b)
{
	struct lane *lane = context;
	struct wire_call *call;
	uint32_t count, i = 0;

	lane->turn = false;
	if (lane->flying)
		return;
	count = lane_gather(lane);
	if (!count)
		return;
	call = wire_call_new(lane->kind, lane->wire->shard, count);
	for (struct ask *ask = lane->flying; ask; ask = ask->next) {
		call->items[i++] = ask->item;
		if (call->deadline_us < ask->item.deadline_us)
			call->deadline_us = ask->item.deadline_us;
	}
	wire_sender_fill(
		lane->wire, &call->sender); /* the epoch of this moment, as the service's batches have */
	call->from = &lane->wire->process->base;
	call->done = lane_done;
	call->context = lane;
	network_send(call);
}

static void lane_put(struct lane *lane, struct ask *ask)
{
	*lane->last = ask;
	lane->last = &ask->next;
	lane_turn(lane);
}

/* A key may have a hold on another shard only if this process could not know it: it has not heard that shard yet, or it has a
 * successor without knowing. */
static void check_key(const struct cart_process *process, const struct attempt *attempt, uint32_t shard)
{
	uint32_t other;

	if (!attempt->keyed || !model_key_elsewhere(&attempt->key, &attempt->fingerprint, shard, &other))
		return;
	WORLD_CHECK(!process->cart->links[other].was_usable || inventory_was_restored(other) ||
			    !cart_process_current(process),
		"promise 6: a key that has a hold on another shard");
}

void lane_send_attempt(struct cart_process *process, struct attempt *attempt)
{
	uint32_t shard = attempt->usage->goods->shard;
	struct cart_wire *wire = &process->wires[shard];
	struct ask *ask = NEW(struct ask);
	const struct person *person = attempt->usage->person;
	struct wire_sender sender;

	check_key(process, attempt, shard);
	ask->attempt = attempt;
	ask->item = (struct wire_item){.id = attempt->id,
		.user = world_number(person->user, person->length),
		.sku = world_number(attempt->usage->goods->sku, attempt->usage->goods->length),
		.quantity = attempt->quantity,
		.keyed = attempt->keyed,
		.key = attempt->key,
		.fingerprint = attempt->fingerprint,
		.deadline_us = cart_process_us(process, attempt->deadline_ms) + GRACE_US};
	wire_sender_fill(wire, &sender);
	model_intend(&attempt->id, ask->item.user, ask->item.sku, attempt->quantity,
		attempt->limit.unlimited ? UINT32_MAX : attempt->limit.units, attempt->keyed, &attempt->key,
		&attempt->fingerprint, &sender, process->cart->links[shard].position);
	lane_put(&wire->lanes[0], ask);
}

void lane_send_release(
	struct cart_wire *wire, struct change *change, const struct id *id, int64_t deadline_us)
{
	struct ask *ask = NEW(struct ask);

	ask->change = change;
	ask->item.id = *id;
	ask->item.deadline_us = deadline_us;
	lane_put(&wire->lanes[1], ask);
}

void lanes_begin(struct cart_wire *wire)
{
	for (int i = 0; i < 2; i++) {
		wire->lanes[i] = (struct lane){.wire = wire, .kind = i ? WIRE_RELEASE : WIRE_CREATE};
		wire->lanes[i].last = &wire->lanes[i].first;
	}
}

static void asks_free(struct ask *ask)
{
	while (ask) {
		struct ask *next = ask->next;

		free(ask);
		ask = next;
	}
}

void lanes_release(struct cart_wire *wire)
{
	for (int i = 0; i < 2; i++) {
		asks_free(wire->lanes[i].first);
		asks_free(wire->lanes[i].flying);
	}
}

bool lanes_idle(const struct cart_wire *wire)
{
	return !wire->lanes[0].first && !wire->lanes[0].flying && !wire->lanes[1].first &&
	       !wire->lanes[1].flying;
}
