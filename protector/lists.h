/* protector/lists.h - lists of bans in files: a line a ban, plain text or JSON, and both may be in one file.
 *
 * Text: an address, a range, or `user:NAME`; `#` begins a comment. JSON: an object with "userID" or "address", and perhaps "reason", "effect" ("BAN_EFFECT_DENY", ...),
 * "expireMs" (since 1970; 0: never) and what else an export tells. A ban that does not come from an operator, or is what remains of a lifted one, is for others to make again
 * (LIST_OTHERS), and an object with "kind" other than "ban" is nothing. Nothing else is passed over: a member that is not known, or of another type, is wrong.
 * Pure: any thread. */
#ifndef FLASHSALE_PROTECTOR_LISTS_H
#define FLASHSALE_PROTECTOR_LISTS_H

#include "base/error.h"
#include "protector/bans.h"

struct list_ban {
	struct ban_subject subject;
	enum ban_effect effect;
	int64_t expire_ms; /* BANS_NEVER */
	char *reason;	   /* malloc'd; NULL: the list's */
};

enum list_line { LIST_BAN, LIST_OTHERS, LIST_NOTHING, LIST_WRONG };
/* What is not said in the line stays as *ret has it. The line is not terminated. LIST_WRONG: *error says why. */
enum list_line list_read_line(const char *line, size_t length, struct list_ban *ret, struct error *error);

/* Whether `user:NAME` reads back as that account: it has no control characters and does not end with a space. */
bool list_holds_user(const char *user_id);

/* "deny", "shadow", "allow", "slow", "challenge", as flags name effects; also "BAN_EFFECT_DENY". 0: none of them. */
enum ban_effect list_effect(const char *text);
const char *list_effect_name(enum ban_effect effect); /* "BAN_EFFECT_DENY" */

#endif
