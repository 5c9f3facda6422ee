#include "protector/messages.h"

#include <stdio.h>
#include <string.h>

#include "protector/detection.h"
#include "rpc/timestamp.h"

static const struct complaint content;

static struct complaint complain(const char *field, const char *why)
{
	return (struct complaint){field, why};
}

struct complaint subject_from_user(const char *field, const char *user_id, struct ban_subject *ret)
{
	if (!*user_id || strlen(user_id) > BANS_USER_MAX)
		return complain(field, "expected 1 to 64 bytes");
	subject_account(ret, user_id);
	return content;
}

struct complaint subject_from_range(const char *field, const char *text, struct ban_subject *ret)
{
	struct address address;

	if (!address_parse_range(text, strlen(text), &address))
		return complain(field, "expected an IPv4 or IPv6 address, or a range such as 192.0.2.0/24");
	subject_address(ret, &address);
	return content;
}

struct complaint address_from_text(const char *field, const char *text, struct address *ret)
{
	if (!address_parse(text, strlen(text), ret))
		return complain(field, "expected an IPv4 or IPv6 address");
	return content;
}

/* A subject of a message: the case of its oneof, and the text. */
static struct complaint read_subject(bool is_user, bool is_address, const char *text, struct ban_subject *ret)
{
	if (is_user)
		return subject_from_user("user_id", text, ret);
	if (is_address)
		return subject_from_range("address", text, ret);
	return complain("user_id", "this or address must be given");
}

static struct complaint read_effect(Protector__BanEffect effect, enum ban_effect *ret)
{
	switch (effect) {
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_UNSPECIFIED:
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_DENY:
		*ret = BAN_DENIES;
		return content;
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_SHADOW:
		*ret = BAN_SHADOWS;
		return content;
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_ALLOW:
		*ret = BAN_ALLOWS;
		return content;
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_SLOW:
		*ret = BAN_SLOWS;
		return content;
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_CHALLENGE:
		*ret = BAN_CHALLENGES;
		return content;
	default:
		return complain("effect", "expected BAN_EFFECT_DENY, BAN_EFFECT_SHADOW, BAN_EFFECT_ALLOW, "
					  "BAN_EFFECT_SLOW or BAN_EFFECT_CHALLENGE");
	}
}

/* What is common to bans and allowances; its subject and effect are read. */
static struct complaint read_rest(
	struct ban *ban, const char *reason, const Google__Protobuf__Timestamp *expire_time, int64_t now_ms)
{
	ban->origin = BAN_BY_OPERATOR;
	ban->create_ms = now_ms;
	ban->expire_ms = BANS_NEVER;
	ban->reason = reason;
	ban->evidence = "";
	if (strlen(reason) > BANS_REASON_MAX)
		return complain("reason", "expected at most 256 bytes");
	if (expire_time && (!timestamp_get(expire_time, &ban->expire_ms) || ban->expire_ms <= now_ms))
		return complain(
			"expire_time", "expected a time in the future, or none for one without an end");
	return content;
}

struct complaint ban_from_request(const Protector__CreateBanRequest *request, int64_t now_ms, struct ban *ret)
{
	struct ban ban = {0};
	struct complaint complaint =
		read_subject(request->subject_case == PROTECTOR__CREATE_BAN_REQUEST__SUBJECT_USER_ID,
			request->subject_case == PROTECTOR__CREATE_BAN_REQUEST__SUBJECT_ADDRESS,
			request->user_id, &ban.subject);

	if (!complaint.field)
		complaint = read_effect(request->effect, &ban.effect);
	if (!complaint.field)
		complaint = read_rest(&ban, request->reason, request->expire_time, now_ms);
	if (!complaint.field)
		*ret = ban;
	return complaint;
}

struct complaint allowance_from_request(
	const Protector__CreateAllowanceRequest *request, int64_t now_ms, struct ban *ret)
{
	struct ban ban = {.effect = BAN_ALLOWS};
	struct complaint complaint =
		read_subject(request->subject_case == PROTECTOR__CREATE_ALLOWANCE_REQUEST__SUBJECT_USER_ID,
			request->subject_case == PROTECTOR__CREATE_ALLOWANCE_REQUEST__SUBJECT_ADDRESS,
			request->user_id, &ban.subject);

	if (!complaint.field)
		complaint = read_rest(&ban, request->reason, request->expire_time, now_ms);
	if (!complaint.field)
		*ret = ban;
	return complaint;
}

static bool set_subject(struct arena *arena, const struct ban_subject *subject, Protector__Ban *message)
{
	char text[ADDRESS_TEXT_MAX];

	if (subject->kind == BAN_OF_ACCOUNT) {
		message->subject_case = PROTECTOR__BAN__SUBJECT_USER_ID;
		message->user_id = (char *)(uintptr_t)subject->user_id;
		return true;
	}
	address_format(&subject->address, text);
	message->subject_case = PROTECTOR__BAN__SUBJECT_ADDRESS;
	message->address = arena_text(arena, text, strlen(text));
	return message->address != NULL;
}

