/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One datagram to $NOTIFY_SOCKET a message; no library is needed for that. The watchdog's comes
 * from a timer of the parent's loop, thrice within the time after which it would bite.
 */
#include "notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "loop.h"

#define TICKS_PER_BITE 3

static struct loop_timer pulse;
static struct loop *pulse_loop;
static uint64_t pulse_ms;

static void notify(const char *text)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len = path ? strlen(path) : 0;
	int sock;

	if (!len || len >= sizeof(address.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@') /* abstract */
		address.sun_path[0] = '\0';
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return;
	/* Nobody to tell means nothing to do. */
	(void)!sendto(sock, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
		      (struct sockaddr *)&address,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(sock);
}

static void beat(struct loop_timer *timer)
{
	notify("WATCHDOG=1");
	loop_timer_start(pulse_loop, timer, pulse_ms, beat);
}

/* Milliseconds between beats; 0 when nobody waits for ours. */
static uint64_t beat_interval(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long interval = usec ? strtoull(usec, NULL, 10) : 0;

	if (!interval || (pid && strtol(pid, NULL, 10) != getpid()))
		return 0;
	interval /= 1000 * TICKS_PER_BITE;
	return interval ? interval : 1;
}

void notify_alive(void)
{
	if (beat_interval())
		notify("WATCHDOG=1");
}

void notify_ready(struct loop *loop)
{
	notify("READY=1");
	pulse_ms = beat_interval();
	if (!pulse_ms)
		return;
	pulse_loop = loop;
	beat(&pulse);
}

void notify_stopping(struct loop *loop)
{
	loop_timer_stop(loop, &pulse);
	notify("STOPPING=1");
}
