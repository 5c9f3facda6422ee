/* tests/simulation/model_books.h - between the model's files: its holds, its books, and the words that are judged by them. */
#ifndef FLASHSALE_TESTS_SIMULATION_MODEL_BOOKS_H
#define FLASHSALE_TESTS_SIMULATION_MODEL_BOOKS_H

#include "model.h"

#define MODEL_EPOCHS_MAX 16 /* of one cart within one group */
#define MODEL_INSTANCES 64  /* of one cart: the newest */

/* What one entry made of a hold. */
struct model_step {
	struct model_hold *hold;   /* or */
	struct model_order *order;
	enum model_state state;
	uint32_t quantity, version;
	int64_t deadline_ms; /* of the hold, without the shard's moves */
	struct model_entry entry; /* as it was told */
	uint64_t floor;      /* while this was the last one; 0: as before */
};

struct model_cart {
	uint64_t epoch, sequence;
	struct id instance_before; /* the last group */
	struct id removed;         /* the greatest id that was dropped */
	/* What its instances said of their stores. */
	struct model_stored {
		uint32_t next;
		uint64_t positions[MODEL_INSTANCES];
		struct id instances[MODEL_INSTANCES];
	} stored;
	uint64_t voided; /* this epoch is of another lineage: in force no more */
	struct id instance;
	/* all that were in force at some moment of the last group */
	uint64_t epochs[MODEL_EPOCHS_MAX];
	uint32_t epoch_count;
};

struct model_sku {
	struct model_row row;
	/* over the last group */
	int64_t least_available;
	bool was_missing, was_closed, was_open;
	int64_t to_archive;   /* units, by the archive that is under way */
	uint64_t archived_at; /* its last GOODS_ARCHIVED */
	struct model_delta {
		int64_t available; /* how it changed */
		uint64_t sequence;
	} *deltas; /* by version */
	size_t delta_room;
};

struct model_shard {
	struct id lineage;
	uint64_t head, floor;
	uint64_t newest_goods[WORLD_SKUS_MAX], newest_fences[WORLD_SHARDS_MAX]; /* entries up to the floor */
	struct model_step *steps; /* by sequence */
	size_t step_room;
	int64_t time_ms, moved_ms;
	struct model_cart carts[WORLD_SHARDS_MAX];
	uint64_t live, holds;
	uint64_t live_at_most; /* the most that were live in the last group */
	uint64_t head_before;  /* the last group */
	uint64_t orders;
	uint32_t archiving, archive_skus, archive; /* what is left of it, all of it, by which export */
	uint32_t order_moves;  /* holds that were moved with their order, whose own entry is still to come */
};

extern struct model_shard model_shards[WORLD_SHARDS_MAX];
extern struct model_sku model_skus[WORLD_SKUS_MAX];

/* model_units.c */
void model_units_begin(void);
/* Between what is available, held and sold, of the SKU and of the person. */
void model_units_move(
	struct model_hold *hold, enum model_state from, enum model_state to, uint32_t before, uint32_t after);
void model_units_archived(struct model_hold *hold); /* they are nobody's any more */
void model_limit_check(const struct model_hold *hold); /* promise 5 */

/* model_entries.c */
void model_steps_free(struct model_step *steps, uint64_t head);

/* model_holds.c */
struct model_hold *model_hold_get(const struct id *id); /* NULL: none */
struct model_hold *model_hold_make(const struct id *id);
void model_holds_begin(void);
void model_holds_end(void);
bool model_same(const struct hash128 *a, const struct hash128 *b);
void model_key_take(struct model_hold *hold); /* judges promise 6 */
void model_key_forget(struct model_hold *hold);
void model_holds_each(void (*visit)(struct model_hold *hold));

/* model_orders.c */
struct model_order *model_order_get(const struct id *id); /* NULL: none */
void model_checkouts_begin(void);
void model_orders_begin(void);
void model_orders_end(void);
void model_orders_forget(uint32_t shard);
void model_orders_reconciled(void);
void model_order_drop(const struct id *id, void (*drop)(struct model_hold *hold));
void model_order_moves(struct model_shard *shard, struct model_hold *hold, const struct model_entry *entry);
struct model_order *model_order_entry(uint32_t number, const struct model_entry *entry);
void model_order_answer(const struct model_shard *shard, enum wire_kind kind, const struct wire_sender *sender,
	const struct wire_item *item, const struct wire_answer *answer);
bool model_may_be_gone(const struct model_shard *shard, uint32_t cart, const struct id *id);
bool model_is_in_force(const struct model_cart *cart, const struct wire_sender *sender);
bool model_in_force(const struct model_shard *shard, const struct wire_sender *sender);

/* model_archives.c */
void model_archives_begin(void);
void model_archives_end(void);
void model_archive_entry(uint32_t number, const struct model_entry *entry);
void model_archive_answer(
	const struct model_shard *shard, const struct wire_item *item, const struct wire_answer *answer);
void model_archives_retell(bool begins);
void model_archives_restored(uint32_t shard, uint32_t skus);
bool model_is_going(const struct model_hold *hold);
void model_archive_untouched(const struct model_shard *shard, const struct model_step *step);

void model_words_forget(uint32_t shard); /* restored; UINT32_MAX: all */

#endif
