/* One stream: what is resumed, what is asked for anew, what counts as whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "discovery/static.h"
#include "flashsale/protector/v1/protector.pb-c.h"
#include "rpc/follower.h"
#include "rpc/server.h"
#include "station.h"

/* A protector whose stream says what the script says, one message a wake. */
static struct {
	ProtobufCService service;
	struct rpc_loop *loop;
	struct rpc_server *server;
	pthread_mutex_t lock;
	struct rpc_call *stream; /* NULL: none open */
	Common__WatchHeader header;
	bool say, end;
	uint32_t opened;
	char resume_incarnation[80];
	uint64_t resume_version;
} publisher = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
	struct rpc_loop *loop;
	struct discovery *discovery;
	struct rpc_pool *pool;
	struct follower *follower;
	struct rpc_task task;
	sem_t done;
	char folder[64], file[80];
	int64_t silence_ms;
	_Atomic uint32_t applied;
	_Atomic bool full; /* the next message is not kept */
} reader;

static enum rpc_pull next(
	void *cursor, struct arena *scratch, const ProtobufCMessage **ret, struct rpc_status *status)
{
	Protector__WatchBansResponse *message = ARENA_NEW(scratch, Protector__WatchBansResponse);
	enum rpc_pull result = RPC_WAIT;

	pthread_mutex_lock(&publisher.lock);
	if (publisher.stream != cursor) {
		/* A stream that the reader has left must not take what is for the next one. */
	} else if (publisher.end) {
		publisher.end = false;
		result = RPC_END;
	} else if (publisher.say) {
		publisher.say = false;
		protector__watch_bans_response__init(message);
		message->header = arena_copy(scratch, &publisher.header, sizeof(publisher.header));
		*ret = &message->base;
		result = RPC_MORE;
	}
	pthread_mutex_unlock(&publisher.lock);
	return result;
}

/* The end of a stream may come after the next one was opened. */
static void end(void *cursor)
{
	pthread_mutex_lock(&publisher.lock);
	if (publisher.stream == cursor)
		publisher.stream = NULL;
	pthread_mutex_unlock(&publisher.lock);
}

static void invoke(ProtobufCService *service, unsigned index, const ProtobufCMessage *input,
	ProtobufCClosure closure, void *call)
{
	const Protector__WatchBansRequest *request = (const Protector__WatchBansRequest *)input;
	const struct rpc_stream stream = {.next = next, .end = end, .cursor = call};

	pthread_mutex_lock(&publisher.lock);
	publisher.stream = call;
	publisher.opened++;
	snprintf(publisher.resume_incarnation, sizeof(publisher.resume_incarnation), "%s",
		request->resume_incarnation);
	publisher.resume_version = request->resume_version;
	pthread_mutex_unlock(&publisher.lock);
	rpc_stream_open(call, &stream);
}

static bool is_open(void *unused)
{
	bool open;

	pthread_mutex_lock(&publisher.lock);
	open = publisher.stream != NULL;
	pthread_mutex_unlock(&publisher.lock);
	return open;
}

static bool is_said(void *unused)
{
	bool said;

	pthread_mutex_lock(&publisher.lock);
	said = !publisher.say && !publisher.end;
	pthread_mutex_unlock(&publisher.lock);
	return said;
}

static void wake(void)
{
	pthread_mutex_lock(&publisher.lock);
	if (publisher.stream)
		rpc_wake(publisher.stream);
	pthread_mutex_unlock(&publisher.lock);
	await(is_said, NULL);
}

static void say(const char *incarnation, uint64_t version, bool begin, bool finish)
{
	await(is_open, NULL);
	pthread_mutex_lock(&publisher.lock);
	common__watch_header__init(&publisher.header);
	publisher.header.incarnation = (char *)(uintptr_t)incarnation;
	publisher.header.version = version;
	publisher.header.snapshot_begin = begin;
	publisher.header.snapshot_end = finish;
	publisher.say = true;
	pthread_mutex_unlock(&publisher.lock);
	wake();
}

