/* tests/traffic/draw_traffic.c - `draw-traffic --seed N --out FILE --truth FILE`: recorded traffic of known people and programs.
 *
 * The truth's file has a line for each client, or for each address of one that has several: kind, good or bad, account, address, with tabs. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/config.h"
#include "tests/traffic/town.h"

#define START_US INT64_C(1795000000000000)

struct settings {
	int64_t seed, scale;
	char *out, *truth;
};

static const struct config_setting table[] = {
	{"seed", CONFIG_INT, offsetof(struct settings, seed), "1", false, 1, INT64_C(1000000000),
		"of all chance"},
	{"people", CONFIG_INT, offsetof(struct settings, scale), "100", false, 1, 1000,
		"how many people there are, in percent of the documented numbers"},
	{"out", CONFIG_TEXT, offsetof(struct settings, out), NULL, false, 0, 0, "the traffic's file"},
	{"truth", CONFIG_TEXT, offsetof(struct settings, truth), NULL, false, 0, 0, "the truth's file"},
};
static const struct config config = {.program = "draw-traffic",
	.purpose = "draws traffic of known people and programs",
	.settings = table,
	.count = sizeof(table) / sizeof(table[0])};

static bool run(const struct settings *settings, struct error *error)
{
	struct town town = {.start_us = START_US, .scale = (unsigned)settings->scale};

	town.truth = fopen(settings->truth, "w");
	if (!town.truth)
		return error_set(error, "%s can't be written: %s", settings->truth, strerror(errno));
	town.out = recording_create(settings->out, error);
	if (!town.out) {
		fclose(town.truth);
		return false;
	}
	random_seed(&town.random, (uint64_t)settings->seed);
	town.open_us = START_US + 20 * SECOND_US;
	town.end_us = START_US + 60 * SECOND_US;
	town.stock = (uint32_t)draw(&town, 200, 8000);
	town.limit = (uint32_t)draw(&town, 1, 3);
	town.throttle = draw_percent(&town, 50) ? UINT32_MAX : (uint32_t)draw(&town, 1000, 6000);
	town_add_people(&town);
	town_add_programs(&town);
	town_run(&town);
	if (fclose(town.truth)) {
		recording_finish(town.out, error);
		return error_set(error, "%s can't be written: %s", settings->truth, strerror(errno));
	}
	printf("%llu events of %u clients\n", (unsigned long long)town.events, town.actors);
	return recording_finish(town.out, error);
}

int main(int argc, char **argv)
{
	struct settings settings = {0};
	struct error error;
	const enum config_result result = config_read(&config, argc, argv, &settings, NULL, &error);
	int status = 0;

	if (result == CONFIG_HELP) {
		config_print_help(&config, stdout);
		return 0;
	}
	if (result == CONFIG_ERROR || !run(&settings, &error)) {
		fprintf(stderr, "draw-traffic: %s\n", error.text);
		status = 1;
	}
	if (result == CONFIG_OK)
		config_release(&config, &settings);
	return status;
}
