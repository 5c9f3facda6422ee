#include "discovery/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#define QUERY_MS 1000
#define QUERY_TRIES 2

struct name {
	struct resolver *resolver;
	char text[RESOLVER_NAME_MAX + 1];
	struct resolved *addresses; /* NULL: none known yet */
	size_t count;
	bool asked; /* of the present list; else it goes with the end of the round */
	bool away;  /* it was said that there is no answer */
};

struct resolver {
	char *servers;
	ares_channel channel; /* of the round; NULL: none is under way */
	size_t open;	      /* its answers that are to come */
	int64_t begun_ms;
	bool changed, ending;
	struct name *names[RESOLVER_NAMES_MAX];
	size_t count;
};

static int64_t now_ms(void)
{
	return clock_mono_ns() / 1000000;
}

static void init_ares(void)
{
	int code = ares_library_init(ARES_LIB_INIT_ALL);

	assert(code == ARES_SUCCESS);
}

struct resolver *resolver_new(const char *servers)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct resolver *resolver = NEW(struct resolver);

	pthread_once(&once, init_ares);
	resolver->servers = servers ? memory_copy_text(servers) : NULL;
	return resolver;
}

static void free_name(struct name *name)
{
	free(name->addresses);
	free(name);
}

static void end_round(struct resolver *resolver)
{
	if (!resolver->channel)
		return;
	resolver->ending = true;
	ares_destroy(resolver->channel); /* calls back what is open */
	resolver->ending = false;
	resolver->channel = NULL;
	assert(!resolver->open);
}

void resolver_free(struct resolver *resolver)
{
	if (!resolver)
		return;
	end_round(resolver);
	for (size_t i = 0; i < resolver->count; i++)
		free_name(resolver->names[i]);
	free(resolver->servers);
	free(resolver);
}

/* ---- an answer ---- */

static int compare(const void *one, const void *other)
{
	return strcmp(((const struct resolved *)one)->text, ((const struct resolved *)other)->text);
}

static bool write_address(struct resolved *to, const struct ares_addrinfo_node *node)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)node->ai_addr;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)node->ai_addr;
	char text[INET6_ADDRSTRLEN];

	if (node->ai_family == AF_INET)
		return inet_ntop(AF_INET, &v4->sin_addr, to->text, sizeof(to->text));
	if (node->ai_family != AF_INET6 || !inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text)))
		return false;
	snprintf(to->text, sizeof(to->text), "[%s]", text);
	return true;
}

static size_t collect(const struct ares_addrinfo *answer, int family, struct resolved *to)
{
	size_t count = 0, unique = 0;

	for (const struct ares_addrinfo_node *node = answer->nodes; node; node = node->ai_next)
		if (count < RESOLVER_ADDRESSES_MAX && node->ai_family == family)
			count += write_address(&to[count], node);
	qsort(to, count, sizeof(*to), compare);
	for (size_t i = 0; i < count; i++)
		if (!i || compare(&to[i], &to[i - 1]))
			to[unique++] = to[i];
	return unique;
}

static void take(struct name *name, const struct ares_addrinfo *answer)
{
	struct resolved *fresh = NEW_ARRAY(RESOLVER_ADDRESSES_MAX, struct resolved);
	size_t count = collect(answer, AF_INET, fresh);

	if (!count)
		count = collect(answer, AF_INET6, fresh);
	if (!count || (count == name->count && !memcmp(fresh, name->addresses, count * sizeof(*fresh)))) {
		free(fresh);
		return;
	}
	free(name->addresses);
	name->addresses = memory_resize(fresh, count, sizeof(*fresh));
	name->count = count;
	name->resolver->changed = true;
	log_info("a name has other addresses", LOG_TEXT("name", name->text),
		LOG_INT("addresses", (int64_t)count));
}

static void tell_failure(struct name *name, int status)
{
	if (name->away)
		return;
	name->away = true;
	log_warn(name->count ? "a name can't be resolved, its last known addresses stay"
			     : "a name can't be resolved, and nothing is known of it yet",
		LOG_TEXT("name", name->text), LOG_TEXT("why", ares_strerror(status)));
}

static void answered(void *context, int status, int timeouts, struct ares_addrinfo *answer)
{
	struct name *name = context;

	name->resolver->open--;
	if (status == ARES_SUCCESS) {
		name->away = false;
		take(name, answer);
	} else if (!name->resolver->ending) {
		tell_failure(name, status);
	}
	ares_freeaddrinfo(answer);
}

/* ---- a round ---- */

static struct name *get_name(struct resolver *resolver, const char *text)
{
	struct name *name;

