/* SPDX-License-Identifier: BSD-2-Clause */
#include "renew.h"
#include "serve.h"
#include "serve_pieces.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/piece_listen.h"

#define WATCH_MS	   100
#define FINISH_MS	   2000
#define LOOK_SECONDS	   1
#define RENEW_MS	   (3600 * 1000) /* between looks at how long certificates are good */
#define CONNECTIONS	   2048
#define CONNECTIONS_OF_ONE 64 /* addresses are a node's own, and an agent needs a handful */
#define IDLE_SECONDS	   180
#define BACKLOG		   512
#define TLS_PRIORITIES	   "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define MEMORY_PER_REQUEST (32 * 1024)
#define THROWN_AWAY_MAX	   (64 * 1024 * 1024) /* of bodies nobody wants */

static enum MHD_Result queue(struct request *request, unsigned status,
			     struct MHD_Response *response)
{
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	request->answered = true;
	result = MHD_queue_response(request->connection, status, response);
	MHD_destroy_response(response);
	return result;
}

enum MHD_Result serve_reply(struct request *request, unsigned status, const char *type,
			    const char *text)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);

	if (response && *text)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	return queue(request, status, response);
}

enum MHD_Result serve_problem(struct request *request, unsigned status, const char *why)
{
	static struct log_limit limit = LOG_LIMIT(10000, 20);
	json_t *json = json_pack("{s:s}", "error", why);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	enum MHD_Result result = MHD_NO;
	uint32_t left_out;

	pthread_mutex_lock(&request->serve->lock);
	if (log_allowed(&limit, &left_out))
		log_warn("%s%s%s: %u: %s", request->address, *request->node ? " " : "",
			 request->node, status, why);
	pthread_mutex_unlock(&request->serve->lock);
	if (text)
		result = serve_reply(request, status, "application/json", text);
	free(text);
	json_decref(json);
	return result;
}

const char *serve_argument(const struct request *request, const char *name)
{
	const char *value =
		MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);

	return value ? value : "";
}

static enum MHD_Result take_body(struct request *request, const char *data, size_t size)
{
	char *larger;

	if (request->body_len + size > request->body_max)
		request->too_large = true;
	if (request->too_large || request->refused) {
		request->thrown_away += size;
		return request->thrown_away > THROWN_AWAY_MAX ? MHD_NO : MHD_YES;
	}
	larger = realloc(request->body, request->body_len + size + 1);
	if (!larger)
		return MHD_NO;
	request->body = larger;
	memcpy(larger + request->body_len, data, size);
	request->body_len += size;
	larger[request->body_len] = '\0';
	return MHD_YES;
}

