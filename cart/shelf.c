/* cart/shelf.c - see shelf.h. */
#include "cart/shelf.h"

#include <assert.h>
#include <semaphore.h>
#include <stdlib.h>

#include "base/memory.h"

#define RETRY_MS 1000
#define IDLE_FLUSH_MS 5000 /* when only positions have moved */
#define CHUNK_BYTES_FIRST (64 * 1024)

#define DECISIONS_MAX 8192 /* that wait for the disk */
#define GROUP_MAX 1024

/* A change: 1 byte of operation, 16 of id, and for a put 2 of size and the record. */
enum operation { OPERATION_PUT, OPERATION_FORGET, OPERATION_PUT_ORDER, OPERATION_FORGET_ORDER };
#define CHANGE_HEAD_BYTES (1 + ID_BYTES + 2)
static_assert(RECORD_ORDER_BYTES_MAX <= UINT16_MAX, "a record's size has two bytes");

const char *const shelf_tables[SHELF_TABLE_COUNT] = {"holds", "positions", "orders", "decisions"};

struct batch {
	struct command command;
	struct rpc_task back;
	struct shelf *shelf;
	enum writer_result result;
	uint8_t *bytes;
	size_t size, room;
	struct position *positions; /* by shard; only those that are `moved` */
	bool *moved;
	bool any_moved;
};

struct shelf {
	struct shelf_options options;
	struct writer *writer;
	struct batch batches[2];
	struct batch *gathering;
	bool writing, closed;
	size_t deciding;
	uint64_t *stored; /* positions on disk, by shard */
	struct rpc_timer timer;
	sem_t ended; /* posted once it is closed and nothing is being written or decided */
	struct shelf_counts counts;
};

/* ---- the writer's thread ---- */

