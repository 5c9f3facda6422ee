/* The peer of the client's tests, in a process of its own: `rpc_echo_peer PORT` (0: any) writes its port to stdout as an int.
 * A text of "hang" keeps the call, and writes an int -1, until SIGUSR1 answers all that is kept; "fail" fails it, "away" as if nobody were there, "ending" as gRPC does while its server shuts down; "short" and "long" answer with a
 * wrong number of items; "large" with a megabyte an item. Anything else comes back.
 * A stream counts on from where it was asked to, every 10 ms; "silent" sends one message and no more, "end" three and ends, "large" a large one.
 * What it is told it writes to stdout, by its position; "slow" takes 20 ms first, "enough" ends the stream well, "fail" fails it. */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/memory.h"
#include "echo.pb-c.h"
#include "rpc/server.h"

#define KEPT_MAX 64
#define LARGE_BYTES (1 << 20)

static _Atomic uint32_t port;

/* Calls that hang: put by the loop, answered on it too. */
static struct kept {
	struct rpc_call *call;
	const Echo__EchoRequest *one;
	const Echo__BatchEchoRequest *batch;
	ProtobufCClosure closure;
} kept[KEPT_MAX];
static uint32_t kept_count;

static void say(int number)
{
	ssize_t written = write(1, &number, sizeof(number));

	assert(written == sizeof(number));
}

static bool is(const char *text, const char *what)
{
	return !strcmp(text, what);
}

static Echo__EchoResponse *answer_one(
	struct rpc_call *call, const Echo__EchoRequest *request, int32_t shard, size_t items)
{
	Echo__EchoResponse *answer = ARENA_NEW(rpc_arena(call), Echo__EchoResponse);

	echo__echo_response__init(answer);
	answer->text = request->text;
	if (is(request->text, "large")) {
		answer->text = arena_zero(rpc_arena(call), LARGE_BYTES + 1);
		memset(answer->text, 'x', LARGE_BYTES);
	}
	answer->timeout_ms = request->timeout_ms;
	answer->port = port;
	answer->shard = (uint32_t)shard;
	answer->items = (uint32_t)items;
	answer->trace = (char *)rpc_trace(call);
	return answer;
}

static Echo__BatchEchoResponse *answer_batch(struct rpc_call *call, const Echo__BatchEchoRequest *request)
{
	Echo__BatchEchoResponse *answer = ARENA_NEW(rpc_arena(call), Echo__BatchEchoResponse);

	echo__batch_echo_response__init(answer);
	answer->items = ARENA_ARRAY(rpc_arena(call), request->n_items + 1, Echo__EchoResponse *);
	for (size_t i = 0; i < request->n_items; i++)
		answer->items[i] = answer_one(call, request->items[i], request->shard, request->n_items);
	answer->items[request->n_items] = answer->items[0];
	answer->n_items = request->n_items;
	if (is(request->items[0]->text, "short"))
		answer->n_items--;
	if (is(request->items[0]->text, "long"))
		answer->n_items++;
	return answer;
}

static void fail(struct rpc_call *call, const char *text)
{
	struct rpc_status status;

	if (is(text, "away"))
		rpc_status_set(&status, RPC_UNAVAILABLE, "", "not here");
	else if (is(text, "ending"))
		rpc_status_set(&status, RPC_CANCELLED, "", "CANCELLED");
	else
		rpc_status_set(&status, RPC_ABORTED, "IN_PROGRESS", "as you wished");
	status.retry_after_ms = 70;
	rpc_fail(call, &status);
}

static bool is_failure(const char *text)
{
	return is(text, "fail") || is(text, "away") || is(text, "ending");
}

static void keep(struct kept what)
{
	assert(kept_count < KEPT_MAX);
	kept[kept_count++] = what;
	say(-1);
}

static void let_go(struct rpc_task *task)
{
	free(task);
	for (uint32_t i = 0; i < kept_count; i++) {
		struct kept *one = &kept[i];

		if (one->batch)
			one->closure(&answer_batch(one->call, one->batch)->base, one->call);
		else
			one->closure(&answer_one(one->call, one->one, 0, 1)->base, one->call);
	}
	kept_count = 0;
}

static void peer_echo(Echo__EchoService_Service *service, const Echo__EchoRequest *request,
	Echo__EchoResponse_Closure closure, void *call)
{
	if (is(request->text, "hang"))
		keep((struct kept){.call = call, .one = request, .closure = (ProtobufCClosure)closure});
	else if (is_failure(request->text))
		fail(call, request->text);
	else
		closure(answer_one(call, request, 0, 1), call);
}

