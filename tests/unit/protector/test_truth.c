#include "tests/unit/protector/cmocka_first.h"

#include "protector/truth.h"
#include "tests/unit/protector/make_ban.h"
#include "tests/unit/protector/temporary.h"

static const char lines[] = "home\tgood\tpaula\t192.0.2.1\n"
			    "home\tgood\tpaula\t192.0.2.2\n"
			    "home\tgood\trob\t192.0.2.1\n"
			    "rate\tbad\tmallory\t2001:db8::5\n"
			    "rate\tbad\t\t198.51.100.1\n"
			    "far\tbad\ttrudy\t\n";

static struct truth *read_text(const char *text, struct error *error)
{
	struct temporary t;
	struct truth *truth;

	temporary_make(&t);
	temporary_fill(t.truth, text, strlen(text));
	truth = truth_read(t.truth, error);
	temporary_remove(&t);
	return truth;
}

static void see(struct truth *truth, int64_t time_us, const char *user_id, const char *address)
{
	struct traffic traffic = {.time_us = time_us, .user_id = span_of(user_id)};

	traffic.has_address = address && address_parse(address, strlen(address), &traffic.address);
	truth_see(truth, &traffic);
}

static void hear(struct truth *truth, int64_t time_us, const char *subject, enum ban_effect effect)
{
	truth_hear(
		truth, &(struct decision){
			       .subject = make_subject_of(subject), .effect = effect, .create_us = time_us});
}

static void check(const struct truth *truth, size_t at, const char *kind, bool good, uint64_t clients,
	uint64_t banned, uint64_t soon, uint64_t challenged, uint64_t slowed)
{
	struct truth_tally tallies[TRUTH_KINDS_MAX];

	assert_true(truth_tally(truth, tallies) > at);
	assert_string_equal(tallies[at].kind, kind);
	assert_int_equal(tallies[at].good, good);
	assert_int_equal(tallies[at].clients, clients);
	assert_int_equal(tallies[at].banned, banned);
	assert_int_equal(tallies[at].soon, soon);
	assert_int_equal(tallies[at].challenged, challenged);
	assert_int_equal(tallies[at].slowed, slowed);
}

static void test_who_was_caught_and_who_was_wronged(void **state)
{
	struct error error;
	struct truth *truth = read_text(lines, &error);

	assert_non_null(truth);
	check(truth, 0, "home", true, 0, 0, 0, 0, 0);
	see(truth, 100, "paula", "192.0.2.1");
	see(truth, 100, "rob", NULL);
	see(truth, 100, "nobody", NULL);
	see(truth, 100, "", NULL);
	see(truth, 100, "mallory", "2001:db8::5");
	see(truth, 200, "mallory", "2001:db8::5");
	see(truth, 100, "", "198.51.100.1");
	check(truth, 0, "home", true, 2, 0, 0, 0, 0);
	hear(truth, 150, "192.0.2.2", BAN_CHALLENGES); /* paula has two */
	hear(truth, 150, "192.0.2.1", BAN_SLOWS);
	check(truth, 0, "home", true, 2, 0, 0, 1, 1);
	hear(truth, 100 + TRUTH_SOON_US, "2001:db8::/64", BAN_DENIES);
	hear(truth, 101 + TRUTH_SOON_US, "198.51.100.1", BAN_DENIES);
	hear(truth, 102 + TRUTH_SOON_US, "198.51.100.1", BAN_DENIES);
	hear(truth, 100, "stranger", BAN_DENIES);
	hear(truth, 100, "203.0.113.1", BAN_DENIES);
	hear(truth, 100, "rob", BAN_SHADOWS);
	check(truth, 1, "rate", false, 2, 2, 1, 0, 0);
	check(truth, 0, "home", true, 2, 0, 0, 1, 1);
	check(truth, 2, "far", false, 0, 0, 0, 0, 0);
	hear(truth, 300, "trudy", BAN_DENIES); /* before she sent anything */
	check(truth, 2, "far", false, 1, 1, 1, 0, 0);
	truth_free(truth);
}

static void test_what_is_no_truth(void **state)
{
	static const char *const bad[][2] = {{"home\tgood\tpaula\n", "line 1: it must be kind, good or bad"},
		{"home\tgood\tpaula\t192.0.2.1\tmore\n", "line 1: it must be kind"},
		{"home\tfine\tpaula\t192.0.2.1\n", "line 1: the second field"},
		{"home\tgood\tpaula\tnowhere\n", "line 1: the fourth field is no address"},
		{"home\tgood\t\t\n", "line 1: there is neither"},
		{"home\tgood\tpaula\t\nhome\tbad\trob\t\n", "line 2: a kind is either"},
		{"a-kind-whose-name-is-far-too-long-for-a-table\tgood\tpaula\t\n", "at most 31 bytes"},
		{"home\tgood\t01234567890123456789012345678901234567890123456789012345678901234\t\n",
			"the account is too long"}};
	struct error error;
	char many[8192] = "";

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(read_text(bad[i][0], &error));
		assert_non_null(strstr(error.text, bad[i][1]));
	}
	memset(many, 'x', sizeof(many) - 1);
	assert_null(read_text(many, &error));
	assert_non_null(strstr(error.text, "line 1: it is too long"));
	many[0] = '\0';
	for (int i = 0; i <= TRUTH_KINDS_MAX; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many), "kind%d\tgood\tuser\t\n", i);
	assert_null(read_text(many, &error));
	assert_non_null(strstr(error.text, "line 65"));
	assert_null(truth_read("/nowhere/truth", &error));
	assert_non_null(strstr(error.text, "/nowhere/truth"));
	assert_null(truth_read("/", &error));
	assert_non_null(strstr(error.text, "/ can't be read: Is a directory"));
	truth_free(NULL);
}

static void test_the_table(void **state)
{
	struct error error;
	struct truth *truth = read_text(lines, &error);
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	see(truth, 100, "mallory", NULL);
	hear(truth, 101, "mallory", BAN_DENIES);
	truth_print(truth, out);
	fclose(out);
	assert_non_null(
		strstr(text, "rate             bad           1         1         1           0         0\n"));
	free(text);
	truth_free(truth);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_was_caught_and_who_was_wronged),
		cmocka_unit_test(test_what_is_no_truth),
		cmocka_unit_test(test_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
