/* protector/peers.h - the other protectors. Each has a store, detectors and bans of its own, and all of them act as one.
 *
 * Discovery names them; this one leaves itself out. Every peer's bans and allow list are followed (WatchBans, which tells of a protector's own only, so nothing goes in circles)
 * and lie in protector->bans beside our own, under the peer's number as their owner: judgements, lists and detectors regard all of them. They are in no store of ours. What a
 * peer said last stays while it is away, until it ends or until its number is needed for another.
 *
 * What must hold everywhere:
 *  - Of what persons said of a subject the newest by id counts. Who has an older word and hears the newer one ends its own, as a newer ban does in one protector.
 *  - A lift exempts from the detectors that it names at every protector. Who has a ban of such a detector and hears of the lift ends it.
 *  - To take away what a peer has is the peer's to do: peers_remove asks it to. One that is away makes that fail, before anything was changed. What nobody has told of yet all are
 *    asked for (rpc_elsewhere.c), and there is none only if all say so.
 *
 * Threads: the loop; new and free on the main thread, before the first call and after the last; open and close there too, while the loop runs. */
#ifndef FLASHSALE_PROTECTOR_PEERS_H
#define FLASHSALE_PROTECTOR_PEERS_H

#include "protector/protector.h"
#include "rpc/survey.h"

struct peers;
/* Watches nobody without a discovery. `incarnation` is that of our own board. */
struct peers *peers_new(struct protector *protector, const struct id *incarnation);
void peers_free(struct peers *peers);
void peers_open(struct peers *peers, struct discovery *discovery, struct rpc_tls *tls);
void peers_close(struct peers *peers); /* what peers were asked comes back first; not from the loop */

/* Who owns these bans, as discovery names it, and whether it is there. */
const char *peers_name(const struct peers *peers, uint8_t owner, bool *ret_here);

/* Asks all protectors at once, ourselves too when discovery names us, with the call's deadline or a second. Fill `done`; the rest is the call's. False: there is nobody to ask,
 * as without a discovery; `peers` may be NULL. */
bool peers_ask(struct peers *peers, struct rpc_call *call, const char *method, const ProtobufCMessage *input,
	struct rpc_survey *survey);
/* Who did not answer, ourselves left out: what NOT_FOUND says is an answer. How many; NULL: no memory. */
size_t peers_missing(const struct peers *peers, const struct rpc_survey *survey, char ***ret);

#endif
