/* Names in a static list: each address an instance, asked for again and again, and what was known once stays. */
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

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "discovery/static.h"
#include "discovery/static_expand.h"
#include "tests/unit/discovery/fake_dns.h"

struct fixture {
	char path[64];
	struct fake_dns *dns;
	struct discovery *discovery;
	struct discovery_watch *watch;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	const struct instances *list;
	size_t calls;
};

static int set_up(void **state)
{
	struct fixture *fixture = NEW(struct fixture);

	strcpy(fixture->path, "/tmp/test_names_XXXXXX");
	close(mkstemp(fixture->path));
	fixture->dns = fake_dns_new();
	pthread_mutex_init(&fixture->lock, NULL);
	pthread_cond_init(&fixture->changed, NULL);
	log_set_descriptor(open("/dev/null", O_WRONLY | O_CLOEXEC));
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	discovery_unwatch(fixture->watch);
	discovery_free(fixture->discovery);
	fake_dns_free(fixture->dns);
	instances_drop(fixture->list);
	unlink(fixture->path);
	free(fixture);
	return 0;
}

static void put_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	fputs(text, file);
	fclose(file);
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

static void begin(struct fixture *fixture, const char *text, int64_t resolve_ms)
{
	struct error error;

	put_file(fixture->path, text);
	fixture->discovery =
		discovery_static_new_with(fixture->path, fixture->dns->servers, resolve_ms, &error);
	if (!fixture->discovery)
		fail_msg("%s", error.text);
	fixture->watch = discovery_watch(fixture->discovery, "cart", hear, fixture);
}

/* Until the list is "id=address|admin ..." */
static void wait_for(struct fixture *fixture, const char *words)
{
	struct timespec end;
	char text[1024] = "";

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 60;
	pthread_mutex_lock(&fixture->lock);
	for (;;) {
		text[0] = '\0';
		for (size_t i = 0; fixture->list && i < fixture->list->count; i++)
			sprintf(text + strlen(text), "%s%s=%s|%s", i ? " " : "", fixture->list->items[i].id,
				fixture->list->items[i].address, fixture->list->items[i].admin_address);
		if (!strcmp(text, words))
			break;
		if (pthread_cond_timedwait(&fixture->changed, &fixture->lock, &end))
			fail_msg("heard '%s', not '%s'", text, words);
	}
	pthread_mutex_unlock(&fixture->lock);
}

static void an_instance_an_address(void **state)
{
	struct fixture *fixture = *state;

	fake_dns_say(fixture->dns, "10.0.0.2 10.0.0.1 10.0.0.2");
	begin(fixture, "cart carts.example:1 admin=carts.example:2\ncart 10.0.0.9:1\n", 20);
	wait_for(fixture, "cart-10.0.0.1:1=10.0.0.1:1|10.0.0.1:2 cart-10.0.0.2:1=10.0.0.2:1|10.0.0.2:2 "
			  "cart-10.0.0.9:1=10.0.0.9:1|");
	fake_dns_say(fixture->dns, "10.0.0.3 10.0.0.1");
	wait_for(fixture, "cart-10.0.0.1:1=10.0.0.1:1|10.0.0.1:2 cart-10.0.0.3:1=10.0.0.3:1|10.0.0.3:2 "
			  "cart-10.0.0.9:1=10.0.0.9:1|");
}

static void both_families_are_one_pod(void **state)
{
	struct fixture *fixture = *state;

	fake_dns_say(fixture->dns, "2001:db8::2 2001:db8::1");
	begin(fixture, "cart carts.example:1\n", 20);
	wait_for(fixture, "cart-[2001:db8::1]:1=[2001:db8::1]:1| cart-[2001:db8::2]:1=[2001:db8::2]:1|");
	fake_dns_say(fixture->dns, "2001:db8::1 10.0.0.1");
	wait_for(fixture, "cart-10.0.0.1:1=10.0.0.1:1|");
}

static void ids_and_shards(void **state)
{
	struct fixture *fixture = *state;

	fake_dns_say(fixture->dns, "10.0.0.1");
	begin(fixture,
		"cart cart-0.example:1 shard=0/2 id=zero admin=other.example:2\ncart cart-1.example:2 "
		"shard=1/2\n",
		20);
	wait_for(fixture, "cart-10.0.0.1:2=10.0.0.1:2| zero=10.0.0.1:1|other.example:2");
	assert_int_equal(fixture->list->items[0].shard, 1);
	assert_int_equal(fixture->list->items[1].shard, 0);
	assert_int_equal(fixture->list->items[1].shards, 2);
	fake_dns_say(fixture->dns, "10.0.0.2"); /* it moved, and is still the same */
	wait_for(fixture, "cart-10.0.0.2:2=10.0.0.2:2| zero=10.0.0.2:1|other.example:2");
	fake_dns_say(fixture->dns, "10.0.0.1 10.0.0.2");
	wait_for(fixture, "cart-10.0.0.1:2=10.0.0.1:2| cart-10.0.0.2:2=10.0.0.2:2| "
			  "zero@10.0.0.1:1=10.0.0.1:1|other.example:2 "
			  "zero@10.0.0.2:1=10.0.0.2:1|other.example:2");
}

