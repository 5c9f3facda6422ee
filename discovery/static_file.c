#include "discovery/static_file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

#define BLANKS " \t\r"

static struct static_service *get_service(struct static_file *file, const char *name, struct error *error)
{
	struct static_service *service;

	for (size_t i = 0; i < file->service_count; i++)
		if (!strcmp(file->services[i].name, name))
			return &file->services[i];
	if (!service_name_check(name, error))
		return NULL;
	if (file->service_count == STATIC_SERVICES_MAX) {
		error_set(error, "more than %d services", STATIC_SERVICES_MAX);
		return NULL;
	}
	service = &file->services[file->service_count++];
	service->name = name;
	return service;
}

/* "N/COUNT" in decimal; whether N exists is instance_check's to say. */
static bool parse_shard(const char *text, struct instance *instance, struct error *error)
{
	int shard, shards, length = -1;

	if (strspn(text, "0123456789/") != strlen(text) ||
		sscanf(text, "%5d/%5d%n", &shard, &shards, &length) != 2 || length < 0 || text[length])
		return error_set(error, "shard '%s' is not NUMBER/COUNT", text);
	instance->shard = shard;
	instance->shards = shards;
	if (!shards)
		return error_set(error, "shard '%s' is one of none", text);
	return true;
}

static bool parse_attribute(char *word, struct instance *instance, struct error *error)
{
	char *value = strchr(word, '=');

	if (!value)
		return error_set(error, "'%s' is not NAME=VALUE", word);
	*value++ = '\0';
	if (!*value)
		return error_set(error, "'%s' has no value", word);
	if (!strcmp(word, "shard"))
		return parse_shard(value, instance, error);
	if (!strcmp(word, "admin"))
		instance->admin_address = value;
	else if (!strcmp(word, "version"))
		instance->version = value;
	else if (!strcmp(word, "id"))
		instance->id = value;
	else
		return error_set(error, "'%s' is none of shard, admin, version, id", word);
	return true;
}

static bool check_against_others(
	const struct static_service *service, const struct instance *instance, struct error *error)
{
	for (size_t i = 0; i < service->count; i++) {
		const struct instance *other = &service->items[i];

		if (!instance_check_pair(instance, other, error))
			return false;
		if (instance->shards && instance->shard == other->shard)
			return error_set(
				error, "shard %d of '%s' is there twice", instance->shard, service->name);
	}
	return true;
}

static bool add(struct static_file *file, struct static_service *service, struct instance *instance,
	struct error *error)
{
	char *id = NULL;

	if (!instance_address_check(instance->address, error))
		return false;
	if (service->count == INSTANCES_MAX || file->instance_count == STATIC_INSTANCES_MAX)
		return error_set(error, "more than %d instances of a service or %d in all", INSTANCES_MAX,
			STATIC_INSTANCES_MAX);
	if (!instance->id)
		instance->id = id = memory_format("%s-%s", service->name, instance->address);
	if (!instance_check(instance, error) || !check_against_others(service, instance, error)) {
		free(id);
		return false;
	}
	service->items = memory_resize(service->items, service->count + 1, sizeof(*service->items));
	service->ids = memory_resize(service->ids, service->count + 1, sizeof(*service->ids));
	service->items[service->count] = *instance;
	service->ids[service->count++] = id;
	file->instance_count++;
	return true;
}

static bool parse_line(struct static_file *file, char *line, struct error *error)
{
	struct instance instance = {.admin_address = "", .version = "", .shard = -1};
	struct static_service *service;
	char *rest, *word, *comment = strchr(line, '#');

	if (comment)
		*comment = '\0';
	word = strtok_r(line, BLANKS, &rest);
	if (!word)
		return true;
	service = get_service(file, word, error);
	if (!service)
		return false;
	instance.address = strtok_r(NULL, BLANKS, &rest);
	if (!instance.address)
		return error_set(error, "'%s' has no address", service->name);
	while ((word = strtok_r(NULL, BLANKS, &rest)))
		if (!parse_attribute(word, &instance, error))
			return false;
	return add(file, service, &instance, error);
}

bool static_file_parse(
	struct static_file *file, const char *text, size_t size, const char *name, struct error *error)
{
	unsigned number = 1;

	*file = (struct static_file){0};
	if (memchr(text, '\0', size))
		return error_set(error, "%s holds a zero byte: it is not text", name);
	file->text = memory_new(size + 1);
	memcpy(file->text, text, size);
	for (char *line = file->text, *end; line; line = end, number++) {
		end = strchr(line, '\n');
		if (end)
			*end++ = '\0';
		if (!parse_line(file, line, error)) {
			static_file_release(file);
			return error_prefix(error, "%s:%u", name, number);
		}
	}
	return true;
}

static bool read_whole(int fd, char *buffer, size_t *ret_size)
{
	size_t size = 0;
	ssize_t got;

	do {
		got = read(fd, buffer + size, STATIC_FILE_BYTES_MAX + 1 - size);
		if (got > 0)
			size += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	*ret_size = size;
	return got == 0;
}

bool static_file_read(struct static_file *file, const char *path, struct error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *buffer;
	size_t size;
	bool ok;

	if (fd < 0)
		return error_set(error, "%s: %s", path, strerror(errno));
	buffer = memory_new(STATIC_FILE_BYTES_MAX + 1);
	if (!read_whole(fd, buffer, &size))
		ok = error_set(error, "%s: %s", path, strerror(errno));
	else if (size > STATIC_FILE_BYTES_MAX)
		ok = error_set(error, "%s is larger than %d bytes", path, STATIC_FILE_BYTES_MAX);
	else
		ok = static_file_parse(file, buffer, size, path, error);
	free(buffer);
	close(fd);
	return ok;
}

void static_file_release(struct static_file *file)
{
	for (size_t i = 0; i < file->service_count; i++) {
		for (size_t k = 0; k < file->services[i].count; k++)
			free(file->services[i].ids[k]);
		free(file->services[i].items);
		free(file->services[i].ids);
	}
	free(file->text);
	*file = (struct static_file){0};
}
