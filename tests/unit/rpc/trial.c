#include "trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"

const struct rpc_limits trial_limits = {
	.request_bytes_max = 1024 * 1024,
	.arena_bytes_max = 2 * 1024 * 1024,
	.items_max = 1000,
	.calls_max = 8,
	.streams_max = 4,
};

static Trial__AskResponse *answer_new(struct rpc_call *call, const Trial__AskRequest *request)
{
	Trial__AskResponse *answer = ARENA_NEW(rpc_arena(call), Trial__AskResponse);

	trial__ask_response__init(answer);
	answer->text = arena_text(rpc_arena(call), request->text, strlen(request->text));
	answer->items = (uint32_t)request->n_items;
	answer->trace = (char *)rpc_trace(call);
	answer->has_deadline = rpc_deadline_ns(call) != INT64_MAX;
	return answer;
}

static void ask(Trial__Trial_Service *service, const Trial__AskRequest *request,
	Trial__AskResponse_Closure closure, void *closure_data)
{
	struct trial *trial = (struct trial *)service;
	struct rpc_call *call = closure_data;

	atomic_fetch_add(&trial->asks, 1);
	if (!strcmp(request->text, "refuse me"))
		rpc_refuse(call, "items[0].sku", "no %s", "way");
	else if (!strcmp(request->text, "who am I"))
		rpc_refuse(call, "peer", "%s", rpc_peer(call));
	else if (!strcmp(request->text, "nothing"))
		closure(NULL, call);
	else
		closure(answer_new(call, request), call);
}

struct later {
	struct later *next;
	const Trial__AskRequest *request;
	Trial__AskResponse_Closure closure;
	struct rpc_call *call;
};

static void *answer_later(void *argument)
{
	struct later *later = argument;
	struct rpc_status status;

	if (!strcmp(later->request->text, "fail")) {
		rpc_status_set(&status, RPC_ABORTED, "IN_PROGRESS", "from another thread");
		status.retry_after_ms = 1234;
		rpc_fail(later->call, &status);
	} else {
		later->closure(answer_new(later->call, later->request), later->call);
	}
	free(later);
	return NULL;
}

static void ask_later(Trial__Trial_Service *service, const Trial__AskRequest *request,
	Trial__AskResponse_Closure closure, void *closure_data)
{
	struct trial *trial = (struct trial *)service;
	struct later *later = NEW(struct later);

	*later = (struct later){NULL, request, closure, closure_data};
	assert_true(trial->thread_count < 64);
	pthread_create(&trial->threads[trial->thread_count++], NULL, answer_later, later);
}

/* ---- AskWriter: one thread takes all that is queued, and answers it in one go ---- */

static void *writer_main(void *argument)
{
	struct trial *trial = argument;
	struct later *queue;

	do {
		pthread_mutex_lock(&trial->lock);
		while (!trial->queue && !trial->writer_ends)
			pthread_cond_wait(&trial->queued, &trial->lock);
		queue = trial->queue;
		trial->queue = NULL;
		pthread_mutex_unlock(&trial->lock);
		for (struct later *later = queue, *next; later; later = next) {
			next = later->next;
			answer_later(later);
		}
	} while (queue);
	return NULL;
}

static void ask_writer(Trial__Trial_Service *service, const Trial__AskRequest *request,
	Trial__AskResponse_Closure closure, void *closure_data)
{
	struct trial *trial = (struct trial *)service;
	struct later *later = NEW(struct later);

	*later = (struct later){NULL, request, closure, closure_data};
	pthread_mutex_lock(&trial->lock);
	later->next = trial->queue;
	trial->queue = later;
	pthread_cond_signal(&trial->queued);
	pthread_mutex_unlock(&trial->lock);
}

static void ask_never(Trial__Trial_Service *service, const Trial__AskRequest *request,
	Trial__AskResponse_Closure closure, void *closure_data)
{
	struct trial *trial = (struct trial *)service;

	atomic_store(&trial->kept, closure_data);
	sem_post(&trial->kept_one);
}

/* ---- Count: numbers 1 to `to`, then the end; to = 0: waits for ever; 1000000007: fails after one ---- */

