/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every origin is connected to, from where the daemon would: the management gateway and its source
 * address. All at once, so that dead ones cost one timeout together.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../gate/netns.h"
#include "../lib/clock.h"
#include "doctor.h"

#define ORIGINS_MAX 256
#define CONNECT_MS  3000

struct call {
	const char *service, *address;
	const json_t *known; /* what the daemon says of it */
	int sock, error;
};

struct calls {
	const char *netns, *source; /* NULL: none */
	struct call call[ORIGINS_MAX];
	unsigned count;
};

static socklen_t to_sockaddr(const struct conf_address *address, struct sockaddr_storage *ret)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
	struct sockaddr_un *un = (struct sockaddr_un *)ret;

	memset(ret, 0, sizeof(*ret));
	ret->ss_family = address->family;
	if (address->family == AF_INET) {
		in4->sin_port = htons(address->port);
		memcpy(&in4->sin_addr, address->ip, sizeof(in4->sin_addr));
		return sizeof(*in4);
	}
	if (address->family == AF_INET6) {
		in6->sin6_port = htons(address->port);
		memcpy(&in6->sin6_addr, address->ip, sizeof(in6->sin6_addr));
		return sizeof(*in6);
	}
	memcpy(un->sun_path, address->path, sizeof(un->sun_path));
	return sizeof(*un);
}

static int bind_source(int sock, int family, const char *source)
{
	struct conf_address from = { .family = (uint16_t)family };
	struct sockaddr_storage address;
	socklen_t len;

	if (!source || family == AF_UNIX || inet_pton(family, source, from.ip) != 1)
		return 0;
	len = to_sockaddr(&from, &address);
	return bind(sock, (struct sockaddr *)&address, len) ? -errno : 0;
}