static uint32_t opened(void)
{
	uint32_t count;

	pthread_mutex_lock(&publisher.lock);
	count = publisher.opened;
	pthread_mutex_unlock(&publisher.lock);
	return count;
}

static bool was_opened_again(void *before)
{
	return opened() > *(const uint32_t *)before;
}

static void end_stream(void)
{
	uint32_t before;

	await(is_open, NULL);
	before = opened();
	pthread_mutex_lock(&publisher.lock);
	publisher.end = true;
	pthread_mutex_unlock(&publisher.lock);
	wake();
	await(was_opened_again, &before);
}

static void assert_resumed(const char *incarnation, uint64_t version)
{
	pthread_mutex_lock(&publisher.lock);
	assert_string_equal(publisher.resume_incarnation, incarnation);
	if (incarnation[0])
		assert_int_equal(publisher.resume_version, version);
	pthread_mutex_unlock(&publisher.lock);
}

/* ---- the reader ---- */

static bool apply(
	void *context, int32_t shard, const Common__WatchHeader *header, const ProtobufCMessage *message)
{
	atomic_fetch_add(&reader.applied, 1);
	return !atomic_exchange(&reader.full, false);
}

static bool has_applied(void *count)
{
	return atomic_load(&reader.applied) >= *(const uint32_t *)count;
}

static bool is_whole(void)
{
	return follower_fresh(reader.follower, clock_mono_ns(), 60000);
}

static void open_reader(struct rpc_task *task)
{
	reader.follower = follower_new(&(struct follower_options){
		.pool = reader.pool,
		.service = &protector__protector_service__descriptor,
		.method = "WatchBans",
		.shard = RPC_ANY_SHARD,
		.silence_ms = reader.silence_ms,
		.apply = apply,
	});
	sem_post(&reader.done);
}

static void pass(struct rpc_task *task)
{
	sem_post(&reader.done);
}

static void close_reader(struct rpc_task *task)
{
	follower_free(reader.follower);
	sem_post(&reader.done);
}

static void on_loop(void (*run)(struct rpc_task *task))
{
	reader.task.run = run;
	rpc_post(reader.loop, &reader.task);
	sem_wait(&reader.done);
}

/* A message is counted before the follower has done with it: that it has when the loop is at something else. */
static void wait_applied(uint32_t count)
{
	await(has_applied, &count);
	on_loop(pass);
}

static int setup_with(int64_t silence_ms)
{
	struct error error;
	FILE *file;

	publisher.service =
		(ProtobufCService){.descriptor = &protector__protector_service__descriptor, .invoke = invoke};
	publisher.stream = NULL;
	publisher.say = publisher.end = false;
	publisher.opened = 0;
	publisher.loop = rpc_loop_new("publisher");
	publisher.server = rpc_server_new(publisher.loop, &rpc_limits_standard);
	rpc_serve(publisher.server, &publisher.service);
	assert_true(rpc_listen(publisher.server, "127.0.0.1:0", NULL, &error));
	strcpy(reader.folder, "/tmp/flashsale-test-XXXXXX");
	assert_non_null(mkdtemp(reader.folder));
	snprintf(reader.file, sizeof(reader.file), "%s/list", reader.folder);
	file = fopen(reader.file, "w");
	assert_non_null(file);
	fprintf(file, "protector 127.0.0.1:%d\n", rpc_server_port(publisher.server));
	fclose(file);
	sem_init(&reader.done, 0, 0);
	reader.applied = 0;
	reader.silence_ms = silence_ms;
	reader.loop = rpc_loop_new("reader");
	reader.discovery = discovery_static_new(reader.file, &error);
	assert_non_null(reader.discovery);
	reader.pool = rpc_pool_new(reader.loop, reader.discovery, "protector", NULL);
	on_loop(open_reader);
	return 0;
}

