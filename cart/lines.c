/* cart/lines.c - see lines.h. */
#include "cart/lines.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"

#define OVERDUE_WALK_MAX 4096 /* lines looked at to tell "no" from "ask again": past it, it is a no */

void lines_init(struct lines *lines, uint32_t shards, size_t ended_max)
{
	assert(shards);
	*lines = (struct lines){.shards = shards, .ended_max = ended_max};
	map_init(&lines->by_id);
	map_init(&lines->by_key);
	map_init(&lines->persons);
	map_init(&lines->goods);
	slab_init(&lines->line_slab, sizeof(struct line));
	slab_init(&lines->usage_slab, sizeof(struct usage));
	slab_set_init(&lines->names);
	lines->moved_ms = NEW_ARRAY(shards, int64_t);
}

static void lines_remove_all(struct lines *lines, struct map_node **slots, size_t count)
{
	for (size_t i = 0; slots && i < count; i++)
		while (slots[i])
			lines_remove(lines, container_of(slots[i], struct line, id_node));
}

void lines_release(struct lines *lines)
{
	lines_remove_all(lines, lines->by_id.old, lines->by_id.old_mask + 1);
	lines_remove_all(lines, lines->by_id.slots, lines->by_id.mask + 1);
	assert(lines->persons.count == 0);
	map_release(&lines->by_id);
	map_release(&lines->by_key);
	map_release(&lines->persons);
	map_release(&lines->goods);
	slab_release(&lines->line_slab);
	slab_release(&lines->usage_slab);
	slab_set_release(&lines->names);
	free(lines->moved_ms);
}

void lines_expect(const struct lines *lines, struct span user, const struct hash128 *key)
{
	map_expect(&lines->persons, hash64(user.text, user.length));
	if (key)
		map_expect(&lines->by_key, key_short(key));
}

void lines_expect_nodes(const struct lines *lines, struct span user, const struct hash128 *key)
{
	map_expect_node(&lines->persons, hash64(user.text, user.length));
	if (key)
		map_expect_node(&lines->by_key, key_short(key));
}

struct line *lines_find(const struct lines *lines, const struct id *id)
{
	struct map_node *node = map_first(&lines->by_id, lines_id_hash(id));

	for (; node; node = map_next(node)) {
		struct line *line = container_of(node, struct line, id_node);

		if (id_compare(&line->id, id) == 0)
			return line;
	}
	return NULL;
}

struct line *lines_find_key(const struct lines *lines, const struct hash128 *key)
{
	struct map_node *node = map_first(&lines->by_key, key_short(key));

	for (; node; node = map_next(node)) {
		struct line *line = container_of(node, struct line, key_node);

		if (key_equal(&line->key, key))
			return line;
	}
	return NULL;
}

static struct person *person_find(const struct lines *lines, struct span user, uint64_t hash)
{
	struct map_node *node = map_first(&lines->persons, hash);

	for (; node; node = map_next(node)) {
		struct person *person = container_of(node, struct person, node);

		if (span_equal((struct span){person->user, person->length}, user))
			return person;
	}
	return NULL;
}

struct person *lines_person(const struct lines *lines, struct span user)
{
	return person_find(lines, user, hash64(user.text, user.length));
}

static struct goods *goods_find(const struct lines *lines, struct span sku, uint64_t hash)
{
	struct map_node *node = map_first(&lines->goods, hash);

	for (; node; node = map_next(node)) {
		struct goods *goods = container_of(node, struct goods, node);

		if (span_equal((struct span){goods->sku, goods->length}, sku))
			return goods;
	}
	return NULL;
}

static struct usage *usage_find(const struct person *person, struct span sku)
{
	struct usage *usage = person->usages;

	for (; usage; usage = usage->next)
		if (span_equal((struct span){usage->goods->sku, usage->goods->length}, sku))
			return usage;
	return NULL;
}

struct usage *lines_usage(const struct lines *lines, struct span user, struct span sku)
{
	struct person *person = lines_person(lines, user);

	return person ? usage_find(person, sku) : NULL;
}

static struct person *person_new(struct lines *lines, struct span user, uint64_t hash)
{
	struct person *person;

	assert(user.length && user.length <= LINES_NAME_MAX);
	person = slab_set_get(&lines->names, sizeof(*person) + user.length + 1);
	person->length = (uint8_t)user.length;
	memcpy(person->user, user.text, user.length);
	map_put(&lines->persons, &person->node, hash);
	return person;
}

/* hash64 is what places a SKU on a shard (hash_shard), so it is computed once. */
static struct goods *goods_use(struct lines *lines, struct span sku)
{
	uint64_t hash = hash64(sku.text, sku.length);
	struct goods *goods = goods_find(lines, sku, hash);

	if (!goods) {
		assert(sku.length && sku.length <= LINES_NAME_MAX);
		goods = slab_set_get(&lines->names, sizeof(*goods) + sku.length + 1);
		goods->shard = (uint32_t)(hash % lines->shards);
		goods->length = (uint8_t)sku.length;
		memcpy(goods->sku, sku.text, sku.length);
		map_put(&lines->goods, &goods->node, hash);
	}
	goods->usages++;
	return goods;
}

