/* protector/traffic.h - one answered request, as detectors see it: proto/flashsale/protector/v1/traffic.proto without its wire form.
 *
 * Pure data: any thread. The account's text belongs to whoever hands the event over, for the time of the call. */
#ifndef FLASHSALE_PROTECTOR_TRAFFIC_H
#define FLASHSALE_PROTECTOR_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "base/text.h"
#include "flashsale/common/v1/reason.pb-c.h"

enum traffic_kind { TRAFFIC_OTHER, TRAFFIC_READ, TRAFFIC_BUY, TRAFFIC_CHANGE };

struct traffic {
	int64_t time_us; /* since 1970, by the gatekeeper's clock */
	bool counts_address, counts_account; /* of which of the two this protector keeps count; `address` and `user_id` are set then */
	enum traffic_kind kind;
	Common__Reason reason; /* UNSPECIFIED: it was a yes */
	struct address address; /* one address; meaningful if has_address */
	bool has_address;
	struct span user_id; /* length 0: none known; at most BANS_USER_MAX */
};

#endif
