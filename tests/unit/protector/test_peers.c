/* Protectors that know one another: what one has all regard, a person's newer word ends an older one, a lift goes to the owner, settings reach all. */
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

#include "base/memory.h"
#include "discovery/static.h"
#include "protector/peers_internal.h"
#include "protector/settings_change.h"
#include "protector/watching.h"
#include "rpc/reason.h"
#include "tests/unit/protector/fixture.h"
#include "tests/unit/protector/make_ban.h"

#define HOUSES 2
#define PATIENCE_S 30

/* A protector, its store and its port. */
struct house {
	struct fixture f;
	struct protector protector;
	struct rpc_server *server; /* NULL: it is not there */
	struct discovery *discovery;
	char address[32]; /* another one each time it starts */
};

static struct world {
	struct house houses[HOUSES];
	char folder[FOLDER_TEXT_MAX], list[FOLDER_TEXT_MAX + 16];
	struct rpc_loop *loop; /* who asks them */
	struct discovery *discovery;
	struct rpc_pool *pool;
} w;

static const struct protector_settings settings = {.bans_max = 1000,
	.allow = (char *)(uintptr_t) "",
	.history_retention_ms = 3600000,
	.address_retention_ms = 3600000,
	.history_max = 1000};

static int64_t now_ms(void *domain)
{
	return clock_wall_ms(&clock_system);
}

static void fatal(void *context, const char *why)
{
	fprintf(stderr, "%s\n", why);
	abort();
}

static void start_writer(struct house *house)
{
	const struct writer_options options = {.store = house->f.store,
		.domain = &house->protector,
		.group_max = 16,
		.queue_max = 64,
		.now_ms = now_ms,
		.tick = protector_tick,
		.rollback = protector_rollback,
		.committed = protector_committed,
		.fatal = fatal,
		.name = "writer"};

	house->protector.writer = writer_new(&options);
}

static void show_bans(struct protector *protector)
{
	const struct id first = {{0}};

	for (const struct ban *ban = bans_after(protector->bans, &first); ban;
		ban = bans_after(protector->bans, &ban->id)) {
		struct ban copy = *ban;

		copy.reason = "of the store", copy.evidence = "";
		protector_put(protector, &copy);
		ban = bans_get(protector->bans, &copy.id);
	}
}

/* As protector_start, without a process around it. */
static void start(struct house *house)
{
	struct protector *protector = &house->protector;
	struct id incarnation;
	struct error error;

	*protector = (struct protector){.settings = &settings,
		.clock = &clock_system,
		.loop = rpc_loop_new("protector"),
		.store = house->f.store,
		.history = house->f.history,
		.bans = bans_new(),
		.methods = PROTECTOR__PROTECTOR_SERVICE__INIT(protector_)};
	id_random(&incarnation);
	id_generator_init(&protector->ids, &clock_system);
	assert_true(shelf_load(house->f.store, protector->bans, &error));
	protector->board =
		watch_board_new(&protector__watch_bans_response__descriptor, &incarnation, 100, 100);
	protector->settings_board =
		watch_board_new(&protector__watch_detectors_response__descriptor, &incarnation, 100, 100);
	show_bans(protector);
	assert_true(watching_start(protector, &error));
	settings_show_all(protector);
	start_writer(house);
	protector->peers = peers_new(protector, &incarnation);
	house->server = rpc_server_new(protector->loop, &rpc_limits_standard);
	rpc_serve(house->server, &protector->methods.base);
	assert_true(rpc_listen(house->server, "127.0.0.1:0", NULL, &error));
	rpc_server_set_serving(house->server, true);
	snprintf(house->address, sizeof(house->address), "127.0.0.1:%d", rpc_server_port(house->server));
}

/* Whole or not at all, for who watches the list. */
static void write_list(void)
{
	char new[sizeof(w.list) + 4];
	FILE *file;

	snprintf(new, sizeof(new), "%s.new", w.list);
	file = fopen(new, "w");
	assert_non_null(file);
	for (int i = 0; i < HOUSES; i++)
		fprintf(file, "protector %s id=house-%d\n", w.houses[i].address, i);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(new, w.list), 0);
}