struct usage *lines_use(struct lines *lines, struct span user, struct span sku)
{
	uint64_t hash = hash64(user.text, user.length);
	struct person *person = person_find(lines, user, hash);
	struct usage *usage;

	if (!person)
		person = person_new(lines, user, hash);
	usage = usage_find(person, sku);
	if (!usage) {
		usage = slab_get(&lines->usage_slab);
		usage->person = person;
		usage->goods = goods_use(lines, sku);
		usage->next = person->usages;
		person->usages = usage;
	}
	usage->references++;
	return usage;
}

void lines_keep(struct usage *usage)
{
	assert(usage->references);
	usage->references++;
}

static void goods_unuse(struct lines *lines, struct goods *goods)
{
	if (--goods->usages)
		return;
	map_remove(&lines->goods, &goods->node);
	slab_set_put(&lines->names, goods, sizeof(*goods) + goods->length + 1);
}

void lines_unuse(struct lines *lines, struct usage *usage)
{
	struct person *person = usage->person;
	struct goods *goods = usage->goods;
	struct usage **at = &person->usages;

	assert(usage->references);
	if (--usage->references)
		return;
	assert(!usage->lines && !usage->pending && !usage_taken(usage));
	while (*at != usage)
		at = &(*at)->next;
	*at = usage->next;
	slab_put(&lines->usage_slab, usage);
	goods_unuse(lines, goods);
	if (!person->usages) {
		map_remove(&lines->persons, &person->node);
		slab_set_put(&lines->names, person, sizeof(*person) + person->length + 1);
	}
}

struct name *lines_name_new(struct lines *lines, struct span text)
{
	struct name *name;

	if (!text.length)
		return NULL;
	assert(text.length <= LINES_NAME_MAX);
	name = slab_set_get(&lines->names, sizeof(*name) + text.length + 1);
	name->length = (uint8_t)text.length;
	memcpy(name->text, text.text, text.length);
	return name;
}

void lines_name_free(struct lines *lines, struct name *name)
{
	if (name)
		slab_set_put(&lines->names, name, sizeof(*name) + name->length + 1);
}

/* The counter that a line's units are in, NULL when they count no more. */
static uint64_t *line_counter(struct line *line)
{
	if (line->state == LINE_SOLD)
		return &line->usage->sold;
	if (line->state != LINE_HELD)
		return NULL;
	return id_is_zero(&line->order) ? &line->usage->held : &line->usage->ordered;
}

static void line_count_in(struct line *line)
{
	uint64_t *counter = line_counter(line);

	if (counter)
		*counter += line->quantity;
}

static void line_count_out(struct line *line)
{
	uint64_t *counter = line_counter(line);

	if (!counter)
		return;
	assert(*counter >= line->quantity);
	*counter -= line->quantity;
}

static bool line_counts(const struct line *line)
{
	return line->state == LINE_HELD || line->state == LINE_SOLD;
}

/* Hangs it where its state belongs. */
static void line_link(struct lines *lines, struct line *line)
{
	struct ended_list *ended = &lines->ended[line->keyed];

	line->previous = line->next = NULL;
	if (line_counts(line)) {
		line->next = line->usage->lines;
		if (line->next)
			line->next->previous = line;
		line->usage->lines = line;
		return;
	}
	line->previous = ended->last;
	*(ended->last ? &ended->last->next : &ended->first) = line;
	ended->last = line;
	ended->count++;
}

static void line_unlink(struct lines *lines, struct line *line)
{
	struct ended_list *ended = &lines->ended[line->keyed];

	if (line_counts(line)) {
		*(line->previous ? &line->previous->next : &line->usage->lines) = line->next;
		if (line->next)
			line->next->previous = line->previous;
		return;
	}
	*(line->previous ? &line->previous->next : &ended->first) = line->next;
	*(line->next ? &line->next->previous : &ended->last) = line->previous;
	ended->count--;
}

static void line_set_deadline(struct lines *lines, struct line *line, int64_t deadline_ms)
{
	line->deadline_ms = deadline_ms;
	if (line->state == LINE_HELD)
		line->deadline_ms -= lines->moved_ms[line->usage->goods->shard];
}

int64_t lines_deadline_ms(const struct lines *lines, const struct line *line)
{
	if (line->state != LINE_HELD)
		return line->deadline_ms;
	return line->deadline_ms + lines->moved_ms[line->usage->goods->shard];
}

/* The first grant keeps its key; but what has ended lets go of it for one that counts: a promise that was made again (cart/reconcile.h). */
static bool take_key(struct lines *lines, const struct line *line)
{
	struct line *other = lines_find_key(lines, &line->key);

	if (other && (line_counts(other) || !line_counts(line)))
		return false;
	if (other) {
		map_remove(&lines->by_key, &other->key_node);
		other->indexed = false;
	}
	return true;
}

