/* From a decision to a ban: stored before it counts, kept back by a person's word, never made milder, known again after a restart. */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* cmocka.h wants the above first. */
#include <cmocka.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "protector/decisions.h"
#include "protector/detection.h"
#include "protector/watching.h"
#include "tests/unit/protector/fixture.h"
#include "tests/unit/protector/make_ban.h"

#define NOW_MS INT64_C(1000000)
#define PATIENCE_S 20
#define MANY 2000

static struct world {
	struct fixture f;
	struct protector protector;
	struct protector_settings settings;
	struct clock_manual clock;
	struct decisions *decisions;
	_Atomic int revoked;
	enum ban_effect revoked_effect; /* of the last */
	int64_t counted;		/* decisions that came to their end before this test */
} w;

static int64_t now_ms(void *domain)
{
	return clock_wall_ms(&w.clock.base);
}

static void fatal(void *context, const char *why)
{
	fprintf(stderr, "%s\n", why);
	abort();
}

static int64_t metric(const char *series)
{
	char line[120];
	size_t size;
	char *text = metrics_text(&size), *found;
	int64_t value;

	snprintf(line, sizeof(line), "\nflashsale_protector_%s ", series);
	found = strstr(text, line);
	assert_non_null(found);
	value = atoll(found + strlen(line));
	free(text);
	return value;
}

static int64_t counted(const char *outcome)
{
	char series[80];

	snprintf(series, sizeof(series), "decisions_total{outcome=\"%s\"}", outcome);
	return metric(series);
}

static int64_t ended(void)
{
	return counted("made") + counted("overruled") + counted("dropped");
}

static void revoked(struct protector *protector, const struct ban *ban)
{
	assert_ptr_equal(protector, &w.protector);
	w.revoked_effect = ban->effect;
	w.revoked++;
}

static int setup(void **state)
{
	struct id incarnation;
	struct writer_options options = {.domain = &w.protector,
		.group_max = 16,
		.queue_max = 16, /* far fewer than there are decisions: they wait */
		.now_ms = now_ms,
		.fatal = fatal,
		.name = "writer"};

	memset(&w, 0, sizeof(w));
	fixture_init(&w.f);
	clock_manual_init(&w.clock, NOW_MS, 0);
	id_random(&incarnation);
	w.settings.bans_max = MANY + 10;
	w.protector.settings = &w.settings;
	w.protector.clock = &w.clock.base;
	w.protector.store = w.f.store;
	w.protector.history = w.f.history;
	w.protector.loop = rpc_loop_new("test");
	w.protector.bans = bans_new();
	w.protector.board =
		watch_board_new(&protector__watch_bans_response__descriptor, &incarnation, 100, 100);
	id_generator_init(&w.protector.ids, &w.clock.base);
	options.store = w.f.store;
	w.protector.writer = writer_new(&options);
	w.decisions = decisions_new(&w.protector, revoked);
	w.counted = ended();
	return 0;
}

struct errand {
	struct rpc_task task;
	void (*run)(const void *context);
	const void *context;
	sem_t done;
};

static void run_errand(struct rpc_task *task)
{
	struct errand *errand = container_of(task, struct errand, task);

	errand->run(errand->context);
	sem_post(&errand->done);
}

static void on_loop(void (*run)(const void *context), const void *context)
{
	struct errand errand = {.task.run = run_errand, .run = run, .context = context};

	sem_init(&errand.done, 0, 0);
	rpc_post(w.protector.loop, &errand.task);
	assert_int_equal(sem_wait(&errand.done), 0);
	sem_destroy(&errand.done);
}

static void mute_run(const void *unused)
{
	decisions_mute(w.decisions);
}

static void end_run(const void *unused)
{
	decisions_end(w.decisions);
}

static int teardown(void **state)
{
	on_loop(end_run, NULL);
	writer_free(w.protector.writer);
	rpc_loop_free(w.protector.loop);
	decisions_free(w.decisions);
	watch_board_free(w.protector.board);
	bans_free(w.protector.bans);
	fixture_release(&w.f);
	return 0;
}

/* For an hour, by the rate of an account or an address. */
static void decide(const char *subject, enum ban_effect effect, uint32_t repetition)
{
	const struct ban_subject whom = make_subject_of(subject);
	const struct decision decision = {.subject = whom,
		.effect = effect,
		.step = BAN_DENIES,
		.detector = whom.kind == BAN_OF_ACCOUNT ? DETECTOR_ACCOUNT_RATE : DETECTOR_ADDRESS_RATE,
		.create_us = NOW_MS * 1000,
		.expire_us = (NOW_MS + 3600000) * 1000,
		.repetition = repetition,
		.evidence = {.window_us = 5000000,
			.value = 163,
			.threshold = 150,
			.requests = 163,
			.first_us = NOW_MS * 1000 - 5000000,
			.last_us = NOW_MS * 1000}};

	decisions_decided(w.decisions, &decision);
}

