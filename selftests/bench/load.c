/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bench's load generator: one thread, one epoll, results as one JSON object on stdout,
 * exit 1 and a message when anything was not exactly as expected. selftests/bench/run calls
 * it inside a VM's namespace.
 *
 *   load http   --to ADDR:PORT --group PATH,SIZE,CONNECTIONS[,SHA256] ... [--new] [--discard]
 *               --seconds S [--warmup S] | --requests N
 *   load bulk   --to ADDR:PORT --direction up|down [--connections N] --seconds S [--warmup S]
 *   load serve  --to ADDR:PORT
 *   load hold   --to ADDR:PORT --group PATH,SIZE,CONNECTIONS
 *   load keep   --to ADDR:PORT
 * and for http and bulk any number of --cpu PID, whose CPU time over the window is reported.
 */
#include <arpa/inet.h>
#include <err.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/load_bulk.h"
#include "lib/load_hold.h"
#include "lib/load_http.h"

#define GIB 1073741824.0

struct options {
	struct load_plan http;
	struct bulk_plan bulk;
	struct load_group groups[LOAD_GROUPS_MAX];
	unsigned ngroups;
	struct cpu cpu;
};

static struct options options = {
	.http = { .warmup = 0.2, .seconds = 1, .deadline = 30 },
	.bulk = { .warmup = 0.2, .seconds = 1, .connections = 1 },
};

static void usage(void)
{
	fputs("usage: load http  --to ADDR:PORT --group PATH,SIZE,CONNECTIONS[,SHA256] ...\n"
	      "                  [--new] [--discard] [--requests N] [--seconds S] [--warmup S]\n"
	      "       load bulk  --to ADDR:PORT --direction up|down [--connections N]\n"
	      "                  [--seconds S] [--warmup S]\n"
	      "       load serve --to ADDR:PORT\n"
	      "       load hold  --to ADDR:PORT --group PATH,SIZE,CONNECTIONS\n"
	      "       load keep  --to ADDR:PORT\n"
	      "http and bulk: --cpu PID ...\n",
	      stderr);
	exit(2);
}

static unsigned long long number(const char *text, unsigned long long max)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	if (end == text || *end || value > max)
		errx(2, "'%s' is not a number from 0 to %llu", text, max);
	return value;
}

static double seconds(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0 && value <= 3600))
		errx(2, "'%s' is not a time in seconds", text);
	return value;
}

static void address_parse(char *text)
{
	struct sockaddr_in *to = &options.http.to;
	char *colon = strrchr(text, ':');

	if (!colon)
		usage();
	snprintf(options.http.host, sizeof(options.http.host), "%s", text);
	*colon = '\0';
	to->sin_family = AF_INET;
	to->sin_port = htons((uint16_t)number(colon + 1, 65535));
	if (inet_pton(AF_INET, text, &to->sin_addr) != 1)
		errx(2, "'%s' is not an IPv4 address", text);
	if (to->sin_port == htons(80))
		options.http.host[colon - text] = '\0';
	options.bulk.to = *to;
}

static void group_parse(char *text)
{
	struct load_group *group = &options.groups[options.ngroups];
	char *field[4] = { NULL }, *save = NULL;
	unsigned n = 0;

	for (char *at = strtok_r(text, ",", &save); at && n < 4; at = strtok_r(NULL, ",", &save))
		field[n++] = at;
	if (n < 3 || options.ngroups == LOAD_GROUPS_MAX)
		usage();
	group->path = field[0];
	group->size = number(field[1], UINT64_C(1) << 40);
	group->connections = (unsigned)number(field[2], LOAD_CONNS_MAX);
	group->sha256 = field[3];
	if (!group->connections)
		usage();
	options.ngroups++;
}

