/* The static list as its users see it: read at start, read again when the file changes, the last good one kept. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "discovery/static.h"

struct fixture {
	char folder[64], path[96], other[96];
	struct discovery *discovery;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	const struct instances *list;
};

static void put_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void rename_over(struct fixture *fixture, const char *text)
{
	put_file(fixture->other, text);
	assert_int_equal(rename(fixture->other, fixture->path), 0);
}

static void hear(void *context, const struct instances *list)
{
	struct fixture *fixture = context;

	pthread_mutex_lock(&fixture->lock);
	instances_drop(fixture->list);
	fixture->list = instances_keep(list);
	pthread_cond_broadcast(&fixture->changed);
	pthread_mutex_unlock(&fixture->lock);
}

static uint64_t version_of(struct fixture *fixture)
{
	uint64_t version;

	pthread_mutex_lock(&fixture->lock);
	version = fixture->list->version;
	pthread_mutex_unlock(&fixture->lock);
	return version;
}

static size_t count_of(struct fixture *fixture)
{
	size_t count;

	pthread_mutex_lock(&fixture->lock);
	count = fixture->list ? fixture->list->count : SIZE_MAX;
	pthread_mutex_unlock(&fixture->lock);
	return count;
}

static void wait_for_count(struct fixture *fixture, size_t count)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 60;
	pthread_mutex_lock(&fixture->lock);
	while (!fixture->list || fixture->list->count != count)
		assert_int_equal(pthread_cond_timedwait(&fixture->changed, &fixture->lock, &end), 0);
	pthread_mutex_unlock(&fixture->lock);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	strcpy(fixture->folder, "/tmp/test_static_XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	snprintf(fixture->path, sizeof(fixture->path), "%s/list", fixture->folder);
	snprintf(fixture->other, sizeof(fixture->other), "%s/other", fixture->folder);
	pthread_mutex_init(&fixture->lock, NULL);
	pthread_cond_init(&fixture->changed, NULL);
	log_set_descriptor(open("/dev/null", O_WRONLY | O_CLOEXEC));
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	instances_drop(fixture->list);
	unlink(fixture->path);
	unlink(fixture->other);
	rmdir(fixture->folder);
	free(fixture);
	return 0;
}

static void start_refuses(void **state)
{
	struct fixture *fixture = *state;
	struct error error;

	assert_null(discovery_static_new(fixture->path, &error));
	assert_non_null(strstr(error.text, fixture->path));
	put_file(fixture->path, "cart 127.0.0.1:1\ncart nowhere\n");
	assert_null(discovery_static_new(fixture->path, &error));
	assert_non_null(strstr(error.text, "list:2: "));
	assert_null(discovery_static_new("/no/such/folder/list", &error));
	assert_non_null(strstr(error.text, "/no/such/folder"));
}

static void fixed_lines_need_no_file(void **state)
{
	struct fixture *fixture = *state;
	struct discovery *discovery;
	struct discovery_watch *watch;
	struct error error;

	assert_null(discovery_static_new_fixed("policy nowhere\n", "--replica-of", &error));
	assert_non_null(strstr(error.text, "--replica-of"));
	discovery = discovery_static_new_fixed("policy 127.0.0.1:1\n", "--replica-of", &error);
	assert_non_null(discovery);
	watch = discovery_watch(discovery, "policy", hear, fixture);
	assert_int_equal(count_of(fixture), 1);
	assert_string_equal(fixture->list->items[0].address, "127.0.0.1:1");
	discovery_unwatch(watch);
	discovery_free(discovery);
}

static void a_file_that_is_too_large(void **state)
{
	struct fixture *fixture = *state;
	struct error error;

	put_file(fixture->path, "cart 127.0.0.1:1\n");
	assert_int_equal(truncate(fixture->path, 3 << 20), 0);
	assert_null(discovery_static_new(fixture->path, &error));
	assert_non_null(strstr(error.text, "larger"));
}

static void changes_are_heard(void **state)
{
	struct fixture *fixture = *state;
	struct discovery *discovery;
	struct discovery_watch *watch;
	uint64_t version;

	put_file(fixture->path, "cart 127.0.0.1:1\n");
	discovery = discovery_static_new(fixture->path, NULL);
	assert_non_null(discovery);
	watch = discovery_watch(discovery, "cart", hear, fixture);
	assert_int_equal(count_of(fixture), 1); /* at once */
	version = version_of(fixture);
	put_file(fixture->path, "cart 127.0.0.1:1\ncart 127.0.0.1:2\n");
	wait_for_count(fixture, 2);
	assert_true(version_of(fixture) > version);
	rename_over(fixture, "cart 127.0.0.1:1\ncart 127.0.0.1:2\ncart 127.0.0.1:3\n");
	wait_for_count(fixture, 3);
	rename_over(fixture, "policy 127.0.0.1:1\n");
	wait_for_count(fixture, 0);
	discovery_unwatch(watch);
	discovery_free(discovery);
}

