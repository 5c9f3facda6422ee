/* gatekeeper/edge/ban_feed.h - carries what watch streams tell of bans to a thread of its own, as plain data.
 *
 * A message is read where it comes, on the loop, into one piece of memory: texts are copied, addresses and ids parsed; an item that can't be a ban is left out and logged.
 * Detectors become bits, the first BAN_DETECTORS_MAX that are heard of; later ones have none, so that no lift reaches their bans before these are gone. Pieces
 * wait in line, at most BAN_WAITING_MAX bans in all (one piece alone may have more); the thread hands them over one by one, in order.
 * Threads: put on one; take() on the feed's. */
#ifndef FLASHSALE_EDGE_BAN_FEED_H
#define FLASHSALE_EDGE_BAN_FEED_H

#include "flashsale/protector/v1/protector.pb-c.h"
#include "gatekeeper/edge/ban_table.h"

#define BAN_DETECTORS_MAX 15 /* bit 0 is BAN_LIFTS_PERSONS */

struct ban_news {
	struct ban_entry ban; /* `user` points into the bundle */
	uint8_t user_length;  /* of an account */
};

static inline struct ban_key ban_news_key(const struct ban_news *news)
{
	struct address range = {.bits = news->ban.bits};

	if (news->ban.is_user)
		return ban_key_user(news->ban.user, news->user_length);
	memcpy(range.bytes, news->ban.address, sizeof(range.bytes));
	return ban_key_range(&range);
}

struct ban_bundle {
	struct ban_bundle *next;
	uint32_t source;
	bool begin, end; /* of a snapshot */
	uint32_t count, removed_count;
	struct ban_news *news;
	struct id *removed;
};

struct ban_feed;
struct ban_feed *ban_feed_new(void (*take)(void *context, const struct ban_bundle *bundle), void *context);
void ban_feed_free(struct ban_feed *feed); /* what waits is dropped */
bool ban_feed_put(struct ban_feed *feed, uint32_t source, const Protector__WatchBansResponse *message); /* false: full */
void ban_feed_settle(struct ban_feed *feed); /* waits until nothing waits */

#endif
