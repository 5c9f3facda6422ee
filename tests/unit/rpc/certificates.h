/* Certificates for tests, made in a folder of their own: FILE.crt and FILE.key. */
#ifndef FLASHSALE_TESTS_RPC_CERTIFICATES_H
#define FLASHSALE_TESTS_RPC_CERTIFICATES_H

#include "rpc/tls.h"

extern char certificates[64]; /* the folder */

int certificates_begin(void **state); /* for cmocka's groups */
int certificates_end(void **state);

void certificate_authority(const char *file);
/* Made out to the DNS name `name` (NULL: to none), signed by `by`; valid from and to so many seconds from now. */
void certificate_make_for(const char *file, const char *name, const char *by, long from_s, long to_s);
void certificate_make(const char *file, const char *name, const char *by); /* for a day */

struct rpc_tls_files certificate_files(const char *file, const char *authority);
void certificate_files_release(struct rpc_tls_files *files);
char *certificate_path(const char *file, const char *end); /* to be freed */
/* As a process has it: checked, but for whose it is. */
struct rpc_tls *certificate_tls(const char *file, const char *authority);
/* As a client that checks nothing of its own. */
grpc_channel_credentials *certificate_channel(const char *file, const char *authority);

#endif