static void await_ends(int64_t count)
{
	const int64_t end_ns = clock_mono_ns() + PATIENCE_S * INT64_C(1000000000);

	while (ended() < w.counted + count) {
		assert_true(clock_mono_ns() < end_ns);
		usleep(1000);
	}
	assert_int_equal(ended(), w.counted + count);
	w.counted += count;
}

static void put_run(const void *ban)
{
	protector_put(&w.protector, ban);
}

static void say(const char *subject, enum ban_effect effect, int64_t expire_ms)
{
	struct ban ban = make_ban(77, subject, effect, expire_ms);

	ban.origin = BAN_BY_OPERATOR;
	on_loop(put_run, &ban);
}

struct search {
	struct ban_subject subject;
	struct ban *ret;
	bool *ret_found;
};

static void find_run(const void *context)
{
	const struct search *search = context;
	const struct ban *ban = bans_of(w.protector.bans, &search->subject, BAN_BY_DETECTOR);

	*search->ret_found = ban != NULL;
	if (ban)
		*search->ret = *ban;
}

/* The texts are the ban's: nothing changes it meanwhile. */
static bool find(const char *subject, struct ban *ret)
{
	bool found;
	const struct search search = {make_subject_of(subject), ret, &found};

	on_loop(find_run, &search);
	return found;
}

static void a_decision_becomes_a_ban(void **state)
{
	struct ban ban;

	decide("person", BAN_DENIES, 2);
	await_ends(1);
	assert_true(find("person", &ban));
	assert_int_equal(ban.effect, BAN_DENIES);
	assert_int_equal(ban.create_ms, NOW_MS);
	assert_int_equal(ban.expire_ms, NOW_MS + 3600000);
	assert_string_equal(ban.reason, "account-rate: 163 requests in 5 s");
	assert_non_null(strstr(ban.evidence, "threshold 150"));
	assert_int_equal(fixture_rows(&w.f, 0), 1);
	assert_int_equal(watch_board_count(w.protector.board), 1);
}

static void what_detectors_say_is_counted(void **state)
{
	static const char bans[] = "detections_total{detector=\"account-rate\",step=\"ban\"}";
	static const char shadows[] = "detections_total{detector=\"address-rate\",step=\"shadow\"}";
	const int64_t banned = metric(bans), shadowed = metric(shadows);

	decide("person", BAN_DENIES, 0);
	decide("11.1.2.3", BAN_SHADOWS, 0);
	decide("11.1.2.4", BAN_SHADOWS, 0);
	await_ends(3);
	assert_int_equal(metric(bans), banned + 1);
	assert_int_equal(metric(shadows), shadowed + 2);
	assert_int_equal(metric("detections_total{detector=\"regularity\",step=\"challenge\"}"), 0);
}

static void a_person_s_word_counts(void **state)
{
	struct ban ban;

	say("person", BAN_SHADOWS, BANS_NEVER);
	decide("person", BAN_DENIES, 0);
	await_ends(1);
	assert_false(find("person", &ban));
	assert_int_equal(w.revoked, 1); /* the detectors hear of it */
	assert_int_equal(w.revoked_effect, BAN_DENIES);
	say("person", BAN_SHADOWS, NOW_MS); /* which has ended */
	decide("person", BAN_DENIES, 0);
	await_ends(1);
	assert_true(find("person", &ban));
	assert_int_equal(w.revoked, 1);
}

static void who_is_allowed_is_not_banned(void **state)
{
	struct ban ban;

	say("10.0.0.0/8", BAN_ALLOWS, BANS_NEVER);
	decide("10.1.2.3", BAN_DENIES, 0);
	decide("11.1.2.3", BAN_DENIES, 0);
	await_ends(2);
	assert_false(find("10.1.2.3", &ban));
	assert_true(find("11.1.2.3", &ban));
}

static void what_is_in_force_is_not_made_milder(void **state)
{
	static const enum ban_effect ladder[] = {BAN_SHADOWS, BAN_SLOWS, BAN_CHALLENGES, BAN_DENIES};
	struct ban ban;

	for (int i = 0; i < 4; i++) {
		decide("person", ladder[i], 0);
		await_ends(1);
		assert_true(find("person", &ban));
		assert_int_equal(ban.effect, ladder[i]);
	}
	for (int i = 0; i < 3; i++) {
		decide("person", ladder[i], 0);
		await_ends(1);
		assert_true(find("person", &ban));
		assert_int_equal(ban.effect, BAN_DENIES);
	}
	clock_manual_advance(&w.clock, 3600000); /* it has ended */
	decide("person", BAN_SHADOWS, 0);
	await_ends(1);
	assert_true(find("person", &ban));
	assert_int_equal(ban.effect, BAN_SHADOWS);
	assert_int_equal(fixture_rows(&w.f, 0), 1);
}

static void many_wait_for_the_store(void **state)
{
	char subject[32];

	for (int i = 0; i < MANY; i++) {
		snprintf(subject, sizeof(subject), "p%d", i);
		decide(subject, BAN_DENIES, 0);
	}
	await_ends(MANY);
	assert_int_equal(fixture_rows(&w.f, 0), MANY);
	assert_int_equal(watch_board_count(w.protector.board), MANY);
}

