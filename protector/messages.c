#include "protector/messages.h"

#include <string.h>

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

static struct complaint read_subject(const Protector__CreateBanRequest *request, struct ban_subject *ret)
{
	switch (request->subject_case) {
	case PROTECTOR__CREATE_BAN_REQUEST__SUBJECT_USER_ID:
		return subject_from_user("user_id", request->user_id, ret);
	case PROTECTOR__CREATE_BAN_REQUEST__SUBJECT_ADDRESS:
		return subject_from_range("address", request->address, ret);
	default:
		return complain("user_id", "this or address must be given");
	}
}

static struct complaint read_effect(Protector__BanEffect effect, enum ban_kind kind, enum ban_effect *ret)
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
		if (kind == BAN_OF_ACCOUNT)
			return complain("effect", "only addresses can be allowed, an account can't");
		return content;
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_SLOW:
		*ret = BAN_SLOWS;
		return content;
	case PROTECTOR__BAN_EFFECT__BAN_EFFECT_CHALLENGE:
		*ret = BAN_CHALLENGES;
		return content;
	default:
		return complain("effect", "expected DENY, SHADOW, ALLOW, SLOW or CHALLENGE");
	}
}

struct complaint ban_from_request(const Protector__CreateBanRequest *request, int64_t now_ms, struct ban *ret)
{
	struct ban ban = {.origin = BAN_BY_OPERATOR,
		.create_ms = now_ms,
		.expire_ms = BANS_NEVER,
		.reason = request->reason,
		.evidence = ""};
	struct complaint complaint = read_subject(request, &ban.subject);

	if (!complaint.field)
		complaint = read_effect(request->effect, ban.subject.kind, &ban.effect);
	if (complaint.field)
		return complaint;
	if (strlen(request->reason) > BANS_REASON_MAX)
		return complain("reason", "expected at most 256 bytes");
	if (request->expire_time &&
		(!timestamp_get(request->expire_time, &ban.expire_ms) || ban.expire_ms <= now_ms))
		return complain(
			"expire_time", "expected a time in the future, or none for a ban without an end");
	*ret = ban;
	return content;
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

Protector__Ban *message_ban(struct arena *arena, const struct ban *ban)
{
	static const Protector__BanEffect effects[] = {
		[BAN_DENIES] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_DENY,
		[BAN_SHADOWS] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_SHADOW,
		[BAN_ALLOWS] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_ALLOW,
		[BAN_SLOWS] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_SLOW,
		[BAN_CHALLENGES] = PROTECTOR__BAN_EFFECT__BAN_EFFECT_CHALLENGE,
	};
	Protector__Ban *message = ARENA_NEW(arena, Protector__Ban);

	if (!message)
		return NULL;
	protector__ban__init(message);
	message->ban_id = id_text(arena, &ban->id);
	message->reason = (char *)(uintptr_t)ban->reason;
	message->evidence = (char *)(uintptr_t)ban->evidence;
	message->source = ban->origin == BAN_BY_DETECTOR ? PROTECTOR__BAN_SOURCE__BAN_SOURCE_DETECTOR
							 : PROTECTOR__BAN_SOURCE__BAN_SOURCE_OPERATOR;
	message->effect = effects[ban->effect];
	message->create_time = timestamp_new(arena, ban->create_ms);
	if (ban->expire_ms != BANS_NEVER)
		message->expire_time = timestamp_new(arena, ban->expire_ms);
	if (!message->ban_id || !message->create_time || !set_subject(arena, &ban->subject, message) ||
		(ban->expire_ms != BANS_NEVER && !message->expire_time))
		return NULL;
	return message;
}

Protector__Ban *message_ban_copy(struct arena *arena, const struct ban *ban)
{
	struct ban *copy = arena_copy(arena, ban, sizeof(*ban));

	if (!copy)
		return NULL;
	copy->reason = arena_text(arena, ban->reason, strlen(ban->reason));
	copy->evidence = arena_text(arena, ban->evidence, strlen(ban->evidence));
	return copy->reason && copy->evidence ? message_ban(arena, copy) : NULL;
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

static bool refuse_invalid(
	struct arena *arena, const struct complaint *complaint, Protector__ClientOutcome *ret)
{
	Common__Refusal *refusal = ARENA_NEW(arena, Common__Refusal);

	if (!refusal)
		return false;
	common__refusal__init(refusal);
	refusal->reason = COMMON__REASON__REASON_INVALID;
	refusal->field = (char *)(uintptr_t)complaint->field;
	refusal->message = (char *)(uintptr_t)complaint->why;
	ret->outcome_case = PROTECTOR__CLIENT_OUTCOME__OUTCOME_REFUSAL;
	ret->refusal = refusal;
	return true;
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
