/* SPDX-License-Identifier: BSD-2-Clause */
/* What plans are made of: system, room, ports, packages, and what the journal knows. */
#include "cluster.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>

#include "../lib/file.h"

#define DPKG_STATUS  "/var/lib/dpkg/status"
#define PACKAGES_MAX (1024 * 1024)
#define PORTS_MAX    256

/* A value of os-release, without quotes. */
static void release_value(const char *text, const char *key, char *ret, size_t size)
{
	const char *at = text;
	size_t len = strlen(key);

	*ret = '\0';
	for (; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, key, len) || at[len] != '=')
			continue;
		at += len + 1;
		at += *at == '"';
		snprintf(ret, size, "%.*s", (int)strcspn(at, "\"\n"), at);
		return;
	}
}

void facts_os(char *ret_text, size_t size)
{
	char *text = NULL, id[32], version[32];

	snprintf(ret_text, size, "unknown");
	if (file_read("/etc/os-release", 64 * 1024, &text, NULL))
		return;
	release_value(text, "ID", id, sizeof(id));
	release_value(text, "VERSION_ID", version, sizeof(version));
	snprintf(ret_text, size, "%s %s", id, version);
	free(text);
}

json_t *facts_packages(void)
{
	char *text = exec_output(PACKAGES_MAX, "dpkg-query", "-W", "-f",
				 "${db:Status-Abbrev}${Package} ${Version}\\n", NULL);
	json_t *packages;
	char *save = NULL;

	/* Half of it would pass for all. */
	if (!text || strlen(text) >= PACKAGES_MAX) {
		free(text);
		return NULL;
	}
	packages = json_object();
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *version;

		/* "ii ", "hi ": wanted and installed, whole */
		if (strlen(line) < 5 || line[1] != 'i')
			continue;
		version = strchr(line + 3, ' ');
		if (!version)
			continue;
		*version++ = '\0';
		json_object_set_new(packages, line + 3, json_string(version));
	}
	free(text);
	return packages;
}

static json_t *holds(void)
{
	char *text = exec_output(PACKAGES_MAX, "dpkg-query", "-W", "-f",
				 "${db:Status-Want} ${Package}\\n", NULL);
	json_t *list = json_array();
	char *save = NULL;

	for (char *line = text ? strtok_r(text, "\n", &save) : NULL; line;
	     line = strtok_r(NULL, "\n", &save))
		if (!strncmp(line, "hold ", 5))
			json_array_append_new(list, json_string(line + 5));
	free(text);
	return list;
}

/* Local ports somebody listens on; state 0A is LISTEN, 07 an unconnected UDP socket. */
static void add_ports(json_t *list, const char *path, const char *state)
{
	FILE *file = fopen(path, "re");
	char line[512], found[8];
	unsigned port;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, " %*[0-9]: %*[0-9A-F]:%4x %*[0-9A-F]:%*4x %2s", &port, found) !=
			    2 ||
		    strcmp(found, state) != 0 || json_array_size(list) >= PORTS_MAX)
			continue;
		json_array_append_new(list, json_integer(port));
	}
	if (file)
		fclose(file);
}

static json_t *ports(void)
{
	json_t *tcp = json_array(), *udp = json_array();

	add_ports(tcp, "/proc/net/tcp", "0A");
	add_ports(tcp, "/proc/net/tcp6", "0A");
	add_ports(udp, "/proc/net/udp", "07");
	add_ports(udp, "/proc/net/udp6", "07");
	return json_pack("{s:o, s:o}", "tcp", tcp, "udp", udp);
}

/* Debian's word for it. */
static void architecture(char *ret, size_t size)
{
	char *text = exec_output(64, "dpkg", "--print-architecture", NULL);

	snprintf(ret, size, "%.*s", text ? (int)strcspn(text, "\n") : 0, text ? text : "");
	free(text);
}

json_t *facts_collect(struct node *node)
{
	char os[80], arch[32];
	struct utsname system;
	struct statvfs root = { 0 }, own = { 0 };
	struct sysinfo info = { 0 };
	json_t *items, *packages = facts_packages();
	int64_t seq;

	facts_os(os, sizeof(os));
	architecture(arch, sizeof(arch));
	uname(&system);
	statvfs("/", &root);
	statvfs(node->directory, &own);
	sysinfo(&info);
	items = journal_items(node, &seq);
	return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:I}",
			 "version", SLUICE_VERSION, "os", os, "architecture", arch, "kernel",
			 system.release, "memory", (json_int_t)info.totalram * info.mem_unit,
			 "free", (json_int_t)root.f_bavail * (json_int_t)root.f_frsize,
			 "blobs_free", (json_int_t)own.f_bavail * (json_int_t)own.f_frsize, "time",
			 (json_int_t)time(NULL), "ports", ports(), "packages",
			 packages ? packages : json_object(), "holds", holds(), "items", items,
			 "seq", (json_int_t)seq);
}

int64_t facts_stamp(struct node *node)
{
	struct stat status = { 0 };

	stat(DPKG_STATUS, &status);
	return (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec +
	       sqlite3_total_changes(node->db);
}
