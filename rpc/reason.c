#include "rpc/reason.h"

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "google/protobuf/descriptor.pb-c.h"
#include "proto/descriptor_set.h"

#define REASON_FILE "flashsale/common/v1/reason.proto"
#define REASON_ENUM "Reason"
#define REASON_PREFIX "REASON_"
#define REASON_OPTION 50101 /* flashsale.options.v1.reason */
#define REASON_MAX 128

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct rpc_reason table[REASON_MAX]; /* by number; name NULL: no such reason */

static Options__ReasonTraits *unpack_traits(const Google__Protobuf__EnumValueOptions *options)
{
	for (unsigned i = 0; options && i < options->base.n_unknown_fields; i++) {
		const ProtobufCMessageUnknownField *unknown = &options->base.unknown_fields[i];
		size_t skip = 0; /* the length that protobuf-c keeps before the bytes, a varint */

		if (unknown->tag != REASON_OPTION ||
			unknown->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
			continue;
		while (skip < unknown->len && unknown->data[skip++] & 0x80)
			;
		return options__reason_traits__unpack(NULL, unknown->len - skip, unknown->data + skip);
	}
	return NULL;
}

static void add_reason(const Google__Protobuf__EnumValueDescriptorProto *value)
{
	Options__ReasonTraits *traits = unpack_traits(value->options);

	assert(value->number > 0 && value->number < REASON_MAX);
	assert(!strncmp(value->name, REASON_PREFIX, strlen(REASON_PREFIX)));
	assert(traits && traits->code > RPC_OK && traits->code <= RPC_UNAUTHENTICATED);
	assert(traits->http_status >= 400 && traits->http_status < 600 && traits->title[0]);
	table[value->number] = (struct rpc_reason){
		.value = (Common__Reason)value->number,
		.name = memory_copy_text(value->name + strlen(REASON_PREFIX)),
		.title = memory_copy_text(traits->title),
		.code = (enum rpc_code)traits->code,
		.http_status = traits->http_status,
		.retry = traits->retry,
		.retry_after_ms = traits->retry_after_ms,
	};
	options__reason_traits__free_unpacked(traits, NULL);
}

static size_t read_file(const Google__Protobuf__FileDescriptorProto *file)
{
	size_t count = 0;

	for (size_t i = 0; i < file->n_enum_type; i++) {
		const Google__Protobuf__EnumDescriptorProto *type = file->enum_type[i];

		if (strcmp(type->name, REASON_ENUM))
			continue;
		for (size_t j = 0; j < type->n_value; j++)
			if (type->value[j]->number) {
				add_reason(type->value[j]);
				count++;
			}
	}
	return count;
}

static void read_table(void)
{
	Google__Protobuf__FileDescriptorSet *set = google__protobuf__file_descriptor_set__unpack(
		NULL, flashsale_descriptor_set_size(), flashsale_descriptor_set);
	size_t count = 0;

	assert(set);
	for (size_t i = 0; i < set->n_file; i++)
		if (set->file[i]->name && !strcmp(set->file[i]->name, REASON_FILE))
			count += read_file(set->file[i]);
	google__protobuf__file_descriptor_set__free_unpacked(set, NULL);
	assert(count > 0);
}

void rpc_reason_init(void)
{
	pthread_once(&once, read_table);
}

const struct rpc_reason *rpc_reason_get(Common__Reason value)
{
	rpc_reason_init();
	if ((unsigned)value >= REASON_MAX || !table[value].name)
		return NULL;
	return &table[value];
}

const struct rpc_reason *rpc_reason_by_name(const char *name)
{
	rpc_reason_init();
	for (unsigned i = 0; i < REASON_MAX; i++)
		if (table[i].name && !strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

void rpc_status_set_reason(struct rpc_status *status, Common__Reason value, const char *format, ...)
{
	const struct rpc_reason *reason = rpc_reason_get(value);
	char message[sizeof(status->message)];
	va_list arguments;

	assert(reason);
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	rpc_status_set(status, reason->code, reason->name, "%s", message[0] ? message : reason->title);
	status->retry_after_ms = reason->retry_after_ms;
}