static void peer_batch_echo(Echo__EchoService_Service *service, const Echo__BatchEchoRequest *request,
	Echo__BatchEchoResponse_Closure closure, void *call)
{
	if (is(request->items[0]->text, "hang"))
		keep((struct kept){.call = call, .batch = request, .closure = (ProtobufCClosure)closure});
	else if (is_failure(request->items[0]->text))
		fail(call, request->items[0]->text);
	else
		closure(answer_batch(call, request), call);
}

struct cursor {
	uint64_t position, sent;
	bool paused, silent, end, large;
};

static enum rpc_pull next(
	void *context, struct arena *scratch, const ProtobufCMessage **ret, struct rpc_status *status)
{
	struct cursor *cursor = context;
	Echo__WatchEchoResponse *message;

	if (cursor->end && cursor->sent == 3)
		return RPC_END;
	cursor->paused = !cursor->paused; /* a message, a pause */
	if (!cursor->paused || (cursor->silent && cursor->sent))
		return RPC_WAIT;
	message = ARENA_NEW(scratch, Echo__WatchEchoResponse);
	echo__watch_echo_response__init(message);
	message->position = ++cursor->position;
	message->port = port;
	if (cursor->large) {
		message->filler.len = LARGE_BYTES;
		message->filler.data = arena_zero(scratch, LARGE_BYTES);
	}
	cursor->sent++;
	*ret = &message->base;
	return RPC_MORE;
}

static void end(void *context)
{
	free(context);
}

static void peer_watch_echo(Echo__EchoService_Service *service, const Echo__WatchEchoRequest *request,
	Echo__WatchEchoResponse_Closure closure, void *call)
{
	struct cursor *cursor = NEW(struct cursor);
	struct rpc_stream stream = {.next = next, .end = end, .cursor = cursor, .heartbeat_ms = 10};

	cursor->position = request->after;
	cursor->silent = is(request->text, "silent");
	cursor->end = is(request->text, "end");
	cursor->large = is(request->text, "large");
	rpc_stream_open(call, &stream);
}

static void peer_tell_echo(Echo__EchoService_Service *service, const Echo__TellEchoRequest *request,
	Echo__TellEchoResponse_Closure closure, void *call)
{
	const Echo__TellEchoResponse answer = ECHO__TELL_ECHO_RESPONSE__INIT;

	if (request && is(request->text, "slow"))
		usleep(20000);
	if (request)
		say((int)request->position);
	if (request && is(request->text, "fail"))
		fail(call, request->text);
	else if (!request || is(request->text, "enough"))
		closure(&answer, call);
}

static void *read_set(size_t *ret_size)
{
	FILE *file = fopen(ECHO_DESCRIPTOR_SET, "re");
	void *bytes = memory_new(1 << 20);

	assert(file);
	*ret_size = fread(bytes, 1, 1 << 20, file);
	fclose(file);
	return bytes;
}

static struct rpc_server *serve(struct rpc_loop *loop, const char *wanted)
{
	static Echo__EchoService_Service service = ECHO__ECHO_SERVICE__INIT(peer_);
	struct rpc_limits limits = rpc_limits_standard;
	struct rpc_server *server;
	char address[32];
	struct error error;
	size_t size;
	void *set = read_set(&size);

	limits.items_max = 16384;
	limits.arena_bytes_max = 16 << 20;
	server = rpc_server_new(loop, &limits);
	snprintf(address, sizeof(address), "127.0.0.1:%s", wanted);
	if (!rpc_describe(server, set, size, &error))
		abort();
	rpc_serve(server, &service.base);
	if (!rpc_listen(server, address, NULL, &error)) {
		fprintf(stderr, "%s\n", error.text);
		exit(1);
	}
	return server;
}

int main(int argc, char **argv)
{
	struct rpc_loop *loop;
	struct rpc_server *server;
	sigset_t signals;
	int got;

	if (argc != 2)
		return 2;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	loop = rpc_loop_new("peer");
	server = serve(loop, argv[1]);
	port = (uint32_t)rpc_server_port(server);
	say((int)port);
	while (!sigwait(&signals, &got) && got == SIGUSR1) {
		struct rpc_task *task = NEW(struct rpc_task);

		task->run = let_go;
		rpc_post(loop, task);
	}
	rpc_server_drain(server, 0, 1000);
	rpc_server_free(server);
	rpc_loop_free(loop);
	return 0;
}