/* Who asks is known before a body is: who is nobody cannot fill memory. */
static void look_at_head(struct request *request, const char *method, const char *url)
{
	bool open = serve_is_open(method, url);

	serve_address(request);
	request->body_max = open ? SERVE_OPEN_MAX : SERVE_BODY_MAX;
	if (!open)
		request->refused = serve_identify(request, &request->refused_status);
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **context)
{
	struct request *request = *context;
	enum MHD_Result result;

	if (!request) {
		request = calloc(1, sizeof(*request));
		if (!request)
			return MHD_NO;
		request->serve = arg;
		request->connection = connection;
		*context = request;
		look_at_head(request, method, url);
		return MHD_YES;
	}
	if (*size) {
		result = take_body(request, data, *size);
		*size = 0;
		return result;
	}
	if (request->refused)
		return serve_problem(request, request->refused_status, request->refused);
	if (request->too_large)
		return serve_problem(request, 413, "the body is too large");
	return serve_route(request, method, url);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode code)
{
	struct request *request = *context;

	if (request && request->has_turn)
		turns_leave(&request->serve->turns, &request->turn,
			    code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
	if (request)
		free(request->body);
	free(request);
	*context = NULL;
}

static void on_library_log(void *arg, const char *format, va_list args)
{
	static struct log_limit limit = LOG_LIMIT(60000, 1);
	struct serve *serve = arg;
	uint32_t left_out;
	char text[512];
	bool told;

	vsnprintf(text, sizeof(text), format, args);
	log_debug("http: %s", text);
	if (!strstr(text, "connection limit"))
		return;
	pthread_mutex_lock(&serve->lock);
	told = log_allowed(&limit, &left_out);
	pthread_mutex_unlock(&serve->lock);
	if (told)
		log_warn("a connection is refused: %d are open, or %d from one address (%u more "
			 "before)",
			 CONNECTIONS, CONNECTIONS_OF_ONE, left_out);
}

/* Everybody who waits looks again when another connection has written, commands included. */
static void *watch(void *arg)
{
	struct timespec pause = { 0, WATCH_MS * 1000000 };
	int64_t version = 0, now;
	struct serve *serve = arg;
	struct state state;

	if (state_open(serve->cluster->directory, false, &state))
		return NULL;
	while (!serve->ending) {
		now = state_version(&state);
		if (now != version) {
			version = now;
			pthread_mutex_lock(&serve->lock);
			pthread_cond_broadcast(&serve->changed);
			pthread_mutex_unlock(&serve->lock);
		}
		nanosleep(&pause, NULL);
	}
	state_close(&state);
	return NULL;
}

static struct MHD_Daemon *start(struct serve *serve, int fd, const char *certificate,
				const char *key)
{
	return MHD_start_daemon(
		MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
			MHD_USE_TLS | MHD_USE_ERROR_LOG,
		0, NULL, NULL, on_request, serve, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, serve,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, serve,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)CONNECTIONS_OF_ONE,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_PER_REQUEST,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_HTTPS_PRIORITIES, TLS_PRIORITIES,
		MHD_OPTION_HTTPS_MEM_CERT, certificate, MHD_OPTION_HTTPS_MEM_KEY, key,
		MHD_OPTION_HTTPS_MEM_TRUST, serve->ca, MHD_OPTION_END);
}

/* What is in these files now: another content, another number. */
static uint64_t stamp_of(const struct serve *serve, const char *const names[2])
{
	uint64_t stamp = 0;
	struct stat status;

	for (size_t i = 0; i < 2 && names[i]; i++)
		if (!stat(cluster_path(serve->cluster, names[i]), &status))
			stamp = stamp * 31 + status.st_ino + (uint64_t)status.st_mtim.tv_nsec +
				(uint64_t)status.st_mtim.tv_sec;
	return stamp;
}

static uint64_t certificates_stamp(const struct serve *serve)
{
	static const char *const names[2] = { "ca.pem", "server.pem" };

	return stamp_of(serve, names);
}

void serve_read_config(struct serve *serve)
{
	static const char *const names[2] = { "cluster.yaml", NULL };
	uint64_t stamp = stamp_of(serve, names);
	struct config *config;

	if (stamp == serve->config_stamp)
		return;
	serve->config_stamp = stamp;
	config = cluster_config(serve->cluster, NULL);
	if (!config)
		return;
	config_free(serve->config);
	serve->config = config;
}

/* Until it is to end (false), or to begin anew with certificates that changed. */
static bool wait_for_signal(struct serve *serve, uint64_t stamp)
{
	struct timespec look = { LOOK_SECONDS, 0 };
	int64_t renew = state_ticks() + RENEW_MS;
	bool changed;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	while (sigtimedwait(&set, NULL, &look) < 0) {
		pthread_mutex_lock(&serve->lock);
		serve_bundle_idle(serve);
		if (state_ticks() > renew) {
			renew = state_ticks() + RENEW_MS;
			renew_control(serve->cluster, serve->config, false, false, &changed);
		}
		pthread_mutex_unlock(&serve->lock);
		if (certificates_stamp(serve) != stamp)
			return true;
	}
	return false;
}

static void block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* Polls that wait are answered. */
static void wake(struct serve *serve, bool *flag, bool value)
{
	pthread_mutex_lock(&serve->lock);
	*flag = value;
	pthread_cond_broadcast(&serve->changed);
	pthread_mutex_unlock(&serve->lock);
}