/* However long a busy machine takes from one message to the next: that is no silence. */
static int setup(void **state)
{
	return setup_with(3600 * 1000);
}

static int setup_for_silence(void **state)
{
	return setup_with(0);
}

static int teardown(void **state)
{
	on_loop(close_reader);
	rpc_pool_free(reader.pool);
	rpc_loop_free(reader.loop);
	discovery_free(reader.discovery);
	rpc_server_drain(publisher.server, 0, 0);
	rpc_server_free(publisher.server);
	rpc_loop_free(publisher.loop);
	sem_destroy(&reader.done);
	unlink(reader.file);
	rmdir(reader.folder);
	return 0;
}

static void test_a_stream_is_resumed_where_it_ended(void **state)
{
	assert_false(is_whole());
	say("one", 5, true, true);
	wait_applied(1);
	say("one", 7, false, false);
	wait_applied(2);
	assert_true(is_whole() && follower_synced(reader.follower));
	end_stream();
	assert_resumed("one", 7);
	assert_true(is_whole());
	assert_true(follower_heard_ns(reader.follower) > 0);
}

static void test_half_a_snapshot_is_none(void **state)
{
	say("one", 5, true, false);
	wait_applied(1);
	assert_false(is_whole() || follower_synced(reader.follower));
	end_stream();
	assert_resumed("", 0);
	say("one", 5, true, false);
	wait_applied(2);
	say("one", 6, false, true);
	wait_applied(3);
	assert_true(is_whole());
	say("one", 9, true, false);
	wait_applied(4);
	assert_false(is_whole());
	end_stream();
	assert_resumed("", 0);
	assert_true(follower_synced(reader.follower));
}

static void test_what_does_not_follow_begins_anew(void **state)
{
	uint32_t before;

	await(is_open, NULL);
	before = opened();
	say("one", 5, false, false);
	await(was_opened_again, &before);
	assert_int_equal(atomic_load(&reader.applied), 0);
	say("one", 5, true, true);
	wait_applied(1);
	before = opened();
	say("two", 6, false, false);
	await(was_opened_again, &before);
	assert_resumed("", 0);
	assert_int_equal(atomic_load(&reader.applied), 1);
}

static bool was_applied_or_opened_again(void *before)
{
	return atomic_load(&reader.applied) > 0 || was_opened_again(before);
}

static void test_silence_opens_it_again(void **state)
{
	int64_t heard_ns;
	uint32_t before;

	do { /* again where the stream was silent too long before */
		await(is_open, NULL);
		before = opened();
		say("one", 5, true, true);
		await(was_applied_or_opened_again, &before);
	} while (!atomic_load(&reader.applied));
	wait_applied(1);
	before = opened();
	await(was_opened_again, &before);
	assert_resumed("one", 5);
	heard_ns = follower_heard_ns(reader.follower);
	assert_true(follower_fresh(
		reader.follower, heard_ns + FOLLOWER_SILENCE_MS * INT64_C(1000000), FOLLOWER_SILENCE_MS));
	assert_false(follower_fresh(
		reader.follower, heard_ns + FOLLOWER_SILENCE_MS * INT64_C(1000000) + 1, FOLLOWER_SILENCE_MS));
}

static void test_what_could_not_be_kept_comes_anew(void **state)
{
	uint32_t before;

	say("one", 5, true, true);
	wait_applied(1);
	before = opened();
	atomic_store(&reader.full, true);
	say("one", 6, false, false);
	await(was_opened_again, &before);
	assert_resumed("", 0);
	assert_false(is_whole());
	say("one", 6, true, true);
	wait_applied(3);
	assert_true(is_whole());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_stream_is_resumed_where_it_ended),
		TEST(test_what_could_not_be_kept_comes_anew),
		TEST(test_half_a_snapshot_is_none),
		TEST(test_what_does_not_follow_begins_anew),
		cmocka_unit_test_setup_teardown(test_silence_opens_it_again, setup_for_silence, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
