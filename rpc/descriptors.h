/* rpc/descriptors.h - an index of a compiled descriptor set (google.protobuf.FileDescriptorSet): which file defines a symbol, which
 * shape a method has. Reads the set's bytes where they are, and never encodes them anew. Built once, read-only after: any thread. */
#ifndef FLASHSALE_RPC_DESCRIPTORS_H
#define FLASHSALE_RPC_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct descriptor_file {
	char *name;
	const uint8_t *bytes; /* its FileDescriptorProto, in the set */
	size_t size;
	const struct descriptor_file **imports;
	size_t import_count;
};

struct descriptor_method {
	bool client_streaming, server_streaming;
};

/* `set` must outlive it. */
struct descriptors *descriptors_new(const void *set, size_t size, struct error *error);
void descriptors_free(struct descriptors *descriptors);

const struct descriptor_file *descriptors_file(const struct descriptors *descriptors, const char *name);
/* Of a message, enum, enum value, service, method or extension by its full name. */
const struct descriptor_file *descriptors_symbol(const struct descriptors *descriptors, const char *symbol);
/* `method`: "package.Service.Method". */
bool descriptors_method(
	const struct descriptors *descriptors, const char *method, struct descriptor_method *ret);
const struct descriptor_file *descriptors_extension(
	const struct descriptors *descriptors, const char *extendee, int32_t number);
/* Numbers of the extensions of a message; the count, of which at most `max` are stored. */
size_t descriptors_extension_numbers(
	const struct descriptors *descriptors, const char *extendee, int32_t *ret_numbers, size_t max);

#endif