/* When the list is there. */
static void meet(struct house *house)
{
	struct error error;

	house->discovery = discovery_static_new(w.list, &error);
	assert_non_null(house->discovery);
	peers_open(house->protector.peers, house->discovery, NULL);
}

static void stop(struct house *house)
{
	struct protector *protector = &house->protector;

	rpc_server_drain(house->server, 0, 0);
	watching_stop(protector);
	peers_close(protector->peers);
	writer_free(protector->writer);
	rpc_server_free(house->server);
	rpc_run(protector->loop, NULL, NULL);
	watching_release(protector);
	peers_free(protector->peers);
	watch_board_free(protector->settings_board);
	watch_board_free(protector->board);
	bans_free(protector->bans);
	rpc_loop_free(protector->loop);
	discovery_free(house->discovery);
	store_close(house->f.store);
	house->server = NULL;
}

static void start_again(struct house *house)
{
	fixture_open(&house->f);
	start(house);
	write_list();
	meet(house);
}

struct acquaintance {
	int house;
	bool complete;
};

static void acquaintance_run(void *context)
{
	struct acquaintance *acquaintance = context;
	struct followers *followers = w.houses[acquaintance->house].protector.peers->bans;
	uint32_t here = 0;
	char self[32];

	for (uint32_t place = 0; place < FOLLOWERS_MAX; place++) {
		bool fresh;

		followers_instance(followers, place, &fresh);
		here += fresh;
	}
	snprintf(self, sizeof(self), "house-%d", acquaintance->house);
	acquaintance->complete = here == HOUSES - 1 && followers_is_self(followers, self);
}

/* Each knows which one it is itself, and hears the others. */
static void await_acquaintance(void)
{
	for (int house = 0; house < HOUSES; house++) {
		struct acquaintance acquaintance = {.house = house};

		for (int i = 0; !acquaintance.complete; i++) {
			assert_true(i < PATIENCE_S * 1000);
			rpc_run(w.houses[house].protector.loop, acquaintance_run, &acquaintance);
			usleep(1000);
		}
	}
}

static int setup(void **state)
{
	struct error error;

	memset(&w, 0, sizeof(w));
	folder_make(w.folder);
	snprintf(w.list, sizeof(w.list), "%s/list", w.folder);
	for (int i = 0; i < HOUSES; i++) {
		fixture_init(&w.houses[i].f);
		start(&w.houses[i]);
	}
	write_list();
	for (int i = 0; i < HOUSES; i++)
		meet(&w.houses[i]);
	await_acquaintance();
	w.loop = rpc_loop_new("client");
	w.discovery = discovery_static_new(w.list, &error);
	w.pool = rpc_pool_new(w.loop, w.discovery, "protector", NULL);
	return 0;
}

static int teardown(void **state)
{
	rpc_pool_free(w.pool);
	rpc_loop_free(w.loop);
	discovery_free(w.discovery);
	for (int i = 0; i < HOUSES; i++) {
		if (w.houses[i].server)
			stop(&w.houses[i]);
		folder_remove(w.houses[i].f.directory);
	}
	folder_remove(w.folder);
	return 0;
}

/* ---- calls ---- */

struct asked {
	struct rpc_request request;
	struct arena arena;
	sem_t done;
};

static void request_done(struct rpc_request *request)
{
	sem_post(&container_of(request, struct asked, request)->done);
}

static void start_request(void *context)
{
	struct asked *asked = context;

	rpc_request_start(w.pool, &asked->request);
}

