#include "protector/addresses.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#define MAPPED_BITS 96 /* ::ffff:0:0/96 holds IPv4 */

static bool is_mapped(const uint8_t bytes[ADDRESS_BYTES])
{
	static const uint8_t mapped[MAPPED_BITS / 8] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	return memcmp(bytes, mapped, sizeof(mapped)) == 0;
}

/* As written; a mapped one is still IPv6. */
static bool parse_plain(const char *text, struct prefix *ret)
{
	*ret = (struct prefix){0};
	if (inet_pton(AF_INET, text, ret->bytes) == 1)
		ret->family = ADDRESS_V4;
	else if (inet_pton(AF_INET6, text, ret->bytes) == 1)
		ret->family = ADDRESS_V6;
	else
		return false;
	ret->length = prefix_length_max(ret->family);
	return true;
}

/* A range that lies in the mapped part becomes IPv4; a wider one stays what it is. */
static void unmap(struct prefix *prefix)
{
	if (prefix->family != ADDRESS_V6 || prefix->length < MAPPED_BITS || !is_mapped(prefix->bytes))
		return;
	prefix->family = ADDRESS_V4;
	prefix->length -= MAPPED_BITS;
	memmove(prefix->bytes, prefix->bytes + MAPPED_BITS / 8, 4);
	memset(prefix->bytes + 4, 0, ADDRESS_BYTES - 4);
}

bool address_parse(const char *text, struct prefix *ret)
{
	struct prefix prefix;

	if (!parse_plain(text, &prefix))
		return false;
	unmap(&prefix);
	*ret = prefix;
	return true;
}

/* One to three digits, in the one spelling that a number has. */
static bool parse_length(const char *text, uint8_t max, uint8_t *ret)
{
	unsigned value = 0;
	size_t digits = strspn(text, "0123456789");

	if (digits < 1 || digits > 3 || text[digits] || (digits > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (unsigned)(text[i] - '0');
	if (value > max)
		return false;
	*ret = (uint8_t)value;
	return true;
}

bool prefix_parse(const char *text, struct prefix *ret)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];
	struct prefix prefix;
	uint8_t length;

	if (!slash)
		return address_parse(text, ret);
	if ((size_t)(slash - text) >= sizeof(address))
		return false;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (!parse_plain(address, &prefix) ||
		!parse_length(slash + 1, prefix_length_max(prefix.family), &length))
		return false;
	prefix_cut(&prefix, length);
	unmap(&prefix);
	*ret = prefix;
	return true;
}

char *prefix_format(const struct prefix *prefix, char text[PREFIX_TEXT_MAX])
{
	int family = prefix->family == ADDRESS_V4 ? AF_INET : AF_INET6;
	const char *written = inet_ntop(family, prefix->bytes, text, PREFIX_TEXT_MAX);
	size_t length;

	assert(written);
	if (prefix->length == prefix_length_max(prefix->family))
		return text;
	length = strlen(text);
	snprintf(text + length, PREFIX_TEXT_MAX - length, "/%u", prefix->length);
	return text;
}

void prefix_cut(struct prefix *prefix, uint8_t length)
{
	size_t whole = length / 8;

	assert(length <= prefix->length);
	prefix->length = length;
	if (whole == ADDRESS_BYTES)
		return;
	prefix->bytes[whole] &= (uint8_t)(0xff00 >> (length % 8));
	memset(prefix->bytes + whole + 1, 0, ADDRESS_BYTES - whole - 1);
}

bool prefix_valid(const struct prefix *prefix)
{
	struct prefix cut = *prefix;

	if (prefix->family >= ADDRESS_FAMILIES || prefix->length > prefix_length_max(prefix->family))
		return false;
	prefix_cut(&cut, cut.length);
	unmap(&cut);
	return prefix_compare(&cut, prefix) == 0;
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
	return memcmp(a, b, sizeof(*a));
}
