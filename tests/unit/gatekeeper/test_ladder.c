/* The rungs between welcome and banned: limits of slowed clients, solutions that count once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"
#include "gatekeeper/edge/ladder.h"
#include "solver.h"

#define DIFFICULTY 4
#define LIFETIME_S 60
#define NOW_MS INT64_C(1767225600000)
#define MS INT64_C(1000000)
#define START_NS (INT64_C(1000) * 1000 * MS)

static const struct ladder_options options = {
	.difficulty = DIFFICULTY, .lifetime_s = LIFETIME_S, .account_rate = 2, .address_rate = 5};
static const struct ban_verdict slow_account = {.effect = BAN_SLOW, .ban_id = "s1"},
				slow_address = {.effect = BAN_SLOW, .of_address = true, .ban_id = "s2"},
				other_address = {.effect = BAN_SLOW, .of_address = true, .ban_id = "s3"},
				challenged = {.effect = BAN_CHALLENGE, .ban_id = "c1"};
static struct ladder *ladder;

static int setup(void **state)
{
	ladder = ladder_new(&options, NULL);
	return ladder ? 0 : -1;
}

static int teardown(void **state)
{
	ladder_free(ladder);
	return 0;
}

/* 0: it may go on; else when to try again, in milliseconds. */
static int64_t wait_of(const struct ban_verdict *ban, const char *user, int64_t now_ns)
{
	const struct ladder_client client = {.ban = ban, .user_id = user};
	int64_t wait_ms = -1;

	if (ladder_pass(ladder, &client, now_ns, &wait_ms))
		return 0;
	assert_true(wait_ms > 0);
	return wait_ms;
}

static void test_a_slowed_account_keeps_its_rate(void **state)
{
	for (int i = 0; i < 4; i++)
		assert_int_equal(wait_of(&slow_account, "eve", START_NS), 0);
	assert_int_equal(wait_of(&slow_account, "eve", START_NS), 500);
	assert_int_equal(wait_of(&slow_account, "eve", START_NS + 499 * MS), 1);
	assert_int_equal(wait_of(&slow_account, "eve", START_NS + 500 * MS), 0);
	assert_int_equal(wait_of(&slow_account, "eve", START_NS + 500 * MS), 500);
	assert_int_equal(wait_of(&slow_account, "ann", START_NS), 0);
}

/* However often it asks in between: what is refused costs nothing, and over a long time exactly the rate goes through. */
static void test_over_a_minute_it_is_the_rate(void **state)
{
	int passed = 0;

	for (int64_t at_ms = 0; at_ms < 60000; at_ms += 3)
		passed += wait_of(&slow_account, "eve", START_NS + at_ms * MS) == 0;
	assert_in_range(passed, 2 * 60, 2 * 60 + 4);
}

static void test_a_slowed_address_shares_one_limit(void **state)
{
	char user[16];
	int passed = 0;

	for (int i = 0; i < 100; i++) {
		snprintf(user, sizeof(user), "user%d", i);
		passed += wait_of(&slow_address, user, START_NS) == 0;
	}
	assert_int_equal(passed, 10); /* two seconds of 5 */
	assert_int_equal(wait_of(&slow_address, "another", START_NS), 200);
	assert_int_equal(wait_of(&other_address, "another", START_NS), 0);
	assert_int_equal(wait_of(&slow_account, "another", START_NS), 0);
}

static void test_nobody_takes_all_of_a_shared_limit(void **state)
{
	int passed = 0;

	for (int i = 0; i < 100; i++)
		passed += wait_of(&slow_address, "greedy", START_NS) == 0;
	assert_int_equal(passed, 4);
	assert_int_equal(wait_of(&slow_address, "modest", START_NS), 0);
}

/* Past its memory it forgets some, and goes on. */
static void test_memory_is_bounded(void **state)
{
	char user[24];

	for (int i = 0; i < 2 * LADDER_BUCKETS; i++) {
		snprintf(user, sizeof(user), "crowd%d", i);
		assert_int_equal(wait_of(&slow_account, user, START_NS), 0);
	}
	for (int i = 0; i < 4; i++)
		wait_of(&slow_account, "eve", START_NS);
	assert_int_equal(wait_of(&slow_account, "eve", START_NS), 500);
}

/* ---- solutions ---- */

