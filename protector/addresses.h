/* protector/addresses.h - IP addresses and ranges of them: reading, writing, cutting.
 *
 * A prefix is a range of addresses that share their first `length` bits; all bits after those are zero. A single address is the
 * longest prefix of its family. IPv4-mapped IPv6 (::ffff:192.0.2.1) is IPv4 from the reading on, so nobody evades a ban by spelling; the families
 * never match one another. The canonical text of a prefix is one text: of a single address it has no "/length".
 * Pure: any thread. */
#ifndef FLASHSALE_PROTECTOR_ADDRESSES_H
#define FLASHSALE_PROTECTOR_ADDRESSES_H

#include <stdbool.h>
#include <stdint.h>

#define ADDRESS_BYTES 16
#define PREFIX_TEXT_MAX 52 /* with the terminator */

enum address_family { ADDRESS_V4, ADDRESS_V6, ADDRESS_FAMILIES };

/* Compares as bytes: family, then bytes, then length is the order of lists. */
struct prefix {
	uint8_t family;
	uint8_t bytes[ADDRESS_BYTES]; /* v4: the first four */
	uint8_t length;		      /* 0 to 32, 0 to 128 */
};

bool address_parse(const char *text, struct prefix *ret); /* one address; false: it is none */
bool prefix_parse(const char *text,
	struct prefix *ret); /* an address, or "address/length", bits after the length are cut off */
char *prefix_format(const struct prefix *prefix, char text[PREFIX_TEXT_MAX]);
bool prefix_valid(const struct prefix *prefix); /* for bytes from a store */

static inline uint8_t prefix_length_max(enum address_family family)
{
	return family == ADDRESS_V4 ? 32 : 128;
}

void prefix_cut(struct prefix *prefix, uint8_t length); /* to a shorter one that covers it */
int prefix_compare(const struct prefix *a, const struct prefix *b);

#endif
