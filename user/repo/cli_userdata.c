/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sluice-repo user-data: the script that makes a bare VM follow instructions. It carries the keys
 * whole, so that nothing which comes over plain HTTP is believed before it is verified.
 */
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/instruction.h"
#include "../lib/name.h"

#define KEY_MAX (64 * 1024)

static struct userdata_options {
	const char *url, *suite, *component, *tenant, *instance;
} userdata_options = {
	.url = "http://169.254.169.254/repo",
	.suite = "stable",
	.component = "main",
};

static const struct opt userdata_opts[] = {
	{ OPT_TEXT, 'u', "url", "URL",
	  "where VMs find the repository (default: http://169.254.169.254/repo)",
	  offsetof(struct userdata_options, url), 0, 0, NULL },
	{ OPT_TEXT, 0, "suite", "NAME", "as publish.suite (default: stable)",
	  offsetof(struct userdata_options, suite), 0, 0, NULL },
	{ OPT_TEXT, 0, "component", "NAME", "as publish.component (default: main)",
	  offsetof(struct userdata_options, component), 0, 0, NULL },
	{ OPT_TEXT, 'T', "tenant", "NAME",
	  "the VM's tenant (default: that of the first instruction)",
	  offsetof(struct userdata_options, tenant), 0, 0, NULL },
	{ OPT_TEXT, 'I', "instance", "ID",
	  "the VM's instance id (default: it reads its DMI product UUID)",
	  offsetof(struct userdata_options, instance), 0, 0, NULL },
};

/* The keys come before the package: what is installed starts with them. */
static const char script_keys[] =
	"#!/bin/sh\n"
	"# Installs sluice-agent from the software repository. The keys below say whom this "
	"machine\n"
	"# trusts: nobody but its owner may be able to change this text.\n"
	"set -eu\n"
	"umask 022\n"
	"export DEBIAN_FRONTEND=noninteractive\n"
	"repo=%s\n"
	"mkdir -p /etc/sluice /etc/default\n"
	"cat >/etc/sluice/agent.pub <<'KEY'\n"
	"%s"
	"KEY\n"
	"cat >/etc/sluice/repo.asc <<'KEY'\n"
	"%s"
	"KEY\n";

static const char script_install[] =
	"# The repository, or the way to it, may come up after this machine.\n"
	"again() {\n"
	"\ttries=0\n"
	"\tuntil \"$@\"; do\n"
	"\t\ttries=$((tries + 1))\n"
	"\t\t[ $tries -lt 30 ] || return 1\n"
	"\t\tsleep 10\n"
	"\tdone\n"
	"}\n"
	"if command -v apt-get >/dev/null; then\n"
	"\tlist=/etc/apt/sources.list.d/sluice.list\n"
	"\tmkdir -p /etc/apt/keyrings\n"
	"\tcp /etc/sluice/repo.asc /etc/apt/keyrings/sluice.asc\n"
	"\techo \"deb [signed-by=/etc/apt/keyrings/sluice.asc] $repo/apt %s %s\" >$list\n"
	"\tapt() {\n"
	"\t\tapt-get -q -y -o \"Dir::Etc::sourcelist=$list\" -o Dir::Etc::sourceparts=- \\\n"
	"\t\t\t-o Acquire::Check-Date=false -o DPkg::Lock::Timeout=300 \\\n"
	"\t\t\t-o DPkg::Options::=--force-confold \"$@\"\n"
	"\t}\n"
	"\tagain apt update --error-on=any\n"
	"\tagain apt install --no-install-recommends sluice-agent\n"
	"else\n"
	"\tmkdir -p /etc/pki/rpm-gpg\n"
	"\tcp /etc/sluice/repo.asc /etc/pki/rpm-gpg/sluice.asc\n"
	"\tcat >/etc/yum.repos.d/sluice.repo <<-REPO\n"
	"\t\t[sluice]\n"
	"\t\tname=sluice\n"
	"\t\tbaseurl=$repo/rpm/\n"
	"\t\trepo_gpgcheck=1\n"
	"\t\tgpgcheck=0\n"
	"\t\tgpgkey=file:///etc/pki/rpm-gpg/sluice.asc\n"
	"\tREPO\n"
	"\tagain dnf -q -y --disablerepo='*' --enablerepo=sluice install sluice-agent\n"
	"fi\n";

/* What must not be able to end a word of the script. */
static bool plain(const char *text)
{
	return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
			    "._-:/[]%") == strlen(text);
}

/* A key of the repository as text, malloc'd; NULL: said why. */
static char *fetch_key(struct cli *cli, const char *path)
{
	FILE *file = tmpfile();
	char *text = calloc(1, KEY_MAX);
	json_t *reply = NULL;
	const char *why;
	long status = -1;

	if (file && text)
		status = cli_http_fetch(cli, path, fileno(file), 0, 0, "", &reply, &why);
	if (status == 200 && pread(fileno(file), text, KEY_MAX - 1, 0) > 0) {
		json_decref(reply);
		fclose(file);
		return text;
	}
	if (status < 0)
		cli_fail("%s", file && text ? why : "out of memory");
	else
		cli_fail_reply(status, reply);
	json_decref(reply);
	if (file)
		fclose(file);
	free(text);
	return NULL;
}

static int run_userdata(struct cli *cli, int argc, char **argv)
{
	const struct userdata_options *options = &userdata_options;
	char *agent, *repo = NULL;
	int failed = 1;

	if (!plain(options->url) || !plain(options->suite) || !plain(options->component) ||
	    (options->tenant && !name_tenant_valid(options->tenant)) ||
	    (options->instance && !instruction_instance_valid(options->instance)))
		return cli_fail("the URL, suite, component, tenant or instance has a character "
				"that none has");
	agent = fetch_key(cli, "/v1/instruct-key");
	if (agent)
		repo = fetch_key(cli, "/key.asc");
	if (repo) {
		printf(script_keys, options->url, agent, repo);
		if (options->tenant || options->instance)
			printf("echo 'OPTIONS=\"%s%s%s%s%s\"' >/etc/default/sluice-agent\n",
			       options->tenant ? "--tenant " : "",
			       options->tenant ? options->tenant : "",
			       options->tenant && options->instance ? " " : "",
			       options->instance ? "--instance " : "",
			       options->instance ? options->instance : "");
		printf(script_install, options->suite, options->component);
		failed = 0;
	}
	free(agent);
	free(repo);
	return failed;
}

const struct cli_command cli_userdata_commands[] = {
	{ "user-data", NULL, "print what makes a bare VM follow instructions", 0, 0, userdata_opts,
	  sizeof(userdata_opts) / sizeof(userdata_opts[0]), &userdata_options, run_userdata },
	{ .name = NULL },
};
