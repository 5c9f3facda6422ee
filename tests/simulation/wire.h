/* tests/simulation/wire.h - what travels between the processes, in words of neither side.
 *
 * A call has items, decided together and answered one by one. It comes back to its sender exactly once: decided, known never to have left, refused
 * before it was tried, or lost (sent, and nobody knows). What the network does besides (late, twice, never) its sender does not see.
 * The call is freed when its sender has heard and nothing of it is on the way any more. */
#ifndef FLASHSALE_TESTS_SIMULATION_WIRE_H
#define FLASHSALE_TESTS_SIMULATION_WIRE_H

#include "base/hash.h"
#include "base/id.h"
#include "flashsale/common/v1/reason.pb-c.h"
#include "world.h"

enum wire_kind {
	WIRE_CREATE,
	WIRE_RELEASE,
	WIRE_RESIZE,
	WIRE_CONFIRM,
	WIRE_FENCE,
	WIRE_OPEN,
	WIRE_UPDATE,
	WIRE_ADJUST,
	WIRE_CLOSE
};

struct wire_sender {
	bool given;
	uint32_t cart, carts;
	uint64_t epoch;
	struct id instance;
};

struct wire_item {
	struct id id; /* of a hold, or of AdjustStock's request */
	uint32_t user, sku, quantity;
	bool keyed;
	struct hash128 key, fingerprint;
	uint32_t payment;
	int64_t amount; /* of goods */
	int64_t deadline_us;
};

struct wire_answer {
	Common__Reason reason; /* UNSPECIFIED: yes */
	bool repeated;
	int state;
	uint32_t quantity, version;
	int64_t deadline_ms, price_micros, remaining;
	uint64_t sequence;
	int64_t stock, available, held, sold; /* of goods */
	uint64_t goods_version;
};

struct wire_fenced {
	bool accepted;
	uint64_t epoch, sequence;
	struct id lineage;
};

enum wire_end { WIRE_DECIDED, WIRE_UNSENT, WIRE_BUSY, WIRE_LOST };

struct wire_call {
	enum wire_kind kind;
	uint32_t shard; /* of inventory */
	struct wire_sender sender;
	uint32_t count;
	struct wire_item *items;
	struct wire_answer *answers;
	struct wire_fenced fenced;
	int64_t deadline_us; /* its sender waits no longer */
	uint64_t number;
	/* the sender */
	struct process *from; /* NULL: of no process, such as an operator */
	void (*done)(void *context, struct wire_call *call, enum wire_end end); /* not if `from` is dead */
	void *context;
	/* the network's */
	bool heard, copy;
	int references;
	struct wire_call *next; /* at inventory */
};

struct wire_call *wire_call_new(enum wire_kind kind, uint32_t shard, uint32_t count);

void network_send(struct wire_call *call);
/* Inventory is done with it: its answers may go back, or (busy) it was never tried. */
void network_answer(struct wire_call *call, enum wire_end end);
/* The connection broke, since inventory died. */
void network_reset(struct wire_call *call);
uint32_t network_flying(void);

#endif