static char *id_text(struct arena *arena, const struct id *id)
{
	char text[ID_TEXT_LENGTH + 1];

	return arena_text(arena, id_format(id, text), ID_TEXT_LENGTH);
}

Protector__BanEffect message_effect(enum ban_effect effect)
{
	static const Protector__BanEffect effects[BAN_EFFECTS] = {
		[BAN_DENIES] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_DENY,
		[BAN_SHADOWS] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_SHADOW,
		[BAN_ALLOWS] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_ALLOW,
		[BAN_SLOWS] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_SLOW,
		[BAN_CHALLENGES] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_CHALLENGE,
		[BAN_EXEMPTS] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_EXEMPT,
	};

	return effects[effect];
}

static Protector__Exemption *message_exemption(struct arena *arena, uint32_t exempts)
{
	Protector__Exemption *message = ARENA_NEW(arena, Protector__Exemption);
	char **names = ARENA_ARRAY(arena, DETECTORS, char *);

	if (!message || !names)
		return NULL;
	protector__exemption__init(message);
	message->detectors = names;
	for (int detector = 0; detector < DETECTORS; detector++) {
		if (exempts & DETECTOR_BIT(detector))
			names[message->n_detectors++] = (char *)(uintptr_t)detector_name(detector);
	}
	return message;
}

Protector__Ban *message_ban(struct arena *arena, const struct ban *ban)
{
	static const Protector__BanSource sources[BAN_ORIGINS] = {
		[BAN_BY_OPERATOR] = PROTECTOR__BAN_SOURCE__BAN_SOURCE_OPERATOR,
		[BAN_BY_DETECTOR] = PROTECTOR__BAN_SOURCE__BAN_SOURCE_DETECTOR,
		[BAN_BY_SETTING] = PROTECTOR__BAN_SOURCE__BAN_SOURCE_SETTING,
		[BAN_BY_LIFTING] = PROTECTOR__BAN_SOURCE__BAN_SOURCE_OPERATOR,
	};
	Protector__Ban *message = ARENA_NEW(arena, Protector__Ban);

	if (!message)
		return NULL;
	protector__ban__init(message);
	message->ban_id = id_text(arena, &ban->id);
	message->reason = (char *)(uintptr_t)ban->reason;
	message->evidence = (char *)(uintptr_t)ban->evidence;
	message->source = sources[ban->origin];
	message->effect = message_effect(ban->effect);
	message->state = PROTECTOR__BAN_STATE__BAN_STATE_IN_FORCE;
	message->create_time = timestamp_new(arena, ban->create_ms);
	if (ban->expire_ms != BANS_NEVER)
		message->expire_time = timestamp_new(arena, ban->expire_ms);
	if ((ban->detection && !(message->detection = message_detection(arena, ban->detection))) ||
		(ban->exempts && !(message->exemption = message_exemption(arena, ban->exempts))))
		return NULL;
	if (!message->ban_id || !message->create_time || !set_subject(arena, &ban->subject, message) ||
		(ban->expire_ms != BANS_NEVER && !message->expire_time))
		return NULL;
	return message;
}

static bool set_hash(struct arena *arena, const uint8_t hash[SUBJECT_HASH_BYTES], Protector__Ban *message)
{
	char text[2 * SUBJECT_HASH_BYTES + 1];

	for (size_t i = 0; i < SUBJECT_HASH_BYTES; i++)
		snprintf(text + 2 * i, 3, "%02x", hash[i]);
	message->subject_case = PROTECTOR__BAN__SUBJECT_ADDRESS_HASH;
	message->address_hash = arena_text(arena, text, sizeof(text) - 1);
	return message->address_hash != NULL;
}

Protector__Ban *message_ended(struct arena *arena, const struct ended_ban *ended)
{
	static const Protector__BanState states[BAN_ENDS] = {
		[BAN_EXPIRED] = PROTECTOR__BAN_STATE__BAN_STATE_EXPIRED,
		[BAN_LIFTED] = PROTECTOR__BAN_STATE__BAN_STATE_LIFTED,
		[BAN_REPLACED] = PROTECTOR__BAN_STATE__BAN_STATE_REPLACED,
	};
	Protector__Ban *message = message_ban(arena, &ended->ban);

	if (!message)
		return NULL;
	message->state = states[ended->how];
	message->end_time = timestamp_new(arena, ended->end_ms);
	if (ended->how == BAN_REPLACED && !(message->replaced_by = id_text(arena, &ended->replaced_by)))
		return NULL;
	if (ended->erased && ended->ban.subject.kind == BAN_OF_ADDRESS &&
		!set_hash(arena, ended->subject_hash, message))
		return NULL;
	return message->end_time ? message : NULL;
}

