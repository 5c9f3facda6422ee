/* tests/unit/discovery/fake_dns.h - a name server over UDP that knows one name at a time. Threads: any. */
#ifndef FLASHSALE_TESTS_FAKE_DNS_H
#define FLASHSALE_TESTS_FAKE_DNS_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define FAKE_DNS_ADDRESSES_MAX 8

enum fake_dns_mood { FAKE_DNS_WELL, FAKE_DNS_NO_SUCH_NAME, FAKE_DNS_FAILS, FAKE_DNS_SILENT, FAKE_DNS_NONSENSE };

struct fake_dns {
	int fd;
	char servers[32]; /* for resolver_new() */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	enum fake_dns_mood mood;
	struct in_addr v4[FAKE_DNS_ADDRESSES_MAX];
	struct in6_addr v6[FAKE_DNS_ADDRESSES_MAX];
	size_t v4_count, v6_count, questions;
	bool ending;
};

struct fake_dns *fake_dns_new(void);
void fake_dns_free(struct fake_dns *dns);
/* Every name is at these, "10.0.0.1 ::1 ..."; from the next question on. */
void fake_dns_say(struct fake_dns *dns, const char *addresses);
void fake_dns_mood(struct fake_dns *dns, enum fake_dns_mood mood);
void fake_dns_await_questions(struct fake_dns *dns, size_t more); /* so many from now; fails the test after a minute */

#endif
