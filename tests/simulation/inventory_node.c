/* tests/simulation/inventory_node.c - see inventory_node.h. */
#include "inventory_node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/writer.h"
#include "files.h"
#include "inventory/books.h"
#include "inventory/exporter.h"
#include "inventory/ledger_page.h"
#include "inventory_command.h"
#include "inventory_view.h"
#include "model.h"
#include "stores.h"
#include "tally.h"
#include "threads.h"

#define OUTAGE_MAX_US (3 * SECOND)
#define BACKUP_MAX_US (5 * SECOND)
#define EXPIRED_AFTER_MS 1000
#define FULL_SEEN_US (3 * SECOND) /* the books look at the room once a second */

struct node {
	uint32_t shard;
	struct process *process; /* NULL: down */
	uint64_t incarnation;
	struct sim_store sim;
	struct store *store;
	struct books *books;
	struct writer *writer;
	struct node_command *taken;
	int64_t wall_offset_ms, disk_full_us; /* disk_full_us: when it was last so */
	bool dying, restored, new_lineage, backed_up;
	uint64_t backup_head, backup_floor;
	uint32_t backup_archiving;
	struct exports exports;
	char directory[128], backup[128];
};

static struct node nodes[WORLD_SHARDS_MAX];
static uint64_t incarnations;

/* ---- answers ---- */

static void command_free(struct node_command *self)
{
	*(self->previous ? &self->previous->next : &self->node->taken) = self->next;
	if (self->next)
		self->next->previous = self->previous;
	free(self);
}

static void run_respond(void *context, uint64_t a, uint64_t b)
{
	struct node_command *self = context;
	struct wire_call *call = self->call;

	command_free(self);
	network_answer(call, WIRE_DECIDED);
}

static bool full_allowed(const struct node *node)
{
	return node->sim.map_full || world.plan.inventory_map_bytes < 8 << 20 || node->sim.disk_full ||
	       (node->disk_full_us && world.now_us - node->disk_full_us < FULL_SEEN_US);
}

/* The group as a whole did not come to be: nothing of it may be in the books, which the model sees by itself. */
static void refuse_all(struct node_command *self)
{
	bool full = self->result == WRITER_FULL;

	WORLD_CHECK(full || self->node->sim.failed_put, "the store refused a group that it could take");
	free(self->call->outcome);
	self->call->outcome = NULL;
	for (uint32_t i = 0; i < self->call->count; i++)
		self->call->answers[i] =
			(struct wire_answer){.reason = full ? COMMON__REASON__REASON_STORE_FULL
							    : COMMON__REASON__REASON_STORE_FAILED};
}

static void judge(struct node_command *self)
{
	const struct wire_call *call = self->call;

	for (uint32_t i = 0; i < call->count; i++) {
		world_note("answer", call->number, i,
			(uint64_t)call->answers[i].reason << 40 ^ call->answers[i].sequence << 8 ^
				(uint64_t)call->answers[i].state);
		tally_inventory(call->kind, call->answers[i].reason, call->answers[i].repeated);
		if (call->answers[i].reason != COMMON__REASON__REASON_STORE_FAILED)
			model_answer(self->node->shard, call->kind, &call->sender, &call->items[i],
				&call->answers[i], full_allowed(self->node));
	}
}

static void done(struct command *command, enum writer_result result)
{
	struct node_command *self = container_of(command, struct node_command, command);
	struct wire_call *call = self->call;

	self->result = result;
	if (result != WRITER_COMMITTED)
		refuse_all(self);
	if (call->kind == WIRE_FENCE && result == WRITER_COMMITTED && !call->answers[0].reason) {
		call->fenced = (struct wire_fenced){verdict_is_yes(self->fenced.verdict),
			self->fenced.fence.epoch, self->fenced.fence.sequence, self->node->store->lineage,
			self->fenced.fence.removed};
		tally_inventory(call->kind,
			verdict_is_yes(self->fenced.verdict) ? COMMON__REASON__REASON_UNSPECIFIED
							     : COMMON__REASON__REASON_STALE_EPOCH,
			self->fenced.verdict == VERDICT_REPEATED);
		model_fenced(self->node->shard, &call->sender, &call->fenced);
	} else {
		judge(self);
	}
	world_after(self->node->process, world_between(1, 100), run_respond, self, 0, 0);
}

bool inventory_up(uint32_t shard)
{
	return nodes[shard].process && !nodes[shard].dying;
}

