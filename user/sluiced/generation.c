/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a configuration file to a generation: conf_load(), secrets, the memfd for workers,
 * the worker's user, the access log. All that can fail fails here, before anything changes.
 */
#include "generation.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../bpf/abi.h"
#include "../lib/log.h"
#include "access_log.h"
#include "state.h"

#define WORKERS_AUTO_MAX 8

static int explain(int err, char **ret_why, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static int explain(int err, char **ret_why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(ret_why, format, args) < 0)
		*ret_why = NULL;
	va_end(args);
	return err;
}

int generation_find_user(const char *key, const char *name, uid_t *ret_uid, gid_t *ret_gid,
			 char **ret_why)
{
	const struct passwd *entry;
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(name, &end, 10);
	if (!errno && end != name && !*end) {
		if (number >= UINT32_MAX)
			return explain(-EINVAL, ret_why, "%s %s is not a user id", key, name);
		entry = getpwuid((uid_t)number);
		*ret_uid = (uid_t)number;
		*ret_gid = entry ? entry->pw_gid : (gid_t)number;
		return 0;
	}
	entry = getpwnam(name);
	if (!entry)
		return explain(-ENOENT, ret_why,
			       "%s: there is no user \"%s\"; create it with \"useradd "
			       "--system --no-create-home --shell /usr/sbin/nologin %s\" or name "
			       "another one",
			       key, name, name);
	*ret_uid = entry->pw_uid;
	*ret_gid = entry->pw_gid;
	return 0;
}

static unsigned count_workers(const struct conf *conf)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (conf->relay.workers)
		return conf->relay.workers < SL_WORKERS_MAX ? conf->relay.workers : SL_WORKERS_MAX;
	if (cpus < 1)
		return 1;
	return cpus < WORKERS_AUTO_MAX ? (unsigned)cpus : WORKERS_AUTO_MAX;
}

static int build_origins(struct generation *generation, char **ret_why)
{
	const struct conf *conf = generation->conf;

	generation->origins = calloc(conf->services_count + 1, sizeof(*generation->origins));
	if (!generation->origins)
		return -ENOMEM;
	for (unsigned s = 0; s < conf->services_count; s++) {
		const struct conf_service *service = &conf->services[s];
		struct origin *origins = calloc(service->origins_count + 1, sizeof(*origins));

		if (!origins)
			return -ENOMEM;
		generation->origins[s] = origins;
		for (unsigned o = 0; o < service->origins_count; o++)
			if (conf_address_parse(service->origins[o].address, &origins[o].address))
				return explain(-EINVAL, ret_why, "service %s: bad origin %s",
					       service->name, service->origins[o].address);
	}
	return 0;
}

static int write_confs(struct generation *generation)
{
	int fd = conf_send(generation->conf);

	if (fd < 0)
		return fd;
	generation->conf_fd = fd;
	fd = conf_send_public(generation->conf);
	if (fd < 0)
		return fd;
	generation->front_fd = fd;
	return 0;
}

int generation_load(const char *path, uint32_t number, struct generation **ret, char **ret_why)
{
	struct generation *generation = calloc(1, sizeof(*generation));
	int err;

	*ret_why = NULL;
	if (!generation)
		return -ENOMEM;
	generation->refs = 1;
	generation->number = number;
	generation->conf_fd = generation->front_fd = generation->access_fd = -1;
	err = conf_load(path, &generation->conf, ret_why);
	if (!err)
		err = conf_read_secrets(generation->conf, ret_why);
	if (!err)
		err = generation_find_user("relay.user", generation->conf->relay.user,
					   &generation->uid, &generation->gid, ret_why);
	if (!err && generation->conf->metrics.listen)
		err = generation_find_user("metrics.user", generation->conf->metrics.user,
					   &generation->metrics_uid, &generation->metrics_gid,
					   ret_why);
	if (!err)
		err = build_origins(generation, ret_why);
	if (err)
		goto fail;
	generation->nworkers = count_workers(generation->conf);
	if (generation->conf->log.access) {
		err = access_log_open(generation->conf->log.access, ret_why);
		if (err < 0)
			goto fail;
		generation->access_fd = err;
	}
	err = write_confs(generation);
	if (err < 0) {
		explain(err, ret_why, "cannot write the workers' configuration: %s",
			strerror(-err));
		goto fail;
	}
	*ret = generation;
	return 0;
fail:
	generation_unref(generation);
	return err;
}

int generation_adopt(const struct state_generation *from, struct generation **ret)
{
	struct generation *generation = calloc(1, sizeof(*generation));
	char *why = NULL;
	int err;

	if (!generation)
		return -ENOMEM;
	*generation = (struct generation){
		.refs = 1,
		.number = from->number,
		.conf_fd = -1,
		.front_fd = -1,
		.access_fd = -1,
		.uid = from->uid,
		.gid = from->gid,
		.nworkers = from->nworkers,
	};
	err = conf_recv(from->conf_fd, &generation->conf);
	if (!err)
		err = build_origins(generation, &why);
	free(why);
	if (!err) {
		generation->front_fd = conf_send_public(generation->conf);
		err = generation->front_fd < 0 ? generation->front_fd : 0;
	}
	if (err) {
		generation_unref(generation);
		return err;
	}
	generation->conf_fd = from->conf_fd;
	generation->access_fd = from->access_fd;
	*ret = generation;
	return 0;
}

/* A key that cannot be had is as if it were not there. */
static void leave_out(char **key, char *why)
{
	log_warn("done without: %s", why ? why : *key);
	free(why);
	free(*key);
	*key = NULL;
}

int generation_resume(const struct state_generation *from, uint32_t number, struct generation **ret)
{
	struct state_generation copy = *from;
	struct generation *generation;
	struct conf *conf;
	char *why = NULL;
	int err;

	copy.number = number;
	copy.access_fd = -1;
	copy.conf_fd = fcntl(from->conf_fd, F_DUPFD_CLOEXEC, 3);
	err = generation_adopt(&copy, &generation);
	if (err) {
		if (copy.conf_fd >= 0)
			close(copy.conf_fd);
		return err;
	}
	conf = generation->conf;
	if (conf->metrics.listen &&
	    generation_find_user("metrics.user", conf->metrics.user, &generation->metrics_uid,
				 &generation->metrics_gid, &why))
		leave_out(&conf->metrics.listen, why);
	if (conf->log.access) {
		generation->access_fd = access_log_open(conf->log.access, &why);
		if (generation->access_fd < 0) {
			generation->access_fd = -1;
			leave_out(&conf->log.access, why);
		}
	}
	*ret = generation;
	return 0;
}

struct generation *generation_ref(struct generation *generation)
{
	generation->refs++;
	return generation;
}

void generation_unref(struct generation *generation)
{
	if (!generation || --generation->refs)
		return;
	if (generation->conf_fd >= 0)
		close(generation->conf_fd);
	if (generation->front_fd >= 0)
		close(generation->front_fd);
	if (generation->access_fd >= 0)
		close(generation->access_fd);
	for (unsigned s = 0; generation->origins && s < generation->conf->services_count; s++)
		free(generation->origins[s]);
	free(generation->origins);
	conf_free(generation->conf);
	free(generation);
}