/* A call of one of them; again while it is not connected yet. */
static const ProtobufCMessage *ask(
	int house, const char *method, const ProtobufCMessage *input, struct asked *asked)
{
	char id[32];

	snprintf(id, sizeof(id), "house-%d", house);
	memset(asked, 0, sizeof(*asked));
	arena_init(&asked->arena, 4096, 1 << 20);
	sem_init(&asked->done, 0, 0);
	for (int i = 0; i < PATIENCE_S * 100; i++) {
		asked->request = (struct rpc_request){.service = &protector__protector_service__descriptor,
			.method = protobuf_c_service_descriptor_get_method_by_name(
				&protector__protector_service__descriptor, method),
			.input = input,
			.shard = RPC_ANY_SHARD,
			.instance = id,
			.deadline_ns = clock_mono_ns() + PATIENCE_S * INT64_C(1000000000),
			.arena = &asked->arena,
			.done = request_done};
		rpc_run(w.loop, start_request, asked);
		assert_int_equal(sem_wait(&asked->done), 0);
		if (asked->request.sent)
			break;
		usleep(10000);
	}
	sem_destroy(&asked->done);
	return asked->request.output;
}

static void ban(int house, const char *user_id, Protector__BanEffect effect, char ret_id[ID_TEXT_LENGTH + 1])
{
	Protector__CreateBanRequest request = PROTECTOR__CREATE_BAN_REQUEST__INIT;
	const Protector__CreateBanResponse *response;
	struct asked asked;

	request.subject_case = PROTECTOR__CREATE_BAN_REQUEST__SUBJECT_USER_ID;
	request.user_id = (char *)(uintptr_t)user_id;
	request.effect = effect;
	response = (const Protector__CreateBanResponse *)ask(house, "CreateBan", &request.base, &asked);
	assert_non_null(response);
	if (ret_id)
		strcpy(ret_id, response->ban->ban_id);
	arena_release(&asked.arena);
}

#define DENY PROTECTOR__BAN_EFFECT__BAN_EFFECT_DENY
#define SHADOW PROTECTOR__BAN_EFFECT__BAN_EFFECT_SHADOW

static struct rpc_status lift(int house, const char *ban_id)
{
	Protector__DeleteBanRequest request = PROTECTOR__DELETE_BAN_REQUEST__INIT;
	const Protector__DeleteBanResponse *response;
	struct asked asked;

	request.ban_id = (char *)(uintptr_t)ban_id;
	response = (const Protector__DeleteBanResponse *)ask(house, "DeleteBan", &request.base, &asked);
	/* when it ended is told, also by one who had to ask another */
	assert_true(!response || response->ban->end_time->seconds >= response->ban->create_time->seconds);
	arena_release(&asked.arena);
	return asked.request.status;
}

static bool is_denied(int house, const char *user_id)
{
	Protector__ValidateClientRequest request = PROTECTOR__VALIDATE_CLIENT_REQUEST__INIT;
	const Protector__ValidateClientResponse *response;
	struct asked asked;
	bool denied;

	request.user_id = (char *)(uintptr_t)user_id;
	request.client_ip = (char *)(uintptr_t) "192.0.2.1";
	response = (const Protector__ValidateClientResponse *)ask(
		house, "ValidateClient", &request.base, &asked);
	assert_non_null(response);
	denied = !response->is_allowed;
	arena_release(&asked.arena);
	return denied;
}

static void await_denied(int house, const char *user_id, bool denied)
{
	for (int i = 0; is_denied(house, user_id) != denied; i++) {
		assert_true(i < PATIENCE_S * 100);
		usleep(10000);
	}
}

static uint32_t threshold(int house)
{
	Protector__GetDetectorRequest request = PROTECTOR__GET_DETECTOR_REQUEST__INIT;
	const Protector__GetDetectorResponse *response;
	struct asked asked;
	uint32_t value;

	request.detector = (char *)(uintptr_t) "regularity";
	response = (const Protector__GetDetectorResponse *)ask(house, "GetDetector", &request.base, &asked);
	assert_non_null(response);
	value = response->detector->ban;
	arena_release(&asked.arena);
	return value;
}

static void set_threshold(int house, uint32_t value)
{
	Protector__UpdateDetectorRequest request = PROTECTOR__UPDATE_DETECTOR_REQUEST__INIT;
	struct asked asked;

	request.detector = (char *)(uintptr_t) "regularity";
	request.ban_change_case = PROTECTOR__UPDATE_DETECTOR_REQUEST__BAN_CHANGE_BAN;
	request.ban = value;
	assert_non_null(ask(house, "UpdateDetector", &request.base, &asked));
	arena_release(&asked.arena);
}