static int forget(const struct store *store, MDB_txn *txn, enum shelf_table table, MDB_val *key)
{
	int rc = mdb_del(txn, store->tables[table], key, NULL);

	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int apply_change(const struct store *store, MDB_txn *txn, const uint8_t **at)
{
	const uint8_t *change = *at;
	MDB_val key = {ID_BYTES, (void *)(uintptr_t)(change + 1)}, data;
	int rc;

	*at += 1 + ID_BYTES;
	switch ((enum operation)change[0]) {
	case OPERATION_FORGET:
		return forget(store, txn, SHELF_HOLDS, &key);
	case OPERATION_FORGET_ORDER:
		rc = forget(store, txn, SHELF_ORDERS, &key);
		return rc ? rc : forget(store, txn, SHELF_DECISIONS, &key);
	case OPERATION_PUT:
	case OPERATION_PUT_ORDER:
		break;
	}
	data.mv_size = (size_t)((*at)[0] << 8 | (*at)[1]);
	data.mv_data = (void *)(uintptr_t)(*at + 2);
	*at += 2 + data.mv_size;
	return mdb_put(
		txn, store->tables[change[0] == OPERATION_PUT ? SHELF_HOLDS : SHELF_ORDERS], &key, &data, 0);
}

static int put_position(
	const struct store *store, MDB_txn *txn, uint32_t shard, const struct position *position)
{
	uint8_t number[4] = {
		(uint8_t)(shard >> 24), (uint8_t)(shard >> 16), (uint8_t)(shard >> 8), (uint8_t)shard};
	uint8_t record[RECORD_POSITION_BYTES];
	MDB_val key = {sizeof(number), number}, data = {sizeof(record), record};

	record_position_pack(position, record);
	return mdb_put(txn, store->tables[SHELF_POSITIONS], &key, &data, 0);
}

static int batch_apply(struct command *command, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct batch *batch = container_of(command, struct batch, command);
	const struct store *store = batch->shelf->options.store;
	const uint8_t *at = batch->bytes;
	int rc = 0;

	while (!rc && at < batch->bytes + batch->size)
		rc = apply_change(store, txn, &at);
	for (uint32_t shard = 0; !rc && shard < batch->shelf->options.shards; shard++)
		if (batch->moved[shard])
			rc = put_position(store, txn, shard, &batch->positions[shard]);
	return rc;
}

static int decision_apply(struct command *command, void *domain, MDB_txn *txn, int64_t now_ms)
{
	struct decision *decision = container_of(command, struct decision, command);
	const struct store *store = decision->shelf->options.store;
	MDB_val key = {ID_BYTES, decision->id.bytes};
	MDB_val data = {decision->size, (void *)(uintptr_t)decision->record};

	if (!decision->record)
		return forget(store, txn, SHELF_DECISIONS, &key);
	return mdb_put(txn, store->tables[SHELF_DECISIONS], &key, &data, 0);
}

static void decision_done(struct command *command, enum writer_result result)
{
	struct decision *decision = container_of(command, struct decision, command);

	decision->result = result;
	rpc_post(decision->shelf->options.loop, &decision->back);
}

static void batch_done(struct command *command, enum writer_result result)
{
	struct batch *batch = container_of(command, struct batch, command);

	batch->result = result;
	rpc_post(batch->shelf->options.loop, &batch->back);
}

static int64_t shelf_now_ms(void *domain)
{
	return clock_wall_ms(((struct shelf *)domain)->options.clock);
}

/* ---- the loop ---- */

static bool batch_empty(const struct batch *batch)
{
	return !batch->size && !batch->any_moved;
}

static void batch_clear(struct batch *batch)
{
	batch->size = 0;
	batch->any_moved = false;
	for (uint32_t shard = 0; shard < batch->shelf->options.shards; shard++)
		batch->moved[shard] = false;
}

static void shelf_arm(struct shelf *shelf, int64_t delay_ms)
{
	if (!shelf->closed)
		rpc_timer_start(shelf->options.loop, &shelf->timer, delay_ms);
}

/* True: it is the writer's now. */
static bool batch_submit(struct shelf *shelf, struct batch *batch)
{
	shelf->writing = writer_submit(shelf->writer, &batch->command);
	return shelf->writing;
}

void shelf_flush(struct shelf *shelf)
{
	struct batch *batch = shelf->gathering;

	if (shelf->writing || batch_empty(batch))
		return;
	rpc_timer_stop(shelf->options.loop, &shelf->timer);
	if (batch_submit(shelf, batch))
		shelf->gathering = &shelf->batches[batch == &shelf->batches[0]];
	else
		shelf_arm(shelf, RETRY_MS);
}

static struct batch *written_batch(struct shelf *shelf)
{
	return &shelf->batches[shelf->gathering == &shelf->batches[0]];
}

static void timer_run(struct rpc_task *task)
{
	struct shelf *shelf = container_of(task, struct shelf, timer.task);

	if (shelf->writing)
		return; /* its return arms it again */
	if (!batch_empty(written_batch(shelf)))
		batch_submit(shelf, written_batch(shelf)); /* the one that was refused */
	else
		shelf_flush(shelf);
	if (!shelf->writing && !(batch_empty(shelf->gathering) && batch_empty(written_batch(shelf))))
		shelf_arm(shelf, RETRY_MS);
}

/* The last batch, then nothing more. What can't be written now comes from the ledgers again. */
static void shelf_end(struct shelf *shelf)
{
	if (shelf->writing)
		return;
	if (batch_empty(written_batch(shelf)))
		shelf_flush(shelf);
	if (!shelf->writing && !shelf->deciding)
		sem_post(&shelf->ended);
}

static void batch_back(struct rpc_task *task)
{
	struct batch *batch = container_of(task, struct batch, back);
	struct shelf *shelf = batch->shelf;

	shelf->writing = false;
	if (batch->result == WRITER_COMMITTED) {
		shelf->counts.written++;
		for (uint32_t shard = 0; shard < shelf->options.shards; shard++)
			if (batch->moved[shard])
				shelf->stored[shard] = batch->positions[shard].sequence;
		batch_clear(batch);
	} else {
		shelf->counts.refused++;
	}
	if (shelf->closed)
		shelf_end(shelf);
	else if (batch->result != WRITER_COMMITTED)
		shelf_arm(shelf, RETRY_MS);
	else if (!batch_empty(shelf->gathering))
		shelf_arm(shelf, shelf->gathering->size ? SHELF_FLUSH_MS : IDLE_FLUSH_MS);
}

static Common__Reason decision_failure(const struct decision *decision)
{
	if (decision->refused)
		return COMMON__REASON__REASON_OVERLOADED;
	switch (decision->result) {
	case WRITER_COMMITTED:
		return COMMON__REASON__REASON_UNSPECIFIED;
	case WRITER_FULL:
		return COMMON__REASON__REASON_STORE_FULL;
	case WRITER_FAILED:
		break;
	}
	return COMMON__REASON__REASON_STORE_FAILED;
}

static void decision_back(struct rpc_task *task)
{
	struct decision *decision = container_of(task, struct decision, back);
	struct shelf *shelf = decision->shelf;

	shelf->deciding--;
	decision->done(decision, decision_failure(decision));
	if (shelf->closed)
		shelf_end(shelf);
}

void shelf_decide(struct shelf *shelf, struct decision *decision)
{
	decision->command = (struct command){
		.apply = decision_apply, .done = decision_done, .items = 1, .grows = decision->record};
	decision->back.run = decision_back;
	decision->shelf = shelf;
	shelf->deciding++;
	decision->refused = !writer_submit(shelf->writer, &decision->command);
	if (decision->refused)
		rpc_post(shelf->options.loop, &decision->back);
}

/* Room for one more change; the timer runs from the first. */
static uint8_t *shelf_reserve(struct shelf *shelf, size_t record_bytes_max)
{
	struct batch *batch = shelf->gathering;

	if (!batch->size && !shelf->writing && batch_empty(written_batch(shelf)))
		shelf_arm(shelf, SHELF_FLUSH_MS);
	if (batch->room - batch->size < CHANGE_HEAD_BYTES + record_bytes_max) {
		batch->room = batch->room ? batch->room * 2 : CHUNK_BYTES_FIRST;
		batch->bytes = memory_resize(batch->bytes, batch->room, 1);
	}
	return batch->bytes + batch->size;
}

/* `to` has the record behind its head already. */
static void shelf_keep(
	struct shelf *shelf, uint8_t *to, enum operation operation, const struct id *id, size_t size)
{
	to[0] = (uint8_t)operation;
	memcpy(to + 1, id->bytes, ID_BYTES);
	to[1 + ID_BYTES] = (uint8_t)(size >> 8);
	to[2 + ID_BYTES] = (uint8_t)size;
	shelf->gathering->size += CHANGE_HEAD_BYTES + size;
}

static void shelf_drop(struct shelf *shelf, enum operation operation, const struct id *id)
{
	uint8_t *to = shelf_reserve(shelf, 0);

	to[0] = (uint8_t)operation;
	memcpy(to + 1, id->bytes, ID_BYTES);
	shelf->gathering->size += 1 + ID_BYTES;
}

void shelf_put(struct shelf *shelf, const struct line *line)
{
	uint8_t *to = shelf_reserve(shelf, RECORD_HOLD_BYTES_MAX);

	shelf_keep(shelf, to, OPERATION_PUT, &line->id, record_hold_pack(line, to + CHANGE_HEAD_BYTES));
}

void shelf_forget(struct shelf *shelf, const struct id *id)
{
	shelf_drop(shelf, OPERATION_FORGET, id);
}

void shelf_put_order(struct shelf *shelf, const struct order *order)
{
	uint8_t *to = shelf_reserve(shelf, RECORD_ORDER_BYTES_MAX);

	shelf_keep(
		shelf, to, OPERATION_PUT_ORDER, &order->id, record_order_pack(order, to + CHANGE_HEAD_BYTES));
}

void shelf_forget_order(struct shelf *shelf, const struct id *id)
{
	shelf_drop(shelf, OPERATION_FORGET_ORDER, id);
}

void shelf_position(struct shelf *shelf, uint32_t shard, const struct position *position)
{
	struct batch *batch = shelf->gathering;

	if (batch_empty(batch) && !shelf->writing && batch_empty(written_batch(shelf)))
		shelf_arm(shelf, IDLE_FLUSH_MS);
	batch->positions[shard] = *position;
	batch->moved[shard] = batch->any_moved = true;
}

uint64_t shelf_stored(const struct shelf *shelf, uint32_t shard)
{
	return shelf->stored[shard];
}

bool shelf_full(const struct shelf *shelf)
{
	return shelf->gathering->size >= SHELF_BYTES_MAX;
}

void shelf_close(struct shelf *shelf)
{
	shelf->closed = true;
	rpc_timer_stop(shelf->options.loop, &shelf->timer);
	shelf_end(shelf);
}

struct shelf_counts shelf_count(const struct shelf *shelf)
{
	struct shelf_counts counts = shelf->counts;

	counts.waiting_bytes = shelf->batches[0].size + shelf->batches[1].size;
	return counts;
}

/* ---- its life ---- */

static void batch_init(struct shelf *shelf, struct batch *batch)
{
	batch->shelf = shelf;
	batch->command =
		(struct command){.apply = batch_apply, .done = batch_done, .items = 1, .grows = true};
	batch->back.run = batch_back;
	batch->positions = NEW_ARRAY(shelf->options.shards, struct position);
	batch->moved = NEW_ARRAY(shelf->options.shards, bool);
}

struct shelf *shelf_new(const struct shelf_options *options)
{
	struct shelf *shelf = NEW(struct shelf);

	shelf->options = *options;
	shelf->timer.task.run = timer_run;
	shelf->stored = NEW_ARRAY(options->shards, uint64_t);
	sem_init(&shelf->ended, 0, 0);
	shelf->gathering = &shelf->batches[0];
	for (int i = 0; i < 2; i++)
		batch_init(shelf, &shelf->batches[i]);
	shelf->writer = writer_new(&(struct writer_options){.store = options->store,
		.domain = shelf,
		.group_max = GROUP_MAX,
		.queue_max = DECISIONS_MAX,
		.now_ms = shelf_now_ms,
		.fatal = options->fatal,
		.fatal_context = options->fatal_context,
		.name = "writer"});
	return shelf;
}

void shelf_free(struct shelf *shelf)
{
	if (!shelf)
		return;
	while (sem_wait(&shelf->ended) != 0)
		;
	writer_free(shelf->writer);
	sem_destroy(&shelf->ended);
	for (int i = 0; i < 2; i++) {
		free(shelf->batches[i].bytes);
		free(shelf->batches[i].positions);
		free(shelf->batches[i].moved);
	}
	free(shelf->stored);
	free(shelf);
}
