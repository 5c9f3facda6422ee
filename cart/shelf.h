/* cart/shelf.h - the cart's store: what the follower has applied, written behind it in large transactions; and decisions, each durable before it has
 * an effect.
 *
 * Changes are packed when they happen, gathered, and leave together with the positions that they belong to: a store never has a position without
 * its holds, nor holds beyond its position. One batch is written while the next gathers, SHELF_FLUSH_MS apart; a batch that the store
 * refused is tried again until it is taken. Nothing waits for it: the ledger can be read again.
 * Decisions about orders do not gather: each goes to the writer at once, as a command of its own, and comes back when it is on disk; those that come
 * while one commit is under way share the next. They have a table of their own, so that a batch that was packed before a decision can't undo it.
 * Threads: the loop's, but for shelf_new, shelf_load and shelf_free (main's, while the loop does not use it); it owns a writer. */
#ifndef FLASHSALE_CART_SHELF_H
#define FLASHSALE_CART_SHELF_H

#include "base/store.h"
#include "base/writer.h"
#include "cart/order_records.h"
#include "cart/records.h"
#include "rpc/loop.h"

#define SHELF_FLUSH_MS 100
#define SHELF_BYTES_MAX (64 << 20) /* of changes that wait: past it the follower must wait */

enum shelf_table { SHELF_HOLDS, SHELF_POSITIONS, SHELF_ORDERS, SHELF_DECISIONS, SHELF_TABLE_COUNT };
extern const char *const shelf_tables[SHELF_TABLE_COUNT];

/* Positions and holds into a cart that has not started; then its orders and decisions. */
bool shelf_load(struct store *store, struct cart *cart, struct error *error);
bool shelf_load_orders(struct store *store, struct orders *orders, struct error *error);

struct shelf_options {
	struct store *store;
	struct rpc_loop *loop;
	const struct clock_source *clock;
	uint32_t shards; /* of inventory */
	void (*fatal)(void *context, const char *why); /* as in writer_options */
	void *fatal_context;
};
struct shelf *shelf_new(const struct shelf_options *options);
void shelf_free(struct shelf *shelf); /* waits for shelf_close's end; not from the loop, which must still run. NULL is fine */

void shelf_put(struct shelf *shelf, const struct line *line);
void shelf_forget(struct shelf *shelf, const struct id *id);
void shelf_put_order(struct shelf *shelf, const struct order *order);
void shelf_forget_order(struct shelf *shelf, const struct id *id); /* and its decision */
void shelf_position(struct shelf *shelf, uint32_t shard, const struct position *position);
uint64_t shelf_stored(const struct shelf *shelf, uint32_t shard); /* the position that is on disk; 0: none since the start */
bool shelf_full(const struct shelf *shelf);
void shelf_flush(struct shelf *shelf); /* now, if nothing is being written */
void shelf_close(struct shelf *shelf); /* the last changes have come: writes them; loop only, once, before shelf_free */

/* A decision on its way to the disk. Embed it; it is the shelf's until done(), which comes exactly once, later, on the loop. */
struct decision {
	struct command command;
	struct rpc_task back;
	struct shelf *shelf;
	enum writer_result result;
	bool refused; /* never taken: too many wait */
	struct id id;
	const uint8_t *record; /* its owner's; NULL: the decision is taken back */
	size_t size;
	void (*done)(struct decision *decision, Common__Reason failure); /* UNSPECIFIED: it is durable */
};
/* With id, record, size and done filled. */
void shelf_decide(struct shelf *shelf, struct decision *decision);

struct shelf_counts {
	uint64_t written, refused; /* batches */
	size_t waiting_bytes;
};
struct shelf_counts shelf_count(const struct shelf *shelf);

#endif
