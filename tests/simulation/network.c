/* tests/simulation/network.c - see wire.h. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "inventory_node.h"
#include "wire.h"

#define DELAY_MIN_US 50
#define DELAY_MEAN_US 250
#define LATE_MAX_US (6 * SECOND)
#define TWICE_MAX_US (2 * SECOND) /* what comes later than that is too late for itself */
#define RESET_MAX_US (20 * MS)

static uint64_t numbers;
static uint32_t flying;

static int64_t delay(void)
{
	if (world_chance(world.plan.late)) {
		world.troubles.late++;
		return world_between(DELAY_MIN_US, LATE_MAX_US);
	}
	return DELAY_MIN_US + random_wait(&world.random, DELAY_MEAN_US);
}

struct wire_call *wire_call_new(enum wire_kind kind, uint32_t shard, uint32_t count)
{
	struct wire_call *call = NEW(struct wire_call);

	call->kind = kind;
	call->shard = shard;
	call->count = count;
	call->items = NEW_ARRAY(count, struct wire_item);
	call->answers = NEW_ARRAY(count, struct wire_answer);
	call->references = 1;
	flying++;
	return call;
}

void wire_call_holds(struct wire_call *call, const struct id *holds, uint32_t count)
{
	call->holds = NEW_ARRAY(count + 1, struct id);
	call->hold_count = count;
	memcpy(call->holds, holds, count * sizeof(*holds));
}

static void call_release(struct wire_call *call)
{
	if (--call->references)
		return;
	flying--;
	free(call->items);
	free(call->answers);
	free(call->holds);
	free(call->outcome);
	free(call);
}

uint32_t network_flying(void)
{
	return flying;
}

/* Its sender hears, if it lives and has not heard yet. */
static void hear(struct wire_call *call, enum wire_end end)
{
	static const char *const notes[] = {
		"call is decided", "call never left", "call is refused: busy", "call is lost"};

	if (call->heard)
		return;
	call->heard = true;
	if (call->from && call->from->dead)
		return;
	world_note(notes[end], call->number, call->kind, call->count);
	call->done(call->context, call, end);
}

static void run_hear(void *context, uint64_t end, uint64_t unused)
{
	struct wire_call *call = context;

	if (call->from && !call->from->dead && process_paused(call->from)) {
		world_after(NULL, call->from->paused_until_us - world.now_us, run_hear, call, end, 0);
		return;
	}
	hear(call, (enum wire_end)end);
	call_release(call);
}

/* One more that keeps the call until it has been told. */
static void hear_after(struct wire_call *call, int64_t us, enum wire_end end)
{
	call->references++;
	world_after(NULL, us, run_hear, call, end, 0);
}

static void run_arrive(void *context, uint64_t a, uint64_t b)
{
	struct wire_call *call = context;

	if (inventory_take(call))
		return; /* the reference is inventory's */
	hear_after(call, world_between(1, RESET_MAX_US), WIRE_LOST);
	call_release(call);
}

static struct wire_call *copy_of(const struct wire_call *call)
{
	struct wire_call *copy = wire_call_new(call->kind, call->shard, call->count);

	for (uint32_t i = 0; i < call->count; i++)
		copy->items[i] = call->items[i];
	if (call->holds)
		wire_call_holds(copy, call->holds, call->hold_count);
	copy->sender = call->sender;
	copy->number = call->number;
	copy->heard = copy->copy = true;
	return copy;
}

/* A create that was refused and comes a second time could be granted: that needs a transport that doubles what was answered, which gRPC is
 * not. One that was granted must not have a second effect, whatever the transport. */
static bool may_come_twice(const struct wire_call *call)
{
	for (uint32_t i = 0; i < call->count; i++)
		if (call->answers[i].reason)
			return false;
	return true;
}

static void arrive_again(struct wire_call *call)
{
	world.troubles.twice++;
	world_note("call comes twice", call->number, call->kind, 0);
	world_after(NULL, world_below(2) ? delay() : world_between(DELAY_MIN_US, TWICE_MAX_US), run_arrive,
		copy_of(call), 0, 0);
}

void network_send(struct wire_call *call)
{
	call->number = ++numbers;
	world_note("call leaves", call->number, (uint64_t)call->kind << 32 | call->shard, call->count);
	if (!inventory_up(call->shard)) {
		enum wire_end end = world_below(4) ? WIRE_UNSENT : WIRE_LOST;

		hear_after(call, world_between(1, RESET_MAX_US), end);
		call_release(call);
		return;
	}
	hear_after(call, call->deadline_us > world.now_us ? call->deadline_us - world.now_us : 1, WIRE_LOST);
	if (world_chance(world.plan.lose_request)) {
		world.troubles.lost++;
		if (world_below(2)) /* the connection breaks, which is seen at once */
			hear_after(call, world_between(1, RESET_MAX_US), WIRE_LOST);
		call_release(call);
		return;
	}
	if (call->kind != WIRE_CREATE && world_chance(world.plan.twice))
		arrive_again(call);
	world_after(NULL, delay(), run_arrive, call, 0, 0);
}

void network_answer(struct wire_call *call, enum wire_end end)
{
	if (!call->copy) {
		if (end == WIRE_DECIDED && call->kind == WIRE_CREATE && may_come_twice(call) &&
			world_chance(world.plan.twice))
			arrive_again(call);
		if (world_chance(world.plan.lose_answer)) {
			world.troubles.lost++;
			if (world_below(2))
				hear_after(call, world_between(1, RESET_MAX_US), WIRE_LOST);
		} else {
			hear_after(call, delay(), end);
		}
	}
	call_release(call);
}

void network_reset(struct wire_call *call)
{
	if (!call->copy)
		hear_after(call, world_between(1, RESET_MAX_US), WIRE_LOST);
	call_release(call);
}
