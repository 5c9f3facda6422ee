/* rpc/store_fault.h - a page of a store's file that can't be read is a signal, SIGBUS or SIGSEGV, in the middle of LMDB: the file was cut or damaged while it is
 * in use, or its pages do not fit together. Nothing can be answered then; what can be done is to say so.
 *  - A tool that only looks at a store ends with TOOL_CANNOT and a text that names the place in the file.
 *  - A service writes one line to its log, and dies of the signal. Faults elsewhere are left to who had them before: they are no matter of the store.
 * Threads: main's, before others begin; the signals may come on any. */
#ifndef FLASHSALE_RPC_STORE_FAULT_H
#define FLASHSALE_RPC_STORE_FAULT_H

#include <lmdb.h>

/* From here on, one of the two in a process. The texts must stay valid. */
void store_fault_watch_tool(const char *program, const char *directory);
void store_fault_watch_service(const char *directory);
/* LMDB's own asserts about damaged pages of this environment end in the same way (a service aborts). */
void store_fault_env(MDB_env *env);

#endif
