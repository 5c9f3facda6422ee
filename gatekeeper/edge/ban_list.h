/* gatekeeper/edge/ban_list.h - the bans and the allow list, as the protectors last told them.
 *
 * A ban of an account, an address or a range speaks against a client while it has not ended; its end is looked at when it is asked for. An entry of the allow list that
 * covers the address takes away all bans of addresses, one of the account those of accounts. Of what persons said about exactly the same account, address or range the newest
 * counts; while that is milder than DENY, what detectors said of it does not count; and while a lift is in force, whichever protector tells of it, no ban counts of
 * the detectors that it names. Shadow bans say nothing. Of several the
 * strongest effect counts, and of that the one that ends last. Bounded: past BAN_TABLE_MAX a protector's bans are not kept.
 *
 * Each protector is a source with a table of its own. What comes is put in by a thread of the list's, not by who brings it: a snapshot becomes a new table, which takes the
 * place of the old one when it is whole; deltas go into the one that is in use, one at a time.
 * Threads: ban_list_apply on the loop, ban_list_judge on any. One mutex inside, held for a look-up, for one ban that is put in or taken out, or for an exchange of pointers. */
#ifndef FLASHSALE_EDGE_BAN_LIST_H
#define FLASHSALE_EDGE_BAN_LIST_H

#include <stdbool.h>

#include "base/address.h"
#include "flashsale/protector/v1/protector.pb-c.h"

#define BAN_SOURCES_MAX 16
#define BAN_WAITING_MAX 1048576 /* bans that wait for the list's thread: 80 MB of them */
#define BAN_ID_MAX 36

/* The later, the stronger. */
enum ban_grip { BAN_NONE, BAN_SLOW, BAN_CHALLENGE, BAN_DENY };

struct ban_verdict {
	enum ban_grip effect; /* unless BAN_NONE: */
	bool of_address;      /* the ban is of the address or of a range around it, else of the account */
	char ban_id[BAN_ID_MAX + 1];
	int64_t end_ms; /* wall clock; INT64_MAX: never */
};

struct ban_list;
struct ban_list *ban_list_new(void); /* starts the thread, signals blocked */
void ban_list_free(struct ban_list *list);

/* A message of one source. False: too much waits, it was not kept; what comes next of this source must be a snapshot. */
bool ban_list_apply(struct ban_list *list, uint32_t source, const Protector__WatchBansResponse *message);
void ban_list_settle(struct ban_list *list); /* waits until all that came counts; for tests and benches */
size_t ban_list_count(struct ban_list *list);

/* What is in force against a client; of bans of the account and of its address with the same effect the account's. `address` may be NULL: not known. */
void ban_list_judge(struct ban_list *list, const char *user_id, const struct address *address, int64_t now_ms,
	struct ban_verdict *ret);

#endif
