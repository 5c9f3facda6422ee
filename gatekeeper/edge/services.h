/* gatekeeper/edge/services.h - GET /v1/services: every instance of every service, as it is now.
 *
 * The registry (discovery) says which there are; each that is connected is asked by flashsale.common.v1.InstanceService what it is and whether it serves. Nothing is left out
 * because it is not well. What others say is checked before it is shown: discovery checks its texts, and of an answer only what is short and printable is taken.
 * Threads: the lists have a mutex, discovery's thread brings them; a visit is on the loop; services_fill is pure. */
#ifndef FLASHSALE_EDGE_SERVICES_H
#define FLASHSALE_EDGE_SERVICES_H

#include "discovery/discovery.h"
#include "flashsale/gatekeeper/v1/gatekeeper.pb-c.h"
#include "rpc/survey.h"

struct edge;
struct work;

struct services;
struct services *services_new(struct edge *edge); /* after discovery was opened */
void services_free(struct services *services);	  /* before discovery goes; NULL is fine */

/* Answers the work, as JSON or, for the page's path, as HTML; loop. */
void services_start(struct work *work);

/* What is shown of one instance, from what the registry says and what it said itself (NULL: it is not asked, like other gatekeepers, or not known to the pool yet). False: the arena
 * is at its cap. */
struct services_facts {
	const char *service;
	const struct instance *instance;
	const struct rpc_survey_entry *entry;
	bool has_registry_health;
	int64_t now_ms;
};
bool services_fill(const struct services_facts *facts, struct arena *arena, Gatekeeper__InstanceView *view);

/* services_page.c: the answer as a page. False: the text is full. */
struct text;
bool services_page(struct text *text, const Gatekeeper__ListServicesResponse *response);
/* Its Content-Security-Policy: no scripts, no frames, nothing from elsewhere, one style that is known by its hash. */
const char *services_page_policy(void);

#endif
