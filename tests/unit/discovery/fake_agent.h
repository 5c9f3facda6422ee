/* tests/unit/discovery/fake_agent.h - a Consul agent that does as it is told: an HTTP server with a thread a connection, so that a blocking query blocks.
 *
 * /v1/health/service/... answers what fake_agent_say() set; a query with the current index waits for the next say. The registration's paths keep one
 * registration. Every request is noted. Threads: any. */
#ifndef FLASHSALE_TESTS_FAKE_AGENT_H
#define FLASHSALE_TESTS_FAKE_AGENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define FAKE_NOTES_MAX 4096
#define FAKE_TEXT_MAX 512

struct fake_agent {
	struct MHD_Daemon *daemon;
	int port;
	pthread_mutex_t lock;
	pthread_cond_t stirred;
	/* how it answers */
	unsigned status;       /* of health queries; 0: no answer before it is stopped */
	char index[32];        /* "": no header */
	char *body;
	unsigned self_status;  /* of everything about registrations: 0: as it should be; 999: no answer */
	bool closing;
	/* what it heard */
	char notes[FAKE_NOTES_MAX][FAKE_TEXT_MAX]; /* "GET /v1/... token=..." */
	size_t count;
	char *registered;      /* the body; NULL: nothing is */
	size_t registrations;
};

struct fake_agent *fake_agent_new(void); /* answers [] with index 1 */
void fake_agent_free(struct fake_agent *agent);
void fake_agent_stop(struct fake_agent *agent);  /* connections are refused; what it knew stays */
void fake_agent_start(struct fake_agent *agent); /* on the same port */
void fake_agent_listen_unix(struct fake_agent *agent, const char *path); /* instead of its port */

void fake_agent_say(struct fake_agent *agent, unsigned status, const char *index, const char *body); /* copied */
void fake_agent_say_self(struct fake_agent *agent, unsigned status);
void fake_agent_forget(struct fake_agent *agent);                           /* the registration */
void fake_agent_replace(struct fake_agent *agent, const char *registration);

/* These wait, up to a minute, and fail the test then. */
void fake_agent_await_note(struct fake_agent *agent, const char *part);  /* some note has it */
void fake_agent_await_notes(struct fake_agent *agent, size_t count);
void fake_agent_await_registrations(struct fake_agent *agent, size_t count);
void fake_agent_await_gone(struct fake_agent *agent);                    /* nothing is registered */

/* An entry as Consul writes it; in a static buffer of the calling thread, four at a time. */
const char *fake_entry(const char *id, const char *address, int port, const char *meta, const char *status);

#endif
