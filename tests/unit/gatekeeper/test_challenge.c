/* Challenges: whose, how long, how hard, and nothing else passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

#include "solver.h"

#define DIFFICULTY 6
#define EXPIRE_S 1767225600

static struct challenge_key key;
static const struct challenge_client ann = {"ann", NULL};
static struct challenge_solved solved;
static char challenge[CHALLENGE_TEXT_MAX], solution[SOLUTION_TEXT_MAX];

static int setup(void **state)
{
	challenge_key_random(&key);
	return 0;
}

static struct address address_of(const char *text)
{
	struct address address;

	assert_true(address_parse(text, strlen(text), &address));
	return address;
}

static void solve_for(const struct challenge_client *client)
{
	challenge_make(&key, client, DIFFICULTY, EXPIRE_S, challenge);
	assert_in_range(strlen(challenge), 60, CHALLENGE_TEXT_MAX - 1);
	solver_search(challenge, 0, DIFFICULTY, true, solution);
}

/* From memory of exactly its size: a step past its end is found. */
static enum challenge_end check_bytes(const struct challenge_client *client, const char *text, size_t size)
{
	char *copy = malloc(size ? size : 1);
	enum challenge_end end;

	memcpy(copy, text, size);
	end = challenge_check(&key, client, DIFFICULTY, copy, size, EXPIRE_S - 1, &solved);
	free(copy);
	return end;
}

static enum challenge_end check(const struct challenge_client *client, const char *text)
{
	return check_bytes(client, text, strlen(text));
}

static void test_a_solution_is_good(void **state)
{
	uint8_t first[CHALLENGE_NONCE_BYTES];

	solve_for(&ann);
	assert_int_equal(check(&ann, solution), CHALLENGE_SOLVED);
	assert_int_equal(solved.expire_s, EXPIRE_S);
	memcpy(first, solved.nonce, sizeof(first));
	solve_for(&ann);
	assert_int_equal(check(&ann, solution), CHALLENGE_SOLVED);
	assert_memory_not_equal(first, solved.nonce, sizeof(first));
}

static void test_any_number_that_solves_is_good(void **state)
{
	solve_for(&ann);
	solver_search(challenge, 123456789, DIFFICULTY, true, solution);
	assert_int_equal(check(&ann, solution), CHALLENGE_SOLVED);
	solver_search(challenge, 0, DIFFICULTY, false, solution);
	assert_int_equal(check(&ann, solution), CHALLENGE_NOT_SOLVED);
}

static void test_it_ends(void **state)
{
	solve_for(&ann);
	assert_int_equal(
		challenge_check(&key, &ann, DIFFICULTY, solution, strlen(solution), EXPIRE_S, &solved),
		CHALLENGE_EXPIRED);
}

static void test_it_is_the_clients_own(void **state)
{
	const struct address here = address_of("192.0.2.7"), mapped = address_of("::ffff:192.0.2.7"),
			     there = address_of("192.0.2.8");
	const struct challenge_client at_here = {"ann", &here}, at_mapped = {"ann", &mapped},
				      at_there = {"ann", &there}, bob = {"bob", NULL},
				      bob_here = {"bob", &here}, longer = {"annn", NULL};

	solve_for(&ann);
	assert_int_equal(check(&bob, solution), CHALLENGE_NOT_OURS);
	assert_int_equal(check(&longer, solution), CHALLENGE_NOT_OURS);
	assert_int_equal(check(&at_here, solution), CHALLENGE_NOT_OURS);
	solve_for(&at_here);
	assert_int_equal(check(&at_here, solution), CHALLENGE_SOLVED);
	assert_int_equal(check(&at_mapped, solution), CHALLENGE_SOLVED);
	assert_int_equal(check(&at_there, solution), CHALLENGE_NOT_OURS);
	assert_int_equal(check(&bob_here, solution), CHALLENGE_NOT_OURS);
	assert_int_equal(check(&ann, solution), CHALLENGE_NOT_OURS);
}

static void test_a_host_of_ipv6_moves_within_its_network(void **state)
{
	const struct address here = address_of("2001:db8:1:2::7"), moved = address_of("2001:db8:1:2:3:4:5:6"),
			     elsewhere = address_of("2001:db8:1:3::7");
	const struct challenge_client at_here = {"ann", &here}, at_moved = {"ann", &moved},
				      at_elsewhere = {"ann", &elsewhere};

	solve_for(&at_here);
	assert_int_equal(check(&at_moved, solution), CHALLENGE_SOLVED);
	assert_int_equal(check(&at_elsewhere, solution), CHALLENGE_NOT_OURS);
}

static void test_another_key_takes_nothing(void **state)
{
	struct challenge_key other;

	solve_for(&ann);
	challenge_key_random(&other);
	assert_int_equal(challenge_check(&other, &ann, DIFFICULTY, solution, strlen(solution), 0, &solved),
		CHALLENGE_NOT_OURS);
}

static void test_what_is_too_easy_by_now_is_not_taken(void **state)
{
	solve_for(&ann);
	assert_int_equal(challenge_check(&key, &ann, DIFFICULTY + 1, solution, strlen(solution), 0, &solved),
		CHALLENGE_NOT_OURS);
	assert_int_equal(challenge_check(&key, &ann, DIFFICULTY - 1, solution, strlen(solution), 0, &solved),
		CHALLENGE_SOLVED);
}

