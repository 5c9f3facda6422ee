#include "discovery/consul_json.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define DEREGISTER_AFTER "60s" /* of being critical */

/* ---- reading ---- */

struct reading {
	struct instance *items;
	char **texts; /* two an item, then one for those that get another id */
	size_t count, left_out;
	struct error *why; /* of the first that was left out */
};

/* Each node costs memory, however few bytes it has: so they are counted before any is made. */
static bool has_few_nodes(const char *json, size_t size)
{
	size_t nodes = 0;

	for (size_t i = 0; i < size; i++)
		nodes += json[i] == ',' || json[i] == '{' || json[i] == '[';
	return nodes <= CONSUL_ANSWER_NODES_MAX;
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static bool read_number(const json_t *meta, const char *name, int32_t *ret, struct error *error)
{
	const char *text = text_of(meta, name);
	size_t length = strnlen(text, 7);

	if (!length || length > 6 || strspn(text, "0123456789") != length)
		return error_set(error, "'%s' is not a number", name);
	*ret = (int32_t)strtol(text, NULL, 10);
	return true;
}

static bool read_meta(const json_t *service, struct instance *item, struct error *error)
{
	const json_t *meta = json_object_get(service, "Meta");

	item->version = text_of(meta, "version");
	item->admin_address = text_of(meta, "admin");
	item->shard = -1;
	item->shards = 0;
	if (!json_object_get(meta, "shard") && !json_object_get(meta, "shards"))
		return true;
	return read_number(meta, "shard", &item->shard, error) &&
	       read_number(meta, "shards", &item->shards, error) &&
	       (item->shards || error_set(error, "a shard of none"));
}

static enum instance_health worst_check(const json_t *checks)
{
	enum instance_health worst = INSTANCE_PASSING;
	const json_t *check;
	size_t i;

	json_array_foreach(checks, i, check)
	{
		const char *status = text_of(check, "Status");

		if (!strcmp(status, "passing"))
			continue;
		if (strcmp(status, "warning"))
			return INSTANCE_CRITICAL;
		worst = INSTANCE_WARNING;
	}
	return worst;
}

static char *make_address(const char *host, json_int_t port)
{
	bool v6 = strchr(host, ':') != NULL;

	return memory_format(
		"%s%.*s%s:%lld", v6 ? "[" : "", INSTANCE_TEXT_MAX, host, v6 ? "]" : "", (long long)port);
}

static bool read_entry(struct reading *reading, const json_t *entry, struct error *error)
{
	const json_t *service = json_object_get(entry, "Service"), *node = json_object_get(entry, "Node");
	const json_t *checks = json_object_get(entry, "Checks"), *port = json_object_get(service, "Port");
	struct instance *item = &reading->items[reading->count];
	char **texts = &reading->texts[2 * reading->count];
	const char *host = text_of(service, "Address");
	bool ok;

	if (!json_is_object(service) || !json_is_object(node) || !json_is_array(checks) ||
		!json_is_integer(port))
		return error_set(error, "an entry without Service, Node, Checks or Port");
	texts[0] = memory_copy_text(text_of(service, "ID"));
	texts[1] = make_address(*host ? host : text_of(node, "Address"), json_integer_value(port));
	*item = (struct instance){.id = texts[0], .address = texts[1], .health = worst_check(checks)};
	ok = read_meta(service, item, error) && instance_check(item, error);
	if (ok) {
		reading->count++;
	} else {
		error_prefix(error, "'%.64s'", texts[0]);
		free(texts[0]);
		free(texts[1]);
		texts[0] = texts[1] = NULL;
	}
	return ok;
}

static void leave_out(struct reading *reading, const struct error *error)
{
	if (!reading->left_out++ && reading->why)
		*reading->why = *error;
}

/* ---- what entries have to do with each other ---- */

static int compare_items(const void *one, const void *other)
{
	const struct instance *a = one, *b = other;
	int order = strcmp(a->id, b->id);

	order = order ? order : strcmp(a->address, b->address);
	return order ? order : (int)a->health - (int)b->health;
}

static bool same_id(const struct reading *reading, size_t one, size_t other)
{
	return other < reading->count && !strcmp(reading->items[one].id, reading->items[other].id);
}

/* Removes those that the array does not keep. */
static void keep_only(struct reading *reading, const bool *kept)
{
	size_t count = 0;

	for (size_t i = 0; i < reading->count; i++)
		if (kept[i])
			reading->items[count++] = reading->items[i];
	reading->count = count;
}

/* An id is unique on its node only: where two nodes have it, the address tells them apart. The same one twice was registered with two agents. */
static void tell_apart(struct reading *reading)
{
	bool *kept = NEW_ARRAY(reading->count, bool), *rename = NEW_ARRAY(reading->count, bool);
	struct error error;

	for (size_t i = 0; i < reading->count; i++) {
		bool again = i && same_id(reading, i, i - 1);

		kept[i] = !again || strcmp(reading->items[i].address, reading->items[i - 1].address) != 0;
		rename[i] = again || same_id(reading, i, i + 1);
	}
	for (size_t i = 0; i < reading->count; i++) {
		struct instance *item = &reading->items[i];

		if (!rename[i])
			continue;
		reading->texts[2 * INSTANCES_MAX + i] = memory_format("%s@%s", item->id, item->address);
		item->id = reading->texts[2 * INSTANCES_MAX + i];
		if (kept[i] && !instance_check(item, &error)) {
			kept[i] = false;
			leave_out(reading, &error);
		}
	}
	keep_only(reading, kept);
	free(kept);
	free(rename);
}

static size_t count_with(const struct reading *reading, int32_t shards)
{
	size_t count = 0;

	for (size_t i = 0; i < reading->count; i++)
		count += reading->items[i].shards == shards;
	return count;
}

static void settle_shards(struct reading *reading)
{
	bool *kept = NEW_ARRAY(reading->count, bool);
	size_t best = 0;
	int32_t usual = 0;
	struct error error;

	for (size_t i = 0; i < reading->count; i++) {
		size_t count = count_with(reading, reading->items[i].shards);

		if (count > best) {
			best = count;
			usual = reading->items[i].shards;
		}
	}
	for (size_t i = 0; i < reading->count; i++) {
		const struct instance *item = &reading->items[i];

		kept[i] = item->shards == usual;
		if (kept[i])
			continue;
		error_set(
			&error, "'%.64s' is of %d shards, most others of %d", item->id, item->shards, usual);
		leave_out(reading, &error);
	}
	keep_only(reading, kept);
	free(kept);
}

/* ---- an answer ---- */

static void read_entries(struct reading *reading, const json_t *array)
{
	const json_t *entry;
	struct error error;
	size_t i;

	json_array_foreach(array, i, entry) if (!read_entry(reading, entry, &error))
		leave_out(reading, &error);
	qsort(reading->items, reading->count, sizeof(*reading->items), compare_items);
	tell_apart(reading);
	settle_shards(reading);
}

static struct instances *read_array(
	const json_t *array, int64_t wall_ms, size_t *ret_left_out, struct error *why, struct error *error)
{
	struct reading reading = {.why = why};
	struct instances *list = NULL;

	if (json_array_size(array) > INSTANCES_MAX) {
		error_set(error, "more than %d instances", INSTANCES_MAX);
		return NULL;
	}
	reading.items = NEW_ARRAY(INSTANCES_MAX, struct instance);
	reading.texts = NEW_ARRAY(3 * INSTANCES_MAX, char *);
	read_entries(&reading, array);
	if (!reading.count && reading.left_out)
		error_set(error, "none of %zu instances is usable: %s", json_array_size(array),
			why ? why->text : "");
	else
		list = instances_make(reading.items, reading.count, wall_ms, error);
	*ret_left_out = reading.left_out;
	for (size_t i = 0; i < 3 * INSTANCES_MAX; i++)
		free(reading.texts[i]);
	free(reading.texts);
	free(reading.items);
	return list;
}

static json_t *parse(const char *json, size_t size, struct error *error)
{
	json_error_t problem;
	json_t *root;

	if (size > CONSUL_ANSWER_BYTES_MAX || !has_few_nodes(json, size)) {
		error_set(error, "the answer is too large");
		return NULL;
	}
	root = json_loadb(json, size, JSON_REJECT_DUPLICATES, &problem);
	if (!root)
		error_set(error, "the answer is not JSON: %.100s at byte %d", problem.text, problem.position);
	return root;
}

struct instances *consul_json_read(const char *json, size_t size, int64_t wall_ms, size_t *ret_left_out,
	struct error *why, struct error *error)
{
	json_t *root = parse(json, size, error);
	struct instances *list = NULL;

	*ret_left_out = 0;
	if (root && !json_is_array(root))
		error_set(error, "the answer is not a list");
	else if (root)
		list = read_array(root, wall_ms, ret_left_out, why, error);
	json_decref(root);
	return list;
}

/* ---- ourselves ---- */

static bool split_address(const char *address, char host[INSTANCE_TEXT_MAX + 1], int *ret_port)
{
	const char *colon = strrchr(address, ':');
	size_t length = colon ? (size_t)(colon - address) : 0;

	if (!length || length > INSTANCE_TEXT_MAX)
		return false;
	if (address[0] == '[' && address[length - 1] == ']') {
		address++;
		length -= 2;
	}
	memcpy(host, address, length);
	host[length] = '\0';
	*ret_port = (int)strtol(colon + 1, NULL, 10);
	return true;
}

static json_t *make_meta(const struct instance *self)
{
	json_t *meta = json_object();
	char number[16];

	json_object_set_new(meta, "version", json_string(self->version));
	json_object_set_new(meta, "admin", json_string(self->admin_address));
	if (!self->shards)
		return meta;
	snprintf(number, sizeof(number), "%d", self->shard);
	json_object_set_new(meta, "shard", json_string(number));
	snprintf(number, sizeof(number), "%d", self->shards);
	json_object_set_new(meta, "shards", json_string(number));
	return meta;
}

static json_t *make_check(const struct registration *self, const char *name)
{
	char *what;
	json_t *check;

	if (!self->health_service)
		what = memory_format("http://%s/healthz", self->self.admin_address);
	else
		what = memory_format(
			"%s%s%s", self->self.address, *self->health_service ? "/" : "", self->health_service);
	check = json_pack("{s:s, s:s, s:s, s:s, s:s}", "Name", name, self->health_service ? "GRPC" : "HTTP",
		what, "Interval", "1s", "Timeout", "1s", "DeregisterCriticalServiceAfter", DEREGISTER_AFTER);
	free(what);
	return check;
}

char *consul_json_registration(const struct registration *self, const char *name)
{
	char host[INSTANCE_TEXT_MAX + 1], *text;
	json_t *root;
	int port;

	if (!split_address(self->self.address, host, &port))
		return NULL;
	root = json_pack("{s:s, s:s, s:s, s:i, s:[s], s:o, s:o}", "ID", self->self.id, "Name", name,
		"Address", host, "Port", port, "Tags", "flashsale", "Meta", make_meta(&self->self), "Check",
		make_check(self, name));
	assert(root); /* texts were checked to be ASCII */
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

bool consul_json_is_ours(const char *json, size_t size, const struct registration *self, const char *name)
{
	char host[INSTANCE_TEXT_MAX + 1];
	json_t *root = parse(json, size, NULL), *meta;
	bool ours;
	int port;

	if (!split_address(self->self.address, host, &port))
		return false;
	meta = make_meta(&self->self);
	ours = !strcmp(text_of(root, "Service"), name) && !strcmp(text_of(root, "Address"), host) &&
	       json_integer_value(json_object_get(root, "Port")) == port &&
	       json_equal(json_object_get(root, "Meta"), meta);
	json_decref(meta);
	json_decref(root);
	return ours;
}