/* In the management namespace. */
static void begin(struct calls *calls, struct call *call)
{
	struct conf_address to;
	struct sockaddr_storage address;
	socklen_t len;

	call->sock = -1;
	call->error = conf_address_parse(call->address, &to);
	if (call->error)
		return;
	call->sock = socket(to.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	call->error = call->sock < 0 ? -errno : bind_source(call->sock, to.family, calls->source);
	len = to_sockaddr(&to, &address);
	if (!call->error && connect(call->sock, (struct sockaddr *)&address, len))
		call->error = -errno;
}

static void settle(struct call *call)
{
	socklen_t len = sizeof(call->error);
	int error = 0;

	call->error = getsockopt(call->sock, SOL_SOCKET, SO_ERROR, &error, &len) ? -errno : -error;
}

/* Waits for all that are under way; what is not there in time has timed out. */
static void finish(struct calls *calls)
{
	int64_t deadline = clock_ms(CLOCK_MONOTONIC) + CONNECT_MS, left;
	struct pollfd waits[ORIGINS_MAX];
	unsigned pending = 1;

	while (pending && (left = deadline - clock_ms(CLOCK_MONOTONIC)) > 0) {
		pending = 0;
		for (unsigned i = 0; i < calls->count; i++) {
			waits[i] = (struct pollfd){ .fd = -1, .events = POLLOUT };
			if (calls->call[i].error == -EINPROGRESS) {
				waits[i].fd = calls->call[i].sock;
				pending++;
			}
		}
		if (!pending || poll(waits, calls->count, (int)left) <= 0)
			continue;
		for (unsigned i = 0; i < calls->count; i++)
			if (waits[i].fd >= 0 && waits[i].revents)
				settle(&calls->call[i]);
	}
	for (unsigned i = 0; i < calls->count; i++)
		if (calls->call[i].error == -EINPROGRESS)
			calls->call[i].error = -ETIMEDOUT;
}

static const char *remedy(const struct calls *calls, const struct call *call)
{
	const char *inside = doctor_inside(calls->netns);
	struct conf_address to;
	char ip[INET6_ADDRSTRLEN];

	if (conf_address_parse(call->address, &to))
		return NULL;
	if (to.family == AF_UNIX)
		return doctor_text("start the server that listens on %s; try: curl --unix-socket "
				   "%s http://localhost/",
				   to.path, doctor_word(to.path));
	inet_ntop(to.family, to.ip, ip, sizeof(ip));
	if (call->error == -ECONNREFUSED)
		return doctor_text("start the server of port %u on %s; try: %scurl "
				   "http://%s%s%s:%u/",
				   to.port, ip, inside, to.family == AF_INET6 ? "[" : "", ip,
				   to.family == AF_INET6 ? "]" : "", to.port);
	return doctor_text("%sip route get %s && %sping -c 1 %s", inside, ip, inside, ip);
}

static void report(struct doctor *doctor, const struct calls *calls, const struct call *call)
{
	const char *state = json_string_value(json_object_get(call->known, "state"));
	bool resting = state && !strcmp(state, "resting");

	if (call->error)
		doctor_say(doctor, NULL, "origin", DOCTOR_FAIL,
			   "requests go to the service's other origins, or get 502 or 504",
			   remedy(calls, call), "service %s: no connection to %s: %s",
			   call->service, call->address, strerror(-call->error));
	else if (resting)
		doctor_say(doctor, NULL, "origin", DOCTOR_WARN,
			   "it failed a moment ago and is passed over until then; it is back now",
			   NULL, "service %s: %s connects, and rests for another %lld ms",
			   call->service, call->address,
			   (long long)json_integer_value(json_object_get(call->known, "rests_ms")));
	else
		doctor_say(doctor, NULL, "origin", DOCTOR_OK, NULL, NULL, "service %s: %s connects",
			   call->service, call->address);
}

static void add(struct calls *calls, const char *service, const char *address, const json_t *known)
{
	if (calls->count < ORIGINS_MAX && service && address)
		calls->call[calls->count++] =
			(struct call){ .service = service, .address = address, .known = known };
}

static void collect(struct calls *calls, struct doctor *doctor, const struct conf *conf)
{
	json_t *service, *origin, *management = json_object_get(doctor->report, "management");
	size_t i, j;

	calls->netns = json_string_value(json_object_get(management, "netns"));
	calls->source = json_string_value(json_object_get(management, "source"));
	json_array_foreach (json_object_get(doctor->report, "services"), i, service)
		json_array_foreach (json_object_get(service, "origins"), j, origin)
			add(calls, json_string_value(json_object_get(service, "name")),
			    json_string_value(json_object_get(origin, "address")), origin);
	if (!conf)
		return;
	calls->netns = conf->management.netns;
	calls->source = conf->management.source;
	for (unsigned s = 0; s < conf->services_count; s++)
		for (unsigned o = 0; o < conf->services[s].origins_count; o++)
			add(calls, conf->services[s].name, conf->services[s].origins[o].address,
			    NULL);
}

static int call_all(struct calls *calls)
{
	struct netns_visit visit;
	int err = calls->netns ? netns_visit(&visit, calls->netns) : 0;

	if (err)
		return err;
	for (unsigned i = 0; i < calls->count; i++)
		begin(calls, &calls->call[i]);
	if (calls->netns)
		netns_leave(&visit);
	finish(calls);
	return 0;
}

void doctor_origins(struct doctor *doctor, const struct conf *conf)
{
	struct calls *calls = calloc(1, sizeof(*calls));
	int err;

	if (!calls)
		return;
	collect(calls, doctor, conf);
	err = call_all(calls);
	if (err)
		doctor_say(doctor, NULL, "management", DOCTOR_FAIL,
			   "no service can be reached: connections are made from there",
			   doctor_text("sluice --instance %s reload   # once sluice gateway create "
				       "made it, or management.netns names another",
				       doctor_word(doctor->instance)),
			   "management namespace %s: %s", calls->netns, strerror(-err));
	for (unsigned i = 0; !err && i < calls->count; i++) {
		report(doctor, calls, &calls->call[i]);
		if (calls->call[i].sock >= 0)
			close(calls->call[i].sock);
	}
	if (!calls->count)
		doctor_say(doctor, NULL, "origin", DOCTOR_WARN, "every request is answered 404",
			   "add services and routes to sluice.yaml", "no service is configured");
	free(calls);
}
