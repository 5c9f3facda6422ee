#include "rpc/server.h"

#include <assert.h>
#include <errno.h>
#include <grpc/grpc_security.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "proto/descriptor_set.h"
#include "rpc/call.h"
#include "rpc/tls.h"

/* So that streams of a client whose machine went away end. A client without calls is not asked: gRPC's in Python, for one, does not answer while it waits for
 * nothing, and would find its connection closed at its next call. */
#define KEEPALIVE_MS 10000
#define KEEPALIVE_TIMEOUT_MS 5000
/* How long a drain without calls waits for idle clients to hang up. */
#define IDLE_GRACE_MS 100
/* How long cancelled calls may take to come back before drain returns without them. */
#define CANCEL_GRACE_MS 1000

const struct rpc_limits rpc_limits_standard = {
	.request_bytes_max = 1024 * 1024,
	.arena_bytes_max = 16 * 1024 * 1024,
	.items_max = 4096,
	.calls_max = 8192,
	.streams_max = 1024,
};

struct rpc_server *rpc_server_new(struct rpc_loop *loop, const struct rpc_limits *limits)
{
	struct rpc_server *server = NEW(struct rpc_server);
	struct error error;

	grpc_init();
	server->loop = loop;
	server->limits = *limits;
	server->descriptors =
		descriptors_new(flashsale_descriptor_set, flashsale_descriptor_set_size(), &error);
	assert(server->descriptors); /* our own bytes */
	server->methods = NEW_ARRAY(METHODS_MAX, struct rpc_method);
	server->health = health_new(server);
	server->reflection = reflection_new(server);
	methods_add(server, health_service(server->health));
	reflection_serve(server->reflection);
	sem_init(&server->drained, 0, 0);
	sem_init(&server->over, 0, 0);
	return server;
}

bool rpc_describe(struct rpc_server *server, const void *set, size_t size, struct error *error)
{
	assert(!server->described);
	server->described = descriptors_new(set, size, error);
	return server->described != NULL;
}

void rpc_serve(struct rpc_server *server, ProtobufCService *service)
{
	assert(!server->grpc);
	if (!server->first_service)
		server->first_service = service->descriptor->name;
	methods_add(server, service);
}

void rpc_server_restrict(struct rpc_server *server, const struct rpc_access *table)
{
	assert(!server->grpc && server->first_service);
	methods_restrict(server, table);
}

void rpc_server_set_serving(struct rpc_server *server, bool serving)
{
	health_set(server->health, serving);
}

const char *rpc_server_service(const struct rpc_server *server)
{
	return server->first_service ? server->first_service : "";
}

int rpc_server_port(const struct rpc_server *server)
{
	return server->port;
}

/* ---- listen ---- */

static grpc_arg number(const char *key, int64_t value)
{
	return (grpc_arg){.type = GRPC_ARG_INTEGER,
		.key = (char *)key,
		.value.integer = value < INT32_MAX ? (int)value : INT32_MAX};
}

static grpc_server *grpc_new(const struct rpc_limits *limits)
{
	grpc_arg list[] = {
		number(GRPC_ARG_ALLOW_REUSEPORT,
			0), /* or a second server on the port would succeed silently */
		number(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, limits->request_bytes_max),
		number(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
		number(GRPC_ARG_MAX_CONCURRENT_STREAMS, (int64_t)limits->calls_max + limits->streams_max),
		number(GRPC_ARG_MAX_METADATA_SIZE, 8192),
		number(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0), /* ours ping each second */
		number(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0),
		number(GRPC_ARG_KEEPALIVE_TIME_MS,
			limits->keepalive_ms ? limits->keepalive_ms : KEEPALIVE_MS),
		number(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS),
		number(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0), /* its output has no bound */
		number(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE),
		number(GRPC_ARG_ENABLE_CHANNELZ, 0),
	};
	grpc_channel_args args = {.num_args = sizeof(list) / sizeof(list[0]), .args = list};

	return grpc_server_create(&args, NULL);
}

/* gRPC says only that it could not listen: trying it ourselves tells why. */
static const char *why_not(const char *address)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found;
	char *host = memory_copy_text(address), *colon = strrchr(host, ':'), *name = host;
	const char *why = "not an address of the form host:port";
	int one = 1, fd;

	if (colon) {
		*colon = 0;
		if (name[0] == '[' && colon[-1] == ']') {
			colon[-1] = 0;
			name++;
		}
		if (getaddrinfo(name, colon + 1, &hints, &found)) {
			why = "unknown host or port";
		} else {
			fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
			why = bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, 1)
				      ? strerror(errno)
				      : "gRPC refused it";
			close(fd);
			freeaddrinfo(found);
		}
	}
	free(host);
	return why;
}

/* Arming belongs to the loop, like the calls. */
static void arm(void *server)
{
	methods_arm(server);
}

static void grpc_drop(struct rpc_server *server)
{
	grpc_server_destroy(server->grpc);
	server->grpc = NULL;
}

bool rpc_listen(struct rpc_server *server, const char *address, struct rpc_tls *tls, struct error *error)
{
	grpc_server_credentials *credentials = rpc_tls_server(tls);

	assert(!server->grpc && !rpc_on_loop(server->loop));
	server->secure = tls != NULL;
	server->grpc = grpc_new(&server->limits);
	grpc_server_register_completion_queue(server->grpc, rpc_loop_queue(server->loop), NULL);
	if (!methods_register(server)) {
		grpc_server_credentials_release(credentials);
		grpc_drop(server);
		return error_set(error, "two services have a method of the same path");
	}
	server->port = grpc_server_add_http2_port(server->grpc, address, credentials);
	grpc_server_credentials_release(credentials);
	if (!server->port) {
		grpc_drop(server);
		return error_set(error, "can't listen on %s: %s", address, why_not(address));
	}
	grpc_server_start(server->grpc);
	rpc_run(server->loop, arm, server);
	return true;
}

