#include "protector/watching.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "protector/detection.h"
#include "protector/recorder.h"
#include "protector/restoring.h"
#include "protector/settings_store.h"

static bool open_recorder(
	const struct protector_settings *settings, struct recorder **ret, struct error *error)
{
	*ret = NULL;
	if (!settings->record)
		return true;
	*ret = recorder_open(settings->record, settings->record_max, error);
	return *ret != NULL;
}

/* ---- what is known of bans, told to the analysis ---- */

static bool restore(struct protector *protector, struct analysis *analysis, struct error *error)
{
	MDB_txn *txn;
	int rc = store_read_begin(protector->store, &txn);

	if (!rc) {
		rc = restore_analysis(
			analysis, protector->bans, &protector->history, txn, clock_wall_ms(protector->clock));
		mdb_txn_abort(txn);
	}
	return !rc || error_set(error, "store %s: bans that are over can't be read, restore a backup: %s",
			      protector->store->directory, mdb_strerror(rc));
}

struct exemption {
	struct stream_errand errand;
	struct ban_subject subject;
	uint32_t detectors;
	int64_t until_us;
};

static void exempt(struct stream_errand *errand, struct analysis *analysis)
{
	struct exemption *exemption = container_of(errand, struct exemption, errand);

	restore_exemption(analysis, &exemption->subject, exemption->detectors, exemption->until_us);
	free(exemption);
}

/* A person lifted a ban of a detector, which leaves the client alone for a while. */
static void exempted(struct protector *protector, const struct ban *ban)
{
	struct exemption *exemption;

	if (!protector->watching->stream)
		return;
	exemption = NEW(struct exemption);
	exemption->errand.run = exempt;
	exemption->subject = ban->subject;
	exemption->detectors = ban->exempts;
	exemption->until_us = ban->expire_ms > INT64_MAX / 1000 ? INT64_MAX : ban->expire_ms * 1000;
	stream_run(protector->watching->stream, &exemption->errand);
}

struct revocation {
	struct stream_errand errand;
	struct ban_subject subject;
	enum ban_effect effect;
};

static void revoke(struct stream_errand *errand, struct analysis *analysis)
{
	struct revocation *revocation = container_of(errand, struct revocation, errand);

	analysis_revoke(analysis, &revocation->subject, revocation->effect);
	free(revocation);
}

static void revoked(struct protector *protector, const struct ban *ban)
{
	struct revocation *revocation = NEW(struct revocation);

	revocation->errand.run = revoke;
	revocation->subject = ban->subject;
	revocation->effect = ban->effect;
	stream_run(protector->watching->stream, &revocation->errand);
}

/* ---- settings ---- */

struct configuration {
	struct stream_errand errand;
	struct detector_settings settings;
};

static void configure(struct stream_errand *errand, struct analysis *analysis)
{
	struct configuration *configuration = container_of(errand, struct configuration, errand);
	struct error error;

	if (!analysis_configure(analysis, &configuration->settings, &error))
		log_error("the detectors refused their settings", LOG_TEXT("why", error.text));
	free(configuration);
}

void watching_configure(struct protector *protector, const struct detector_settings *settings)
{
	struct configuration *configuration;

	protector->watching->settings = *settings;
	protector->exempt_ms = settings->exempt_us / 1000;
	if (!protector->watching->stream)
		return;
	configuration = NEW(struct configuration);
	configuration->errand.run = configure;
	configuration->settings = *settings;
	stream_run(protector->watching->stream, &configuration->errand);
}

/* ---- its life ---- */

bool watching_start(struct protector *protector, struct error *error)
{
	struct watching *watching;
	struct analysis_options options;
	struct stream_options stream = {.now_us = clock_wall_us};
	struct detector_settings settings;
	struct id changes[DETECTORS], seed;

	if (!settings_store_load(protector->store, &settings, changes, error))
		return false;
	watching = NEW(struct watching);
	watching->decisions = decisions_new(protector, revoked);
	watching->settings = settings;
	memcpy(watching->changes, changes, sizeof(changes));
	id_random(&seed);
	options = (struct analysis_options){.settings = &watching->settings,
		.seed = store_get_be64(seed.bytes),
		.decided = decisions_decided,
		.context = watching->decisions};
	stream.analysis = analysis_new(&options);
	if (!restore(protector, stream.analysis, error) ||
		!open_recorder(protector->settings, &stream.recorder, error)) {
		analysis_free(stream.analysis);
		decisions_free(watching->decisions);
		free(watching);
		return false;
	}
	watching->stream = stream_new(&stream);
	protector->watching = watching;
	protector->exempt_ms = watching->settings.exempt_us / 1000;
	protector->exempted = exempted;
	return true;
}

/* What is told to it from now on, by changes that were under way and by peers, is told to nobody. */
static void forget_stream(void *context)
{
	struct watching *watching = context;

	decisions_mute(watching->decisions);
	watching->stream = NULL;
}

static void end_decisions(void *decisions)
{
	decisions_end(decisions);
}

void watching_stop(struct protector *protector)
{
	struct watching *watching = protector->watching;
	struct stream *stream = watching->stream;

	rpc_run(protector->loop, forget_stream, watching);
	stream_free(stream);
	rpc_run(protector->loop, end_decisions, watching->decisions); /* behind all that was decided */
}

void watching_release(struct protector *protector)
{
	decisions_free(protector->watching->decisions);
	free(protector->watching);
}