static void the_last_good_list_stays(void **state)
{
	struct fixture *fixture = *state;
	struct discovery *discovery;
	struct discovery_watch *watch;
	uint64_t version;

	put_file(fixture->path, "cart 127.0.0.1:1\n");
	discovery = discovery_static_new(fixture->path, NULL);
	watch = discovery_watch(discovery, "cart", hear, fixture);
	version = version_of(fixture);
	rename_over(fixture, "cart 127.0.0.1:1\ncart 127.0.0.1:2\nnonsense\n");
	unlink(fixture->path);
	rename_over(fixture, "cart 127.0.0.1:1\ncart 127.0.0.1:2\ncart 127.0.0.1:3\n");
	wait_for_count(fixture, 3);
	assert_int_equal(version_of(fixture), version + 1); /* nothing in between */
	discovery_unwatch(watch);
	discovery_free(discovery);
}

static void a_service_nobody_named(void **state)
{
	struct fixture *fixture = *state;
	struct discovery *discovery;
	struct discovery_watch *watch;

	put_file(fixture->path, "cart 127.0.0.1:1\n");
	discovery = discovery_static_new(fixture->path, NULL);
	watch = discovery_watch(discovery, "policy", hear, fixture);
	assert_int_equal(count_of(fixture), 0);
	rename_over(fixture, "policy 127.0.0.1:1\n");
	wait_for_count(fixture, 1);
	discovery_unwatch(watch);
	discovery_free(discovery);
}

static void registering_has_nothing_to_do(void **state)
{
	struct fixture *fixture = *state;
	struct registration self = {.service = "cart",
		.self = {.id = "cart-0",
			.address = "h:1",
			.admin_address = "",
			.version = "",
			.shard = 0,
			.shards = 1},
		.health_service = ""};
	struct discovery *discovery;

	put_file(fixture->path, "");
	discovery = discovery_static_new(fixture->path, NULL);
	assert_true(discovery_register(discovery, &self, NULL));
	self.health_service = NULL; /* which would be asked at the admin address */
	assert_false(discovery_register(discovery, &self, NULL));
	self.self.admin_address = "h:2";
	assert_true(discovery_register(discovery, &self, NULL));
	self.self.address = "nowhere";
	assert_false(discovery_register(discovery, &self, NULL));
	discovery_deregister(discovery);
	discovery_free(discovery);
}

static void the_folder_comes_back(void **state)
{
	struct fixture *fixture = *state;
	struct discovery *discovery;
	struct discovery_watch *watch;
	char away[96];

	snprintf(away, sizeof(away), "%s-away", fixture->folder);
	put_file(fixture->path, "cart 127.0.0.1:1\n");
	discovery = discovery_static_new(fixture->path, NULL);
	watch = discovery_watch(discovery, "cart", hear, fixture);
	assert_int_equal(rename(fixture->folder, away), 0);
	assert_int_equal(mkdir(fixture->folder, 0700), 0);
	put_file(fixture->path, "cart 127.0.0.1:1\ncart 127.0.0.1:2\n");
	wait_for_count(fixture, 2);
	for (int i = 0; i < 3;
		i++) { /* again and again: the folder that is there now is the one that is watched */
		rename_over(fixture, "cart 127.0.0.1:1\ncart 127.0.0.1:2\ncart 127.0.0.1:3\n");
		wait_for_count(fixture, 3);
		rename_over(fixture, "cart 127.0.0.1:1\n");
		wait_for_count(fixture, 1);
	}
	discovery_unwatch(watch);
	discovery_free(discovery);
	strcat(away, "/list");
	unlink(away);
	*strrchr(away, '/') = '\0';
	rmdir(away);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(start_refuses, set_up, tear_down),
		cmocka_unit_test_setup_teardown(fixed_lines_need_no_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_is_too_large, set_up, tear_down),
		cmocka_unit_test_setup_teardown(changes_are_heard, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_last_good_list_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_service_nobody_named, set_up, tear_down),
		cmocka_unit_test_setup_teardown(registering_has_nothing_to_do, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_folder_comes_back, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