static const char *solution_for(struct ladder *by, const char *user, char text[SOLUTION_TEXT_MAX])
{
	const struct ladder_client client = {.ban = &challenged, .user_id = user};
	char challenge[CHALLENGE_TEXT_MAX];

	ladder_challenge(by, &client, NOW_MS, challenge);
	return solver_search(challenge, 0, DIFFICULTY, true, text);
}

/* "": it counted */
static const char *bring(struct ladder *to, const char *user, const char *solution, int64_t now_ms)
{
	const struct ladder_client client = {.ban = &challenged, .user_id = user};
	const char *why;

	if (ladder_solved(to, &client, (struct edge_slice){solution, strlen(solution)}, now_ms, &why))
		return "";
	assert_true(why[0]);
	return why;
}

static void test_a_solution_counts_once(void **state)
{
	char text[SOLUTION_TEXT_MAX], again[SOLUTION_TEXT_MAX];

	solution_for(ladder, "eve", text);
	assert_string_equal(
		bring(ladder, "eve", "", NOW_MS), "solve the challenge and ask again with the solution");
	assert_string_equal(bring(ladder, "ann", text, NOW_MS),
		"the solution is of another challenge than this client was given");
	assert_string_equal(bring(ladder, "eve", text, NOW_MS), "");
	assert_string_equal(bring(ladder, "eve", text, NOW_MS), "the solution was used before");
	/* Another number that solves the same challenge is no other solution. */
	*strrchr(text, '.') = '\0';
	solver_search(text, 1000000, DIFFICULTY, true, again);
	assert_string_equal(bring(ladder, "eve", again, NOW_MS), "the solution was used before");
	assert_string_equal(
		bring(ladder, "eve", again, NOW_MS + LIFETIME_S * 1000), "the challenge has expired");
	assert_string_equal(bring(ladder, "eve", "v1.4.garbage", NOW_MS), "the solution is not one");
}

/* Of a ban of an address the challenge is for this address alone; of an account's, wherever it is. */
static void test_whose_challenge_it_is(void **state)
{
	const struct ban_verdict of_address = {.effect = BAN_CHALLENGE, .of_address = true, .ban_id = "c2"};
	char challenge[CHALLENGE_TEXT_MAX], text[SOLUTION_TEXT_MAX];
	struct ladder_client client = {.ban = &of_address, .user_id = "eve"};
	struct address here, there;
	const char *why;

	assert_true(address_parse("192.0.2.7", 9, &here) && address_parse("192.0.2.8", 9, &there));
	for (int of_account = 0; of_account < 2; of_account++) {
		client.ban = of_account ? &challenged : &of_address;
		client.address = &here;
		ladder_challenge(ladder, &client, NOW_MS, challenge);
		solver_search(challenge, 0, DIFFICULTY, true, text);
		client.address = &there;
		assert_int_equal(
			ladder_solved(ladder, &client, (struct edge_slice){text, strlen(text)}, NOW_MS, &why),
			of_account);
		client.address = &here;
		assert_int_equal(
			ladder_solved(ladder, &client, (struct edge_slice){text, strlen(text)}, NOW_MS, &why),
			!of_account); /* once */
	}
}

struct rush {
	pthread_barrier_t start;
	const char *solution;
	_Atomic int counted;
};

static void *rush_in(void *context)
{
	struct rush *rush = context;

	pthread_barrier_wait(&rush->start);
	if (!*bring(ladder, "eve", rush->solution, NOW_MS))
		atomic_fetch_add(&rush->counted, 1);
	return NULL;
}

static void test_of_many_at_once_one_counts(void **state)
{
	char text[SOLUTION_TEXT_MAX];
	struct rush rush = {.solution = text};
	pthread_t threads[8];

	pthread_barrier_init(&rush.start, NULL, 8);
	for (int round = 0; round < 50; round++) {
		solution_for(ladder, "eve", text);
		rush.counted = 0;
		for (int i = 0; i < 8; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, rush_in, &rush), 0);
		for (int i = 0; i < 8; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(rush.counted, 1);
	}
	pthread_barrier_destroy(&rush.start);
}