/* ---- drain: the order is gRPC's ---- */

static void post_once(sem_t *semaphore, bool *posted)
{
	if (*posted)
		return;
	*posted = true;
	sem_post(semaphore);
}

static void grace_over(struct rpc_task *task);

/* No call is left, but gRPC waits for connections whose clients sleep: they are closed after a moment for what was on its way. */
static void close_idle_soon(struct rpc_server *server)
{
	if (server->grace.task.run != grace_over || !server->grace.position ||
		server->grace.at_ns - clock_mono_ns() <= IDLE_GRACE_MS * INT64_C(1000000))
		return;
	rpc_timer_start(server->loop, &server->grace, IDLE_GRACE_MS);
}

static void shut_down(struct rpc_server *server);

void server_check_drained(struct rpc_server *server)
{
	if (server->leaving && !server->live)
		shut_down(server);
	if (server->draining && !server->shut_down && !server->open)
		close_idle_soon(server);
	if (!server->shut_down || server->open)
		return;
	rpc_timer_stop(server->loop, &server->grace);
	post_once(&server->drained, &server->drain_posted);
	post_once(&server->over, &server->over_posted);
}

static void shut_done(struct rpc_tag *tag, bool ok)
{
	struct rpc_server *server = container_of(tag, struct rpc_server, shut);

	server->shut_down = true;
	server_check_drained(server);
}

static void cancel_grace_over(struct rpc_task *task)
{
	struct rpc_timer *timer = container_of(task, struct rpc_timer, task);
	struct rpc_server *server = container_of(timer, struct rpc_server, grace);

	log_warn("calls did not end in time", LOG_INT("open", server->open));
	post_once(&server->drained, &server->drain_posted);
}

static void grace_over(struct rpc_task *task)
{
	struct rpc_timer *timer = container_of(task, struct rpc_timer, task);
	struct rpc_server *server = container_of(timer, struct rpc_server, grace);

	grpc_server_cancel_all_calls(server->grpc);
	server->grace.task.run = cancel_grace_over;
	rpc_timer_start(server->loop, &server->grace, CANCEL_GRACE_MS);
}

/* Streams that wait for something to tell or to hear end now; everything else gets its time. */
static void nudge_streams(struct rpc_server *server)
{
	struct rpc_call *call = server->live;

	while (call) {
		struct rpc_call *older = call->older; /* a nudge may release its call, and no other */

		if (call->method && call->method->shape == RPC_STREAM_OUT)
			stream_out_nudge(call);
		else if (call->method && call->method->shape != RPC_UNARY)
			stream_in_nudge(call);
		call = older;
	}
}

static void shut_down(struct rpc_server *server)
{
	server->leaving = false;
	server->draining = true;
	rpc_tag_init(&server->shut, shut_done);
	grpc_server_shutdown_and_notify(
		server->grpc, rpc_loop_queue(server->loop), rpc_tag_depart(&server->shut));
	server->grace.task.run = grace_over;
	rpc_timer_start(server->loop, &server->grace, server->grace_ms);
	nudge_streams(server);
	server_check_drained(server);
}

static void leave_over(struct rpc_task *task)
{
	struct rpc_timer *timer = container_of(task, struct rpc_timer, task);

	shut_down(container_of(timer, struct rpc_server, grace));
}

/* Who calls has been told elsewhere that this one ends: until they have heard it, they are served as ever. */
static void drain_run(struct rpc_task *task)
{
	struct rpc_server *server = container_of(task, struct rpc_server, drain_task);

	if (!server->leave_ms || !server->live) {
		shut_down(server);
		return;
	}
	server->leaving = true;
	server->grace.task.run = leave_over;
	rpc_timer_start(server->loop, &server->grace, server->leave_ms);
}

void rpc_server_drain(struct rpc_server *server, int64_t leave_ms, int64_t grace_ms)
{
	assert(!rpc_on_loop(server->loop));
	health_set(server->health, false);
	if (!server->grpc || server->drain_begun)
		return;
	server->drain_begun = true;
	server->leave_ms = leave_ms;
	server->grace_ms = grace_ms;
	server->drain_task.run = drain_run;
	rpc_post(server->loop, &server->drain_task);
	while (sem_wait(&server->drained))
		;
}

void rpc_server_free(struct rpc_server *server)
{
	if (!server)
		return;
	rpc_server_drain(server, 0, 0);
	if (server->grpc) {
		while (sem_wait(&server->over))
			;
		rpc_run(server->loop, NULL,
			NULL); /* nothing that was posted before refers to the server any more */
		grpc_drop(server);
	} else {
		rpc_run(server->loop, NULL,
			NULL); /* nothing that was posted before refers to the server any more */
	}
	call_pool_release(server);
	health_free(server->health);
	reflection_free(server->reflection);
	methods_release(server);
	descriptors_free(server->described);
	descriptors_free(server->descriptors);
	sem_destroy(&server->drained);
	sem_destroy(&server->over);
	free(server);
	grpc_shutdown();
}
