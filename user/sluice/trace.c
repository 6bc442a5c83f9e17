/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice trace: drops and requests as they happen. The daemon sends JSON lines, one a packet, over
 * a socket it hands over; here they become text, or stay what they are. When the daemon executes
 * another program, the new one is asked again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "render.h"

#define LINE_SIZE 65536
#define TRIES	  50 /* to find the daemon again, each after TRY_MS */
#define TRY_MS	  200

static struct {
	bool drops, requests;
	uint32_t lines;
} settings;

static const struct opt options[] = {
	{ .kind = OPT_FLAG,
	  .letter = 'd',
	  .name = "drops",
	  .offset = offsetof(typeof(settings), drops),
	  .help = "only packets that the guard dropped" },
	{ .kind = OPT_FLAG,
	  .letter = 'r',
	  .name = "requests",
	  .offset = offsetof(typeof(settings), requests),
	  .help = "only requests" },
	{ .kind = OPT_NUMBER,
	  .letter = 'n',
	  .name = "lines",
	  .value = "N",
	  .most = 1000000000,
	  .offset = offsetof(typeof(settings), lines),
	  .help = "end after so many lines" },
};

/* The time of day, of "2026-11-21T21:03:01.123Z". */
static const char *clock_of(const json_t *line)
{
	const char *time = json_text(line, "time"), *t = strchr(time, 'T');

	return t ? t + 1 : time;
}

static void print_drop(const json_t *line)
{
	const json_t *protocol = json_object_get(line, "protocol");
	char number[16], text[512];
	const char *name = json_string_value(protocol);
	unsigned long long sport = json_number(line, "source_port");
	unsigned long long port = json_number(line, "port");

	snprintf(number, sizeof(number), "proto %lld", (long long)json_integer_value(protocol));
	snprintf(text, sizeof(text), "%s ", clock_of(line));
	render_tinted(TINT_DIM, text);
	snprintf(text, sizeof(text), "drop %s", json_text(line, "reason"));
	render_tinted(TINT_WARN, text);
	snprintf(text, sizeof(text), "  %s  %s from %s", json_text(line, "tenant"),
		 name ? name : number, json_text(line, "source"));
	render_tinted(TINT_NONE, text);
	if (sport || port) {
		snprintf(text, sizeof(text), " port %llu to port %llu", sport, port);
		fputs(text, stdout);
	}
	snprintf(text, sizeof(text), "  %s  %s  %llu B  at %s", json_text(line, "mac"),
		 json_text(line, "flags"), (unsigned long long)json_number(line, "length"),
		 json_text(line, "hook"));
	render_tinted(TINT_NONE, text);
}

static void print_request(const json_t *line)
{
	unsigned long long status = json_number(line, "status");
	char text[4096], in[HUMAN_MAX], out[HUMAN_MAX];

	snprintf(text, sizeof(text), "%s ", clock_of(line));
	render_tinted(TINT_DIM, text);
	if (status)
		snprintf(text, sizeof(text), "%llu ", status);
	else
		snprintf(text, sizeof(text), "--- ");
	render_tinted(status >= 500 || !status ? TINT_BAD
		      : status >= 400	       ? TINT_WARN
					       : TINT_GOOD,
		      text);
	snprintf(text, sizeof(text), "%s  %s %s  from %s to %s (%s)  in %s out %s  %.1f ms  %s",
		 json_text(line, "tenant"), json_text(line, "method"), json_text(line, "path"),
		 json_text(line, "client"), json_text(line, "service"), json_text(line, "origin"),
		 human_bytes(json_number(line, "in"), in),
		 human_bytes(json_number(line, "out"), out),
		 json_number_value(json_object_get(line, "total_ms")), json_text(line, "end"));
	render_tinted(TINT_NONE, text);
}

static void print_left_out(const json_t *line)
{
	char text[512];

	snprintf(text, sizeof(text), "... %llu %s left out: %s",
		 (unsigned long long)json_number(line, "count"), json_text(line, "kind"),
		 json_text(line, "why"));
	render_tinted(TINT_DIM, text);
}

static void print_line(const struct common *common, const char *text, size_t len)
{
	json_t *line = json_loadb(text, len, 0, NULL);
	const char *type = json_text(line, "type");

	if (common->json)
		fwrite(text, 1, len, stdout);
	else if (!strcmp(type, "drop"))
		print_drop(line);
	else if (!strcmp(type, "request"))
		print_request(line);
	else if (!strcmp(type, "left_out"))
		print_left_out(line);
	putchar('\n');
	json_decref(line);
}

static json_t *arguments_of(const char *tenant)
{
	json_t *arguments = json_pack("{s:s*}", "tenant", tenant);

	if (settings.drops)
		json_object_set_new(arguments, "drops", json_true());
	if (settings.requests)
		json_object_set_new(arguments, "requests", json_true());
	return arguments;
}

/* Until the daemon's end closes, or enough was printed, or nobody takes the output. */
static bool follow(const struct common *common, int sock, uint32_t *printed)
{
	static char text[LINE_SIZE];
	ssize_t n;

	while ((n = recv(sock, text, sizeof(text), 0)) > 0 || (n < 0 && errno == EINTR)) {
		if (n < 0)
			continue;
		print_line(common, text, (size_t)n);
		if (fflush(stdout) || (settings.lines && ++*printed >= settings.lines))
			return false;
	}
	return true;
}

static int find_again(const struct common *common, const char *tenant)
{
	static const struct timespec nap = { .tv_nsec = TRY_MS * 1000000L };
	json_t *data = NULL;
	int sock = -1;

	for (int i = 0; i < TRIES && sock < 0; i++) {
		nanosleep(&nap, NULL);
		if (client_ask(common, "trace", arguments_of(tenant), 5, &data, &sock) ==
		    STATUS_OK) {
			json_decref(data);
			data = NULL;
		}
	}
	return sock;
}

static enum status run_trace(const struct common *common, char **arguments, int count)
{
	const char *tenant = count ? arguments[0] : NULL;
	uint32_t printed = 0;
	json_t *data;
	int sock;
	enum status status = client_open(common, "trace", arguments_of(tenant), &data, &sock);

	if (status != STATUS_OK)
		return status;
	json_decref(data);
	while (follow(common, sock, &printed)) {
		close(sock);
		sock = find_again(common, tenant);
		if (sock < 0) {
			fputs("sluice trace: sluiced has ended\n", stderr);
			return STATUS_NO_DAEMON;
		}
	}
	close(sock);
	return STATUS_OK;
}

const struct command command_trace = {
	.name = "trace",
	.arguments = "[TENANT]",
	.summary = "Show dropped packets and requests as they happen",
	.options = options,
	.options_count = sizeof(options) / sizeof(options[0]),
	.target = &settings,
	.arguments_max = 1,
	.run = run_trace,
};