struct counting {
	struct trial *trial;
	uint32_t next, to, size;
};

static enum rpc_pull count_next(
	void *cursor, struct arena *scratch, const ProtobufCMessage **ret, struct rpc_status *status)
{
	struct counting *counting = cursor;
	Trial__CountResponse *response;

	atomic_fetch_add(&counting->trial->pulls, 1);
	if (counting->to == 0)
		return RPC_WAIT;
	if (counting->to == 1000000007 && counting->next > 1) {
		rpc_status_set(status, RPC_DATA_LOSS, "", "lost count");
		return RPC_FAILED;
	}
	if (counting->next > counting->to)
		return RPC_END;
	response = ARENA_NEW(scratch, Trial__CountResponse);
	trial__count_response__init(response);
	response->number = counting->next++;
	response->filler.len = counting->size;
	response->filler.data = arena_zero(scratch, counting->size);
	*ret = &response->base;
	return RPC_MORE;
}

static void count_end(void *cursor)
{
	struct counting *counting = cursor;

	atomic_fetch_add(&counting->trial->stream_ends, 1);
	free(counting);
}

static void count(Trial__Trial_Service *service, const Trial__CountRequest *request,
	Trial__CountResponse_Closure closure, void *closure_data)
{
	struct counting *counting = NEW(struct counting);
	struct rpc_stream stream = {.next = count_next, .end = count_end, .cursor = counting};

	*counting = (struct counting){(struct trial *)service, 1, request->to, request->size};
	rpc_stream_open(closure_data, &stream);
}

/* ---- Follow ---- */

struct follower {
	LIST_ENTRY(follower) link;
	struct trial *trial;
	struct rpc_call *call;
	uint32_t told, ticks_itself;
	bool begun, woken;
};

static enum rpc_pull follow_next(
	void *cursor, struct arena *scratch, const ProtobufCMessage **ret, struct rpc_status *status)
{
	struct follower *follower = cursor;
	Trial__CountResponse *response;
	uint32_t ticks;

	pthread_mutex_lock(&follower->trial->lock);
	ticks = follower->trial->ticks;
	pthread_mutex_unlock(&follower->trial->lock);
	if (follower->begun && follower->told == ticks) {
		/* First a wake for nothing; then, while that wake is being served, a tick with another. */
		if (ticks < follower->ticks_itself && !follower->woken)
			rpc_wake(follower->call);
		else if (ticks < follower->ticks_itself)
			trial_tick(follower->trial);
		follower->woken = !follower->woken;
		return RPC_WAIT;
	}
	follower->begun = true;
	follower->told = ticks;
	response = ARENA_NEW(scratch, Trial__CountResponse);
	trial__count_response__init(response);
	response->number = ticks;
	*ret = &response->base;
	return RPC_MORE;
}

static void follow_end(void *cursor)
{
	struct follower *follower = cursor;

	pthread_mutex_lock(&follower->trial->lock);
	LIST_REMOVE(follower, link);
	pthread_mutex_unlock(&follower->trial->lock);
	free(follower);
}

static void follow(Trial__Trial_Service *service, const Trial__CountRequest *request,
	Trial__CountResponse_Closure closure, void *closure_data)
{
	struct trial *trial = (struct trial *)service;
	struct follower *follower = NEW(struct follower);
	struct rpc_stream stream = {.next = follow_next, .end = follow_end, .cursor = follower};

	follower->trial = trial;
	follower->ticks_itself = request->to;
	follower->call = closure_data;
	pthread_mutex_lock(&trial->lock);
	LIST_INSERT_HEAD(&trial->followers, follower, link);
	pthread_mutex_unlock(&trial->lock);
	rpc_stream_open(closure_data, &stream);
}

void trial_tick(struct trial *trial)
{
	struct follower *follower;

	pthread_mutex_lock(&trial->lock);
	trial->ticks++;
	LIST_FOREACH (follower, &trial->followers, link)
		rpc_wake(follower->call);
	pthread_mutex_unlock(&trial->lock);
}

/* ---- Add ---- */

