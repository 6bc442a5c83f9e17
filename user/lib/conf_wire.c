/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How secrets come in (files read by the parent) and how a whole configuration, secrets
 * included, goes to a worker: YAML of the same schema in a sealed memfd, which has no name
 * and which nobody can change after the worker looked at it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_impl.h"
#include "file.h"

#define WIRE_MAX   (4 * CONF_FILE_MAX) /* defaults written out make it longer than the file */
#define WIRE_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

__attribute__((format(printf, 3, 4))) static int secret_why(char **ret_why, int err,
							    const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(ret_why, format, args) < 0)
		*ret_why = NULL;
	va_end(args);
	return err;
}

/* Cuts the newline that editors add; returns what is wrong with the rest, or NULL. */
static const char *secret_trim(char *secret, size_t len)
{
	if (len && secret[len - 1] == '\n')
		len--;
	if (len && secret[len - 1] == '\r')
		len--;
	secret[len] = '\0';
	if (!len)
		return "is empty; write the secret into it";
	if (len > CONF_SECRET_MAX)
		return "is longer than 1024 characters; write one line with the secret";
	for (size_t i = 0; i < len; i++)
		if (secret[i] < 0x20 || secret[i] > 0x7e)
			return "holds more than one line of ASCII; write one line, in hex or "
			       "base64 if it is binary";
	return NULL;
}

static int secret_read(struct conf_service *service, char **ret_why)
{
	char secret[CONF_SECRET_MAX + 3];
	const char *problem;
	struct stat st;
	ssize_t len;
	int fd, err = 0;

	fd = open(service->secret_file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		err = secret_why(ret_why, -errno, "%s: service '%s' cannot read its secret: %s",
				 service->secret_file, service->name, strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		err = secret_why(ret_why, -EINVAL, "%s: is no regular file; service '%s' needs one",
				 service->secret_file, service->name);
		goto out;
	}
	if (st.st_mode & (S_IRWXO)) {
		err = secret_why(ret_why, -EPERM,
				 "%s: everybody may use it (mode %04o); run: chmod 0600 %s",
				 service->secret_file, st.st_mode & 07777, service->secret_file);
		goto out;
	}
	len = read(fd, secret, sizeof(secret) - 1);
	if (len < 0) {
		err = secret_why(ret_why, -errno, "%s: cannot be read: %s", service->secret_file,
				 strerror(errno));
		goto out;
	}
	problem = secret_trim(secret, (size_t)len);
	if (problem) {
		err = secret_why(ret_why, -EINVAL, "%s: %s", service->secret_file, problem);
		goto out;
	}
	if (service->secret)
		explicit_bzero(service->secret, strlen(service->secret));
	free(service->secret);
	service->secret = strdup(secret);
	if (!service->secret)
		err = -ENOMEM;
out:
	explicit_bzero(secret, sizeof(secret));
	if (fd >= 0)
		close(fd);
	return err;
}

int conf_read_secrets(struct conf *conf, char **ret_why)
{
	int err;

	for (unsigned i = 0; i < conf->services_count; i++) {
		if (!conf->services[i].secret_file)
			continue;
		*ret_why = NULL;
		err = secret_read(&conf->services[i], ret_why);
		if (err < 0)
			return err;
	}
	return 0;
}

int conf_send(const struct conf *conf)
{
	char *text = NULL;
	size_t len = 0;
	cyaml_err_t bad;
	int fd, err;

	bad = cyaml_save_data(&text, &len, &conf_cyaml_quiet, &conf_schema, conf, 0);
	if (bad != CYAML_OK)
		return bad == CYAML_ERR_OOM ? -ENOMEM : -EINVAL;
	fd = memfd_create("sluice-conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	err = fd < 0 ? -errno : file_write_all(fd, text, len);
	if (!err && fcntl(fd, F_ADD_SEALS, WIRE_SEALS) < 0)
		err = -errno;
	explicit_bzero(text, len);
	free(text);
	if (err < 0 && fd >= 0)
		close(fd);
	return err < 0 ? err : fd;
}

int conf_send_public(const struct conf *conf)
{
	struct conf public = *conf;
	int rc;

	public.services = calloc(conf->services_count + 1, sizeof(*public.services));
	if (!public.services)
		return -ENOMEM;
	for (unsigned i = 0; i < conf->services_count; i++) {
		public.services[i] = conf->services[i];
		public.services[i].secret = NULL;
	}
	rc = conf_send(&public);
	free(public.services);
	return rc;
}

int conf_recv(int memfd, struct conf **ret_conf)
{
	struct conf *conf = NULL;
	struct stat st;
	cyaml_err_t bad;
	void *text;
	int seals;

	seals = fcntl(memfd, F_GET_SEALS);
	if (seals < 0 || fstat(memfd, &st) < 0)
		return -errno;
	/* Without the seals the sender could shrink the file under the parser: SIGBUS. */
	if ((seals & WIRE_SEALS) != WIRE_SEALS || st.st_size <= 0 || st.st_size > WIRE_MAX)
		return -EBADMSG;
	text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, memfd, 0);
	if (text == MAP_FAILED)
		return -errno;
	bad = cyaml_load_data(text, (size_t)st.st_size, &conf_cyaml_quiet, &conf_schema,
			      (cyaml_data_t **)&conf, NULL);
	munmap(text, (size_t)st.st_size);
	if (bad != CYAML_OK)
		return bad == CYAML_ERR_OOM ? -ENOMEM : -EBADMSG;
	if (!conf)
		return -EBADMSG;
	*ret_conf = conf;
	return 0;
}