static void options_parse(int argc, char **argv)
{
	static const struct option table[] = {
		{ "to", required_argument, NULL, 't' },
		{ "group", required_argument, NULL, 'g' },
		{ "new", no_argument, NULL, 'n' },
		{ "discard", no_argument, NULL, 'D' },
		{ "seconds", required_argument, NULL, 's' },
		{ "warmup", required_argument, NULL, 'w' },
		{ "requests", required_argument, NULL, 'r' },
		{ "direction", required_argument, NULL, 'd' },
		{ "connections", required_argument, NULL, 'c' },
		{ "cpu", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", table, NULL)) >= 0) {
		switch (opt) {
		case 't':
			address_parse(optarg);
			break;
		case 'g':
			group_parse(optarg);
			break;
		case 'n':
			options.http.fresh = true;
			break;
		case 'D':
			options.http.discard = true;
			break;
		case 's':
			options.http.seconds = options.bulk.seconds = seconds(optarg);
			break;
		case 'w':
			options.http.warmup = options.bulk.warmup = seconds(optarg);
			break;
		case 'r':
			options.http.requests = number(optarg, UINT32_MAX);
			break;
		case 'd':
			options.bulk.up = !strcmp(optarg, "up");
			if (!options.bulk.up && strcmp(optarg, "down"))
				usage();
			break;
		case 'c':
			options.bulk.connections = (unsigned)number(optarg, BULK_CONNS_MAX);
			break;
		case 'p':
			if (options.cpu.npids == CPU_PIDS_MAX)
				errx(2, "more than %d processes", CPU_PIDS_MAX);
			options.cpu.pids[options.cpu.npids++] = (pid_t)number(optarg, INT32_MAX);
			break;
		default:
			usage();
		}
	}
	if (optind != argc || !options.http.to.sin_family)
		usage();
}

static void print(json_t *object)
{
	if (!object || json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)))
		errx(1, "cannot print the result");
	putchar('\n');
	json_decref(object);
}

static json_t *cpu_json(const struct cpu *cpu)
{
	return json_pack("{s:f, s:f, s:f}", "relay_s", cpu->relay, "load_s", cpu->own, "machine_s",
			 cpu->machine);
}

/* Microseconds, or null when no request was completed. */
static json_t *quantile_json(const struct hist *hist, double share)
{
	return hist->count ? json_real((double)hist_quantile(hist, share) / 1e3) : json_null();
}

static json_t *group_json(const struct load_group *group, double window)
{
	return json_pack("{s:s, s:I, s:I, s:f, s:f, s:o, s:o, s:f, s:b}", "path", group->path,
			 "requests", (json_int_t)group->requests, "bytes", (json_int_t)group->bytes,
			 "gibs", (double)group->bytes / GIB / window, "rps",
			 (double)group->requests / window, "p50_us",
			 quantile_json(&group->latency, 0.5), "p99_us",
			 quantile_json(&group->latency, 0.99), "max_us",
			 (double)group->latency.max / 1e3, "hashed", group->sha256 != NULL);
}

static void run_http(void)
{
	json_t *groups = json_array();
	double window;

	if (!options.ngroups)
		usage();
	window = load_http_run(&options.http, options.groups, options.ngroups, &options.cpu);
	for (unsigned i = 0; i < options.ngroups; i++)
		json_array_append_new(groups, group_json(&options.groups[i], window));
	print(json_pack("{s:f, s:o, s:o}", "seconds", window, "groups", groups, "cpu",
			cpu_json(&options.cpu)));
}

static void run_bulk(void)
{
	uint64_t bytes;
	double window;

	if (!options.bulk.connections)
		usage();
	window = load_bulk_run(&options.bulk, &options.cpu, &bytes);
	print(json_pack("{s:f, s:I, s:f, s:o}", "seconds", window, "bytes", (json_int_t)bytes,
			"gibs", (double)bytes / GIB / window, "cpu", cpu_json(&options.cpu)));
}

static void run_hold(void)
{
	const struct hold_plan plan = {
		.to = options.http.to,
		.host = options.http.host,
		.path = options.groups[0].path,
		.connections = options.groups[0].connections,
	};

	if (options.ngroups != 1)
		usage();
	load_hold(&plan);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		usage();
	options_parse(argc - 1, argv + 1);
	signal(SIGPIPE, SIG_IGN); /* sendfile() has no MSG_NOSIGNAL */
	if (!strcmp(argv[1], "http"))
		run_http();
	else if (!strcmp(argv[1], "bulk"))
		run_bulk();
	else if (!strcmp(argv[1], "serve"))
		load_bulk_serve(&options.http.to);
	else if (!strcmp(argv[1], "hold"))
		run_hold();
	else if (!strcmp(argv[1], "keep"))
		load_keep(&options.http.to);
	else
		usage();
	return 0;
}