struct line *lines_add_to(struct lines *lines, struct usage *usage, const struct hold *hold)
{
	struct line *line = slab_get(&lines->line_slab);

	line->id = hold->id;
	line->order = hold->order;
	line->usage = usage;
	line->session = lines_name_new(lines, hold->session);
	line->created_ms = hold->created_ms;
	line->ended_ms = hold->ended_ms;
	line->price_micros = hold->price_micros;
	line->version = hold->version;
	line->quantity = hold->quantity;
	line->state = (uint8_t)hold->state;
	line_set_deadline(lines, line, hold->deadline_ms);
	map_put(&lines->by_id, &line->id_node, lines_id_hash(&line->id));
	line->keyed = hold->keyed;
	if (line->keyed) {
		line->key = hold->key;
		line->fingerprint = hold->fingerprint;
		line->indexed = take_key(lines, line);
		if (line->indexed)
			map_put(&lines->by_key, &line->key_node, key_short(&line->key));
	}
	line_link(lines, line);
	line_count_in(line);
	return line;
}

struct line *lines_add(struct lines *lines, const struct hold *hold)
{
	return lines_add_to(lines, lines_use(lines, hold->user, hold->sku), hold);
}

static bool step_exists(uint8_t from, enum line_state to)
{
	assert(to >= LINE_HELD && to <= LINE_REFUNDED);
	if (from == LINE_HELD)
		return to <= LINE_EXPIRED;
	if (from == LINE_SOLD)
		return to == LINE_SOLD || to == LINE_REFUNDED;
	return false;
}

bool lines_change(struct lines *lines, struct line *line, const struct hold *change)
{
	if (change->version <= line->version || !step_exists(line->state, change->state))
		return false;
	line_count_out(line);
	if (change->state != line->state)
		line_unlink(lines, line);
	else
		assert(line_counts(line));
	line->version = change->version;
	line->quantity = change->quantity;
	line->order = change->order;
	line->claimed = line->claimed && id_is_zero(&line->order);
	if (change->state != line->state) {
		line->state = (uint8_t)change->state;
		if (!line_counts(line))
			line->ended_ms = change->ended_ms;
		line_link(lines, line);
	}
	line_set_deadline(lines, line, change->deadline_ms);
	line_count_in(line);
	return true;
}

void lines_see(struct lines *lines, struct line *line, const struct hold *hold)
{
	assert(line->unseen);
	line->unseen = false;
	line->created_ms = hold->created_ms;
	line->price_micros = hold->price_micros;
	if (line->version == hold->version)
		line_set_deadline(lines, line, hold->deadline_ms);
}

void lines_remove(struct lines *lines, struct line *line)
{
	struct usage *usage = line->usage;

	line_count_out(line);
	line_unlink(lines, line);
	map_remove(&lines->by_id, &line->id_node);
	if (line->indexed)
		map_remove(&lines->by_key, &line->key_node);
	lines_name_free(lines, line->session);
	slab_put(&lines->line_slab, line);
	lines_unuse(lines, usage);
}

/* What is left of a sale that is over: not what was granted since, which the ledger has yet to tell of. One that is HELD was sold: its end was dropped before
 * we could read it. */
static bool line_is_over(const struct line *line, struct span sku)
{
	const struct goods *goods = line->usage->goods;

	return !line->unseen && line->state != LINE_RELEASED && line->state != LINE_EXPIRED &&
	       span_equal((struct span){goods->sku, goods->length}, sku);
}

struct archived {
	struct lines *lines;
	struct span sku;
	void (*removed)(void *context, const struct line *line);
	void *context;
};

static void archive_line(void *context, struct map_node *node)
{
	const struct archived *archived = context;
	struct line *line = container_of(node, struct line, id_node);

	if (!line_is_over(line, archived->sku))
		return;
	archived->removed(archived->context, line);
	lines_remove(archived->lines, line);
}

bool lines_archive(struct lines *lines, struct span sku, struct map_walk *walk, size_t slots,
	void (*removed)(void *context, const struct line *line), void *context)
{
	struct archived archived = {lines, sku, removed, context};

	return map_walk(&lines->by_id, walk, slots, archive_line, &archived);
}

struct line *lines_forgettable(const struct lines *lines, int64_t now_ms)
{
	static const int64_t memory_ms[2] = {LINES_BARE_MS, LINES_KEY_MS};

	for (int keyed = 0; keyed < 2; keyed++) {
		const struct ended_list *ended = &lines->ended[keyed];

		if (ended->first && (ended->count > lines->ended_max ||
					    ended->first->ended_ms + memory_ms[keyed] <= now_ms))
			return ended->first;
	}
	return NULL;
}

uint64_t lines_overdue(const struct lines *lines, const struct usage *usage, int64_t now_ms)
{
	const struct line *line = usage->lines;
	uint64_t units = 0;

	for (int seen = 0; line && seen < OVERDUE_WALK_MAX; line = line->next, seen++)
		if (line->state == LINE_HELD && lines_deadline_ms(lines, line) <= now_ms)
			units += line->quantity;
	return units;
}