static void await_threshold(int house, uint32_t value)
{
	for (int i = 0; threshold(house) != value; i++) {
		assert_true(i < PATIENCE_S * 100);
		usleep(10000);
	}
}

/* How many bans a store has. */
static void await_rows(int house, size_t rows)
{
	for (int i = 0; fixture_rows(&w.houses[house].f, 0) != rows; i++) {
		assert_true(i < PATIENCE_S * 100);
		usleep(10000);
	}
}

struct counts {
	const struct bans *bans;
	size_t own, peers;
};

static void count_run(void *context)
{
	struct counts *counts = context;

	counts->own = bans_count(counts->bans, BANS_OWN);
	for (uint8_t owner = 1; owner < BANS_OWNERS_MAX; owner++)
		counts->peers += bans_count(counts->bans, owner);
}

static struct counts count(int house)
{
	struct counts counts = {.bans = w.houses[house].protector.bans};

	rpc_run(w.houses[house].protector.loop, count_run, &counts);
	return counts;
}

/* ---- tests ---- */

static void a_ban_of_one_counts_at_the_other_and_once(void **state)
{
	ban(0, "mallory", DENY, NULL);
	assert_true(is_denied(0, "mallory"));
	await_denied(1, "mallory", true);
	ban(1, "trudy", DENY, NULL);
	await_denied(0, "trudy", true);
	for (int i = 0; i < HOUSES; i++) { /* neither hears itself, nor of itself from the other */
		assert_int_equal(count(i).own, 1);
		assert_int_equal(count(i).peers, 1);
		assert_int_equal(fixture_rows(&w.houses[i].f, 0), 1);
	}
}

static void a_lift_goes_to_the_owner(void **state)
{
	char id[ID_TEXT_LENGTH + 1];

	ban(0, "mallory", DENY, id);
	await_denied(1, "mallory", true);
	assert_int_equal(lift(1, id).code, RPC_OK);
	assert_false(is_denied(1, "mallory")); /* at once */
	assert_false(is_denied(0, "mallory"));
	assert_int_equal(fixture_rows(&w.houses[0].f, 0), 0);
	assert_int_equal(lift(1, id).code, RPC_NOT_FOUND);
}

struct forgetting {
	struct bans *bans;
	struct id id;
};

static void forget_run(void *context)
{
	struct forgetting *forgetting = context;
	const struct ban *ban = bans_get(forgetting->bans, &forgetting->id);

	assert_true(ban && ban->owner != BANS_OWN);
	bans_remove(forgetting->bans, &forgetting->id, ban->owner);
}

/* It is as it was before it heard of this ban. */
static void forget(int house, const char *ban_id)
{
	struct forgetting forgetting = {.bans = w.houses[house].protector.bans};

	assert_true(id_parse(ban_id, &forgetting.id));
	rpc_run(w.houses[house].protector.loop, forget_run, &forgetting);
}

static void what_was_not_heard_of_yet_is_lifted_too(void **state)
{
	char id[ID_TEXT_LENGTH + 1];

	ban(0, "mallory", DENY, id);
	await_denied(1, "mallory", true);
	forget(1, id);
	assert_false(is_denied(1, "mallory"));
	assert_int_equal(lift(1, id).code, RPC_OK);
	assert_false(is_denied(0, "mallory"));
	assert_int_equal(fixture_rows(&w.houses[0].f, 0), 0);
	assert_int_equal(lift(1, id).code, RPC_NOT_FOUND);
	assert_int_equal(lift(0, id).code, RPC_NOT_FOUND);
}

static enum rpc_code ask_for_allowance(int house, bool removes, const char *id)
{
	Protector__GetAllowanceRequest get = PROTECTOR__GET_ALLOWANCE_REQUEST__INIT;
	Protector__DeleteAllowanceRequest delete = PROTECTOR__DELETE_ALLOWANCE_REQUEST__INIT;
	struct asked asked;