/* Whole bytes of zeros, and parts of one. */
static void test_how_hard_it_is(void **state)
{
	static const unsigned difficulties[] = {0, 1, 8, 9};

	for (size_t i = 0; i < sizeof(difficulties) / sizeof(difficulties[0]); i++) {
		const unsigned difficulty = difficulties[i];

		challenge_make(&key, &ann, difficulty, EXPIRE_S, challenge);
		solver_search(challenge, 0, difficulty, true, solution);
		assert_int_equal(
			challenge_check(&key, &ann, difficulty, solution, strlen(solution), 0, &solved),
			CHALLENGE_SOLVED);
		if (!difficulty)
			continue;
		solver_search(challenge, 0, difficulty, false, solution);
		assert_int_equal(
			challenge_check(&key, &ann, difficulty, solution, strlen(solution), 0, &solved),
			CHALLENGE_NOT_SOLVED);
	}
}

/* However long a name is: it is its own. */
static void test_long_names(void **state)
{
	char one[400], other[400];
	const struct challenge_client first = {one, NULL}, second = {other, NULL};

	memset(one, 'a', sizeof(one));
	one[sizeof(one) - 1] = '\0';
	memcpy(other, one, sizeof(one));
	other[sizeof(other) - 2] = 'b';
	solve_for(&first);
	assert_int_equal(check(&first, solution), CHALLENGE_SOLVED);
	assert_int_equal(check(&second, solution), CHALLENGE_NOT_OURS);
}

/* No byte of the challenge can be another, however the rest is solved. */
static void test_nothing_of_it_can_be_changed(void **state)
{
	char changed[CHALLENGE_TEXT_MAX];
	size_t size;

	solve_for(&ann);
	size = strlen(challenge);
	for (size_t i = 0; i < size; i++) {
		memcpy(changed, challenge, size + 1);
		changed[i] = challenge[i] == '1' ? '2' : '1';
		solver_search(changed, 0, DIFFICULTY, true, solution);
		assert_int_not_equal(check(&ann, solution), CHALLENGE_SOLVED);
	}
}

static void test_what_is_malformed(void **state)
{
	static const char *const bad[] = {"", "v1", "v1.", "v2.6.1.", "v1.06.1.", "v1.33.1.", "v1.-1.1.",
		"v1.6.99999999999999999999999999.", "v1.6/1", "v1.6.1767225600.zz",
		"v1.6.1767225600.0g000000000000000000000000000000",
		"v1.6.1767225600./0000000000000000000000000000000",
		"v1.6.1767225600.00A00000000000000000000000000000", "v1.0.0.0:000000000000000000000000000000",
		"v1.6.1767225600.00000000000000000000000000000000",
		"v1.6.1767225600.00000000000000000000000000000000.", "v1..1767225600.0",
		"V1.6.1767225600.00000000000000000000000000000000.00000000000000000000000000000000.1"};
	static const char *const tails[] = {
		"", ".", "..1", ".1 ", ". 1", ".-1", ".+1", ".1x", ".0x1", ".123456789012345678901", ".1.1"};
	char text[SOLUTION_TEXT_MAX + 32];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(check(&ann, bad[i]), CHALLENGE_MALFORMED);
	solve_for(&ann);
	for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		snprintf(text, sizeof(text), "%s%s", challenge, tails[i]);
		assert_int_equal(check(&ann, text), CHALLENGE_MALFORMED);
	}
	memset(text, 'v', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(check(&ann, text), CHALLENGE_MALFORMED); /* far too long */
	for (size_t size = 0; size < strlen(challenge); size++)
		assert_int_equal(check_bytes(&ann, solution, size), CHALLENGE_MALFORMED);
	assert_int_equal(
		check_bytes(&ann, solution, strlen(solution) + 1), CHALLENGE_MALFORMED); /* its end mark */
	snprintf(text, sizeof(text), "%s", solution);
	for (char *at = text; *at; at++)
		*at = *at >= 'a' && *at <= 'f' ? (char)(*at - 'a' + 'A') : *at;
	if (strcmp(text, solution) != 0)
		assert_int_not_equal(check(&ann, text), CHALLENGE_SOLVED);
}

static void write_file(const char *path, size_t size)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	for (size_t i = 0; i < size; i++)
		fputc('k', file);
	fclose(file);
}

static void test_keys_of_files(void **state)
{
	char path[] = "/tmp/challenge-key-XXXXXX";
	const int fd = mkstemp(path);
	struct challenge_key one, other;
	struct error error = {0};

	assert_true(fd >= 0);
	close(fd);
	assert_false(challenge_key_read(path, &one, &error)); /* empty */
	write_file(path, 15);
	assert_false(challenge_key_read(path, &one, &error));
	write_file(path, 4097);
	assert_false(challenge_key_read(path, &one, &error));
	assert_non_null(strstr(error.text, path));
	write_file(path, 16);
	assert_true(challenge_key_read(path, &one, &error));
	assert_true(challenge_key_read(path, &other, &error));
	assert_memory_equal(&one, &other, sizeof(one));
	write_file(path, 4096);
	assert_true(challenge_key_read(path, &other, &error));
	assert_memory_not_equal(&one, &other, sizeof(one));
	unlink(path);
	assert_false(challenge_key_read(path, &one, &error));
	assert_false(challenge_key_read("/tmp", &one, &error));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_solution_is_good),
		cmocka_unit_test(test_any_number_that_solves_is_good),
		cmocka_unit_test(test_it_ends),
		cmocka_unit_test(test_it_is_the_clients_own),
		cmocka_unit_test(test_a_host_of_ipv6_moves_within_its_network),
		cmocka_unit_test(test_another_key_takes_nothing),
		cmocka_unit_test(test_what_is_too_easy_by_now_is_not_taken),
		cmocka_unit_test(test_how_hard_it_is),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_nothing_of_it_can_be_changed),
		cmocka_unit_test(test_what_is_malformed),
		cmocka_unit_test(test_keys_of_files),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
