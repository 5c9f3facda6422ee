/* gatekeeper/nginx/door.h - the thin shell between nginx and the edge: nginx speaks HTTP, the edge decides.
 *
 * A worker has one door: its edge, the requests gathered in this turn of the event loop, and the mailbox by which the edge's loop hands finished ones back. A
 * shopper's request is a visit while it waits: it holds a timer of nginx (without one a graceful quit would throw it away) and forgets its
 * edge request when the shopper hangs up or the timer fires; the edge request itself goes on and is freed when it comes back.
 * Threads: all of it on nginx's one thread, but for mailbox_put(), which the edge's loop calls. Nothing of nginx is touched there. */
#ifndef FLASHSALE_GATEKEEPER_NGINX_DOOR_H
#define FLASHSALE_GATEKEEPER_NGINX_DOOR_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "gatekeeper/edge/edge.h"
#include "gatekeeper/edge/throttle.h"

extern ngx_module_t ngx_http_flashsale_module;

/* Settings of the http block; one a configuration. */
struct door_conf {
	ngx_str_t tls_cert, tls_key, tls_ca;
	ngx_str_t discovery_file, consul_prefix, advertise, advertise_admin, keys_folder, challenge_key;
	ngx_uint_t demo; /* enum door_demo */
	ngx_uint_t log_level; /* enum log_level */
	ngx_flag_t protector_fail_closed, bench;
	ngx_msec_t deadline, policy_fallback, body_timeout, challenge_lifetime;
	ngx_int_t inventory_shards, cart_shards, queue_max;
	ngx_int_t challenge_difficulty, slow_account_rate, slow_address_rate;
	ngx_uint_t throttle_rate, throttle_burst; /* of all gatekeepers together; 0: any number of requests is taken */
	ngx_shm_zone_t *zone;			  /* struct door_shared */
	ngx_uint_t used; /* some location has `flashsale on` */
};
enum door_demo { DOOR_DEMO_OFF, DOOR_DEMO_LOOPBACK, DOOR_DEMO_FORCED };

/* A request of nginx that is, or was, with the edge; in r->pool, and the module's context of r. */
struct door_visit {
	ngx_http_request_t *r;
	struct edge_request *request; /* NULL: forgotten, or answered */
	ngx_event_t timer; /* while the body comes, then while the edge works */
	unsigned is_watched : 1; /* it is forgotten when r goes */
	/* for the access log */
	ngx_str_t reason, user, session, trace, route;
};

/* mailbox.c */
struct mailbox;
struct mailbox *mailbox_new(ngx_cycle_t *cycle, void (*arrived)(struct edge_request *list));
void mailbox_free(struct mailbox *mailbox);
void mailbox_put(void *mailbox, struct edge_request *first, struct edge_request *last); /* the edge's loop */
struct edge_request *mailbox_take(struct mailbox *mailbox);    /* all, oldest first */

/* shared.c: what a gatekeeper's workers share, in a zone of nginx's that outlives them and reloads. */
struct door_shared;
ngx_shm_zone_t *shared_zone(ngx_conf_t *cf); /* NULL: no memory */
struct throttle *shared_throttle(struct door_shared *shared);
void *shared_edge(struct door_shared *shared); /* the edge's part */
void shared_join(struct door_shared *shared);
bool shared_leave(struct door_shared *shared); /* whether nobody is left */

/* door.c */
ngx_int_t door_open(ngx_cycle_t *cycle, const struct door_conf *conf);
void door_close(void);
ngx_int_t door_handle(ngx_http_request_t *r);	      /* content handler of `flashsale on` */
ngx_int_t door_handle_problem(ngx_http_request_t *r); /* content handler of `flashsale_problem` */
ngx_int_t door_handle_health(ngx_http_request_t *r);  /* content handler of `flashsale_health` */
ngx_int_t door_handle_metrics(ngx_http_request_t *r); /* content handler of `flashsale_metrics` */

/* input.c: what nginx read, as the edge wants it. Memory stays nginx's. */
void input_fill(ngx_http_request_t *r, struct edge_input *in); /* all but the body */
ngx_int_t input_fill_body(ngx_http_request_t *r, struct edge_input *in);
void input_fill_original(ngx_http_request_t *r,
	struct edge_input *in); /* method and path as the client sent them, after an internal redirect */

/* answer.c: `out` is copied, so the edge request may be freed at once. */
ngx_int_t answer_send(ngx_http_request_t *r, const struct edge_output *out);

#endif
