/* The module as nginx sees it: directives, variables, the worker's start and end.
 *
 *   http:     flashsale_discovery FILE; or flashsale_consul PREFIX;  flashsale_advertise HOST:PORT ADMIN_HOST:PORT;  flashsale_demo loopback|off|forced;  flashsale_keys FOLDER;  flashsale_protector_fail_closed on|off;
 *             flashsale_deadline TIME;  flashsale_body_timeout TIME;  flashsale_policy_fallback TIME;  flashsale_shards INVENTORY CART;  flashsale_queue COUNT;  flashsale_throttle RATE BURST;  flashsale_log_level debug|info|warn|error;
 *             flashsale_challenge_key FILE;  flashsale_challenge_difficulty BITS;  flashsale_challenge_lifetime TIME;
 *             flashsale_slow_account_rate COUNT;  flashsale_slow_address_rate COUNT;
 *             flashsale_tls_cert FILE;  flashsale_tls_key FILE;  flashsale_tls_ca FILE;  flashsale_bench on|off;
 *   location: flashsale;          the API            flashsale_problem;  answers error_page's internal redirects
 *             flashsale_health;   200 when every dependency was seen       flashsale_metrics;  this worker's metrics as Prometheus text
 *   variables for the access log: $flashsale_reason _user _session _trace _route */
#include <sys/prctl.h>

#include "base/log.h"
#include "gatekeeper/nginx/door.h"

