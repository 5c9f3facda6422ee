/* rpc/reason.h - what follows from a flashsale.common.v1.Reason: gRPC's code, the HTTP status, whether and when to try again.
 *
 * The one list stands in proto/flashsale/common/v1/reason.proto, as options of the enum's values; here it is read from the embedded
 * descriptor set, once. A list that does not fit (a value without traits, a code that gRPC does not have) ends the process at that first
 * look: it is part of the program. Entries live as long as the process and never change.
 * Threads: any. rpc_reason_init() may be called to do the reading at a quiet time; the look-ups do it when nobody has. */
#ifndef FLASHSALE_RPC_REASON_H
#define FLASHSALE_RPC_REASON_H

#include <stdbool.h>
#include <stdint.h>

#include "flashsale/common/v1/reason.pb-c.h"
#include "flashsale/options/v1/options.pb-c.h"
#include "rpc/status.h"

struct rpc_call;

struct rpc_reason {
	Common__Reason value;
	const char *name;  /* without the prefix: "SOLD_OUT" */
	const char *title; /* one sentence for a person, never empty */
	enum rpc_code code;
	uint32_t http_status;
	Options__Retry retry;
	uint32_t retry_after_ms; /* 0: no hint */
};

void rpc_reason_init(void);

/* NULL for REASON_UNSPECIFIED and for numbers that this program does not know (a newer peer's). */
const struct rpc_reason *rpc_reason_get(Common__Reason value);
/* "SOLD_OUT"; NULL if unknown. */
const struct rpc_reason *rpc_reason_by_name(const char *name);

/* Fills *status with the reason's code, name and retry hint and the text; an empty text becomes the title. `value` must be a reason. */
void rpc_status_set_reason(struct rpc_status *status, Common__Reason value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* rpc_fail() with such a status. */
void rpc_fail_reason(struct rpc_call *call, Common__Reason value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
