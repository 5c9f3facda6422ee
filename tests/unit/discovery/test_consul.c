/* The whole client against an agent that does as it is told (fake_agent.h). */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/metrics.h"
#include "discovery/consul.h"
#include "tests/unit/discovery/fake_agent.h"

struct fixture {
	struct fake_agent *agent;
	struct consul_options options;
	struct discovery *discovery;
	struct discovery_watch *watch;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	const struct instances *list;
	size_t calls;
};

static char *none(const char *name)
{
	return NULL;
}

static int set_up(void **state)
{
	struct fixture *fixture = NEW(struct fixture);

	pthread_mutex_init(&fixture->lock, NULL);
	pthread_cond_init(&fixture->changed, NULL);
	fixture->agent = fake_agent_new();
	assert_true(consul_options_read(&fixture->options, none, "flashsale", NULL));
	free(fixture->options.base);
	fixture->options.base = memory_format("http://127.0.0.1:%d", fixture->agent->port);
	fixture->options.look_ms = 50;
	fixture->options.backoff_max_ms = 50;
	log_set_descriptor(open("/dev/null", O_WRONLY | O_CLOEXEC));
	*state = fixture;
	return 0;
}

static void hear(void *context, const struct instances *list)
{
	struct fixture *fixture = context;

	pthread_mutex_lock(&fixture->lock);
	instances_drop(fixture->list);
	fixture->list = instances_keep(list);
	fixture->calls++;
	pthread_cond_broadcast(&fixture->changed);
	pthread_mutex_unlock(&fixture->lock);
}

static struct discovery *begin(struct fixture *fixture)
{
	struct error error;

	fixture->discovery = discovery_consul_new(&fixture->options, &error);
	if (!fixture->discovery)
		fail_msg("%s", error.text);
	return fixture->discovery;
}

static void begin_watch(struct fixture *fixture)
{
	begin(fixture);
	fixture->watch = discovery_watch(fixture->discovery, "cart", hear, fixture);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	discovery_unwatch(fixture->watch);
	discovery_free(fixture->discovery);
	fake_agent_free(fixture->agent);
	consul_options_release(&fixture->options);
	instances_drop(fixture->list);
	free(fixture);
	return 0;
}

/* Until the list is `words`: "a:0 b:2" for ids and their health. */
static void wait_for(struct fixture *fixture, const char *words)
{
	struct timespec end;
	char text[256] = "";

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 60;
	pthread_mutex_lock(&fixture->lock);
	for (;;) {
		if (fixture->list) {
			text[0] = '\0';
			for (size_t i = 0; i < fixture->list->count; i++)
				sprintf(text + strlen(text), "%s%s:%d", i ? " " : "",
					fixture->list->items[i].id, (int)fixture->list->items[i].health);
			if (!strcmp(text, words))
				break;
		}
		if (pthread_cond_timedwait(&fixture->changed, &fixture->lock, &end))
			fail_msg("heard '%s', not '%s'", text, words);
	}
	pthread_mutex_unlock(&fixture->lock);
}

static size_t calls_of(struct fixture *fixture)
{
	size_t calls;

	pthread_mutex_lock(&fixture->lock);
	calls = fixture->calls;
	pthread_mutex_unlock(&fixture->lock);
	return calls;
}

/* The agent's list becomes these ids, all passing, with this index. */
static void say(struct fixture *fixture, const char *index, const char *ids)
{
	char body[4096] = "[";

	for (size_t i = 0; ids[i]; i++) {
		char id[2] = {ids[i], '\0'};

		sprintf(body + strlen(body), "%s%s", i ? "," : "",
			fake_entry(id, "10.0.0.1", 1, "", "passing"));
	}
	strcat(body, "]");
	fake_agent_say(fixture->agent, 200, index, body);
}

static int64_t metric_of(const char *name)
{
	size_t size;
	char *text = metrics_text(&size), *line = text;
	int64_t value = -1;

	while ((line = strstr(line, name))) {
		if (line[strlen(name)] == ' ' && line[-1] == '\n')
			value = strtoll(line + strlen(name) + 1, NULL, 10);
		line++;
	}
	free(text);
	return value;
}

