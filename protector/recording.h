/* protector/recording.h - recorded traffic: ReportTrafficRequest messages one after the other, each after its length as a varint.
 *
 * A file that ends within a message (the recorder died) is read up to there: what is whole counts. Threads: a reader or a writer belongs to one. */
#ifndef FLASHSALE_PROTECTOR_RECORDING_H
#define FLASHSALE_PROTECTOR_RECORDING_H

#include <stddef.h>

#include "base/error.h"
#include "flashsale/protector/v1/traffic.pb-c.h"
#include "protector/bans.h"
#include "protector/traffic.h"

#define RECORDING_EVENTS_MAX 4096	    /* of a message */
#define RECORDING_BYTES_MAX (1024 * 1024) /* of a message */

/* The message's event as detectors see it; it points into the message. False: a time, an address or an account that can't be, or that is counted and not there. */
bool traffic_of_event(const Protector__TrafficEvent *event, struct traffic *ret);
/* And back; it points into *traffic and to `user`, which gets the account. */
void event_of_traffic(
	const struct traffic *traffic, char user[BANS_USER_MAX + 1], Protector__TrafficEvent *ret);

/* The length of a message as it stands before it; how many bytes that takes. */
#define RECORDING_LENGTH_MAX 10
size_t recording_pack_length(uint64_t length, uint8_t to[RECORDING_LENGTH_MAX]);

struct recording_reader;
struct recording_reader *recording_open(const char *path, struct error *error);
enum recording_result { RECORDING_EVENTS, RECORDING_END, RECORDING_BROKEN };
/* The next message's events, valid until the next call. BROKEN: error says what, and where. Events that can't be are left out and counted. */
enum recording_result recording_read(
	struct recording_reader *reader, const struct traffic **ret, size_t *ret_count, struct error *error);
bool recording_cut(const struct recording_reader *reader);	    /* it ended within a message */
uint64_t recording_invalid(const struct recording_reader *reader); /* events left out */
uint64_t recording_dropped(const struct recording_reader *reader); /* that senders said they had dropped */
void recording_close(struct recording_reader *reader);

struct recording_writer;
struct recording_writer *recording_create(const char *path, struct error *error); /* a file that is there is replaced */
void recording_write(struct recording_writer *writer, const struct traffic *traffic);
bool recording_finish(struct recording_writer *writer, struct error *error); /* frees; false: the first thing that went wrong */

#endif