	get.allowance_id = delete.allowance_id = (char *)(uintptr_t)id;
	ask(house, removes ? "DeleteAllowance" : "GetAllowance", removes ? &delete.base : &get.base, &asked);
	arena_release(&asked.arena);
	return asked.request.status.code;
}

static void an_allowance_too_and_no_ban_for_one(void **state)
{
	char id[ID_TEXT_LENGTH + 1], other[ID_TEXT_LENGTH + 1];

	ban(0, "alice", PROTECTOR__BAN_EFFECT__BAN_EFFECT_ALLOW, id);
	ban(0, "mallory", DENY, other);
	await_denied(1, "mallory", true);
	forget(1, id);
	forget(1, other);
	assert_int_equal(ask_for_allowance(1, false, id), RPC_OK);
	assert_int_equal(ask_for_allowance(1, true, id), RPC_OK);
	assert_int_equal(ask_for_allowance(1, false, id), RPC_NOT_FOUND);
	assert_int_equal(ask_for_allowance(1, false, other), RPC_NOT_FOUND);
	assert_int_equal(ask_for_allowance(1, true, other), RPC_NOT_FOUND);
	assert_true(is_denied(0, "mallory"));
}

/* Who can't be asked may have it; what is over here is known to be over. */
static void unheard_of_is_not_absent_while_one_is_away(void **state)
{
	char id[ID_TEXT_LENGTH + 1], own[ID_TEXT_LENGTH + 1];
	struct rpc_status status;

	ban(1, "trudy", DENY, own);
	assert_int_equal(lift(1, own).code, RPC_OK);
	ban(0, "mallory", DENY, id);
	await_denied(1, "mallory", true);
	forget(1, id);
	stop(&w.houses[0]);
	status = lift(1, id);
	assert_int_equal(status.code, RPC_UNAVAILABLE);
	assert_string_equal(status.reason, "DEPENDENCY_DOWN");
	assert_non_null(strstr(status.message, "house-0"));
	assert_int_equal(ask_for_allowance(1, true, id), RPC_UNAVAILABLE);
	assert_int_equal(lift(1, own).code, RPC_NOT_FOUND);
	start_again(&w.houses[0]);
	for (int i = 0; lift(1, id).code != RPC_OK; i++) {
		assert_true(i < PATIENCE_S * 100);
		usleep(10000);
	}
	assert_false(is_denied(1, "mallory") || is_denied(0, "mallory"));
}

static void all_bans_of_a_subject_are_lifted_wherever_they_are(void **state)
{
	Protector__RemoveBadAccountRequest request = PROTECTOR__REMOVE_BAD_ACCOUNT_REQUEST__INIT;
	struct asked asked;

	ban(0, "mallory", DENY, NULL);
	await_denied(1, "mallory", true);
	request.user_id = (char *)(uintptr_t) "mallory";
	assert_non_null(ask(1, "RemoveBadAccount", &request.base, &asked));
	arena_release(&asked.arena);
	assert_false(is_denied(0, "mallory") || is_denied(1, "mallory"));
	assert_int_equal(fixture_rows(&w.houses[0].f, 0), 0);
}

static void one_that_is_away_keeps_what_it_has(void **state)
{
	char id[ID_TEXT_LENGTH + 1];
	struct rpc_status status;

	ban(0, "mallory", DENY, id);
	await_denied(1, "mallory", true);
	stop(&w.houses[0]);
	assert_true(is_denied(1, "mallory"));
	status = lift(1, id);
	assert_int_equal(status.code, RPC_UNAVAILABLE);
	assert_string_equal(status.reason, "DEPENDENCY_DOWN");
	assert_non_null(strstr(status.message, "house-0"));
	assert_true(is_denied(1, "mallory"));
	start_again(&w.houses[0]);
	for (int i = 0; lift(1, id).code != RPC_OK; i++) {
		assert_true(i < PATIENCE_S * 100);
		usleep(10000);
	}
	assert_false(is_denied(1, "mallory") || is_denied(0, "mallory"));
}

