/* rpc/grpc_log.h - what gRPC's library has to say goes where our lines go: its errors as warnings, the rest is left out. Any thread. */
#ifndef FLASHSALE_RPC_GRPC_LOG_H
#define FLASHSALE_RPC_GRPC_LOG_H

void grpc_log_redirect(void); /* again is harmless */

#endif