static void what_was_known_stays(void **state)
{
	struct fixture *fixture = *state;

	fake_dns_say(fixture->dns, "10.0.0.1");
	begin(fixture, "cart carts.example:1\n", 20);
	wait_for(fixture, "cart-10.0.0.1:1=10.0.0.1:1|");
	for (enum fake_dns_mood mood = FAKE_DNS_NO_SUCH_NAME; mood <= FAKE_DNS_NONSENSE; mood++) {
		fake_dns_mood(fixture->dns, mood);
		fake_dns_await_questions(fixture->dns, 3);
	}
	fake_dns_mood(fixture->dns, FAKE_DNS_WELL);
	fake_dns_say(fixture->dns, ""); /* no address at all */
	fake_dns_await_questions(fixture->dns, 8);
	wait_for(fixture, "cart-10.0.0.1:1=10.0.0.1:1|");
	fake_dns_say(fixture->dns, "10.0.0.2");
	wait_for(fixture, "cart-10.0.0.2:1=10.0.0.2:1|");
	assert_in_range(fixture->calls, 2, 3); /* nobody (unless that was too quick to see), one, another */
}

static void unknown_at_first(void **state)
{
	struct fixture *fixture = *state;

	fake_dns_mood(fixture->dns, FAKE_DNS_FAILS);
	begin(fixture, "cart carts.example:1\ncart 10.0.0.9:1\n", 20);
	wait_for(fixture, "cart-10.0.0.9:1=10.0.0.9:1|"); /* the others do not wait */
	fake_dns_await_questions(fixture->dns, 4);
	fake_dns_say(fixture->dns, "10.0.0.1");
	fake_dns_mood(fixture->dns, FAKE_DNS_WELL);
	wait_for(fixture, "cart-10.0.0.1:1=10.0.0.1:1| cart-10.0.0.9:1=10.0.0.9:1|");
}

static void a_new_file_is_asked_for_at_once(void **state)
{
	struct fixture *fixture = *state;

	fake_dns_say(fixture->dns, "10.0.0.1");
	begin(fixture, "cart one.example:1\n", 3600 * 1000);
	wait_for(fixture, "cart-10.0.0.1:1=10.0.0.1:1|");
	fake_dns_say(fixture->dns, "10.0.0.2");
	put_file(fixture->path, "cart two.example:1\n");
	wait_for(fixture, "cart-10.0.0.2:1=10.0.0.2:1|");
	put_file(fixture->path, "cart 127.0.0.1:1\n");
	wait_for(fixture, "cart-127.0.0.1:1=127.0.0.1:1|");
}

static void two_names_with_one_address(void **state)
{
	struct fixture *fixture = *state;

	fake_dns_say(fixture->dns, "10.0.0.1 10.0.0.2");
	begin(fixture, "cart one.example:1\ncart two.example:1\ncart 10.0.0.2:1\n", 20);
	wait_for(fixture, "cart-10.0.0.1:1=10.0.0.1:1| cart-10.0.0.2:1=10.0.0.2:1|");
}

/* Answered without a server. */
static void localhost(void **state)
{
	struct fixture *fixture = *state;

	fake_dns_mood(fixture->dns, FAKE_DNS_FAILS);
	begin(fixture, "cart localhost:1\n", 20);
	wait_for(fixture, "cart-127.0.0.1:1=127.0.0.1:1|");
}

static void the_end_does_not_wait_for_a_server(void **state)
{
	struct fixture *fixture = *state;

	fake_dns_mood(fixture->dns, FAKE_DNS_SILENT);
	begin(fixture, "cart carts.example:1\n", 20);
	fake_dns_await_questions(fixture->dns, 1);
}

static void too_many_names(void **state)
{
	struct text text;
	struct static_file file;
	struct error error;
	char **names;
	size_t count;

	text_init(&text, 1 << 20);
	for (int i = 0; i <= RESOLVER_NAMES_MAX; i++)
		text_appendf(&text, "cart name%d:1\npolicy name%d:1\n", i, i);
	assert_true(static_file_parse(&file, text.data, text.length, "list", &error));
	assert_false(static_names(&file, &names, &count, &error));
	assert_non_null(strstr(error.text, "more than 256 different names"));
	file.services[0].count--;
	file.services[1].count--;
	assert_true(static_names(&file, &names, &count, &error));
	assert_int_equal(count, RESOLVER_NAMES_MAX);
	static_names_free(names, count);
	file.services[0].count++;
	file.services[1].count++;
	static_file_release(&file);
	text_release(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_instance_an_address),
		TEST(both_families_are_one_pod),
		TEST(ids_and_shards),
		TEST(what_was_known_stays),
		TEST(unknown_at_first),
		TEST(a_new_file_is_asked_for_at_once),
		TEST(two_names_with_one_address),
		TEST(localhost),
		TEST(the_end_does_not_wait_for_a_server),
		cmocka_unit_test(too_many_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