static void the_newest_word_ends_the_older_one(void **state)
{
	ban(0, "mallory", DENY, NULL);
	await_denied(1, "mallory", true);
	ban(1, "mallory", SHADOW, NULL);
	await_denied(0, "mallory", false);
	await_rows(0, 0);
	assert_int_equal(fixture_rows(&w.houses[1].f, 0), 1);
	ban(0, "mallory", DENY, NULL);
	await_denied(1, "mallory", true);
	await_rows(1, 0);
	assert_int_equal(count(1).own, 0);
}

static void a_word_that_was_missed_is_heard_later(void **state)
{
	ban(0, "mallory", DENY, NULL);
	await_denied(1, "mallory", true);
	stop(&w.houses[0]);
	ban(1, "mallory", SHADOW, NULL);
	assert_false(is_denied(1, "mallory"));
	start_again(&w.houses[0]);
	await_denied(0, "mallory", false);
	await_rows(0, 0);
	assert_false(is_denied(1, "mallory"));
}

struct saying {
	struct protector *protector;
	const struct ban *ban;
};

static void say_run(void *context)
{
	const struct saying *saying = context;

	protector_put(saying->protector, saying->ban);
	watch_board_flush(saying->protector->board);
}

static void a_lift_ends_what_the_same_detector_said_elsewhere(void **state)
{
	struct detection detection = make_detection(DETECTOR_REFUSALS);
	struct ban found = make_ban(1, "mallory", BAN_DENIES, BANS_NEVER), lifted = found, other = found;
	struct saying saying = {&w.houses[0].protector, &found};

	found.origin = other.origin = BAN_BY_DETECTOR;
	found.detection = &detection;
	other.subject = make_subject_of("trudy");
	other.id = make_id(2);
	other.detection = &detection;
	lifted.origin = BAN_BY_LIFTING;
	lifted.effect = BAN_EXEMPTS;
	lifted.exempts = DETECTOR_BIT(DETECTOR_REFUSALS);
	lifted.id = make_id(3);
	rpc_run(saying.protector->loop, say_run, &saying);
	saying.ban = &other;
	rpc_run(saying.protector->loop, say_run, &saying);
	await_denied(1, "mallory", true);
	saying = (struct saying){&w.houses[1].protector, &lifted};
	rpc_run(saying.protector->loop, say_run, &saying);
	assert_false(is_denied(1, "mallory"));
	await_denied(0, "mallory", false);
	assert_true(is_denied(0, "trudy"));
}