/* As inventory's rpc_archive.c does it. False: nobody was told this digest. */
static bool sale_find(struct node_command *self)
{
	struct wire_item *item = self->call->items;
	struct archive_request sale = {0};
	const struct exported *exported;

	for (uint32_t sku = 0; sku < world.plan.skus; sku++)
		if (item->skus >> sku & 1)
			strcpy(sale.skus[sale.count++], world_sku(sku));
	exported = exports_find(&self->node->exports, &sale, item->digest);
	item->known = exported != NULL;
	if (exported)
		self->sale = exported->sale;
	else
		self->call->answers[0].reason = COMMON__REASON__REASON_VERSION_MISMATCH;
	return exported != NULL;
}

static void run_busy(void *context, uint64_t a, uint64_t b)
{
	network_answer(context, WIRE_BUSY);
}

bool inventory_take(struct wire_call *call)
{
	struct node *node = &nodes[call->shard];
	struct node_command *self;

	if (!inventory_up(call->shard))
		return false;
	self = NEW(struct node_command);
	self->call = call;
	self->node = node;
	self->sender = (struct sender){.given = call->sender.given,
		.cart_shard = call->sender.cart,
		.cart_shards = call->sender.carts,
		.epoch = call->sender.epoch};
	memcpy(self->sender.instance, call->sender.instance.bytes, INSTANCE_BYTES);
	self->command = (struct command){.apply = inventory_apply,
		.done = done,
		.items = call->count,
		.grows = call->kind == WIRE_CREATE || call->kind == WIRE_BIND || call->kind == WIRE_OPEN ||
			 call->kind == WIRE_ADJUST};
	self->next = node->taken;
	if (self->next)
		self->next->previous = self;
	node->taken = self;
	if (call->kind == WIRE_ARCHIVE && !sale_find(self)) {
		judge(self);
		world_after(node->process, 1, run_respond, self, 0, 0);
		return true;
	}
	if (!writer_submit(node->writer, &self->command)) {
		command_free(self);
		world_after(NULL, 1, run_busy, call, 0, 0);
	}
	return true;
}

/* ---- the process ---- */

static void run_crash(void *context, uint64_t incarnation, uint64_t away_us);

/* The time that people see, as this inventory has it. */
static int64_t shown_ms(const struct node *node)
{
	return inventory_time_shown_ms(&node->books->time, inventory_time_now_ms(&node->books->time));
}

static void on_committed(void *owner)
{
	struct node *node = owner;

	if (node->store)
		view_commit(node->store, node->shard, node->books ? shown_ms(node) : INT64_MIN);
}

static void on_fatal(void *context, const char *why)
{
	struct node *node = context;

	WORLD_CHECK(node->sim.failed_commit, "a process ends itself: %s", why);
	node->dying = true;
	world_after(NULL, 0, run_crash, node, node->incarnation, 1 * MS);
	thread_stop();
}

static void store_options_of(const struct node *node, struct store_options *ret)
{
	*ret = books_store_options;
	ret->directory = node->directory;
	ret->shard = node->shard;
	ret->shards = world.plan.inventories;
	ret->map_bytes = world.plan.inventory_map_bytes;
}

static struct writer *writer_of(struct node *node)
{
	return writer_new(&(struct writer_options){.store = node->store,
		.domain = node->books,
		.group_max = world.plan.group_max,
		.queue_max = world.plan.queue_max,
		.now_ms = books_now_ms,
		.tick = books_tick,
		.finish = books_finish,
		.rollback = books_rollback,
		.committed = books_committed,
		.fatal = on_fatal,
		.fatal_context = node});
}

