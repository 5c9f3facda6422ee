#include "tests/unit/discovery/fake_dns.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"

#define TYPE_A 1
#define TYPE_AAAA 28

static size_t put_answer(uint8_t *to, uint8_t type, const void *address, uint8_t size)
{
	const uint8_t head[] = {
		0xc0, 12, 0, type, 0, 1, 0, 0, 0, 1, 0, size}; /* the name is the question's; TTL 1 s */

	memcpy(to, head, sizeof(head));
	memcpy(to + sizeof(head), address, size);
	return sizeof(head) + size;
}

/* Turns the question in the buffer into its answer. */
static size_t answer(struct fake_dns *dns, uint8_t *packet, size_t size)
{
	uint8_t type = packet[size - 3];
	size_t count = 0;

	packet[2] = 0x81;
	packet[3] = dns->mood == FAKE_DNS_NO_SUCH_NAME ? 0x83 : dns->mood == FAKE_DNS_FAILS ? 0x82 : 0x80;
	packet[11] = 0; /* no additional records */
	if (dns->mood == FAKE_DNS_WELL && type == TYPE_A)
		for (; count < dns->v4_count; count++)
			size += put_answer(packet + size, TYPE_A, &dns->v4[count], 4);
	if (dns->mood == FAKE_DNS_WELL && type == TYPE_AAAA)
		for (; count < dns->v6_count; count++)
			size += put_answer(packet + size, TYPE_AAAA, &dns->v6[count], 16);
	packet[7] = (uint8_t)count;
	if (dns->mood == FAKE_DNS_NONSENSE)
		for (size_t i = 4; i < size; i++)
			packet[i] = (uint8_t)(packet[i] * 7 + i);
	return size;
}

/* The end of the question: its name, type and class; what c-ares adds behind it is cut off. */
static size_t question_size(const uint8_t *packet, size_t size)
{
	size_t at = 12;

	while (at < size && packet[at])
		at += packet[at] + 1u;
	return at + 5 <= size ? at + 5 : size;
}

static void *serve(void *context)
{
	struct fake_dns *dns = context;
	uint8_t packet[1024];

	for (;;) {
		struct sockaddr_in from;
		socklen_t length = sizeof(from);
		ssize_t got = recvfrom(dns->fd, packet, 512, 0, (struct sockaddr *)&from, &length);
		size_t size;

		pthread_mutex_lock(&dns->lock);
		if (dns->ending) {
			pthread_mutex_unlock(&dns->lock);
			return NULL;
		}
		dns->questions++;
		pthread_cond_broadcast(&dns->asked);
		size = got > 17 ? answer(dns, packet, question_size(packet, (size_t)got)) : 0;
		if (dns->mood != FAKE_DNS_SILENT)
			sendto(dns->fd, packet, size, 0, (struct sockaddr *)&from, length);
		pthread_mutex_unlock(&dns->lock);
	}
}

struct fake_dns *fake_dns_new(void)
{
	struct fake_dns *dns = NEW(struct fake_dns);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);

	dns->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(dns->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(dns->fd, (struct sockaddr *)&address, &size), 0);
	snprintf(dns->servers, sizeof(dns->servers), "127.0.0.1:%d", ntohs(address.sin_port));
	pthread_mutex_init(&dns->lock, NULL);
	pthread_cond_init(&dns->asked, NULL);
	assert_int_equal(pthread_create(&dns->thread, NULL, serve, dns), 0);
	return dns;
}

void fake_dns_free(struct fake_dns *dns)
{
	struct sockaddr_in self;
	socklen_t size = sizeof(self);

	pthread_mutex_lock(&dns->lock);
	dns->ending = true;
	pthread_mutex_unlock(&dns->lock);
	getsockname(dns->fd, (struct sockaddr *)&self, &size);
	sendto(dns->fd, "", 1, 0, (struct sockaddr *)&self, size);
	pthread_join(dns->thread, NULL);
	close(dns->fd);
	free(dns);
}

void fake_dns_say(struct fake_dns *dns, const char *addresses)
{
	char *copy = memory_copy_text(addresses), *rest;

	pthread_mutex_lock(&dns->lock);
	dns->v4_count = dns->v6_count = 0;
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (inet_pton(AF_INET, word, &dns->v4[dns->v4_count]) == 1)
			dns->v4_count++;
		else
			dns->v6_count += inet_pton(AF_INET6, word, &dns->v6[dns->v6_count]) == 1;
	}
	pthread_mutex_unlock(&dns->lock);
	free(copy);
}

void fake_dns_mood(struct fake_dns *dns, enum fake_dns_mood mood)
{
	pthread_mutex_lock(&dns->lock);
	dns->mood = mood;
	pthread_mutex_unlock(&dns->lock);
}

void fake_dns_await_questions(struct fake_dns *dns, size_t more)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 60;
	pthread_mutex_lock(&dns->lock);
	more += dns->questions;
	while (dns->questions < more)
		assert_int_equal(pthread_cond_timedwait(&dns->asked, &dns->lock, &end), 0);
	pthread_mutex_unlock(&dns->lock);
}