/* Answers that are short are given yet; blobs are gone on with later. */
static void let_finish(struct MHD_Daemon *daemon)
{
	int listening = MHD_quiesce_daemon(daemon);
	struct timespec pause = { 0, WATCH_MS * 1000000 };
	const union MHD_DaemonInfo *info;

	for (unsigned i = 0; i < FINISH_MS / WATCH_MS; i++) {
		info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
		if (!info || !info->num_connections)
			break;
		nanosleep(&pause, NULL);
	}
	if (listening >= 0)
		close(listening);
}

/* One life of the server, with the certificates of now; true: another is to follow. */
static bool serve_once(struct serve *serve, int fd, enum cluster_exit *ret_status)
{
	char *certificate = cluster_read(serve->cluster, "server.pem");
	char *key = cluster_read(serve->cluster, "server.key");
	uint64_t stamp = certificates_stamp(serve);
	int listening = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct MHD_Daemon *daemon = NULL;
	bool again = false;

	free(serve->ca);
	serve->ca = cluster_read(serve->cluster, "ca.pem");
	if (certificate && key && serve->ca && listening >= 0)
		daemon = start(serve, listening, certificate, key);
	if (daemon) {
		pthread_mutex_lock(&serve->lock);
		log_info("cluster %s: agents dial %s:%u", serve->config->cluster,
			 serve->config->control.address, serve->config->control.port);
		pthread_mutex_unlock(&serve->lock);
		again = wait_for_signal(serve, stamp);
		wake(serve, again ? &serve->turning : &serve->ending, true);
		let_finish(daemon);
		MHD_stop_daemon(daemon);
		wake(serve, &serve->turning, false);
		*ret_status = CLUSTER_DONE;
	} else {
		cluster_complain("serve: the server cannot be started");
		*ret_status = CLUSTER_ERROR;
	}
	free(certificate);
	free(key);
	return again;
}

static enum cluster_exit serve_until_ended(struct serve *serve, int fd)
{
	enum cluster_exit status;
	pthread_t watcher;
	bool changed;
	int err;

	block_signals();
	err = renew_control(serve->cluster, serve->config, false, false, &changed);
	if (err)
		cluster_complain("%s: certificates: %s", serve->cluster->directory, strerror(-err));
	if (pthread_create(&watcher, NULL, watch, serve)) {
		cluster_complain("serve: no thread can be started");
		return CLUSTER_ERROR;
	}
	while (serve_once(serve, fd, &status))
		log_info("beginning anew with new certificates");
	wake(serve, &serve->ending, true);
	pthread_join(watcher, NULL);
	return status;
}

static enum cluster_exit run(struct cluster *cluster, char **arguments, unsigned count)
{
	struct serve serve = { .cluster = cluster, .lock = PTHREAD_MUTEX_INITIALIZER };
	enum cluster_exit status = CLUSTER_ERROR;
	pthread_condattr_t clock;
	int fd = -1;

	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&serve.changed, &clock);
	turns_init(&serve.turns, SERVE_AT_ONCE);
	serve.config = cluster_config(cluster, NULL);
	serve.publishers = cluster_read(cluster, "publishers.pub");
	serve.control_pub = cluster_read(cluster, "control.pub");
	if (!serve.config || !serve.publishers || !serve.control_pub)
		goto out;
	fd = piece_listen(serve.config->control.address, serve.config->control.port, BACKLOG);
	if (fd < 0)
		cluster_complain("%s:%u: %s", serve.config->control.address,
				 serve.config->control.port, strerror(-fd));
	else
		status = serve_until_ended(&serve, fd);
out:
	if (fd >= 0)
		close(fd);
	serve_pieces_free();
	serve_bundle_close(&serve);
	config_free(serve.config);
	free(serve.ca);
	free(serve.publishers);
	free(serve.control_pub);
	return status;
}

const struct cluster_command command_serve = {
	.name = "serve",
	.summary = "the server that agents dial; runs until it is ended",
	.run = run,
};
