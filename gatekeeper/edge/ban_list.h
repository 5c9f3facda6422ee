/* gatekeeper/edge/ban_list.h - the bans and the allow list, as the protector last told them.
 *
 * A ban of an account, an address or a range speaks against a client while it has not ended; its end is looked at when it is asked for. An entry of the allow list that
 * covers the address takes away all bans of addresses; bans of accounts stay. Shadow bans say nothing. Of several the strongest effect counts, and of
 * that the one that ends last. Bounded: past BAN_LIST_MAX a ban is not kept.
 * Threads: applied on the loop, read from any; one mutex inside. */
#ifndef FLASHSALE_EDGE_BAN_LIST_H
#define FLASHSALE_EDGE_BAN_LIST_H

#include <stdbool.h>

#include "base/address.h"
#include "flashsale/protector/v1/protector.pb-c.h"

#define BAN_LIST_MAX 1000000
#define BAN_ID_MAX 63

/* The later, the stronger. */
enum ban_grip { BAN_NONE, BAN_SLOW, BAN_CHALLENGE, BAN_DENY };

struct ban_verdict {
	enum ban_grip effect; /* unless BAN_NONE: */
	bool of_address;      /* the ban is of the address or of a range around it, else of the account */
	char ban_id[BAN_ID_MAX + 1];
	int64_t end_ms; /* wall clock; INT64_MAX: never */
};

struct ban_list;
struct ban_list *ban_list_new(void);
void ban_list_free(struct ban_list *list);

void ban_list_apply(struct ban_list *list, const Protector__WatchBansResponse *message);
/* What is in force against a client; of bans of the account and of its address with the same effect the account's. `address` may be NULL: not known. */
void ban_list_judge(struct ban_list *list, const char *user_id, const struct address *address, int64_t now_ms,
	struct ban_verdict *ret);

#endif
