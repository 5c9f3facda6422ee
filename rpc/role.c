#include "rpc/role.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const names[] = {"inventory", "cart", "policy", "protector", "gatekeeper", "operator"};

#define ROLE_COUNT (sizeof(names) / sizeof(names[0]))

uint32_t role_of(const char *name, size_t size)
{
	size_t domain = strlen(ROLE_DOMAIN), own;

	if (size <= domain || strncasecmp(name + size - domain, ROLE_DOMAIN, domain))
		return 0;
	own = size - domain;
	for (size_t i = 0; i < ROLE_COUNT; i++)
		if (own == strlen(names[i]) && !strncasecmp(name, names[i], own))
			return UINT32_C(1) << i;
	return 0;
}

void role_list(uint32_t roles, char *text, size_t room)
{
	size_t length = 0;

	assert(room);
	text[0] = '\0';
	for (size_t i = 0; i < ROLE_COUNT && length < room; i++)
		if (roles & UINT32_C(1) << i)
			length += (size_t)snprintf(
				text + length, room - length, "%s%s", length ? ", " : "", names[i]);
}

void role_certificate_name(const char *service, char name[ROLE_NAME_MAX])
{
	int length = snprintf(name, ROLE_NAME_MAX, "%s" ROLE_DOMAIN, service);

	assert(length > 0 && length < ROLE_NAME_MAX);
}