static void add(Trial__Trial_Service *service, const Trial__AddRequest *request,
	Trial__AddResponse_Closure closure, void *closure_data)
{
	struct trial *trial = (struct trial *)service;
	struct rpc_call *call = closure_data;
	Trial__AddResponse **state = (Trial__AddResponse **)rpc_state(call);

	if (!*state) {
		*state = ARENA_NEW(rpc_arena(call), Trial__AddResponse);
		trial__add_response__init(*state);
	}
	if (!request) {
		atomic_fetch_add(&trial->stream_ends, 1);
		closure(*state, call);
		return;
	}
	atomic_fetch_add(&trial->pulls, 1);
	if (request->number == 13) {
		rpc_refuse(call, "number", "not that one");
		return;
	}
	(*state)->sum += request->number;
	(*state)->messages++;
}

static void watch(Trial__Trial_Service *service, const Trial__WatchRequest *request,
	Trial__WatchResponse_Closure closure, void *closure_data)
{
	struct trial *trial = (struct trial *)service;

	watch_board_stream(trial->board, closure_data, request->resume_incarnation, request->resume_version);
}

/* ---- its life ---- */

static void *read_set(size_t *ret_size)
{
	FILE *file = fopen(TRIAL_DESCRIPTOR_SET, "re");
	void *bytes = malloc(1 << 20);

	assert_non_null(file);
	*ret_size = fread(bytes, 1, 1 << 20, file);
	fclose(file);
	return bytes;
}

static struct trial *new_trial(const struct rpc_limits *limits, const char *address, struct rpc_tls *tls,
	const struct rpc_access *access)
{
	struct trial *trial = NEW(struct trial);
	struct error error = {""};
	size_t size;

	trial__trial__init(&trial->service, NULL);
	trial->service.ask = ask;
	trial->service.ask_later = ask_later;
	trial->service.ask_never = ask_never;
	trial->service.ask_writer = ask_writer;
	trial->service.follow = follow;
	trial->service.count = count;
	trial->service.add = add;
	trial->service.watch = watch;
	sem_init(&trial->kept_one, 0, 0);
	pthread_mutex_init(&trial->lock, NULL);
	pthread_cond_init(&trial->queued, NULL);
	LIST_INIT(&trial->followers);
	pthread_create(&trial->writer, NULL, writer_main, trial);
	trial->loop = rpc_loop_new("trial");
	trial->server = rpc_server_new(trial->loop, limits);
	trial->set = read_set(&size);
	assert_true(rpc_describe(trial->server, trial->set, size, &error));
	rpc_serve(trial->server, &trial->service.base);
	if (access)
		rpc_server_restrict(trial->server, access);
	if (!rpc_listen(trial->server, address, tls, &error))
		fail_msg("%s", error.text);
	return trial;
}

struct trial *trial_new_at(const struct rpc_limits *limits, const char *address, struct rpc_tls *tls)
{
	return new_trial(limits, address, tls, NULL);
}

struct trial *trial_new_restricted(const char *address, struct rpc_tls *tls, const struct rpc_access *access)
{
	return new_trial(&trial_limits, address, tls, access);
}

struct trial *trial_new(const struct rpc_limits *limits)
{
	struct trial *trial = trial_new_at(limits ? limits : &trial_limits, "127.0.0.1:0", NULL);

	client_open(&trial->client, rpc_server_port(trial->server), NULL, NULL);
	return trial;
}

void trial_free(struct trial *trial)
{
	if (trial->client.channel)
		client_close(&trial->client);
	rpc_server_drain(trial->server, 0, 5000);
	pthread_mutex_lock(&trial->lock);
	trial->writer_ends = true;
	pthread_cond_signal(&trial->queued);
	pthread_mutex_unlock(&trial->lock);
	pthread_join(trial->writer, NULL);
	rpc_server_free(trial->server);
	for (uint32_t i = 0; i < trial->thread_count; i++)
		pthread_join(trial->threads[i], NULL);
	rpc_loop_free(trial->loop);
	watch_board_free(trial->board);
	free(trial->set);
	free(trial);
}

void trial_await(const _Atomic uint32_t *counter, uint32_t value)
{
	for (int i = 0; atomic_load(counter) < value; i++) {
		assert_true(i < CLIENT_WAIT_S * 1000);
		usleep(1000);
	}
}
