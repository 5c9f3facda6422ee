/* What protectors may tell of bans, against a plain list of them.
 *
 * The first byte chooses: any bytes as a message, or messages made of the bytes, with bans of a few clients by two protectors, in snapshots and deltas. After each message
 * the list has as many bans as the plain one and judges every client as it does. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/memory.h"
#include "gatekeeper/edge/ban_list.h"
#include "rpc/timestamp.h"

#define SOURCES 2
#define IDS 16 /* of a source */
#define SUBJECTS 8
#define ITEMS_MAX 4
#define ARENA_BYTES_MAX (8 << 20)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at, *end;
};

static uint8_t take(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

/* ---- bans, as they are told ---- */

/* The second half covers clients of the first, or is nobody. */
static const char *const subjects[SUBJECTS] = {"eve", "ann", "192.0.2.7", "2001:db8::7", "192.0.2.0/24",
	"::ffff:192.0.0.0/112", "2001:db8::/32", "nonsense"};
static const char *const detectors[] = {"account-rate", "refusals", "operator", ""};
enum { OPERATOR = 2 };
static const int64_t ends_ms[] = {0, 1000, 2000, 3000};

struct told {
	bool there;
	uint8_t subject, effect, source, detector, exempts;
	int64_t end_ms; /* INT64_MAX: never */
};

struct model {
	struct told live[IDS], growing[IDS];
	bool is_live, grows;
};

static struct model models[SOURCES];
static struct ban_list *bans;

static bool is_user(uint8_t subject)
{
	return subject < 2;
}

static struct told told_of(struct input *input)
{
	const uint8_t first = take(input), second = take(input), third = take(input);
	const int64_t end_ms = ends_ms[second >> 6];

	return (struct told){.there = true,
		.subject = first % SUBJECTS,
		.effect = (first >> 3) % 8,
		.source = second % 4,
		.detector = (second >> 2) % 4,
		.exempts = third % 16,
		.end_ms = end_ms ? end_ms : INT64_MAX};
}

static void format_id(uint32_t source, unsigned id, char text[BAN_ID_MAX + 1])
{
	memcpy(text, "01890a5d-ac96-774b-bcce-000000000000", BAN_ID_MAX + 1);
	text[BAN_ID_MAX - 1] = "0123456789abcdef"[id];
	text[BAN_ID_MAX - 2] = (char)('0' + source);
}

/* ---- the plain list ---- */

static void model_put(struct model *model, unsigned id, const struct told *told)
{
	if (subjects[told->subject][0] == 'n')
		return;
	if (model->grows)
		model->growing[id] = *told;
	else if (model->is_live)
		model->live[id] = *told;
}

static void model_remove(struct model *model, unsigned id)
{
	if (model->grows)
		model->growing[id].there = false;
	else
		model->live[id].there = false;
}

static void model_begin(struct model *model)
{
	memset(model->growing, 0, sizeof(model->growing));
	model->grows = true;
}

static void model_end(struct model *model)
{
	if (!model->grows)
		return;
	memcpy(model->live, model->growing, sizeof(model->live));
	model->is_live = true;
	model->grows = false;
}

static size_t model_count(void)
{
	size_t count = 0;

	for (int i = 0; i < SOURCES; i++)
		for (int id = 0; id < IDS; id++)
			count += models[i].live[id].there;
	return count;
}

enum { UNSPECIFIED, DENY, SHADOW, ALLOW, SLOW, CHALLENGE, EXEMPT };

static enum ban_grip grip_of(const struct told *told)
{
	static const enum ban_grip grips[8] = {
		[UNSPECIFIED] = BAN_DENY, [DENY] = BAN_DENY, [SLOW] = BAN_SLOW, [CHALLENGE] = BAN_CHALLENGE};

	return grips[told->effect];
}

/* As bits: those that it lifts, or the one that made it. */
static unsigned detectors_of(const struct told *told)
{
	unsigned set = told->exempts;

	if (told->detector < OPERATOR)
		set |= 1u << told->detector;
	return set & 7; /* "" is none */
}

struct opinion {
	enum ban_grip effect;
	int64_t end_ms;
	bool allowed;
};

static void add(struct opinion *opinion, const struct told *told)
{
	const enum ban_grip grip = grip_of(told);

	if (grip < opinion->effect || (grip == opinion->effect && told->end_ms <= opinion->end_ms))
		return;
	opinion->effect = grip;
	opinion->end_ms = told->end_ms;
}

/* All that is said of exactly this subject. */
static struct opinion opinion_on(uint8_t subject, int64_t now_ms)
{
	struct opinion opinion = {BAN_NONE, 0, false};
	const struct told *person = NULL;
	int person_at = -1, lifted_at = -1;
	unsigned exempt = 0;

	for (int at = 0; at < SOURCES * IDS; at++) { /* in the order of their ids */
		const struct told *told = &models[at / IDS].live[at % IDS];

		if (!told->there || told->subject != subject || now_ms >= told->end_ms)
			continue;
		if (told->effect == EXEMPT) {
			exempt |= detectors_of(told);
			if (detectors_of(told) & 1u << OPERATOR)
				lifted_at = at;
		} else if (told->source < 2) {
			person = told;
			person_at = at;
		} else if (told->source == 3 && told->effect == ALLOW) {
			opinion.allowed = true;
		}
	}
	if (person_at < lifted_at)
		person = NULL;
	if (person) {
		opinion.allowed = opinion.allowed || person->effect == ALLOW;
		add(&opinion, person);
	}
	for (int at = 0; at < SOURCES * IDS && (!person || grip_of(person) == BAN_DENY); at++) {
		const struct told *told = &models[at / IDS].live[at % IDS];

		if (told->there && told->subject == subject && now_ms < told->end_ms && told->source == 2 &&
			told->effect != EXEMPT && !(detectors_of(told) & exempt))
			add(&opinion, told);
	}
	return opinion;
}

static bool covers(uint8_t range, const struct address *address)
{
	struct address whole;

	return address_parse_range(subjects[range], strlen(subjects[range]), &whole) &&
	       address_covers(&whole, address);
}

static struct opinion opinion_on_address(const struct address *address, int64_t now_ms)
{
	struct opinion all = {BAN_NONE, 0, false};

	for (uint8_t i = 2; i < SUBJECTS; i++) {
		const struct opinion one = opinion_on(i, now_ms);

		if (!covers(i, address))
			continue;
		all.allowed = all.allowed || one.allowed;
		if (one.effect > all.effect || (one.effect == all.effect && one.end_ms > all.end_ms)) {
			all.effect = one.effect;
			all.end_ms = one.end_ms;
		}
	}
	if (all.allowed)
		all.effect = BAN_NONE;
	return all;
}

static void compare(uint8_t user, uint8_t host, int64_t now_ms)
{
	struct opinion account = opinion_on(user, now_ms), other;
	struct ban_verdict verdict;
	struct address address;
	bool parsed = address_parse(subjects[host], strlen(subjects[host]), &address);

	assert(parsed);
	other = opinion_on_address(&address, now_ms);
	if (account.allowed)
		account.effect = BAN_NONE;
	ban_list_judge(bans, subjects[user], &address, now_ms, &verdict);
	assert(verdict.effect == (account.effect > other.effect ? account.effect : other.effect));
	if (verdict.effect == BAN_NONE)
		return;
	assert(verdict.of_address == (other.effect > account.effect));
	assert(verdict.end_ms == (verdict.of_address ? other.end_ms : account.end_ms));
	assert(now_ms < verdict.end_ms && strlen(verdict.ban_id) == BAN_ID_MAX);
}

static void compare_all(void)
{
	for (int64_t now_ms = 0; now_ms < 4000; now_ms += 1000)
		for (uint8_t user = 0; user < 2; user++)
			for (uint8_t host = 2; host < 4; host++)
				compare(user, host, now_ms);
	assert(ban_list_count(bans) == model_count());
}

/* ---- messages ---- */

struct item {
	Protector__Ban ban;
	Protector__Detection detection;
	Protector__Exemption exemption;
	Google__Protobuf__Timestamp end;
	char id[BAN_ID_MAX + 1], *names[3];
};

static void make_item(struct item *item, uint32_t source, unsigned id, const struct told *told)
{
	static const int sources[] = {PROTECTOR__BAN_SOURCE__BAN_SOURCE_UNSPECIFIED,
		PROTECTOR__BAN_SOURCE__BAN_SOURCE_OPERATOR, PROTECTOR__BAN_SOURCE__BAN_SOURCE_DETECTOR,
		PROTECTOR__BAN_SOURCE__BAN_SOURCE_SETTING};
	static const int effects[8] = {[DENY] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_DENY,
		[SHADOW] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_SHADOW,
		[ALLOW] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_ALLOW,
		[SLOW] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_SLOW,
		[CHALLENGE] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_CHALLENGE,
		[EXEMPT] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_EXEMPT,
		99};
	char *subject = (char *)(uintptr_t)subjects[told->subject];

	protector__ban__init(&item->ban);
	protector__detection__init(&item->detection);
	protector__exemption__init(&item->exemption);
	format_id(source, id, item->id);
	item->ban.ban_id = item->id;
	item->ban.subject_case =
		is_user(told->subject) ? PROTECTOR__BAN__SUBJECT_USER_ID : PROTECTOR__BAN__SUBJECT_ADDRESS;
	item->ban.user_id = subject; /* or the address: one of both */
	item->ban.effect = (Protector__BanEffect)effects[told->effect];
	item->ban.source = (Protector__BanSource)sources[told->source];
	timestamp_set(&item->end, told->end_ms);
	item->ban.expire_time = told->end_ms == INT64_MAX ? NULL : &item->end;
	item->detection.detector =
		(char *)(uintptr_t)detectors[told->detector < OPERATOR ? told->detector : 3];
	item->ban.detection = &item->detection;
	for (int i = 0; i < 3; i++) {
		if (told->exempts & 1u << i)
			item->names[item->exemption.n_detectors++] = (char *)(uintptr_t)detectors[i];
	}
	item->exemption.detectors = item->names;
	item->ban.exemption = &item->exemption;
}

static void tell(struct input *input)
{
	const uint8_t head = take(input), count = take(input);
	const uint32_t source = head & 1;
	struct model *model = &models[source];
	Protector__WatchBansResponse message = PROTECTOR__WATCH_BANS_RESPONSE__INIT;
	Common__WatchHeader header = COMMON__WATCH_HEADER__INIT;
	struct item items[ITEMS_MAX];
	Protector__Ban *pointers[ITEMS_MAX];
	char gone[ITEMS_MAX][BAN_ID_MAX + 1], *keys[ITEMS_MAX];

	header.snapshot_begin = head >> 1 & 1;
	header.snapshot_end = head >> 2 & 1;
	if (header.snapshot_begin)
		model_begin(model);
	for (unsigned i = 0; i < count % (ITEMS_MAX + 1); i++) {
		const unsigned id = take(input) % IDS;
		const struct told told = told_of(input);

		make_item(&items[i], source, id, &told);
		pointers[message.n_items++] = &items[i].ban;
		model_put(model, id, &told);
	}
	for (unsigned i = 0; i < (count >> 4) % (ITEMS_MAX + 1); i++) {
		const unsigned id = take(input) % IDS;

		format_id(source, id, gone[i]);
		keys[message.n_removed_keys++] = gone[i];
		model_remove(model, id);
	}
	if (header.snapshot_end)
		model_end(model);
	message.header = &header;
	message.items = pointers;
	message.removed_keys = keys;
	assert(ban_list_apply(bans, source ? BAN_SOURCES_MAX - 1 : 0, &message));
}

/* Any bytes; a message without a header does not come this far. */
static void tell_any(struct input *input)
{
	Protector__WatchBansResponse *message;
	struct ban_verdict verdict;
	struct arena arena;

	arena_init(&arena, 1 << 16, ARENA_BYTES_MAX);
	message = protector__watch_bans_response__unpack(
		&arena.allocator, (size_t)(input->end - input->at), input->at);
	if (message && message->header) {
		message->header->snapshot_begin = message->header->snapshot_end = true;
		ban_list_apply(bans, 0, message);
		ban_list_settle(bans);
		assert(ban_list_count(bans) <= message->n_items);
		ban_list_judge(bans, "eve", NULL, 0, &verdict);
	}
	arena_release(&arena);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	log_set_level(LOG_ERROR);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, data + size};

	memset(models, 0, sizeof(models));
	bans = ban_list_new();
	if (take(&input) & 1) {
		tell_any(&input);
	} else {
		while (input.at < input.end) {
			tell(&input);
			ban_list_settle(bans);
			compare_all();
		}
	}
	ban_list_free(bans);
	return 0;
}