/* As workers of nginx do: memory made before the fork, an edge after it. */
static void test_workers_share_what_was_used(void **state)
{
	struct ladder_options shared = options;
	char text[SOLUTION_TEXT_MAX];
	struct ladder *mine;
	int status;
	pid_t pid;

	shared.memory =
		mmap(NULL, ladder_memory_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared.memory != MAP_FAILED);
	ladder_memory_init(shared.memory);
	mine = ladder_new(&shared, NULL);
	solution_for(mine, "eve", text);
	pid = fork();
	if (pid == 0) {
		struct ladder *theirs = ladder_new(&shared, NULL);
		const bool counted = !*bring(theirs, "eve", text, NOW_MS);

		ladder_free(theirs);
		_exit(counted ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_string_equal(bring(mine, "eve", text, NOW_MS), "the solution was used before");
	ladder_free(mine);
	munmap(shared.memory, ladder_memory_size());
}

/* A worker that dies while it holds the lock stops nobody else. */
static void test_who_dies_with_the_lock(void **state)
{
	struct ladder_options shared = options;
	struct ladder *mine;
	int status;
	pid_t pid;

	shared.memory =
		mmap(NULL, ladder_memory_size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared.memory != MAP_FAILED);
	ladder_memory_init(shared.memory);
	pid = fork();
	if (pid == 0)
		_exit(pthread_mutex_lock(shared.memory)); /* it stands first there */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	mine = ladder;
	ladder = ladder_new(&shared, NULL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(wait_of(&slow_account, "eve", START_NS), 0);
	assert_int_equal(wait_of(&slow_account, "eve", START_NS), 500);
	ladder_free(ladder);
	ladder = mine;
	munmap(shared.memory, ladder_memory_size());
}

static void test_gatekeepers_share_a_key(void **state)
{
	char path[] = "/tmp/ladder-key-XXXXXX", text[SOLUTION_TEXT_MAX];
	const int fd = mkstemp(path);
	struct ladder_options with_key = options;
	struct ladder *one, *other;
	struct error error;

	assert_int_equal(write(fd, "0123456789abcdef0123456789abcdef", 32), 32);
	close(fd);
	with_key.key_file = path;
	one = ladder_new(&with_key, &error);
	other = ladder_new(&with_key, &error);
	unlink(path);
	solution_for(one, "eve", text);
	assert_string_equal(bring(other, "eve", text, NOW_MS), "");
	assert_string_not_equal(bring(ladder, "eve", text, NOW_MS), "");
	ladder_free(one);
	ladder_free(other);
	assert_null(ladder_new(&with_key, &error));
	ladder_free(NULL);
	assert_non_null(strstr(error.text, path));
}

/* With no room left to remember, a solution is not taken rather than taken twice; when the challenges end there is room again. */
static void test_used_ones_are_bounded(void **state)
{
	const struct ladder_client client = {.ban = &challenged, .user_id = "eve"};
	struct ladder_options easy = options;
	char challenge[CHALLENGE_TEXT_MAX], text[SOLUTION_TEXT_MAX];
	int taken = 0, refused = 0;

	easy.difficulty = 1; /* many have to be solved */
	ladder_free(ladder);
	ladder = ladder_new(&easy, NULL);
	for (int i = 0; i < LADDER_USED + LADDER_USED / 4; i++) {
		ladder_challenge(ladder, &client, NOW_MS, challenge);
		solver_search(challenge, 0, 1, true, text);
		if (!*bring(ladder, "eve", text, NOW_MS))
			taken++;
		else
			refused++;
	}
	assert_in_range(taken, LADDER_USED / 2, LADDER_USED);
	assert_in_range(refused, LADDER_USED / 4, LADDER_USED);
	ladder_challenge(ladder, &client, NOW_MS + 1000, challenge);
	solver_search(challenge, 0, 1, true, text);
	assert_string_equal(bring(ladder, "eve", text, NOW_MS + LIFETIME_S * 1000), "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_slowed_account_keeps_its_rate),
		TEST(test_over_a_minute_it_is_the_rate),
		TEST(test_a_slowed_address_shares_one_limit),
		TEST(test_nobody_takes_all_of_a_shared_limit),
		TEST(test_memory_is_bounded),
		TEST(test_a_solution_counts_once),
		TEST(test_whose_challenge_it_is),
		TEST(test_of_many_at_once_one_counts),
		TEST(test_workers_share_what_was_used),
		TEST(test_who_dies_with_the_lock),
		TEST(test_gatekeepers_share_a_key),
		TEST(test_used_ones_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
