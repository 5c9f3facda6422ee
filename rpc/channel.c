/* rpc/channel.c - one instance's connection; see rpc/pool.h. */
#include <arpa/inet.h>
#include <assert.h>
#include <grpc/grpc_security.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "rpc/pool.h"

#define ARGUMENT(name, number) \
	{ \
		.type = GRPC_ARG_INTEGER, .key = (char *)(name), .value.integer = (number) \
	}

/* "ipv4:1.2.3.4:5", "ipv6:[::1]:5", "dns:///name:5" */
static char *target_of(const char *address)
{
	size_t host = strcspn(address, ":");
	char copy[INET_ADDRSTRLEN];
	struct in_addr v4;

	if (address[0] == '[')
		return memory_format("ipv6:%s", address);
	if (host < sizeof(copy)) {
		memcpy(copy, address, host);
		copy[host] = '\0';
		if (inet_pton(AF_INET, copy, &v4) == 1)
			return memory_format("ipv4:%s", address);
	}
	return memory_format("dns:///%s", address);
}

static grpc_channel *connect_to(const char *address, grpc_channel_credentials *credentials, const char *name)
{
	grpc_arg arguments[] = {
		/* back within a quarter of a second, however long it was away */
		ARGUMENT(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50),
		ARGUMENT(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100),
		ARGUMENT(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200),
		/* a frozen peer is found within 1.5 s, before somebody asks it */
		ARGUMENT(GRPC_ARG_KEEPALIVE_TIME_MS, 1000),
		ARGUMENT(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 500),
		ARGUMENT(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
		ARGUMENT(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
		/* a connection of its own, never given up for idleness, and nothing sent twice by the library */
		ARGUMENT(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
		ARGUMENT(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, INT32_MAX),
		ARGUMENT(GRPC_ARG_ENABLE_RETRIES, 0),
		ARGUMENT(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
		ARGUMENT(GRPC_ARG_ENABLE_HTTP_PROXY, 0),
		/* nothing is looked at that our servers never do, and nothing is counted that nobody reads */
		ARGUMENT(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
		ARGUMENT(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
		ARGUMENT(GRPC_ARG_ENABLE_CHANNELZ, 0),
		ARGUMENT(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_ANSWER_BYTES_MAX),
		ARGUMENT(GRPC_ARG_MAX_METADATA_SIZE, 16384),
		/* last: certificates are made out to names, not to addresses */
		{.type = GRPC_ARG_STRING,
			.key = (char *)GRPC_ARG_DEFAULT_AUTHORITY,
			.value.string = (char *)name},
	};
	size_t count = sizeof(arguments) / sizeof(arguments[0]);
	grpc_channel_args list = {.num_args = name ? count : count - 1, .args = arguments};
	char *target = target_of(address);
	grpc_channel *channel = grpc_channel_create(target, credentials, &list);

	free(target);
	assert(grpc_channel_support_connectivity_watcher(channel)); /* the address was checked by discovery */
	return channel;
}

static bool is_ready(grpc_connectivity_state state)
{
	return state == GRPC_CHANNEL_READY;
}

static void set_state(struct rpc_channel *channel, grpc_connectivity_state state)
{
	grpc_connectivity_state before = channel->state;

	if (state == before)
		return;
	channel->state = state;
	if (is_ready(before) != is_ready(state))
		metric_add(&rpc_pool_metrics(channel->pool)->ready, is_ready(state) ? 1 : -1);
	rpc_pool_state_changed(channel->pool, is_ready(before) != is_ready(state));
}

static void watch(struct rpc_channel *channel)
{
	/* asking also makes an idle one connect: after a loss it is on its way back at once */
	grpc_connectivity_state state = grpc_channel_check_connectivity_state(channel->channel, 1);

	set_state(channel, state);
	grpc_channel_watch_connectivity_state(channel->channel, state, gpr_inf_future(GPR_CLOCK_MONOTONIC),
		rpc_loop_queue(rpc_pool_loop(channel->pool)), rpc_tag_depart(&channel->watch));
}

static void free_channel(struct rpc_channel *channel)
{
	struct rpc_pool *pool = channel->pool;

	assert(!channel->calls && !channel->channel);
	rpc_pool_channel_gone(pool, channel);
	free(channel->id);
	free(channel->address);
	free(channel);
}

static void watch_done(struct rpc_tag *tag, bool ok)
{
	struct rpc_channel *channel = container_of(tag, struct rpc_channel, watch);

	if (channel->channel)
		watch(channel);
	else
		free_channel(channel);
}

struct rpc_channel *rpc_channel_new(struct rpc_pool *pool, const struct instance *instance,
	grpc_channel_credentials *credentials, const char *name)
{
	struct rpc_channel *channel = NEW(struct rpc_channel);

	channel->pool = pool;
	channel->id = memory_copy_text(instance->id);
	channel->address = memory_copy_text(instance->address);
	channel->shard = instance->shard;
	channel->health = instance->health;
	channel->state = GRPC_CHANNEL_IDLE;
	channel->born_ns = clock_mono_ns();
	channel->channel = connect_to(instance->address, credentials, name);
	rpc_tag_init(&channel->watch, watch_done);
	watch(channel);
	return channel;
}

/* Destroying the channel ends its watch: the tag comes back, and then the memory goes. */
static void take_down_if_unused(struct rpc_channel *channel)
{
	grpc_channel *gone = channel->channel;

	if (channel->listed || channel->calls || !gone)
		return;
	set_state(channel, GRPC_CHANNEL_SHUTDOWN);
	channel->channel = NULL;
	grpc_channel_destroy(gone);
}

void rpc_channel_retire(struct rpc_channel *channel)
{
	channel->listed = false;
	take_down_if_unused(channel);
}

void rpc_channel_keep(struct rpc_channel *channel)
{
	assert(channel->channel);
	channel->calls++;
}

void rpc_channel_drop(struct rpc_channel *channel)
{
	assert(channel->calls);
	channel->calls--;
	take_down_if_unused(channel);
}