static char *set_handler(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *set_shards(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *set_advertise(ngx_conf_t *cf, ngx_command_t *command, void *conf);
static char *set_throttle(ngx_conf_t *cf, ngx_command_t *command, void *conf);

static ngx_conf_enum_t demo_names[] = {
	{ngx_string("off"), DOOR_DEMO_OFF},
	{ngx_string("loopback"), DOOR_DEMO_LOOPBACK},
	{ngx_string("forced"), DOOR_DEMO_FORCED},
	{ngx_null_string, 0},
};

static ngx_conf_enum_t level_names[] = {
	{ngx_string("debug"), LOG_DEBUG},
	{ngx_string("info"), LOG_INFO},
	{ngx_string("warn"), LOG_WARN},
	{ngx_string("error"), LOG_ERROR},
	{ngx_null_string, 0},
};

#define MAIN(name, set, field, post) \
	{ \
		ngx_string(name), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1, set, NGX_HTTP_MAIN_CONF_OFFSET, \
			offsetof(struct door_conf, field), post \
	}
#define FLAG(name, field) \
	{ \
		ngx_string(name), NGX_HTTP_MAIN_CONF | NGX_CONF_FLAG, ngx_conf_set_flag_slot, \
			NGX_HTTP_MAIN_CONF_OFFSET, offsetof(struct door_conf, field), NULL \
	}
#define LOCATION(name) \
	{ \
		ngx_string(name), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_handler, \
			NGX_HTTP_LOC_CONF_OFFSET, 0, NULL \
	}

static ngx_command_t commands[] = {
	MAIN("flashsale_discovery", ngx_conf_set_str_slot, discovery_file, NULL),
	MAIN("flashsale_consul", ngx_conf_set_str_slot, consul_prefix, NULL),
	{ngx_string("flashsale_advertise"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE2, set_advertise,
		NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
	MAIN("flashsale_tls_cert", ngx_conf_set_str_slot, tls_cert, NULL),
	MAIN("flashsale_tls_key", ngx_conf_set_str_slot, tls_key, NULL),
	MAIN("flashsale_tls_ca", ngx_conf_set_str_slot, tls_ca, NULL),
	MAIN("flashsale_keys", ngx_conf_set_str_slot, keys_folder, NULL),
	MAIN("flashsale_demo", ngx_conf_set_enum_slot, demo, demo_names),
	MAIN("flashsale_log_level", ngx_conf_set_enum_slot, log_level, level_names),
	MAIN("flashsale_deadline", ngx_conf_set_msec_slot, deadline, NULL),
	MAIN("flashsale_body_timeout", ngx_conf_set_msec_slot, body_timeout, NULL),
	MAIN("flashsale_policy_fallback", ngx_conf_set_msec_slot, policy_fallback, NULL),
	MAIN("flashsale_queue", ngx_conf_set_num_slot, queue_max, NULL),
	MAIN("flashsale_challenge_key", ngx_conf_set_str_slot, challenge_key, NULL),
	MAIN("flashsale_challenge_difficulty", ngx_conf_set_num_slot, challenge_difficulty, NULL),
	MAIN("flashsale_challenge_lifetime", ngx_conf_set_msec_slot, challenge_lifetime, NULL),
	MAIN("flashsale_slow_account_rate", ngx_conf_set_num_slot, slow_account_rate, NULL),
	MAIN("flashsale_slow_address_rate", ngx_conf_set_num_slot, slow_address_rate, NULL),
	FLAG("flashsale_protector_fail_closed", protector_fail_closed),
	FLAG("flashsale_bench", bench),
	{ngx_string("flashsale_shards"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE2, set_shards,
		NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
	{ngx_string("flashsale_throttle"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE2, set_throttle,
		NGX_HTTP_MAIN_CONF_OFFSET, 0, NULL},
	LOCATION("flashsale"),
	LOCATION("flashsale_problem"),
	LOCATION("flashsale_health"),
	LOCATION("flashsale_metrics"),
	ngx_null_command,
};

static char *refuse(ngx_conf_t *cf, const char *why)
{
	ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "flashsale: %s", why);
	return NGX_CONF_ERROR;
}

static char *set_handler(ngx_conf_t *cf, ngx_command_t *command, void *unused)
{
	ngx_http_core_loc_conf_t *location = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
	struct door_conf *conf = ngx_http_conf_get_module_main_conf(cf, ngx_http_flashsale_module);

	if (ngx_strcmp(command->name.data, "flashsale") == 0)
		location->handler = door_handle;
	else if (ngx_strcmp(command->name.data, "flashsale_problem") == 0)
		location->handler = door_handle_problem;
	else if (ngx_strcmp(command->name.data, "flashsale_health") == 0)
		location->handler = door_handle_health;
	else
		location->handler = door_handle_metrics;
	conf->used = 1;
	return NGX_CONF_OK;
}

static char *set_shards(ngx_conf_t *cf, ngx_command_t *command, void *data)
{
	struct door_conf *conf = data;
	ngx_str_t *words = cf->args->elts;

	conf->inventory_shards = ngx_atoi(words[1].data, words[1].len);
	conf->cart_shards = ngx_atoi(words[2].data, words[2].len);
	if (conf->inventory_shards < 1 || conf->inventory_shards > 1024 || conf->cart_shards < 1 ||
		conf->cart_shards > 1024)
		return refuse(cf,
			"flashsale_shards takes two numbers from 1 to 1024: shards of inventory and of cart");
	return NGX_CONF_OK;
}

static char *set_advertise(ngx_conf_t *cf, ngx_command_t *command, void *data)
{
	struct door_conf *conf = data;
	ngx_str_t *words = cf->args->elts;

	if (conf->advertise.len)
		return refuse(cf, "flashsale_advertise is there twice");
	conf->advertise = words[1];
	conf->advertise_admin = words[2];
	return NGX_CONF_OK;
}

static char *set_throttle(ngx_conf_t *cf, ngx_command_t *command, void *data)
{
	struct door_conf *conf = data;
	ngx_str_t *words = cf->args->elts;
	ngx_int_t rate = ngx_atoi(words[1].data, words[1].len);
	ngx_int_t burst = ngx_atoi(words[2].data, words[2].len);

	if (rate < 1 || rate > THROTTLE_RATE_MAX || burst < 0 || burst > THROTTLE_BURST_MAX)
		return refuse(cf,
			"flashsale_throttle takes two numbers up to 10000000: requests a second of all "
			"gatekeepers together, at least 1, and how many more at once");
	conf->throttle_rate = (ngx_uint_t)rate;
	conf->throttle_burst = (ngx_uint_t)burst;
	return NGX_CONF_OK;
}

static void *create_conf(ngx_conf_t *cf)
{
	struct door_conf *conf = ngx_pcalloc(cf->pool, sizeof(*conf));

	if (!conf)
		return NULL;
	conf->demo = NGX_CONF_UNSET_UINT;
	conf->log_level = NGX_CONF_UNSET_UINT;
	conf->protector_fail_closed = NGX_CONF_UNSET;
	conf->bench = NGX_CONF_UNSET;
	conf->deadline = NGX_CONF_UNSET_MSEC;
	conf->policy_fallback = NGX_CONF_UNSET_MSEC;
	conf->challenge_difficulty = NGX_CONF_UNSET;
	conf->challenge_lifetime = NGX_CONF_UNSET_MSEC;
	conf->slow_account_rate = NGX_CONF_UNSET;
	conf->slow_address_rate = NGX_CONF_UNSET;
	conf->body_timeout = NGX_CONF_UNSET_MSEC;
	conf->inventory_shards = 1;
	conf->cart_shards = 1;
	conf->queue_max = NGX_CONF_UNSET;
	return conf;
}

static bool check_tls(ngx_conf_t *cf, const struct door_conf *conf)
{
	const size_t given = (conf->tls_cert.len > 0) + (conf->tls_key.len > 0) + (conf->tls_ca.len > 0);

	if (given == 0 || given == 3)
		return true;
	refuse(cf, "TLS to the services needs flashsale_tls_cert, flashsale_tls_key and flashsale_tls_ca, or "
		   "none of them");
	return false;
}

static char *init_ladder(ngx_conf_t *cf, struct door_conf *conf)
{
	ngx_conf_init_value(conf->challenge_difficulty, 18);
	ngx_conf_init_msec_value(conf->challenge_lifetime, 120000);
	ngx_conf_init_value(conf->slow_account_rate, 2);
	ngx_conf_init_value(conf->slow_address_rate, 100);
	if (conf->challenge_difficulty < 1 || conf->challenge_difficulty > EDGE_DIFFICULTY_MAX)
		return refuse(cf, "flashsale_challenge_difficulty is out of range: 1 to 32");
	if (conf->challenge_lifetime < 1000 || conf->challenge_lifetime > 3600000)
		return refuse(cf, "flashsale_challenge_lifetime is out of range: 1s to 60m");
	if (conf->slow_account_rate < 1 || conf->slow_account_rate > 1000000)
		return refuse(cf, "flashsale_slow_account_rate is out of range: 1 to 1000000");
	if (conf->slow_address_rate < 1 || conf->slow_address_rate > 1000000)
		return refuse(cf, "flashsale_slow_address_rate is out of range: 1 to 1000000");
	return NGX_CONF_OK;
}

/* A worker that fails at its start is not started again: what a reload would fail by is seen here, and what runs goes on. */
static char *check_files(ngx_conf_t *cf, const struct door_conf *conf)
{
	const struct edge_options options = {
		.demo = conf->demo != DOOR_DEMO_OFF,
		.keys_folder = (const char *)conf->keys_folder.data,
		.tls_cert = (const char *)conf->tls_cert.data,
		.tls_key = (const char *)conf->tls_key.data,
		.tls_ca = (const char *)conf->tls_ca.data,
		.challenge_key = (const char *)conf->challenge_key.data,
	};
	struct error error = {0};

	if (conf->discovery_file.len && access((const char *)conf->discovery_file.data, R_OK) != 0) {
		ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno, "flashsale: flashsale_discovery names %V",
			&conf->discovery_file);
		return NGX_CONF_ERROR;
	}
	if (!edge_check(&options, &error)) {
		ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "flashsale: %s", error.text);
		return NGX_CONF_ERROR;
	}
	return NGX_CONF_OK;
}

static char *init_conf(ngx_conf_t *cf, void *data)
{
	struct door_conf *conf = data;

	ngx_conf_init_uint_value(conf->demo, DOOR_DEMO_LOOPBACK);
	ngx_conf_init_uint_value(conf->log_level, LOG_INFO);
	ngx_conf_init_value(conf->protector_fail_closed, 0);
	ngx_conf_init_value(conf->bench, 0);
	ngx_conf_init_msec_value(conf->deadline, 2000);
	ngx_conf_init_msec_value(conf->policy_fallback, 60000);
	ngx_conf_init_msec_value(conf->body_timeout, 30000);
	ngx_conf_init_value(conf->queue_max, 16384);
	if (conf->used && !conf->discovery_file.len && !conf->consul_prefix.len)
		return refuse(cf, "neither flashsale_discovery nor flashsale_consul is set: the one names "
				  "the list of the "
				  "services' addresses, the other finds them through Consul");
	if (conf->discovery_file.len && conf->consul_prefix.len)
		return refuse(cf, "flashsale_discovery and flashsale_consul contradict each other");
	if (conf->demo == DOOR_DEMO_OFF && !conf->keys_folder.len)
		return refuse(cf, "flashsale_demo is off, so flashsale_keys must name the folder of the "
				  "tokens' public keys");
	if (!check_tls(cf, conf))
		return NGX_CONF_ERROR;
	if (conf->deadline < 100 || conf->deadline > 60000)
		return refuse(cf, "flashsale_deadline is out of range: 100ms to 60s");
	if (conf->body_timeout < 100 || conf->body_timeout > 3600000)
		return refuse(cf, "flashsale_body_timeout is out of range: 100ms to 60m");
	if (conf->queue_max < 1 || conf->queue_max > 1000000)
		return refuse(cf, "flashsale_queue is out of range: 1 to 1000000");
	if (init_ladder(cf, conf) != NGX_CONF_OK)
		return NGX_CONF_ERROR;
	if (!conf->used)
		return NGX_CONF_OK;
	conf->zone = shared_zone(cf);
	return conf->zone ? check_files(cf, conf) : NGX_CONF_ERROR;
}

static bool is_loopback(const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

	if (address->sa_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	if (address->sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	return address->sa_family == AF_UNIX;
}

/* Demo mode believes whatever identity a body claims: it may not be reachable from elsewhere by accident. */
static ngx_int_t check_demo(ngx_cycle_t *cycle, const struct door_conf *conf)
{
	ngx_listening_t *listening = cycle->listening.elts;

	if (conf->demo != DOOR_DEMO_LOOPBACK)
		return NGX_OK;
	for (ngx_uint_t i = 0; i < cycle->listening.nelts; i++) {
		if (is_loopback(listening[i].sockaddr))
			continue;
		ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
			"flashsale: %V is not a loopback address, and in demo mode anybody can claim to be "
			"anybody. Listen on a "
			"loopback address, or say flashsale_demo forced if you really mean it",
			&listening[i].addr_text);
		return NGX_ERROR;
	}
	return NGX_OK;
}

static ngx_int_t init_module(ngx_cycle_t *cycle)
{
	struct door_conf *conf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_flashsale_module);

	if (!conf || !conf->used)
		return NGX_OK;
	return check_demo(cycle, conf);
}

/* Workers outlive a master that was killed, and keep its ports from the next one: they go with it instead. */
static ngx_int_t follow_master(ngx_cycle_t *cycle)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
		ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno, "flashsale: prctl(PR_SET_PDEATHSIG)");
		return NGX_ERROR;
	}
	return getppid() == ngx_parent ? NGX_OK : NGX_ERROR; /* it may have died before */
}

static ngx_int_t init_process(ngx_cycle_t *cycle)
{
	struct door_conf *conf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_flashsale_module);

	/* Cache helpers and the master run this too. */
	if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
		return NGX_OK;
	if (!conf || !conf->used)
		return NGX_OK;
	if (ngx_process == NGX_PROCESS_WORKER && follow_master(cycle) != NGX_OK)
		return NGX_ERROR;
	return door_open(cycle, conf);
}

