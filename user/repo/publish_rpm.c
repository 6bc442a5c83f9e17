/* SPDX-License-Identifier: BSD-2-Clause */
/* The rpm tree of a view: createrepo_c over the links, a signature beside repomd.xml. */
#include "publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../lib/fault.h"
#include "../lib/spawn.h"

#define TOOL_TIME 1800

static int run(struct publish_build *build, const char *cwd, bool update)
{
	char revision[24], old[300], *why;
	const char *argv[16] = { "createrepo_c", "--quiet", "--no-database", "--workers", "2",
				 "--revision",	 revision };
	struct spawn spawn = { argv, cwd, NULL, -1, TOOL_TIME };
	unsigned argc = 7;
	int err;

	snprintf(revision, sizeof(revision), "%llu", (unsigned long long)build->generation);
	snprintf(old, sizeof(old), "%s/rpm", build->old_path);
	if (update) {
		/* Packages of the same path, size and time are not read again. */
		argv[argc++] = "--update";
		argv[argc++] = "--update-md-path";
		argv[argc++] = old;
	}
	argv[argc++] = ".";
	err = spawn_run(&spawn, NULL, &why);
	if (err)
		problem_set(build->problem, 500, "publish", "correct this and publish again",
			    "%s: %s", build->view, why ? why : "out of memory");
	free(why);
	return err;
}

int publish_rpm(struct publish_build *build)
{
	char cwd[300];
	int err;

	/* The public index, signed as it is; its packages are served from the public view. */
	if (build->tenant && !build->own_rpms) {
		err = publish_link_tree(build->public_dir, build->dir, "rpm/repodata");
		return err ? problem_errno(build->problem, err, "publish") : 0;
	}
	err = publish_make_parents(build->dir, "rpm/packages/");
	if (!err && build->like)
		err = publish_link_tree(build->like->dir, build->dir, "rpm/repodata");
	if (err)
		return problem_errno(build->problem, err, "publish");
	if (build->like)
		return 0;
	snprintf(cwd, sizeof(cwd), "%s/rpm", build->path);
	fault_point("publish-rpm");
	err = run(build, cwd, build->old_dir >= 0);
	/* An old tree that is damaged must not keep the new one from being made. */
	if (err == -EIO && build->old_dir >= 0)
		err = run(build, cwd, false);
	if (err)
		return -1;
	build->problem->status = 0;
	snprintf(cwd, sizeof(cwd), "%s/rpm/repodata", build->path);
	return publish_sign(build, cwd, "repomd.xml", "repomd.xml.asc", false);
}
