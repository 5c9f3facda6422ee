/* rpc/status.h - how a call ended: gRPC's code, a text, and the machine-readable details of google.rpc (ErrorInfo, BadRequest, RetryInfo).
 * A status is a plain value, texts inside; who declares it owns it. Pure: any thread. */
#ifndef FLASHSALE_RPC_STATUS_H
#define FLASHSALE_RPC_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rpc_code {
	RPC_OK = 0, RPC_CANCELLED = 1, RPC_UNKNOWN = 2, RPC_INVALID_ARGUMENT = 3, RPC_DEADLINE_EXCEEDED = 4, RPC_NOT_FOUND = 5,
	RPC_ALREADY_EXISTS = 6, RPC_PERMISSION_DENIED = 7, RPC_RESOURCE_EXHAUSTED = 8, RPC_FAILED_PRECONDITION = 9, RPC_ABORTED = 10,
	RPC_OUT_OF_RANGE = 11, RPC_UNIMPLEMENTED = 12, RPC_INTERNAL = 13, RPC_UNAVAILABLE = 14, RPC_DATA_LOSS = 15, RPC_UNAUTHENTICATED = 16,
};

struct rpc_status {
	enum rpc_code code;
	char reason[40];      /* name of a flashsale.common.v1.Reason without its prefix ("SOLD_OUT"), or "" */
	char field[96];       /* of the request, or "" */
	char message[256];
	int64_t retry_after_ms; /* 0: no RetryInfo */
};

const char *rpc_code_name(enum rpc_code code); /* "UNAVAILABLE" */

/* Fills code, reason and message; clears the rest. */
void rpc_status_set(struct rpc_status *status, enum rpc_code code, const char *reason, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* grpc-status-details-bin, both ways. pack: malloc'd bytes. unpack: from untrusted bytes; false leaves *status as it was. */
void *rpc_status_pack(const struct rpc_status *status, size_t *ret_size);
bool rpc_status_unpack(const void *bytes, size_t size, struct rpc_status *status);

#endif