static void changes_are_heard(void **state)
{
	struct fixture *fixture = *state;

	say(fixture, "7", "a");
	begin_watch(fixture);
	wait_for(fixture, "a:0");
	fake_agent_await_note(fixture->agent, "GET /v1/health/service/flashsale-cart index=7 wait=30000ms");
	assert_non_null(strstr(fixture->agent->notes[0], "index= wait=")); /* the first does not block */
	say(fixture, "8", "ab");
	wait_for(fixture, "a:0 b:0");
	assert_int_equal(metric_of("flashsale_discovery_instances{service=\"cart\"}"), 2);
	assert_int_equal(metric_of("flashsale_discovery_watch_age_seconds{service=\"cart\"}"), 0);
	say(fixture, "9", "ab");
	fake_agent_await_note(fixture->agent, "index=9");
	assert_int_equal(calls_of(fixture), 2); /* a return is no change */
	say(fixture, "10", "");
	wait_for(fixture, "");
}

static void a_second_watch_and_a_late_one(void **state)
{
	struct fixture *fixture = *state;
	struct discovery_watch *second;

	say(fixture, "7", "a");
	begin_watch(fixture);
	wait_for(fixture, "a:0");
	second = discovery_watch(fixture->discovery, "cart", hear, fixture);
	assert_int_equal(calls_of(fixture), 2); /* at once */
	discovery_unwatch(second);
	say(fixture, "8", "b");
	wait_for(fixture, "b:0");
	assert_int_equal(calls_of(fixture), 3);
	discovery_unwatch(fixture->watch);
	fixture->watch = discovery_watch(fixture->discovery, "policy", hear, fixture);
	fake_agent_await_note(fixture->agent, "flashsale-policy index= ");
}

static void an_index_that_goes_back(void **state)
{
	struct fixture *fixture = *state;
	size_t count;

	say(fixture, "700", "a");
	begin_watch(fixture);
	fake_agent_await_note(fixture->agent, "index=700");
	say(fixture, "20", "b");
	wait_for(fixture, "a:2 b:0");
	fake_agent_await_note(fixture->agent, "index=20 ");
	count = fixture->agent->count;
	assert_non_null(
		strstr(fixture->agent->notes[count - 2], "index= ")); /* begun anew, then it blocks again */
}

static void the_agent_is_away_at_first(void **state)
{
	struct fixture *fixture = *state;

	fake_agent_stop(fixture->agent);
	begin_watch(fixture);
	while (metric_of("flashsale_discovery_watch_failures_total{service=\"cart\"}") < 3)
		usleep(1000);
	assert_int_equal(
		calls_of(fixture), 0); /* nothing is known, which is not the same as nobody is there */
	say(fixture, "7", "a");
	fake_agent_start(fixture->agent);
	wait_for(fixture, "a:0");
}

static void the_agent_forgets(void **state)
{
	struct fixture *fixture = *state;

	say(fixture, "700", "ab");
	fixture->options.linger_ms = 200;
	begin_watch(fixture);
	wait_for(fixture, "a:0 b:0");
	fake_agent_stop(fixture->agent);
	say(fixture, "3", "b");
	while (metric_of("flashsale_discovery_watch_failures_total{service=\"cart\"}") < 1)
		usleep(1000);
	assert_int_equal(calls_of(fixture), 1);
	fake_agent_start(fixture->agent);
	wait_for(fixture, "a:2 b:0");
	usleep(250 * 1000); /* past linger_ms: the next answer takes a away */
	say(fixture, "4", "bc");
	wait_for(fixture, "b:0 c:0");
}

/* Whatever it says, the last good list stays; then it is well again. */
static void nonsense(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		unsigned status;
		const char *body;
	} rows[] = {{500, "No cluster leader"}, {403, "ACL not found"}, {200, "{}"}, {200, "[{}]"},
		{200, "<html>"}, {200, ""}, {301, "[]"}, {204, ""}, {429, "[]"}};
	int64_t failures = 0;

	say(fixture, "7", "a");
	begin_watch(fixture);
	wait_for(fixture, "a:0");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fake_agent_say(fixture->agent, rows[i].status, "8", rows[i].body);
		while (metric_of("flashsale_discovery_watch_failures_total{service=\"cart\"}") < failures + 2)
			usleep(1000);
		failures = metric_of("flashsale_discovery_watch_failures_total{service=\"cart\"}");
	}
	assert_int_equal(calls_of(fixture), 1);
	say(fixture, "9", "ab");
	wait_for(fixture, "a:0 b:0");
}

