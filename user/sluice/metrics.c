/* SPDX-License-Identifier: BSD-2-Clause */
/* sluice metrics: the text that Prometheus scrapes, from the daemon to stdout. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

static enum status run_metrics(const struct common *common, char **arguments, int count)
{
	json_t *data;
	int fd;
	enum status status = client_open(common, "metrics", NULL, &data, &fd);
	char text[65536];
	ssize_t n;

	if (status != STATUS_OK)
		return status;
	json_decref(data);
	if (common->json) {
		fputs("sluice metrics: there is one format, Prometheus' text; for JSON: sluice "
		      "status --json\n",
		      stderr);
		close(fd);
		return STATUS_USAGE;
	}
	while ((n = read(fd, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)n, stdout);
	if (n < 0) {
		fprintf(stderr, "sluice metrics: %s\n", strerror(errno));
		status = STATUS_FAILED;
	}
	close(fd);
	return status;
}

const struct command command_metrics = {
	.name = "metrics",
	.summary = "Print all counters as Prometheus reads them",
	.run = run_metrics,
};
