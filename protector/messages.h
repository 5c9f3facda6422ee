/* protector/messages.h - between the contract's messages and the bans: checks of what came in, making of what goes out.
 *
 * Messages are made in the arena given; NULL or false: it is at its cap. Texts of messages point to the ban or the request that they were made
 * from, if not into the arena. Pure: any thread. */
#ifndef FLASHSALE_PROTECTOR_MESSAGES_H
#define FLASHSALE_PROTECTOR_MESSAGES_H

#include "base/arena.h"
#include "flashsale/protector/v1/protector.pb-c.h"
#include "protector/bans.h"

/* What is wrong with a request; `field` NULL: nothing. */
struct complaint {
	const char *field; /* by its name in the contract */
	const char *why;   /* for a person */
};

/* Each fills *ret unless there is a complaint. `field` is how the request calls it. */
struct complaint subject_from_user(const char *field, const char *user_id, struct ban_subject *ret);
struct complaint subject_from_range(const char *field, const char *text, struct ban_subject *ret);
struct complaint address_from_text(const char *field, const char *text, struct address *ret);

/* Everything but the id. The texts point into the request. */
struct complaint ban_from_request(
	const Protector__CreateBanRequest *request, int64_t now_ms, struct ban *ret);

struct complaint allowance_from_request(
	const Protector__CreateAllowanceRequest *request, int64_t now_ms, struct ban *ret);

Protector__BanEffect message_effect(enum ban_effect effect);
Protector__Ban *message_ban(struct arena *arena, const struct ban *ban); /* of one in force */
Protector__Ban *message_ended(struct arena *arena, const struct ended_ban *ended);
Protector__Allowance *message_allowance(struct arena *arena, const struct ban *ban);
struct ban *message_keep(struct arena *arena, const struct ban *ban); /* a copy of one that may go */
/* INVALID, with the complaint. */
Common__Refusal *message_refusal(struct arena *arena, const struct complaint *complaint);

enum outcome { OUTCOME_WELCOME, OUTCOME_BANNED, OUTCOME_SHADOWED, OUTCOME_INVALID, OUTCOMES };
/* The outcome of one check; *ret is initialised here, *ret_outcome says which it is, for counting. */
bool message_outcome(struct arena *arena, const struct bans *bans, const Protector__ClientCheck *check,
	int64_t now_ms, Protector__ClientOutcome *ret, enum outcome *ret_outcome);

#endif
