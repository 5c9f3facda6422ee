#include "rpc/follower.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#define MESSAGE_BYTES_MAX (16 << 20)
#define INCARNATION_MAX 64

struct follower {
	struct follower_options options;
	struct rpc_subscription *subscription;
	const ProtobufCFieldDescriptor *header, *resume_incarnation, *resume_version;
	char incarnation[INCARNATION_MAX]; /* "": the next stream begins with a snapshot */
	uint64_t version;
	bool in_snapshot;
	_Atomic bool synced, whole;
	_Atomic int64_t heard_ns;
};

static void *member(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	return (char *)(uintptr_t)message + field->offset;
}

static void open_stream(void *context, ProtobufCMessage *request)
{
	struct follower *follower = context;

	*(char **)member(request, follower->resume_incarnation) = follower->incarnation;
	*(uint64_t *)member(request, follower->resume_version) = follower->version;
	follower->in_snapshot = false;
}

/* False: not what a publisher sends at this place. */
static bool accept_header(struct follower *follower, const Common__WatchHeader *header)
{
	if (!header || strlen(header->incarnation) >= INCARNATION_MAX || !header->incarnation[0])
		return false;
	if (header->snapshot_begin) {
		follower->in_snapshot = true;
		atomic_store(&follower->whole, false);
		return true;
	}
	return follower->in_snapshot || strcmp(header->incarnation, follower->incarnation) == 0;
}

/* A position within a snapshot is none to resume from. */
static void advance(struct follower *follower, const Common__WatchHeader *header)
{
	if (header->snapshot_end)
		follower->in_snapshot = false;
	if (follower->in_snapshot) {
		follower->incarnation[0] = 0;
		return;
	}
	snprintf(follower->incarnation, sizeof(follower->incarnation), "%s", header->incarnation);
	follower->version = header->version;
	atomic_store(&follower->whole, true);
	atomic_store(&follower->synced, true);
}

static bool take_message(void *context, const ProtobufCMessage *message)
{
	struct follower *follower = context;
	const Common__WatchHeader *header = *(Common__WatchHeader **)member(message, follower->header);

	if (!accept_header(follower, header)) {
		follower->incarnation[0] = 0;
		LOG_LIMITED(LOG_WARN, "a watch stream sent what does not follow; asking for a snapshot",
			LOG_TEXT("method", follower->options.method));
		return false;
	}
	if (!follower->options.apply(follower->options.context, follower->options.shard, header, message)) {
		follower->incarnation[0] = 0;
		atomic_store(&follower->whole, false);
		return false;
	}
	advance(follower, header);
	atomic_store(&follower->heard_ns, clock_mono_ns());
	return true;
}

static void lost(void *context, const struct rpc_status *why)
{
	struct follower *follower = context;

	LOG_LIMITED(LOG_INFO, "a watch stream ended; it is opened again",
		LOG_TEXT("method", follower->options.method), LOG_TEXT("code", rpc_code_name(why->code)),
		LOG_TEXT("why", why->message));
}

static const ProtobufCFieldDescriptor *field(const ProtobufCMessageDescriptor *type, const char *name)
{
	const ProtobufCFieldDescriptor *found = protobuf_c_message_descriptor_get_field_by_name(type, name);

	assert(found);
	return found;
}

struct follower *follower_new(const struct follower_options *options)
{
	const ProtobufCMethodDescriptor *method =
		protobuf_c_service_descriptor_get_method_by_name(options->service, options->method);
	struct follower *follower = NEW(struct follower);

	assert(method);
	follower->options = *options;
	follower->header = field(method->output, "header");
	follower->resume_incarnation = field(method->input, "resume_incarnation");
	follower->resume_version = field(method->input, "resume_version");
	follower->subscription = rpc_subscribe(&(struct rpc_subscription_options){
		.pool = options->pool,
		.service = options->service,
		.method = method,
		.shard = options->shard,
		.instance = options->instance,
		.silence_ms = options->silence_ms ? options->silence_ms : FOLLOWER_SILENCE_MS,
		.open = open_stream,
		.message = take_message,
		.lost = lost,
		.context = follower,
		.message_arena_bytes_max = MESSAGE_BYTES_MAX,
	});
	return follower;
}

void follower_free(struct follower *follower)
{
	if (!follower)
		return;
	rpc_unsubscribe(follower->subscription);
	free(follower);
}

bool follower_synced(const struct follower *follower)
{
	return atomic_load(&follower->synced);
}

int64_t follower_heard_ns(const struct follower *follower)
{
	return atomic_load(&follower->heard_ns);
}

bool follower_fresh(const struct follower *follower, int64_t now_ns, int64_t max_ms)
{
	return atomic_load(&follower->whole) &&
	       now_ns - atomic_load(&follower->heard_ns) <= max_ms * INT64_C(1000000);
}
