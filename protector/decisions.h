/* protector/decisions.h - from what the detectors decide to bans that are stored, shown and told.
 *
 * A decision comes from the analysis thread, crosses to the loop, is weighed there against what people said of the client, is committed by the writer, and then takes effect
 * as any ban does. A person's word about a client, and an allowance that covers its address, keep it from being made at all. It never takes the place of a stronger one
 * that is in force or on its way; what a detector in shadow decided is weaker than any. They come into force in the order in which they were decided. At most
 * DECISIONS_MAX are under way; more are dropped and counted.
 * Threads: decisions_decided on the analysis thread; everything else on the loop, or before it has calls. */
#ifndef FLASHSALE_PROTECTOR_DECISIONS_H
#define FLASHSALE_PROTECTOR_DECISIONS_H

#include "protector/detectors.h"
#include "protector/protector.h"

#define DECISIONS_MAX 65536

struct decisions;

/* revoked: on the loop, of each decision that does not take effect; NULL: nobody wants to know. */
struct decisions *decisions_new(
	struct protector *protector, void (*revoked)(struct protector *protector, const struct ban *ban));
void decisions_mute(struct decisions *decisions); /* on the loop: revoked() is not called any more */
void decisions_end(struct decisions *decisions);  /* on the loop: the writer hears nothing more */
void decisions_free(
	struct decisions *decisions); /* after the analysis, the writer and the loop's last task */

/* Fits analysis_options.decided; the context is the decisions. */
void decisions_decided(void *decisions, const struct decision *decision);

#endif