static void an_index_that_is_none(void **state)
{
	struct fixture *fixture = *state;
	static const char *const rows[] = {"", "0", "-1", "x", "1x", "99999999999999999999999", " "};

	begin_watch(fixture);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t count = fixture->agent->count;

		say(fixture, rows[i], i % 2 ? "a" : "b");
		wait_for(fixture, i % 2 ? (i == 1 ? "a:0" : "a:0") : "b:0");
		fake_agent_await_notes(fixture->agent, count + 1);
	}
	fake_agent_await_note(fixture->agent, "index=1 ");
}

static void an_answer_without_an_end(void **state)
{
	struct fixture *fixture = *state;
	char *large = memory_new((5 << 20) + 1);

	memset(large, ' ', 5 << 20);
	memcpy(large, "[]", 2); /* its beginning alone would be an answer */
	say(fixture, "7", "a");
	begin_watch(fixture);
	wait_for(fixture, "a:0");
	fake_agent_say(fixture->agent, 200, "8", large);
	while (metric_of("flashsale_discovery_watch_failures_total{service=\"cart\"}") < 2)
		usleep(1000);
	say(fixture, "9", "b");
	wait_for(fixture, "a:2 b:0");
	free(large);
}

static void an_answer_that_does_not_come(void **state)
{
	struct fixture *fixture = *state;

	fixture->options.answer_ms = 100;
	fixture->options.wait_ms = 100;
	fake_agent_say(fixture->agent, 0, "", "");
	begin_watch(fixture);
	while (metric_of("flashsale_discovery_watch_failures_total{service=\"cart\"}") < 2)
		usleep(1000);
	say(fixture, "9", "b");
	wait_for(fixture, "b:0");
}

static const struct registration self = {.service = "cart",
	.self = {.id = "cart-h/1",
		.address = "10.1.2.3:8084",
		.admin_address = "",
		.version = "1.0",
		.shard = 0,
		.shards = 1},
	.health_service = ""};

static void a_registration_is_kept_up(void **state)
{
	struct fixture *fixture = *state;
	struct discovery *discovery = begin(fixture);

	assert_true(discovery_register(discovery, &self, NULL));
	fake_agent_await_note(fixture->agent, "PUT /v1/agent/service/register");
	fake_agent_await_note(
		fixture->agent, "GET /v1/agent/service/cart-h/1"); /* the server decodes the path */
	assert_int_equal(fixture->agent->registrations, 1);
	assert_int_equal(metric_of("flashsale_discovery_registered"), 1);
	fake_agent_forget(fixture->agent);
	fake_agent_await_registrations(fixture->agent, 2);
	fake_agent_replace(
		fixture->agent, "{\"Service\":\"flashsale-cart\",\"Address\":\"10.1.2.4\",\"Port\":8084}");
	fake_agent_await_registrations(fixture->agent, 3);
	discovery_deregister(discovery);
	assert_null(fixture->agent->registered); /* it has arrived when deregister returns */
	discovery_deregister(discovery);
	assert_int_equal(fixture->agent->registrations, 3);
}

static void a_registration_waits_for_the_agent(void **state)
{
	struct fixture *fixture = *state;
	struct discovery *discovery;

	fake_agent_stop(fixture->agent);
	discovery = begin(fixture);
	assert_true(discovery_register(discovery, &self, NULL));
	while (metric_of("flashsale_discovery_registration_failures_total") < 2)
		usleep(1000);
	fake_agent_say_self(fixture->agent, 403);
	fake_agent_start(fixture->agent);
	fake_agent_await_note(fixture->agent, "PUT");
	assert_int_equal(metric_of("flashsale_discovery_registered"), 0);
	fake_agent_say_self(fixture->agent, 0);
	fake_agent_await_registrations(fixture->agent, 1);
	discovery_deregister(discovery);
	assert_null(fixture->agent->registered);
}

static void leaving_an_agent_that_does_not_answer(void **state)
{
	struct fixture *fixture = *state;
	struct discovery *discovery = begin(fixture);
	int64_t begun_ns = clock_mono_ns();

	fake_agent_say_self(fixture->agent, 999);
	assert_true(discovery_register(discovery, &self, NULL));
	fake_agent_await_note(fixture->agent, "PUT");
	discovery_deregister(discovery); /* bounded: a test that hangs here fails by its own limit */
	assert_true(clock_mono_ns() - begun_ns < 60 * 1000000000LL);
}