Protector__Allowance *message_allowance(struct arena *arena, const struct ban *ban)
{
	const Protector__Ban *from = message_ban(arena, ban);
	Protector__Allowance *message = ARENA_NEW(arena, Protector__Allowance);

	if (!from || !message)
		return NULL;
	protector__allowance__init(message);
	message->allowance_id = from->ban_id;
	if (from->subject_case == PROTECTOR__BAN__SUBJECT_USER_ID) {
		message->subject_case = PROTECTOR__ALLOWANCE__SUBJECT_USER_ID;
		message->user_id = from->user_id;
	} else {
		message->subject_case = PROTECTOR__ALLOWANCE__SUBJECT_ADDRESS;
		message->address = from->address;
	}
	message->reason = from->reason;
	message->create_time = from->create_time;
	message->expire_time = from->expire_time;
	return message;
}

struct ban *message_keep(struct arena *arena, const struct ban *ban)
{
	struct ban *copy = arena_copy(arena, ban, sizeof(*ban));

	if (!copy)
		return NULL;
	copy->reason = arena_text(arena, ban->reason, strlen(ban->reason));
	copy->evidence = arena_text(arena, ban->evidence, strlen(ban->evidence));
	if (ban->detection)
		copy->detection = arena_copy(arena, ban->detection, sizeof(*ban->detection));
	return copy->reason && copy->evidence && (copy->detection || !ban->detection) ? copy : NULL;
}

static struct complaint judge(const struct bans *bans, const Protector__ClientCheck *check, int64_t now_ms,
	struct bans_verdict *ret)
{
	struct complaint complaint = content;
	struct address address;

	if (strlen(check->user_id) > BANS_USER_MAX)
		return complain("user_id", "expected at most 64 bytes");
	if (!*check->user_id && !*check->client_ip)
		return complain("user_id", "an account, an address or both must be given");
	if (*check->client_ip)
		complaint = address_from_text("client_ip", check->client_ip, &address);
	if (!complaint.field)
		*ret = bans_judge(bans, check->user_id, *check->client_ip ? &address : NULL, now_ms);
	return complaint;
}

Common__Refusal *message_refusal(struct arena *arena, const struct complaint *complaint)
{
	Common__Refusal *refusal = ARENA_NEW(arena, Common__Refusal);

	if (!refusal)
		return NULL;
	common__refusal__init(refusal);
	refusal->reason = COMMON__REASON__REASON_INVALID;
	refusal->field = (char *)(uintptr_t)complaint->field;
	refusal->message = (char *)(uintptr_t)complaint->why;
	return refusal;
}

static bool refuse_invalid(
	struct arena *arena, const struct complaint *complaint, Protector__ClientOutcome *ret)
{
	ret->outcome_case = PROTECTOR__CLIENT_OUTCOME__OUTCOME_REFUSAL;
	ret->refusal = message_refusal(arena, complaint);
	return ret->refusal != NULL;
}

static bool notify(struct arena *arena, const struct ban *ban, Protector__ClientOutcome *ret)
{
	Protector__BanNotice *notice = ARENA_NEW(arena, Protector__BanNotice);

	if (!notice)
		return false;
	protector__ban_notice__init(notice);
	notice->ban_id = id_text(arena, &ban->id);
	if (ban->expire_ms != BANS_NEVER && !(notice->expire_time = timestamp_new(arena, ban->expire_ms)))
		return false;
	ret->outcome_case = PROTECTOR__CLIENT_OUTCOME__OUTCOME_BAN;
	ret->ban = notice;
	return notice->ban_id != NULL;
}

bool message_outcome(struct arena *arena, const struct bans *bans, const Protector__ClientCheck *check,
	int64_t now_ms, Protector__ClientOutcome *ret, enum outcome *ret_outcome)
{
	static const Protector__Welcome welcome =
		PROTECTOR__WELCOME__INIT; /* says nothing, so one does for all */
	struct bans_verdict verdict;
	struct complaint complaint = judge(bans, check, now_ms, &verdict);

	protector__client_outcome__init(ret);
	if (complaint.field) {
		*ret_outcome = OUTCOME_INVALID;
		return refuse_invalid(arena, &complaint, ret);
	}
	if (verdict.deny) {
		*ret_outcome = OUTCOME_BANNED;
		return notify(arena, verdict.deny, ret);
	}
	*ret_outcome = verdict.shadow ? OUTCOME_SHADOWED : OUTCOME_WELCOME;
	ret->outcome_case = PROTECTOR__CLIENT_OUTCOME__OUTCOME_WELCOME;
	ret->welcome = (Protector__Welcome *)(uintptr_t)&welcome;
	return true;
}