	for (size_t i = 0; i < resolver->count; i++)
		if (!strcmp(resolver->names[i]->text, text))
			return resolver->names[i];
	if (resolver->count == RESOLVER_NAMES_MAX || strlen(text) > RESOLVER_NAME_MAX)
		return NULL;
	name = NEW(struct name);
	name->resolver = resolver;
	strcpy(name->text, text);
	resolver->names[resolver->count++] = name;
	return name;
}

static void forget_others(struct resolver *resolver)
{
	size_t kept = 0;

	for (size_t i = 0; i < resolver->count; i++) {
		if (resolver->names[i]->asked)
			resolver->names[kept++] = resolver->names[i];
		else
			free_name(resolver->names[i]);
	}
	resolver->count = kept;
}

static bool open_channel(struct resolver *resolver)
{
	struct ares_options options = {.timeout = QUERY_MS, .tries = QUERY_TRIES};
	int code = ares_init_options(&resolver->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES);

	if (code == ARES_SUCCESS && resolver->servers)
		code = ares_set_servers_ports_csv(resolver->channel, resolver->servers);
	if (code == ARES_SUCCESS)
		return true;
	LOG_LIMITED(LOG_ERROR, "names can't be resolved at all", LOG_TEXT("why", ares_strerror(code)));
	if (resolver->channel)
		ares_destroy(resolver->channel);
	resolver->channel = NULL;
	return false;
}

void resolver_ask(struct resolver *resolver, const char *const *names, size_t count)
{
	struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_flags = ARES_AI_NOSORT};

	if (resolver->channel && now_ms() - resolver->begun_ms < RESOLVER_ROUND_MS_MAX)
		return;
	end_round(resolver);
	for (size_t i = 0; i < resolver->count; i++)
		resolver->names[i]->asked = false;
	for (size_t i = 0; i < count; i++) {
		struct name *name = get_name(resolver, names[i]);

		if (name)
			name->asked = true;
	}
	forget_others(resolver);
	if (!resolver->count || !open_channel(resolver))
		return;
	resolver->begun_ms = now_ms();
	resolver->open = resolver->count;
	for (size_t i = 0; i < resolver->count; i++)
		ares_getaddrinfo(resolver->channel, resolver->names[i]->text, NULL, &hints, answered,
			resolver->names[i]);
}

size_t resolver_fds(struct resolver *resolver, struct pollfd fds[RESOLVER_FDS_MAX])
{
	ares_socket_t sockets[ARES_GETSOCK_MAXNUM];
	size_t count = 0;
	unsigned bits;

	_Static_assert(ARES_GETSOCK_MAXNUM <= RESOLVER_FDS_MAX, "each socket has its place");
	if (!resolver->channel)
		return 0;
	bits = (unsigned)ares_getsock(resolver->channel, sockets, ARES_GETSOCK_MAXNUM);
	for (unsigned i = 0; i < ARES_GETSOCK_MAXNUM; i++) {
		/* by hand: c-ares' macro shifts into the sign */
		short events = (short)((bits >> i & 1 ? POLLIN : 0) |
				       (bits >> (i + ARES_GETSOCK_MAXNUM) & 1 ? POLLOUT : 0));

		if (events)
			fds[count++] = (struct pollfd){.fd = sockets[i], .events = events};
	}
	return count;
}

int resolver_timeout_ms(struct resolver *resolver, int max_ms)
{
	struct timeval max = {.tv_sec = max_ms / 1000, .tv_usec = max_ms % 1000 * 1000}, wait;
	const struct timeval *sooner;

	if (!resolver->channel)
		return max_ms;
	if (!resolver->open)
		return 0; /* answered from a file, while it was asked */
	sooner = ares_timeout(resolver->channel, &max, &wait);
	return (int)(sooner->tv_sec * 1000 + sooner->tv_usec / 1000 + 1);
}

bool resolver_run(struct resolver *resolver, const struct pollfd *fds, size_t count)
{
	bool changed;

	if (resolver->channel) {
		for (size_t i = 0; i < count; i++)
			ares_process_fd(resolver->channel,
				fds[i].revents & (POLLIN | POLLERR | POLLHUP) ? fds[i].fd : ARES_SOCKET_BAD,
				fds[i].revents & POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
		ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* what has timed out */
		if (!resolver->open)
			end_round(resolver);
	}
	changed = resolver->changed;
	resolver->changed = false;
	return changed;
}

const struct resolved *resolver_addresses(
	const struct resolver *resolver, const char *name, size_t *ret_count)
{
	for (size_t i = 0; i < resolver->count; i++) {
		if (strcmp(resolver->names[i]->text, name) != 0)
			continue;
		*ret_count = resolver->names[i]->count;
		return resolver->names[i]->addresses;
	}
	*ret_count = 0;
	return NULL;
}
