/* protector/truth.h - who was good and who was bad, to hold the decisions of a replay against.
 *
 * The file has a line for each client: kind, "good" or "bad", account, address, with tabs; account or address may be empty, and a client that has several addresses has a line for
 * each. A bad one is caught when its account or its address is banned; a good one is wronged when either is, whether it was still there or not.
 * Threads: belongs to one. */
#ifndef FLASHSALE_PROTECTOR_TRUTH_H
#define FLASHSALE_PROTECTOR_TRUTH_H

#include <stdio.h>

#include "base/error.h"
#include "protector/detectors.h"
#include "protector/traffic.h"

#define TRUTH_KINDS_MAX 64
#define TRUTH_KIND_LENGTH_MAX 31
#define TRUTH_SOON_US INT64_C(5000000)

struct truth;
struct truth *truth_read(const char *path, struct error *error);
void truth_free(struct truth *truth); /* NULL is fine */

void truth_see(struct truth *truth, const struct traffic *traffic);
void truth_hear(struct truth *truth, const struct decision *decision);

struct truth_tally {
	char kind[TRUTH_KIND_LENGTH_MAX + 1];
	bool good;
	uint64_t clients;    /* that sent anything */
	uint64_t banned;     /* of these */
	uint64_t soon;	     /* banned within 5 s of their first request */
	uint64_t challenged; /* and not banned */
	uint64_t slowed;     /* and neither of these */
};
size_t truth_tally(const struct truth *truth, struct truth_tally to[TRUTH_KINDS_MAX]); /* in the order of the file */
void truth_print(const struct truth *truth, FILE *out);

#endif