static void what_a_snapshot_has_no_more_is_forgotten(void **state)
{
	char id[ID_TEXT_LENGTH + 1];
	struct id parsed;
	MDB_txn *txn;
	bool found;

	ban(0, "mallory", DENY, id);
	ban(0, "trudy", DENY, NULL);
	await_denied(1, "mallory", true);
	await_denied(1, "trudy", true);
	stop(&w.houses[0]);
	fixture_open(&w.houses[0].f);
	assert_true(id_parse(id, &parsed));
	assert_int_equal(mdb_txn_begin(w.houses[0].f.store->env, NULL, 0, &txn), 0);
	assert_int_equal(
		shelf_remove(&w.houses[0].f.history, txn, &parsed, BAN_LIFTED, &parsed, 1, &found), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	store_close(w.houses[0].f.store);
	start_again(&w.houses[0]);
	await_denied(1, "mallory", false);
	assert_true(is_denied(1, "trudy"));
}

static void settings_reach_the_other_and_its_store(void **state)
{
	set_threshold(0, 97);
	assert_int_equal(threshold(0), 97);
	await_threshold(1, 97);
	stop(&w.houses[0]);
	stop(&w.houses[1]);
	start_again(&w.houses[1]); /* alone: from its store */
	assert_int_equal(threshold(1), 97);
	set_threshold(1, 98);
	start_again(&w.houses[0]); /* which was away */
	await_threshold(0, 98);
	assert_int_equal(threshold(1), 98);
	set_threshold(0, 96); /* newer than what it has heard */
	await_threshold(1, 96);
}

static void both_answer_for_what_is_over(void **state)
{
	Protector__GetBanRequest request = PROTECTOR__GET_BAN_REQUEST__INIT;
	char id[ID_TEXT_LENGTH + 1];
	struct asked asked;

	ban(0, "mallory", DENY, id);
	request.ban_id = id;
	for (int turn = 0; turn < 2; turn++) { /* just made, then over */
		for (int i = 0; i < HOUSES; i++) {
			assert_non_null(ask(i, "GetBan", &request.base, &asked));
			arena_release(&asked.arena);
		}
		assert_int_equal(turn ? RPC_OK : lift(0, id).code, RPC_OK);
	}
	request.own = true;
	assert_null(ask(1, "GetBan", &request.base, &asked));
	assert_int_equal(asked.request.status.code, RPC_NOT_FOUND);
	arena_release(&asked.arena);
	request.own = false;
	stop(&w.houses[0]);
	assert_null(ask(1, "GetBan", &request.base, &asked)); /* nobody knows */
	assert_int_equal(asked.request.status.code, RPC_UNAVAILABLE);
	arena_release(&asked.arena);
}

/* Pages of what is over, each asked of another one. */
static size_t list_over(bool ended, char ids[][ID_TEXT_LENGTH + 1], size_t max)
{
	Protector__ListBansRequest request = PROTECTOR__LIST_BANS_REQUEST__INIT;
	char token[ID_TEXT_LENGTH + 1] = "";
	size_t count = 0;

	request.page_size = 2;
	request.page_token = token;
	request.ended = ended;
	for (int page = 0; page == 0 || *token; page++) {
		const Protector__ListBansResponse *response;
		struct asked asked;

		response = (const Protector__ListBansResponse *)ask(
			page % HOUSES, "ListBans", &request.base, &asked);
		assert_non_null(response);
		assert_int_equal(response->n_missing, 0);
		assert_true(response->n_bans <= 2 && count + response->n_bans <= max);
		for (size_t i = 0; i < response->n_bans; i++)
			strcpy(ids[count++], response->bans[i]->ban_id);
		strcpy(token, response->next_page_token);
		arena_release(&asked.arena);
	}
	return count;
}

static void pages_go_on_wherever_they_are_asked_for(void **state)
{
	char made[7][ID_TEXT_LENGTH + 1], listed[16][ID_TEXT_LENGTH + 1], user[32];

	for (int i = 0; i < 7; i++) {
		snprintf(user, sizeof(user), "user-%d", i);
		ban(i % HOUSES, user, DENY, made[i]);
		await_denied(0, user, true);
		await_denied(1, user, true);
		usleep(2000); /* ids of several makers ascend by the millisecond */
	}
	assert_int_equal(list_over(true, listed, 16), 0);
	for (int turn = 0; turn < 2; turn++) { /* in force, then over */
		assert_int_equal(list_over(turn, listed, 16), 7);
		for (int i = 0; i < 7; i++)
			assert_string_equal(listed[i], made[i]);
		for (int i = 0; !turn && i < 7; i++)
			assert_int_equal(lift(0, made[i]).code, RPC_OK);
	}
	for (int i = 0; i < 7; i++) {
		snprintf(user, sizeof(user), "user-%d", i);
		await_denied(1, user, false);
	}
	assert_int_equal(list_over(false, listed, 16), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_ban_of_one_counts_at_the_other_and_once),
		TEST(a_lift_goes_to_the_owner),
		TEST(what_was_not_heard_of_yet_is_lifted_too),
		TEST(an_allowance_too_and_no_ban_for_one),
		TEST(unheard_of_is_not_absent_while_one_is_away),
		TEST(all_bans_of_a_subject_are_lifted_wherever_they_are),
		TEST(one_that_is_away_keeps_what_it_has),
		TEST(the_newest_word_ends_the_older_one),
		TEST(a_word_that_was_missed_is_heard_later),
		TEST(a_lift_ends_what_the_same_detector_said_elsewhere),
		TEST(what_a_snapshot_has_no_more_is_forgotten),
		TEST(settings_reach_the_other_and_its_store),
		TEST(both_answer_for_what_is_over),
		TEST(pages_go_on_wherever_they_are_asked_for),
	};

	rpc_reason_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
