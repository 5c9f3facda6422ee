#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "fakes.h"

#define PATIENCE_S 20

void wait_until(bool (*condition)(const void *context), const void *context)
{
	const int64_t end_ns = clock_mono_ns() + PATIENCE_S * INT64_C(1000000000);

	while (!condition(context)) {
		assert_true(clock_mono_ns() < end_ns);
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	}
}

static void finished(void *context, struct edge_request *first, struct edge_request *last)
{
	struct door *door = context;

	pthread_mutex_lock(&door->lock);
	*door->last = first;
	door->last = &last->next;
	pthread_cond_signal(&door->came);
	pthread_mutex_unlock(&door->lock);
}

struct edge_options door_options(const struct fakes *fakes, struct door *door)
{
	return (struct edge_options){
		.discovery_file = fakes->file,
		.demo = true,
		.deadline_ms = DOOR_DEADLINE_MS,
		.policy_fallback_ms = 60000,
		.challenge_difficulty = 4,
		.challenge_lifetime_ms = 120000,
		.slow_account_rate = 1,
		.slow_address_rate = 2,
		.inventory_shards = 1,
		.cart_shards = 1,
		.queue_max = 16384,
		.finished = finished,
		.context = door,
	};
}

static bool is_healthy(const void *edge)
{
	return edge_healthy((struct edge *)(uintptr_t)edge);
}

void door_open_early(struct door *door, const struct edge_options *options)
{
	struct error error = {0};

	*door = (struct door){0};
	door->last = &door->first;
	pthread_mutex_init(&door->lock, NULL);
	pthread_cond_init(&door->came, NULL);
	door->edge = edge_new(options, &error);
	if (!door->edge)
		fail_msg("%s", error.text);
}

void door_open(struct door *door, const struct edge_options *options)
{
	door_open_early(door, options);
	wait_until(is_healthy, door->edge);
}

void door_close(struct door *door)
{
	struct edge_request *request;

	edge_drain(door->edge, true);
	while ((request = door->first)) {
		door->first = request->next;
		edge_request_free(door->edge, request);
	}
	edge_free(door->edge);
	pthread_mutex_destroy(&door->lock);
	pthread_cond_destroy(&door->came);
}

/* Exactly its bytes on the heap, without an end mark: reading past them is found. */
static struct edge_slice slice(const char *text, char **ret_copy)
{
	const size_t size = text ? strlen(text) : 0;

	*ret_copy = text ? malloc(size ? size : 1) : NULL;
	if (text)
		memcpy(*ret_copy, text, size);
	return (struct edge_slice){*ret_copy, size};
}

struct edge_request *door_begin(struct door *door, enum edge_method method, const char *target,
	const char *body, const struct headers *headers)
{
	static const struct headers none;
	const struct headers *given = headers ? headers : &none;
	struct edge_request *request = edge_request_new(door->edge);
	const char *mark = strchr(target, '?');
	char *copies[8];
	bool answered;

	request->in.method = method;
	request->in.path = slice(target, &copies[0]);
	if (mark)
		request->in.path.size = (size_t)(mark - target);
	request->in.query = slice(mark ? mark + 1 : NULL, &copies[1]);
	request->in.body = slice(body, &copies[2]);
	request->in.content_type = slice(given->type ? given->type
					 : body	     ? "application/json"
						     : NULL,
		&copies[3]);
	request->in.idempotency_key = slice(given->key, &copies[4]);
	request->in.traceparent = slice(given->trace, &copies[5]);
	request->in.authorization = slice(given->authorization, &copies[6]);
	request->in.solution = slice(given->solution, &copies[7]);
	request->in.client_ip = (struct edge_slice){"192.0.2.44", 10};
	answered = edge_judge(door->edge, request);
	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++)
		free(copies[i]);
	request->in = (struct edge_input){0};
	if (answered)
		return request;
	door->waiting++;
	edge_send(door->edge, request, request);
	return NULL;
}

struct edge_request *door_take(struct door *door)
{
	struct edge_request *request;
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&door->lock);
	while (!door->first)
		assert_int_equal(pthread_cond_timedwait(&door->came, &door->lock, &end), 0);
	request = door->first;
	door->first = request->next;
	if (!door->first)
		door->last = &door->first;
	pthread_mutex_unlock(&door->lock);
	door->waiting--;
	return request;
}

struct edge_request *door_visit(struct door *door, enum edge_method method, const char *target,
	const char *body, const struct headers *headers)
{
	struct edge_request *request = door_begin(door, method, target, body, headers);

	return request ? request : door_take(door);
}