static void exit_process(ngx_cycle_t *cycle)
{
	door_close();
}

static ngx_int_t read_variable(ngx_http_request_t *r, ngx_http_variable_value_t *value, uintptr_t offset)
{
	struct door_visit *visit = ngx_http_get_module_ctx(r, ngx_http_flashsale_module);
	ngx_str_t *text = visit ? (ngx_str_t *)((char *)visit + offset) : NULL;

	value->not_found = !text || !text->len;
	if (value->not_found)
		return NGX_OK;
	value->valid = 1;
	value->no_cacheable = 1;
	value->len = text->len;
	value->data = text->data;
	return NGX_OK;
}

static ngx_int_t add_variables(ngx_conf_t *cf)
{
	static struct {
		ngx_str_t name;
		uintptr_t offset;
	} variables[] = {
		{ngx_string("flashsale_reason"), offsetof(struct door_visit, reason)},
		{ngx_string("flashsale_user"), offsetof(struct door_visit, user)},
		{ngx_string("flashsale_session"), offsetof(struct door_visit, session)},
		{ngx_string("flashsale_trace"), offsetof(struct door_visit, trace)},
		{ngx_string("flashsale_route"), offsetof(struct door_visit, route)},
	};

	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		ngx_http_variable_t *variable =
			ngx_http_add_variable(cf, &variables[i].name, NGX_HTTP_VAR_NOCACHEABLE);

		if (!variable)
			return NGX_ERROR;
		variable->get_handler = read_variable;
		variable->data = variables[i].offset;
	}
	return NGX_OK;
}

static ngx_http_module_t context = {
	.preconfiguration = add_variables,
	.create_main_conf = create_conf,
	.init_main_conf = init_conf,
};

ngx_module_t ngx_http_flashsale_module = {
	NGX_MODULE_V1,
	&context,
	commands,
	NGX_HTTP_MODULE,
	NULL,
	init_module,
	init_process,
	NULL,
	NULL,
	exit_process,
	NULL,
	NGX_MODULE_V1_PADDING,
};

/* What nginx looks up in a loadable module. */
extern ngx_module_t *ngx_modules[];
extern char *ngx_module_names[];
extern char *ngx_module_order[];
ngx_module_t *ngx_modules[] = {&ngx_http_flashsale_module, NULL};
static char module_name[] = "ngx_http_flashsale_module";
char *ngx_module_names[] = {module_name, NULL};
char *ngx_module_order[] = {NULL};
