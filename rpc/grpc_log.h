/* rpc/grpc_log.h - what gRPC has to say goes to our log: errors, and why a connection did not come about.
 * Of TLS it says only that a certificate did not verify; the reason is caught where OpenSSL has it and told along. Threads: any. */
#ifndef FLASHSALE_RPC_GRPC_LOG_H
#define FLASHSALE_RPC_GRPC_LOG_H

void grpc_log_redirect(void); /* again is harmless */

#endif
