/* rpc/tool_fault.h - a page of a store's file that can't be read is a signal, SIGBUS or SIGSEGV, in the middle of LMDB. A tool that only looks at a store ends
 * then, with a text that names the place in the file. For tools only: a service dies of it, and its supervisor's log says so.
 * Threads: main's, before others begin; the signals may come on any. */
#ifndef FLASHSALE_RPC_TOOL_FAULT_H
#define FLASHSALE_RPC_TOOL_FAULT_H

#include <lmdb.h>

/* From here on. Both texts must stay valid. */
void tool_fault_watch(const char *program, const char *directory);
/* LMDB's own asserts about damaged pages of this environment end in the same way. */
void tool_fault_env(MDB_env *env);

#endif
