#include "rpc/descriptors.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "rpc/wire.h"

/* Field numbers of google/protobuf/descriptor.proto. */
enum {
	SET_FILE = 1,
	FILE_NAME = 1,
	FILE_PACKAGE = 2,
	FILE_DEPENDENCY = 3,
	FILE_MESSAGE = 4,
	FILE_ENUM = 5,
	FILE_SERVICE = 6,
	FILE_EXTENSION = 7,
	ANY_NAME = 1, /* of messages, enums, values, services, methods, fields */
	MESSAGE_NESTED = 3,
	MESSAGE_ENUM = 4,
	MESSAGE_EXTENSION = 6,
	ENUM_VALUE = 2,
	SERVICE_METHOD = 2,
	METHOD_CLIENT_STREAMING = 5,
	METHOD_SERVER_STREAMING = 6,
	FIELD_EXTENDEE = 2,
	FIELD_NUMBER = 3,
};

struct symbol {
	char *name;
	size_t file;
	bool is_method;
	struct descriptor_method method;
};

struct extension {
	char *extendee;
	int32_t number;
	size_t file;
};

struct descriptors {
	struct descriptor_file *files;
	size_t file_count;
	struct symbol *symbols; /* by name */
	size_t symbol_count, symbol_room;
	struct extension *extensions;
	size_t extension_count;
	size_t file; /* while building: the one that is read */
	bool broken;
};

static struct wire wire_of(const struct wire_field *field)
{
	return (struct wire){field->bytes, field->bytes + field->size};
}

/* The last string (as a field may be repeated on the wire) or number with this id; the rest is left out. */
static bool find(struct wire wire, uint32_t id, struct wire_field *ret)
{
	struct wire_field field = {0};
	bool found = false;

	while (wire_next(&wire, &field) == WIRE_FIELD)
		if (field.id == id) {
			*ret = field;
			found = true;
		}
	return found;
}

static char *copy_text(struct wire wire, uint32_t id)
{
	struct wire_field field = {0};

	if (!find(wire, id, &field) || field.type != WIRE_BYTES)
		return memory_copy_text("");
	return memory_format("%.*s", (int)field.size, (const char *)field.bytes);
}

static bool find_switch(struct wire wire, uint32_t id)
{
	struct wire_field field = {0};

	return find(wire, id, &field) && field.type == WIRE_VARINT && field.number;
}

static char *join(const char *scope, const char *name)
{
	return scope[0] ? memory_format("%s.%s", scope, name) : memory_copy_text(name);
}

/* Returns the full name, which the table owns. */
static const char *add_symbol(struct descriptors *descriptors, const char *scope, struct wire wire,
	const struct descriptor_method *method)
{
	char *name = copy_text(wire, ANY_NAME), *full = join(scope, name);

	free(name);
	if (descriptors->symbol_count == descriptors->symbol_room) {
		descriptors->symbol_room = descriptors->symbol_room ? descriptors->symbol_room * 2 : 256;
		descriptors->symbols =
			memory_resize(descriptors->symbols, descriptors->symbol_room, sizeof(struct symbol));
	}
	descriptors->symbols[descriptors->symbol_count++] = (struct symbol){
		.name = full,
		.file = descriptors->file,
		.is_method = method != NULL,
		.method = method ? *method : (struct descriptor_method){0},
	};
	return full;
}

typedef void read_part(struct descriptors *descriptors, const char *scope, struct wire wire);

/* Reads each element of the field `id`. */
static void read_each(
	struct descriptors *descriptors, const char *scope, struct wire wire, uint32_t id, read_part *read)
{
	struct wire_field field = {0};
	enum wire_result result;

	while ((result = wire_next(&wire, &field)) == WIRE_FIELD)
		if (field.id == id && field.type == WIRE_BYTES)
			read(descriptors, scope, wire_of(&field));
	descriptors->broken |= result == WIRE_BROKEN;
}

static void read_value(struct descriptors *descriptors, const char *scope, struct wire wire)
{
	add_symbol(descriptors, scope, wire, NULL);
}

static void read_enum(struct descriptors *descriptors, const char *scope, struct wire wire)
{
	add_symbol(descriptors, scope, wire, NULL);
	read_each(descriptors, scope, wire, ENUM_VALUE, read_value); /* values are siblings of their enum */
}

static void read_extension(struct descriptors *descriptors, const char *scope, struct wire wire)
{
	char *extendee = copy_text(wire, FIELD_EXTENDEE);
	struct wire_field number = {0};
	struct extension *extension;

	add_symbol(descriptors, scope, wire, NULL);
	find(wire, FIELD_NUMBER, &number);
	descriptors->extensions = memory_resize(
		descriptors->extensions, descriptors->extension_count + 1, sizeof(struct extension));
	extension = &descriptors->extensions[descriptors->extension_count++];
	extension->extendee = memory_copy_text(extendee[0] == '.' ? extendee + 1 : extendee);
	extension->number = (int32_t)number.number;
	extension->file = descriptors->file;
	free(extendee);
}

static void read_method(struct descriptors *descriptors, const char *scope, struct wire wire)
{
	struct descriptor_method method = {
		.client_streaming = find_switch(wire, METHOD_CLIENT_STREAMING),
		.server_streaming = find_switch(wire, METHOD_SERVER_STREAMING),
	};

	add_symbol(descriptors, scope, wire, &method);
}

static void read_service(struct descriptors *descriptors, const char *scope, struct wire wire)
{
	const char *name = add_symbol(descriptors, scope, wire, NULL);

	read_each(descriptors, name, wire, SERVICE_METHOD, read_method);
}

