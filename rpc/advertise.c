#include "rpc/advertise.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "discovery/instances.h"

/* "" as well: all of them listen everywhere. */
static bool is_everywhere(const char *address)
{
	static const char *const hosts[] = {"0.0.0.0", "[::]", "*", "::"};
	const char *colon = strrchr(address, ':');
	size_t length = colon ? (size_t)(colon - address) : strlen(address);

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		if (length == strlen(hosts[i]) && !strncmp(address, hosts[i], length))
			return true;
	return length == 0;
}

static bool is_bare_v6(const char *text)
{
	struct in6_addr address;

	return inet_pton(AF_INET6, text, &address) == 1;
}

static bool has_port(const char *text)
{
	const char *colon = strrchr(text, ':');

	return colon && !strchr(colon, ']') && !is_bare_v6(text);
}

static char *join(const char *host, int port)
{
	return memory_format(is_bare_v6(host) ? "[%s]:%d" : "%s:%d", host, port);
}

char *advertise_address(const char *advertise, const char *listen, int port)
{
	if (!advertise)
		return memory_format("%.*s:%d", (int)(strrchr(listen, ':') - listen), listen, port);
	return has_port(advertise) ? memory_copy_text(advertise) : join(advertise, port);
}

char *advertise_admin(const char *address, const char *admin, int port)
{
	const char *from = is_everywhere(admin) ? address : admin;

	return memory_format("%.*s:%d", (int)(strrchr(from, ':') - from), from, port);
}

bool advertise_check(const char *advertise, const char *listen, struct error *error)
{
	char *address;
	bool good;

	if (!advertise && is_everywhere(listen))
		return error_set(error,
			"--listen %s means every address of this machine: --advertise must say at which one "
			"others reach this service",
			listen);
	if (!advertise)
		return true;
	address = advertise_address(advertise, listen, 1);
	good = instance_address_check(address, NULL) && !is_everywhere(address);
	free(address);
	return good || error_set(error,
			       "--advertise is '%.100s'; expected HOST or HOST:PORT at which others reach "
			       "this service",
			       advertise);
}
