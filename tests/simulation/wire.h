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

#define WIRE_DIGEST_BYTES 33 /* as text */

enum wire_kind {
	WIRE_CREATE,
	WIRE_RELEASE,
	WIRE_RESIZE,
	WIRE_CONFIRM,
	WIRE_FENCE,
	WIRE_ACKNOWLEDGE,
	WIRE_BIND, /* orders: one item, its id is the order's */
	WIRE_PAY,
	WIRE_CANCEL,
	WIRE_REFUND,
	WIRE_OPEN,
	WIRE_UPDATE,
	WIRE_ADJUST,
	WIRE_CLOSE,
	WIRE_ARCHIVE,
	WIRE_EXPORT, /* not a call: archives.c reads it */
	WIRE_KINDS
};

static inline bool wire_is_order(enum wire_kind kind)
{
	return kind >= WIRE_BIND && kind <= WIRE_REFUND;
}

struct wire_sender {
	bool given;
	uint32_t cart, carts;
	uint64_t epoch;
	struct id instance;
};

struct wire_item {
	struct id id; /* of a hold, of an order, or of AdjustStock's request */
	uint32_t user, sku, quantity;
	bool keyed;
	struct hash128 key, fingerprint;
	uint32_t payment;
	int64_t amount, price_micros; /* of goods; amount below 0: leave it; price 0: leave it */
	int64_t ttl_ms;               /* of a bind; 0: as the goods say */
	struct id lineage;            /* of the ledger, as a cart knows it: */
	uint64_t position;            /* that it has stored so far */
	uint32_t skus, export;        /* of an archive: a bit each; what it was told, by the model's number */
	char digest[WIRE_DIGEST_BYTES];
	bool known;                   /* inventory has told this digest */
	int64_t deadline_us;
};

struct wire_answer {
	Common__Reason reason; /* UNSPECIFIED: yes */
	bool repeated;
	int state;
	struct id bad; /* of a bind: the hold that is in the way */
	uint32_t quantity, version;
	int64_t deadline_ms, price_micros, remaining;
	uint64_t sequence;
	int64_t stock, available, held, sold; /* of goods */
	uint64_t goods_version;
};

struct wire_fenced {
	bool accepted;
	uint64_t epoch, sequence;
	struct id lineage, removed;
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
	/* of an order: what a bind is about, and the OrderOutcome as it is packed (NULL: the store refused the whole group) */
	struct id *holds;
	uint32_t hold_count;
	void *outcome;
	size_t outcome_size;
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
void wire_call_holds(struct wire_call *call, const struct id *holds, uint32_t count); /* a copy */

void network_send(struct wire_call *call);
/* Inventory is done with it: its answers may go back, or (busy) it was never tried. */
void network_answer(struct wire_call *call, enum wire_end end);
/* The connection broke, since inventory died. */
void network_reset(struct wire_call *call);
uint32_t network_flying(void);

#endif