static void run_start(void *context, uint64_t a, uint64_t b)
{
	struct node *node = context;
	struct store_options options;
	struct books_options books = {.hold_ttl_ms = world.plan.hold_ttl_ms,
		.outage_grace_max_ms = world.plan.outage_grace_ms,
		.expiry_step = world.plan.expiry_step,
		.retention_ms = world.plan.retention_ms,
		.compaction_step = world.plan.compaction_step};
	struct error error = {0};

	node->process = NEW(struct process);
	process_init(node->process, "inventory", node->shard);
	node->process->wall_offset_ms = node->wall_offset_ms;
	node->incarnation = ++incarnations;
	node->dying = false;
	memset(&node->exports, 0, sizeof(node->exports));
	world.troubles.archives_resumed += model_archiving_now(node->shard) != 0;
	world_note("inventory starts", node->shard, node->incarnation, 0);
	stores_register(&node->sim, node->directory, node);
	node->sim.fail_put = world.plan.fail_put;
	node->sim.fail_commit = world.plan.fail_commit;
	node->sim.committed = on_committed;
	store_options_of(node, &options);
	node->store = store_open(&options, &error);
	WORLD_CHECK(node->store, "inventory does not open: %s", error.text);
	books.clock = &node->process->clock;
	node->books = books_open(node->store, &books, &error);
	WORLD_CHECK(node->books, "inventory does not open: %s", error.text);
	model_lineage(node->shard, &node->store->lineage);
	if (node->new_lineage)
		model_void_epochs(node->shard);
	node->new_lineage = false;
	thread_owner = node->process;
	node->writer = writer_of(node);
}

static void crash(struct node *node, int64_t away_us)
{
	world.troubles.inventory_crashes++;
	world_note("inventory crashes", node->shard, node->incarnation, (uint64_t)away_us);
	stores_crash(&node->sim);
	node->process->dead = true;
	threads_abandon(node->process);
	while (node->taken) {
		struct wire_call *call = node->taken->call;

		command_free(node->taken);
		network_reset(call);
	}
	books_close(node->books);
	store_close(node->store);
	free(node->writer);
	stores_forget(&node->sim);
	node->process = NULL;
	node->store = NULL;
	node->books = NULL;
	if (away_us >= 0)
		world_after(NULL, away_us, run_start, node, 0, 0);
}

static void run_crash(void *context, uint64_t incarnation, uint64_t away_us)
{
	struct node *node = context;

	if (node->process && node->incarnation == incarnation)
		crash(node, (int64_t)away_us);
}

/* ---- troubles ---- */

static void run_crash_timer(void *context, uint64_t a, uint64_t b)
{
	struct node *node = context;

	if (node->process && !world.calm)
		crash(node, world_between(1, world_below(4) ? 50 * MS : OUTAGE_MAX_US));
	world_after(
		NULL, random_wait(&world.random, world.plan.crash_inventory_us), run_crash_timer, node, 0, 0);
}

static void run_wall_timer(void *context, uint64_t a, uint64_t b)
{
	struct node *node = context;

	if (!world.calm) {
		node->wall_offset_ms = world_wall_jump();
		world.troubles.wall_jumps++;
		world_note("inventory's wall clock jumps", node->shard, (uint64_t)node->wall_offset_ms, 0);
		if (node->process)
			node->process->wall_offset_ms = node->wall_offset_ms;
	}
	world_after(NULL, random_wait(&world.random, world.plan.wall_jump_us), run_wall_timer, node, 0, 0);
}

static void run_disk_timer(void *context, uint64_t ends, uint64_t unused)
{
	struct node *node = context;

	node->sim.disk_full = !ends && !world.calm;
	world.troubles.full_disks += node->sim.disk_full;
	if (node->sim.disk_full || ends)
		node->disk_full_us = world.now_us;
	world_note(node->sim.disk_full ? "disk is full" : "disk has room", node->shard, 0, 0);
	world_after(NULL,
		ends ? random_wait(&world.random, world.plan.disk_full_us) : world_between(1, 5 * SECOND),
		run_disk_timer, node, !ends, 0);
}

static void run_backup(void *context, uint64_t a, uint64_t b)
{
	struct node *node = context;
	char from[160];

	world_after(NULL, world_between(1, BACKUP_MAX_US), run_backup, node, 0, 0);
	if (!node->process || world.calm)
		return;
	snprintf(from, sizeof(from), "%s/data.mdb", node->directory);
	file_copy(from, node->backup);
	node->backed_up = true;
	node->backup_head = model_head(node->shard);
	node->backup_floor = model_floor(node->shard);
	node->backup_archiving = model_archiving_now(node->shard);
	world_note("inventory is backed up", node->shard, model_head(node->shard), 0);
}

void inventory_restore(uint32_t shard)
{
	struct node *node = &nodes[shard];
	struct store_options options;
	struct error error = {0};
	char to[160];

	if (!node->backed_up || !node->process)
		return;
	crash(node, -1);
	world.troubles.restores++;
	world_note("inventory is restored", shard, model_head(shard), 0);
	snprintf(to, sizeof(to), "%s/data.mdb", node->directory);
	file_copy(node->backup, to);
	store_options_of(node, &options);
	WORLD_CHECK(store_new_lineage(&options, &error), "a new lineage: %s", error.text);
	model_forget_shard(shard, node->backup_head, node->backup_floor, node->backup_archiving);
	node->restored = node->new_lineage = true;
	world_after(NULL, world_between(1, OUTAGE_MAX_US), run_start, node, 0, 0);
}

