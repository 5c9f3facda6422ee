#include "discovery/static_expand.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

/* The name in an address, into `name`; false: it is an address already. */
static bool name_of(const char *address, char name[INSTANCE_TEXT_MAX + 1])
{
	size_t length = (size_t)(strrchr(address, ':') - address);
	struct in_addr v4;

	if (address[0] == '[')
		return false;
	memcpy(name, address, length);
	name[length] = '\0';
	return inet_pton(AF_INET, name, &v4) != 1;
}

void static_names_free(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

static bool add_name(char **names, size_t *count, const char *name, struct error *error)
{
	for (size_t i = 0; i < *count; i++)
		if (!strcmp(names[i], name))
			return true;
	if (strlen(name) > RESOLVER_NAME_MAX)
		return error_set(
			error, "the name '%.64s...' is longer than %d characters", name, RESOLVER_NAME_MAX);
	if (*count == RESOLVER_NAMES_MAX)
		return error_set(error, "more than %d different names", RESOLVER_NAMES_MAX);
	names[(*count)++] = memory_copy_text(name);
	return true;
}

bool static_names(const struct static_file *file, char ***ret_names, size_t *ret_count, struct error *error)
{
	char **names = NEW_ARRAY(RESOLVER_NAMES_MAX, char *), name[INSTANCE_TEXT_MAX + 1];
	size_t count = 0;

	for (size_t i = 0; i < file->service_count; i++) {
		const struct static_service *service = &file->services[i];

		for (size_t k = 0; k < service->count; k++) {
			if (!name_of(service->items[k].address, name) || add_name(names, &count, name, error))
				continue;
			static_names_free(names, count);
			return false;
		}
	}
	*ret_names = names;
	*ret_count = count;
	return true;
}

struct expansion {
	struct instance *items;
	char **texts; /* three an instance: id, address, admin address */
	size_t count, left_out;
};

/* Takes the texts over. */
static void add(struct expansion *all, const struct instance *line, char *id, char *address, char *admin)
{
	struct instance *item = &all->items[all->count];
	bool known = all->count == INSTANCES_MAX;

	for (size_t i = 0; i < all->count && !known; i++)
		known = !strcmp(all->items[i].id, id);
	if (!known) {
		*item = *line;
		item->id = id;
		item->address = address;
		item->admin_address = admin;
		known = !instance_check(item, NULL);
	}
	if (known) {
		all->left_out++;
		free(id);
		free(address);
		free(admin);
		return;
	}
	all->texts[3 * all->count] = id;
	all->texts[3 * all->count + 1] = address;
	all->texts[3 * all->count + 2] = admin;
	all->count++;
}

static char *admin_of(const struct instance *line, const char *name, const char *address)
{
	size_t length = strlen(name);

	if (!strncmp(line->admin_address, name, length) && line->admin_address[length] == ':')
		return memory_format("%s%s", address, line->admin_address + length);
	return memory_copy_text(line->admin_address);
}

static char *id_of(const struct static_service *service, size_t index, const char *address, size_t count)
{
	const char *id = service->items[index].id;

	if (service->ids[index]) /* it was made from the name */
		return memory_format("%s-%s", service->name, address);
	return count == 1 ? memory_copy_text(id) : memory_format("%s@%s", id, address);
}

static void add_line(struct expansion *all, const struct static_service *service, size_t index,
	const struct resolver *resolver)
{
	const struct instance *line = &service->items[index];
	const char *port = strrchr(line->address, ':');
	char name[INSTANCE_TEXT_MAX + 1];
	const struct resolved *addresses;
	size_t count;

	if (!name_of(line->address, name)) {
		add(all, line, memory_copy_text(line->id), memory_copy_text(line->address),
			memory_copy_text(line->admin_address));
		return;
	}
	addresses = resolver_addresses(resolver, name, &count);
	for (size_t i = 0; i < count; i++) {
		char *address = memory_format("%s%s", addresses[i].text, port);

		add(all, line, id_of(service, index, address, count), address,
			admin_of(line, name, addresses[i].text));
	}
}

struct instances *static_expand(
	const struct static_service *service, const struct resolver *resolver, int64_t wall_ms)
{
	struct expansion all = {.items = NEW_ARRAY(INSTANCES_MAX, struct instance),
		.texts = NEW_ARRAY(3 * INSTANCES_MAX, char *)};
	struct instances *list;

	for (size_t i = 0; i < service->count; i++)
		add_line(&all, service, i, resolver);
	if (all.left_out)
		log_warn("instances of the list are the same as others, or too many, and are left out",
			LOG_TEXT("of", service->name), LOG_INT("count", (int64_t)all.left_out));
	list = instances_make(all.items, all.count, wall_ms, NULL);
	assert(list); /* each was checked by itself, and against the others */
	for (size_t i = 0; i < 3 * all.count; i++)
		free(all.texts[i]);
	free(all.texts);
	free(all.items);
	return list;
}