static void read_message(struct descriptors *descriptors, const char *scope, struct wire wire)
{
	const char *name = add_symbol(descriptors, scope, wire, NULL);

	read_each(descriptors, name, wire, MESSAGE_NESTED, read_message);
	read_each(descriptors, name, wire, MESSAGE_ENUM, read_enum);
	read_each(descriptors, name, wire, MESSAGE_EXTENSION, read_extension);
}

static void read_file(struct descriptors *descriptors, const char *scope, struct wire wire)
{
	struct descriptor_file *file;
	char *package = copy_text(wire, FILE_PACKAGE);

	descriptors->files = memory_resize(descriptors->files, descriptors->file_count + 1, sizeof(*file));
	descriptors->file = descriptors->file_count++;
	file = &descriptors->files[descriptors->file];
	*file = (struct descriptor_file){.name = copy_text(wire, FILE_NAME),
		.bytes = wire.next,
		.size = (size_t)(wire.end - wire.next)};
	read_each(descriptors, package, wire, FILE_MESSAGE, read_message);
	read_each(descriptors, package, wire, FILE_ENUM, read_enum);
	read_each(descriptors, package, wire, FILE_SERVICE, read_service);
	read_each(descriptors, package, wire, FILE_EXTENSION, read_extension);
	free(package);
}

/* Once all files are known and will not move any more. */
static void link_imports(struct descriptors *descriptors, struct descriptor_file *file)
{
	struct wire wire = {file->bytes, file->bytes + file->size};
	struct wire_field field = {0};

	while (wire_next(&wire, &field) == WIRE_FIELD) {
		const struct descriptor_file *import;
		char *name;

		if (field.id != FILE_DEPENDENCY || field.type != WIRE_BYTES)
			continue;
		name = memory_format("%.*s", (int)field.size, (const char *)field.bytes);
		import = descriptors_file(descriptors, name);
		free(name);
		if (!import)
			continue;
		file->imports = memory_resize(file->imports, file->import_count + 1, sizeof(*file->imports));
		file->imports[file->import_count++] = import;
	}
}

static int compare_symbols(const void *a, const void *b)
{
	return strcmp(((const struct symbol *)a)->name, ((const struct symbol *)b)->name);
}

struct descriptors *descriptors_new(const void *set, size_t size, struct error *error)
{
	struct descriptors *descriptors = NEW(struct descriptors);
	struct wire wire = {set, (const uint8_t *)set + size};

	read_each(descriptors, "", wire, SET_FILE, read_file);
	if (descriptors->broken || !descriptors->file_count) {
		error_set(error, "the descriptor set does not parse");
		descriptors_free(descriptors);
		return NULL;
	}
	for (size_t i = 0; i < descriptors->file_count; i++)
		link_imports(descriptors, &descriptors->files[i]);
	if (descriptors->symbol_count)
		qsort(descriptors->symbols, descriptors->symbol_count, sizeof(struct symbol),
			compare_symbols);
	return descriptors;
}

void descriptors_free(struct descriptors *descriptors)
{
	if (!descriptors)
		return;
	for (size_t i = 0; i < descriptors->file_count; i++) {
		free(descriptors->files[i].name);
		free(descriptors->files[i].imports);
	}
	for (size_t i = 0; i < descriptors->symbol_count; i++)
		free(descriptors->symbols[i].name);
	for (size_t i = 0; i < descriptors->extension_count; i++)
		free(descriptors->extensions[i].extendee);
	free(descriptors->files);
	free(descriptors->symbols);
	free(descriptors->extensions);
	free(descriptors);
}

const struct descriptor_file *descriptors_file(const struct descriptors *descriptors, const char *name)
{
	for (size_t i = 0; i < descriptors->file_count; i++)
		if (!strcmp(descriptors->files[i].name, name))
			return &descriptors->files[i];
	return NULL;
}

static const struct symbol *find_symbol(const struct descriptors *descriptors, const char *name)
{
	struct symbol key = {.name = (char *)name};

	if (!descriptors->symbol_count)
		return NULL;
	return bsearch(&key, descriptors->symbols, descriptors->symbol_count, sizeof(key), compare_symbols);
}

const struct descriptor_file *descriptors_symbol(const struct descriptors *descriptors, const char *name)
{
	const struct symbol *symbol = find_symbol(descriptors, name);

	return symbol ? &descriptors->files[symbol->file] : NULL;
}

bool descriptors_method(
	const struct descriptors *descriptors, const char *method, struct descriptor_method *ret)
{
	const struct symbol *symbol = find_symbol(descriptors, method);

	if (!symbol || !symbol->is_method)
		return false;
	*ret = symbol->method;
	return true;
}

const struct descriptor_file *descriptors_extension(
	const struct descriptors *descriptors, const char *extendee, int32_t number)
{
	for (size_t i = 0; i < descriptors->extension_count; i++) {
		const struct extension *extension = &descriptors->extensions[i];

		if (extension->number == number && !strcmp(extension->extendee, extendee))
			return &descriptors->files[extension->file];
	}
	return NULL;
}

size_t descriptors_extension_numbers(
	const struct descriptors *descriptors, const char *extendee, int32_t *ret_numbers, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < descriptors->extension_count; i++) {
		if (strcmp(descriptors->extensions[i].extendee, extendee))
			continue;
		if (count < max)
			ret_numbers[count] = descriptors->extensions[i].number;
		count++;
	}
	return count;
}
