/* rpc/tls_files.h - certificate, key and authorities, read from PEM files and checked as a whole. For tls.c only.
 *
 * Checked means: each parses; the key is the certificate's and has no passphrase; the certificate is signed by one of the authorities and valid today; it
 * carries the name it must. So what gRPC gets is known to work, and what is wrong has a name, a file and a reason.
 * Threads: any; a struct belongs to one. */
#ifndef FLASHSALE_RPC_TLS_FILES_H
#define FLASHSALE_RPC_TLS_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/error.h"
#include "rpc/tls.h"

/* The text of the files, ended by release. */
struct tls_pem {
	char *certificate, *key, *authority;
	int64_t expires_s; /* Unix time of the certificate's end */
};

/* What tells that a file is another one than before. */
struct tls_stamp {
	struct {
		dev_t device;
		ino_t inode;
		off_t size;
		struct timespec changed;
	} files[3];
};

/* `name`: the DNS name that the certificate must carry; NULL: any. */
bool tls_pem_read(struct tls_pem *pem, const struct rpc_tls_files *files, const char *name, struct error *error);
void tls_pem_release(struct tls_pem *pem);

/* Files that are away have a stamp too: zeros. */
void tls_stamp_take(struct tls_stamp *stamp, const struct rpc_tls_files *files);
bool tls_stamp_equal(const struct tls_stamp *one, const struct tls_stamp *other);

#endif