bool inventory_was_restored(uint32_t shard)
{
	return nodes[shard].restored;
}

/* ---- what followers read ---- */

struct store *inventory_store(uint32_t shard)
{
	return nodes[shard].store;
}

void inventory_exported(uint32_t shard, const struct exporter *exporter)
{
	exports_add(&nodes[shard].exports, exporter);
}

struct id inventory_lineage(uint32_t shard)
{
	return nodes[shard].store->lineage;
}

uint64_t inventory_incarnation(uint32_t shard)
{
	return nodes[shard].process ? nodes[shard].incarnation : 0;
}

Common__Reason inventory_may_read(uint32_t shard, const struct id *lineage, uint64_t after)
{
	const struct node *node = &nodes[shard];

	if (!inventory_up(shard))
		return COMMON__REASON__REASON_DEPENDENCY_DOWN;
	if (!id_is_zero(lineage) && id_compare(lineage, &node->store->lineage) != 0)
		return COMMON__REASON__REASON_LINEAGE_CHANGED;
	return after > atomic_load(&node->books->head) ? COMMON__REASON__REASON_LEDGER_AHEAD
						       : COMMON__REASON__REASON_UNSPECIFIED;
}

bool inventory_read(uint32_t shard, uint32_t cart, uint64_t *position, struct arena *arena,
	Inventory__ReadLedgerResponse *response)
{
	const struct ledger_filter filter = {
		.by_cart = true, .cart_shard = cart, .entries_max = world.plan.page_entries};
	struct node *node = &nodes[shard];
	int rc;

	if (!inventory_up(shard) || *position >= atomic_load(&node->books->head))
		return false;
	rc = ledger_page_read(node->store, arena, &filter, world.plan.hold_ttl_ms,
		atomic_load(&node->books->head), position, response);
	WORLD_CHECK(rc == 0, "the ledger can't be read: %d", rc);
	response->position = *position;
	return true;
}

/* ---- all of them ---- */

static void node_begin(struct node *node, uint32_t shard)
{
	struct store_options options;
	struct error error = {0};

	memset(node, 0, sizeof(*node));
	node->shard = shard;
	snprintf(node->directory, sizeof(node->directory), "%s/inventory-%u", world.folder, shard);
	snprintf(node->backup, sizeof(node->backup), "%s/backup-%u", world.folder, shard);
	store_options_of(node, &options);
	stores_register(&node->sim, node->directory, node);
	WORLD_CHECK(store_create(&options, &error), "%s", error.text);
	stores_forget(&node->sim);
	run_start(node, 0, 0);
	if (world.plan.crash_inventory_us)
		world_after(NULL, random_wait(&world.random, world.plan.crash_inventory_us), run_crash_timer,
			node, 0, 0);
	if (world.plan.wall_jump_us)
		world_after(NULL, random_wait(&world.random, world.plan.wall_jump_us), run_wall_timer, node,
			0, 0);
	if (world.plan.disk_full_us)
		world_after(NULL, random_wait(&world.random, world.plan.disk_full_us), run_disk_timer, node,
			0, 0);
	if (world.plan.restore)
		world_after(NULL, world_between(1, BACKUP_MAX_US), run_backup, node, 0, 0);
}

void inventories_begin(void)
{
	for (uint32_t shard = 0; shard < world.plan.inventories; shard++)
		node_begin(&nodes[shard], shard);
}

void inventories_end(void)
{
	for (uint32_t shard = 0; shard < world.plan.inventories; shard++)
		if (nodes[shard].process)
			crash(&nodes[shard], -1);
}

void inventories_check(void)
{
	for (uint32_t shard = 0; shard < world.plan.inventories; shard++) {
		WORLD_CHECK(nodes[shard].process, "inventory %u is down", shard);
		view_check(nodes[shard].store, shard);
		WORLD_CHECK(!model_overdue(shard, shown_ms(&nodes[shard]) - EXPIRED_AFTER_MS),
			"promise 3: a hold is still there a second after its deadline");
	}
}
