/* tests/simulation/cart_process.h - one process of a cart shard: what the files about carts share. */
#ifndef FLASHSALE_TESTS_SIMULATION_CART_PROCESS_H
#define FLASHSALE_TESTS_SIMULATION_CART_PROCESS_H

#include "base/arena.h"
#include "base/store.h"
#include "cart/archiving.h"
#include "cart/orders.h"
#include "cart/service.h"
#include "flashsale/inventory/v1/inventory.pb-c.h"
#include "shop.h"
#include "stores.h"

struct cart_process;

/* rpc/loop.h's, as far as the shelf needs one: loop.c. */
struct rpc_loop {
	struct process *process;
};

/* One inventory shard. */
struct cart_wire {
	struct cart_process *process;
	uint32_t shard;
	/* the fence */
	bool fence_flying, following; /* following: a fence was accepted, so the ledger may be read */
	bool acknowledging;
	uint64_t loaded, acknowledged, acknowledging_to; /* positions on disk: at the start, that inventory has heard of */
	int64_t fence_backoff_us;
	uint64_t fence_timer;
	/* the ledger's stream */
	uint64_t incarnation; /* of inventory when it was opened; 0: closed */
	uint64_t read, read_floor; /* inventory has sent up to here; of the last page */
	bool arriving;        /* `message` is on its way */
	struct arena arena;
	Inventory__ReadLedgerResponse message;
	struct id lineage;    /* of the message */
	const char *why;      /* it stopped */
	struct archiving archiving; /* the ledger waits meanwhile */
	bool compacted;       /* since the ledger is no longer whole where we were */
	/* asks that wait or fly, of adds and of releases */
	struct lane {
		struct cart_wire *wire;
		enum wire_kind kind;
		struct ask *first, **last;
		struct ask *flying;
		bool turn;
	} lanes[2];
};

struct ask {
	struct ask *next;
	struct wire_item item;
	struct attempt *attempt; /* or */
	struct change *change;
};

/* A shopper's request that waits. */
struct cart_wait {
	struct cart_wait *previous, *next;
	struct cart_process *process;
	struct waiter waiter;
	struct shop_request request;
	struct id hold; /* of its attempt */
	uint64_t number;
};

struct change;

struct cart_process {
	struct process base; /* first: the world frees it */
	struct cart_process *next; /* of its slot's zombies */
	uint32_t shard;
	uint64_t number;
	char directory[128];
	struct sim_store sim;
	struct store *store;
	struct rpc_loop loop;
	struct shelf *shelf;
	struct cart *cart;
	struct orders *orders;
	struct cart_service service; /* as far as the files about orders need one */
	struct cart_wire wires[WORLD_SHARDS_MAX];
	struct cart_wait *waits;
	struct change *changes;
	int64_t wall_start_ms, start_us;
	uint64_t memory; /* of its store: another number when that began empty */
	bool dying;
};

static inline int64_t cart_process_now_ms(const struct cart_process *process)
{
	return process->wall_start_ms + (world.now_us - process->start_us) / MS;
}

static inline int64_t cart_process_us(const struct cart_process *process, int64_t now_ms)
{
	return process->start_us + (now_ms - process->wall_start_ms) * MS;
}

/* cart_wires.c */
void wire_begin(struct cart_process *process, uint32_t shard);
void wire_release(struct cart_wire *wire);
void wire_fence(struct cart_wire *wire);
void wire_acknowledge(struct cart_wire *wire);
void wire_sender_fill(const struct cart_wire *wire, struct wire_sender *ret);

/* cart_lanes.c: effect `send`, and releases */
void lanes_begin(struct cart_wire *wire);
void lanes_release(struct cart_wire *wire);
bool lanes_idle(const struct cart_wire *wire);
void lane_send_attempt(struct cart_process *process, struct attempt *attempt);
void lane_send_release(struct cart_wire *wire, struct change *change, const struct id *id, int64_t deadline_us);
struct answer lane_answer(const struct wire_call *call, uint32_t item, enum wire_end end);

/* cart_requests.c */
void requests_take(struct cart_process *process, const struct shop_request *request);
void requests_decided(struct waiter *waiter); /* effect */
void requests_release(struct cart_process *process); /* it crashed: nobody hears anything */

/* loop.c */
void timers_release(void);
void loop_run_left(void); /* tasks posted to a crashed process, which nothing else runs */

/* cart_orders.c */
void orders_begin(struct cart_process *process); /* once it has its cart and its loop */
void orders_take(struct cart_process *process, const struct shop_request *request);
void orders_release(struct cart_process *process);
bool orders_waiting(const struct cart_process *process);

/* cart_asks.c */
void asks_release(struct cart_process *process);

/* cart_changes.c */
void change_start(struct cart_process *process, const struct shop_request *request);
void change_heard(struct change *change, const struct id *id, const struct answer *answer);
void changes_look(struct cart_process *process); /* a link or a position has moved */
void changes_release(struct cart_process *process);

/* carts.c */
void cart_process_anew(struct cart_process *process); /* an operator gives it an empty store, soon */
void cart_process_end(struct cart_process *process); /* it has seen a successor: soon it is gone */
struct cart_process *cart_process_by_shelf(const struct shelf *shelf);
struct cart_process *cart_process_of(uint32_t shard); /* NULL: down */
struct cart_process *cart_zombies_of(uint32_t shard);  /* those that were succeeded, by `next` */
bool cart_process_current(const struct cart_process *process); /* it has no successor */

#endif
