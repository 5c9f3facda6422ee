#include "discovery/instances.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define SERVICE_NAME_MAX 63
#define SHARDS_MAX 65536

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

bool service_name_check(const char *service, struct error *error)
{
	size_t length = strnlen(service, SERVICE_NAME_MAX + 1);
	bool ok = length > 0 && length <= SERVICE_NAME_MAX && is_lower(service[0]);

	for (size_t i = 0; ok && i < length; i++)
		ok = is_lower(service[i]) || is_digit(service[i]) || service[i] == '-';
	if (!ok)
		return error_set(error,
			"service name '%.64s' is not 1 to 63 lower-case letters, digits and dashes, a letter "
			"first",
			service);
	return true;
}

/* Printable ASCII without spaces; `empty` says whether "" will do. */
static bool text_check(const char *what, const char *text, bool empty, struct error *error)
{
	size_t length;

	if (!text)
		return error_set(error, "%s is missing", what);
	length = strnlen(text, INSTANCE_TEXT_MAX + 1);
	if (length > INSTANCE_TEXT_MAX)
		return error_set(error, "%s is longer than %d characters", what, INSTANCE_TEXT_MAX);
	if (!length && !empty)
		return error_set(error, "%s is empty", what);
	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return error_set(error, "%s has a character that is not printable ASCII", what);
	return true;
}

static bool host_check(const char *host, size_t length)
{
	if (!length)
		return false;
	for (size_t i = 0; i < length; i++) {
		char c = host[i];

		if (!is_lower(c) && !(c >= 'A' && c <= 'Z') && !is_digit(c) && c != '.' && c != '-' &&
			c != '_')
			return false;
	}
	return true;
}

static bool v6_check(const char *text, size_t length)
{
	char copy[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return inet_pton(AF_INET6, copy, &address) == 1;
}

static bool port_check(const char *port)
{
	long value = 0;
	size_t length = 0;

	for (; is_digit(port[length]) && length < 6; length++)
		value = value * 10 + (port[length] - '0');
	return length && !port[length] && value >= 1 && value <= 65535;
}

bool instance_address_check(const char *address, struct error *error)
{
	const char *colon;
	size_t length;
	bool ok;

	if (!text_check("address", address, false, error))
		return false;
	colon = strrchr(address, ':');
	length = colon ? (size_t)(colon - address) : 0;
	if (length > 2 && address[0] == '[' && address[length - 1] == ']')
		ok = v6_check(address + 1, length - 2);
	else
		ok = host_check(address, length);
	if (!ok || !port_check(colon + 1))
		return error_set(error, "address '%s' is not host:port or [v6]:port", address);
	return true;
}

bool instance_check(const struct instance *instance, struct error *error)
{
	if (!text_check("id", instance->id, false, error))
		return false;
	if (!instance_address_check(instance->address, error))
		return false;
	if (!text_check("admin address", instance->admin_address, true, error))
		return false;
	if (instance->admin_address[0] && !instance_address_check(instance->admin_address, error))
		return error_prefix(error, "admin");
	if (!text_check("version", instance->version, true, error))
		return false;
	if (instance->shard == -1 && instance->shards == 0)
		return true;
	if (instance->shards < 1 || instance->shards > SHARDS_MAX || instance->shard < 0 ||
		instance->shard >= instance->shards)
		return error_set(error, "shard %d of %d does not exist", instance->shard, instance->shards);
	return true;
}

bool registration_check(const struct registration *registration, struct error *error)
{
	if (!service_name_check(registration->service, error) || !instance_check(&registration->self, error))
		return false;
	if (registration->health_service)
		return text_check("health service", registration->health_service, true, error);
	if (!registration->self.admin_address[0])
		return error_set(error, "the health check wants an admin address");
	return true;
}

bool instance_check_pair(const struct instance *one, const struct instance *other, struct error *error)
{
	if (!strcmp(one->id, other->id))
		return error_set(error, "id '%s' is there twice", one->id);
	if (one->shards != other->shards)
		return error_set(error, "'%s' is of %d shards and '%s' of %d", one->id, one->shards,
			other->id, other->shards);
	return true;
}

static int compare_ids(const void *one, const void *other)
{
	return strcmp(((const struct instance *)one)->id, ((const struct instance *)other)->id);
}

static size_t texts_size(const struct instance *item)
{
	return strlen(item->id) + strlen(item->address) + strlen(item->admin_address) +
	       strlen(item->version) + 4;
}

static const char *put_text(char **next, const char *text)
{
	char *copy = *next;
	size_t size = strlen(text) + 1;

	memcpy(copy, text, size);
	*next += size;
	return copy;
}

static bool check_all(const struct instance *items, size_t count, struct error *error)
{
	if (count > INSTANCES_MAX)
		return error_set(error, "%zu instances are more than %d", count, INSTANCES_MAX);
	for (size_t i = 0; i < count; i++)
		if (!instance_check(&items[i], error))
			return false;
	return true;
}

struct instances *instances_make(
	const struct instance *items, size_t count, int64_t seen_wall_ms, struct error *error)
{
	struct instances *list;
	struct instance *copies;
	size_t size = sizeof(*list) + count * sizeof(*copies);
	char *texts;

	if (!check_all(items, count, error))
		return NULL;
	for (size_t i = 0; i < count; i++)
		size += texts_size(&items[i]);
	list = memory_new(size);
	copies = (struct instance *)(list + 1);
	texts = (char *)(copies + count);
	for (size_t i = 0; i < count; i++) {
		copies[i] = items[i];
		copies[i].id = put_text(&texts, items[i].id);
		copies[i].address = put_text(&texts, items[i].address);
		copies[i].admin_address = put_text(&texts, items[i].admin_address);
		copies[i].version = put_text(&texts, items[i].version);
	}
	qsort(copies, count, sizeof(*copies), compare_ids);
	for (size_t i = 1; i < count; i++) {
		if (!instance_check_pair(&copies[i - 1], &copies[i], error)) {
			free(list);
			return NULL;
		}
	}
	atomic_init(&list->references, 1);
	list->seen_wall_ms = seen_wall_ms;
	list->count = count;
	list->items = copies;
	return list;
}

static bool instance_equal(const struct instance *one, const struct instance *other)
{
	return !strcmp(one->id, other->id) && !strcmp(one->address, other->address) &&
	       !strcmp(one->admin_address, other->admin_address) && !strcmp(one->version, other->version) &&
	       one->shard == other->shard && one->shards == other->shards && one->health == other->health;
}

bool instances_equal(const struct instances *one, const struct instances *other)
{
	bool equal = one->count == other->count;

	for (size_t i = 0; equal && i < one->count; i++)
		equal = instance_equal(&one->items[i], &other->items[i]);
	return equal;
}