/* One client's steps come faster than the store takes them: the last one counts. */
static void they_wait_in_order(void **state)
{
	char subject[32];
	struct ban ban;

	for (int i = 0; i < MANY; i++) {
		snprintf(subject, sizeof(subject), "p%d", i);
		decide(subject, BAN_DENIES, 0);
	}
	decide("person", BAN_SLOWS, 0);
	decide("person", BAN_CHALLENGES, 0);
	decide("person", BAN_DENIES, 0);
	await_ends(MANY + 3);
	assert_true(find("person", &ban));
	assert_int_equal(ban.effect, BAN_DENIES);
}

/* As what is in force: a ban that is still on its way to the store is not made milder, whoever looks only in shadow. */
static void what_is_on_its_way_is_not_made_milder(void **state)
{
	const int64_t overruled = counted("overruled");
	char subject[32];
	struct ban ban;

	for (int i = 0; i < MANY; i++) {
		snprintf(subject, sizeof(subject), "p%d", i);
		decide(subject, BAN_DENIES, 0);
	}
	decide("person", BAN_SLOWS, 0);
	decide("person", BAN_DENIES, 0);
	decide("person", BAN_SHADOWS, 0);
	decide("person", BAN_CHALLENGES, 0);
	await_ends(MANY + 4);
	assert_int_equal(counted("overruled"), overruled + 2);
	assert_true(find("person", &ban));
	assert_int_equal(ban.effect, BAN_DENIES);
	clock_manual_advance(&w.clock, 3600000);
	decide("person", BAN_SHADOWS, 0); /* nothing of it is left behind */
	await_ends(1);
	assert_true(find("person", &ban));
	assert_int_equal(ban.effect, BAN_SHADOWS);
}

static void bans_have_a_limit(void **state)
{
	char subject[32];

	w.settings.bans_max = 10;
	for (int i = 0; i < 40; i++) {
		snprintf(subject, sizeof(subject), "p%d", i);
		decide(subject, BAN_DENIES, 0);
		await_ends(1);
	}
	assert_int_equal(fixture_rows(&w.f, 0), 10);
	assert_int_equal(w.revoked, 30);
}

static void after_the_end_nothing_is_given_to_the_writer(void **state)
{
	on_loop(mute_run, NULL);
	on_loop(end_run, NULL);
	decide("person", BAN_DENIES, 0);
	await_ends(1);
	assert_int_equal(w.revoked, 0);
	assert_int_equal(fixture_rows(&w.f, 0), 0);
}

static void configure_run(const void *settings)
{
	watching_configure(&w.protector, settings);
}

/* A change that was under way, and what a peer tells, come when nobody watches any more. */
static void what_comes_after_the_end_is_told_to_nobody(void **state)
{
	struct ban lifted = make_ban(78, "person", BAN_EXEMPTS, BANS_NEVER);
	struct detector_settings settings;
	struct error error;

	lifted.origin = BAN_BY_LIFTING;
	lifted.exempts = DETECTOR_BIT(DETECTOR_ACCOUNT_RATE);
	detector_settings_standard(&settings);
	settings.exempt_us = 7000000;
	assert_true(watching_start(&w.protector, &error));
	watching_stop(&w.protector);
	on_loop(put_run, &lifted);
	on_loop(configure_run, &settings);
	assert_int_equal(w.protector.exempt_ms, 7000);
	watching_release(&w.protector);
}

static void what_was_lifted_stays_lifted(void **state)
{
	struct ban ban = make_ban(78, "person", BAN_EXEMPTS, NOW_MS + 1000);

	ban.origin = BAN_BY_LIFTING;
	ban.exempts = DETECTOR_BIT(DETECTOR_ACCOUNT_RATE);
	on_loop(put_run, &ban);
	decide("person", BAN_DENIES, 0);
	await_ends(1);
	assert_false(find("person", &ban));
	clock_manual_advance(&w.clock, 1000);
	decide("person", BAN_DENIES, 7);
	await_ends(1);
	assert_true(find("person", &ban));
	assert_int_equal(ban.detection->detector, DETECTOR_ACCOUNT_RATE);
	assert_int_equal(ban.detection->repetition, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(a_decision_becomes_a_ban),
		TEST(what_detectors_say_is_counted),
		TEST(a_person_s_word_counts),
		TEST(who_is_allowed_is_not_banned),
		TEST(what_is_in_force_is_not_made_milder),
		TEST(many_wait_for_the_store),
		TEST(they_wait_in_order),
		TEST(what_is_on_its_way_is_not_made_milder),
		TEST(bans_have_a_limit),
		TEST(after_the_end_nothing_is_given_to_the_writer),
		TEST(what_comes_after_the_end_is_told_to_nobody),
		TEST(what_was_lifted_stays_lifted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
