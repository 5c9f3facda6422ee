/* Discovery's state machine under any sequence of answers, failures and delays, beside a model of what must be true of each step: nobody is forgotten without
 * cause, nobody is made up, and no server can make it ask without a pause. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "discovery/consul_watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct consul_options options = {
	.wait_ms = 3000, .answer_ms = 500, .look_ms = 500, .backoff_max_ms = 500, .linger_ms = 6000};

struct input {
	const uint8_t *data;
	size_t left;
};

static uint8_t next(struct input *input)
{
	if (!input->left)
		return 0;
	input->left--;
	return *input->data++;
}

static uint32_t next_random(struct input *input)
{
	uint32_t value = next(input);

	value = value << 8 | next(input);
	return value << 16 | value; /* all of the range is reached */
}

/* Eight instances that may be there; a bit each. */
static struct instances *make_list(uint8_t present, uint8_t critical, uint8_t kind)
{
	static const char *const ids[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
	static const int32_t shards[] = {0, 8, 16, 0};
	struct instance items[8];
	size_t count = 0;

	for (int i = 0; i < 8; i++) {
		if (!(present >> i & 1))
			continue;
		items[count++] = (struct instance){.id = ids[i],
			.address = "h:1",
			.admin_address = "",
			.version = "",
			.shards = shards[kind & 3],
			.shard = shards[kind & 3] ? i : -1,
			.health = critical >> i & 1 ? INSTANCE_CRITICAL : INSTANCE_PASSING};
	}
	return instances_make(items, count, 0, NULL);
}

static const struct instance *find(const struct instances *list, const char *id)
{
	for (size_t i = 0; list && i < list->count; i++)
		if (!strcmp(list->items[i].id, id))
			return &list->items[i];
	return NULL;
}

struct model {
	struct consul_watch watch;
	int64_t now_ms, lost_ms; /* of the last time that Consul's memory may have been lost; -1: never */
	bool named[8];		 /* by an answer since */
	uint64_t index;		 /* of the last answer; 0: none since the last failure */
	bool failed;
};

static void check_fresh(const struct instances *now, const struct instances *fresh)
{
	for (size_t i = 0; i < fresh->count; i++) {
		const struct instance *item = find(now, fresh->items[i].id);

		assert(item && item->health == fresh->items[i].health &&
			item->shards == fresh->items[i].shards);
	}
}

/* Whoever is there without being named: known before, critical, after a loss, and for a while only. */
static void check_lingering(const struct model *model, const struct instances *before,
	const struct instances *now, const struct instances *fresh)
{
	for (size_t i = 0; i < now->count; i++) {
		const struct instance *item = &now->items[i];

		if (find(fresh, item->id))
			continue;
		assert(find(before, item->id) && item->health == INSTANCE_CRITICAL);
		assert(model->lost_ms >= 0 && model->now_ms < model->lost_ms + options.linger_ms);
		assert(!model->named[item->id[0] - 'a']);
	}
}

/* And who must not be forgotten. */
static void check_kept(const struct model *model, const struct instances *before, const struct instances *now,
	const struct instances *fresh, bool lost)
{
	if (!lost)
		return;
	for (size_t i = 0; before && i < before->count; i++)
		if (!fresh->count || before->items[0].shards == fresh->items[0].shards)
			assert(find(now, before->items[i].id));
}

static void answer(struct model *model, struct input *input)
{
	uint8_t present = next(input), critical = next(input), kind = next(input);
	uint64_t index = kind & 8 ? next(input) : (model->index + (kind >> 4));
	int64_t sent_ms = model->now_ms - (kind & 4 ? next(input) * 20 : 0);
	const struct instances *before = model->watch.list ? instances_keep(model->watch.list) : NULL;
	struct instances *fresh = make_list(present, critical, kind), *changed;
	bool back = (index ? index : 1) < model->index, lost = before && (model->failed || back);

	instances_keep(fresh);
	if (lost) {
		model->lost_ms = model->now_ms;
		memset(model->named, 0, sizeof(model->named));
	}
	for (int i = 0; i < 8; i++)
		model->named[i] |= present >> i & 1;
	changed = consul_watch_heard(&model->watch, index, fresh, sent_ms, model->now_ms);
	assert(model->watch.list);
	assert(changed ? changed == model->watch.list : instances_equal(model->watch.list, before));
	check_fresh(model->watch.list, fresh);
	check_lingering(model, before, model->watch.list, fresh);
	check_kept(model, before, model->watch.list, fresh, lost);
	assert(model->watch.index == (back ? 0 : index ? index : 1));
	assert(model->watch.next_ms >= model->now_ms &&
		model->watch.next_ms <= model->now_ms + CONSUL_PACE_MAX_MS);
	assert(model->watch.next_ms >= sent_ms + CONSUL_PACE_MS);
	model->index = model->watch.index;
	model->failed = false;
	instances_drop(changed);
	instances_drop(fresh);
	instances_drop(before);
}

static void fail(struct model *model, struct input *input)
{
	const struct instances *before = model->watch.list;

	consul_watch_failed(&model->watch, model->now_ms, next_random(input));
	assert(model->watch.list == before && model->watch.index == 0);
	assert(model->watch.next_ms >= model->now_ms + CONSUL_BACKOFF_MIN_MS);
	assert(model->watch.next_ms <= model->now_ms + options.backoff_max_ms);
	model->index = 0;
	model->failed = true;
}

static void run_watch(struct input *input)
{
	struct model model = {.now_ms = 1000, .lost_ms = -1};

	consul_watch_init(&model.watch, &options, model.now_ms);
	while (input->left) {
		uint8_t step = next(input);

		/* as the thread does it: no question before its time */
		if (model.now_ms < model.watch.next_ms)
			model.now_ms = model.watch.next_ms;
		model.now_ms += (step >> 2) * 16;
		if (step & 3)
			answer(&model, input);
		else
			fail(&model, input);
	}
	consul_watch_release(&model.watch);
}

static void run_enroll(struct input *input)
{
	struct consul_enroll enroll;
	int64_t now_ms = 1000;
	bool ended = false;

	consul_enroll_init(&enroll, &options);
	consul_enroll_begin(&enroll, now_ms);
	while (input->left && enroll.next != CONSUL_NOTHING) {
		uint8_t step = next(input);
		enum consul_step before = enroll.next;
		enum consul_found found = (enum consul_found)(step & 3);

		now_ms = now_ms < enroll.next_ms ? enroll.next_ms : now_ms;
		if (step & 128) {
			consul_enroll_hurry(&enroll, now_ms);
		} else if ((step & 0x7c) == 0x7c) {
			consul_enroll_end(&enroll, now_ms);
			assert(enroll.next == CONSUL_WITHDRAW);
			ended = true;
		} else {
			consul_enroll_heard(&enroll, found, now_ms, next_random(input));
			assert(!ended || enroll.next == CONSUL_NOTHING);
			assert(ended || enroll.next == CONSUL_REGISTER || enroll.next == CONSUL_LOOK);
			assert(ended || found != CONSUL_FAILED || enroll.next == before);
			assert(ended || found == CONSUL_DONE || found == CONSUL_FAILED || !enroll.registered);
			assert(ended || found != CONSUL_FAILED ||
				enroll.next_ms >= now_ms + CONSUL_BACKOFF_MIN_MS);
			assert(ended || enroll.next_ms <= now_ms + options.look_ms * 5 / 4);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};

	if (size > 4096)
		return 0;
	if (next(&input) & 1)
		run_enroll(&input);
	else
		run_watch(&input);
	return 0;
}