static void leaving_when_the_agent_is_away(void **state)
{
	struct fixture *fixture = *state;
	struct discovery *discovery = begin(fixture);

	assert_true(discovery_register(discovery, &self, NULL));
	fake_agent_await_registrations(fixture->agent, 1);
	fake_agent_stop(fixture->agent);
	discovery_deregister(discovery);
	assert_int_equal(metric_of("flashsale_discovery_registered"), 0);
}

static void what_is_no_registration(void **state)
{
	struct fixture *fixture = *state;
	struct discovery *discovery = begin(fixture);
	struct registration bad = self;
	struct error error;

	bad.self.address = "nowhere";
	assert_false(discovery_register(discovery, &bad, &error));
	discovery_deregister(discovery); /* nothing to leave */
}

static void an_agent_that_is_back_is_asked_at_once(void **state)
{
	struct fixture *fixture = *state;

	fixture->options.look_ms = 3600 * 1000;
	begin_watch(fixture);
	assert_true(discovery_register(fixture->discovery, &self, NULL));
	fake_agent_await_registrations(fixture->agent, 1);
	wait_for(fixture, "");
	fake_agent_stop(fixture->agent);
	fake_agent_forget(fixture->agent);
	while (metric_of("flashsale_discovery_watch_failures_total{service=\"cart\"}") < 1)
		usleep(1000);
	fake_agent_start(fixture->agent);
	fake_agent_await_registrations(fixture->agent, 2); /* long before an hour is over */
}

static void token_and_namespace_are_sent(void **state)
{
	struct fixture *fixture = *state;
	char path[] = "/tmp/test_consul_XXXXXX";
	int fd = mkstemp(path);

	assert_int_equal(write(fd, "first\n", 6), 6);
	fixture->options.token_file = memory_copy_text(path);
	free(fixture->options.query);
	fixture->options.query = memory_copy_text("&ns=shop");
	begin_watch(fixture);
	fake_agent_await_note(fixture->agent, "index=1 wait=30000ms ns=shop token=first");
	assert_non_null(strstr(fixture->agent->notes[0], "ns=shop token=first"));
	assert_true(discovery_register(fixture->discovery, &self, NULL));
	fake_agent_await_note(
		fixture->agent, "PUT /v1/agent/service/register index= wait= ns=shop token=first");
	assert_int_equal(pwrite(fd, "other\n", 6, 0), 6);
	fake_agent_await_note(fixture->agent, "token=other");
	unlink(path);
	close(fd);
	while (metric_of("flashsale_discovery_registration_failures_total") < 1)
		usleep(1000);
}

static void a_unix_socket(void **state)
{
	struct fixture *fixture = *state;
	char path[64];

	snprintf(path, sizeof(path), "/tmp/test_consul_%d.sock", (int)getpid());
	fake_agent_listen_unix(fixture->agent, path);
	fixture->options.socket = memory_copy_text(path);
	say(fixture, "7", "a");
	begin_watch(fixture);
	wait_for(fixture, "a:0");
	unlink(path);
}

static void the_end_does_not_wait_for_a_blocking_query(void **state)
{
	struct fixture *fixture = *state;

	begin_watch(fixture);
	fake_agent_await_note(fixture->agent, "index=1 ");
	/* tear_down frees it; ctest's limit is the judge */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(changes_are_heard),
		TEST(a_second_watch_and_a_late_one),
		TEST(an_index_that_goes_back),
		TEST(the_agent_is_away_at_first),
		TEST(the_agent_forgets),
		TEST(nonsense),
		TEST(an_index_that_is_none),
		TEST(an_answer_without_an_end),
		TEST(an_answer_that_does_not_come),
		TEST(a_registration_is_kept_up),
		TEST(a_registration_waits_for_the_agent),
		TEST(leaving_an_agent_that_does_not_answer),
		TEST(leaving_when_the_agent_is_away),
		TEST(what_is_no_registration),
		TEST(an_agent_that_is_back_is_asked_at_once),
		TEST(token_and_namespace_are_sent),
		TEST(a_unix_socket),
		TEST(the_end_does_not_wait_for_a_blocking_query),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
