/* SPDX-License-Identifier: BSD-2-Clause */
/* A tool's end and its timeout are seen also when no file can be opened to wait for it. */
#include <errno.h>
#include <sys/resource.h>

#include "../../user/lib/spawn.h"
#include "unit.h"

static const struct {
	const char *name;
	const char *argv[4];
	unsigned timeout;
	int err;
} cases[] = {
	{ "ends", { "true" }, 600, 0 },
	{ "fails", { "false" }, 600, -EIO },
	{ "takes too long", { "sleep", "100" }, 1, -ETIME },
};

static void run(size_t i, bool files)
{
	const struct spawn spawn = { .argv = cases[i].argv,
				     .output = -1,
				     .timeout = cases[i].timeout };
	struct spawn_child child;
	struct rlimit before, none;
	char *why;
	int err;

	unit_case = cases[i].name;
	if (!CHECK(!spawn_begin(&spawn, &child, &why)))
		return;
	getrlimit(RLIMIT_NOFILE, &before);
	none = (struct rlimit){ 3, before.rlim_max };
	CHECK(files || !setrlimit(RLIMIT_NOFILE, &none));
	err = spawn_end(&child, NULL, &why);
	setrlimit(RLIMIT_NOFILE, &before);
	CHECK_THAT(err == cases[i].err, "%d: %s", err, why ? why : "");
	free(why);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		run(i, true);
		run(i, false);
	}
	return unit_end();
}
