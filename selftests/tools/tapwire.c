/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A VM on a tap, without the VM: opens a tap in each of two network namespaces and
 * carries frames between them, as a hypervisor does between a tap and a guest's
 * network card. Frames travel with their virtio-net header, so that checksums and
 * segmentation stay offloaded and a frame may be 64 KiB; what was read from one tap
 * is written to the other unchanged.
 *
 * The taps exist as long as the process. It says "ready" on standard output once
 * both do, and on SIGTERM or SIGINT ends with a line of what it carried.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The largest GSO frame, its Ethernet header with a tag, and the virtio-net header. */
#define FRAME_MAX (65536 + 18 + sizeof(struct virtio_net_hdr_v1))

struct end {
	const char *netns; /* path of the namespace */
	const char *name;  /* of the interface to make there */
	int fd;
};

/* One direction; frames and bytes are read by main() at the end. */
struct wire {
	const struct end *from, *to;
	atomic_ullong frames, bytes, lost;
	uint8_t buffer[FRAME_MAX];
};

static void die(const char *what, const char *which)
{
	fprintf(stderr, "tapwire: %s %s: %s\n", what, which, strerror(errno));
	exit(1);
}

/* A tap belongs to the namespace in which /dev/net/tun was opened, hence setns first. */
static void end_open(struct end *end)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int header = sizeof(struct virtio_net_hdr_v1);
	int netns;

	netns = open(end->netns, O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		die("cannot open namespace", end->netns);
	if (setns(netns, CLONE_NEWNET))
		die("cannot enter namespace", end->netns);
	close(netns);

	end->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (end->fd < 0)
		die("cannot open", "/dev/net/tun");
	if (strlen(end->name) >= sizeof(request.ifr_name)) {
		errno = ENAMETOOLONG;
		die("interface", end->name);
	}
	strcpy(request.ifr_name, end->name);
	if (ioctl(end->fd, TUNSETIFF, &request))
		die("cannot make tap", end->name);
	if (ioctl(end->fd, TUNSETVNETHDRSZ, &header) ||
	    ioctl(end->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN))
		die("cannot set offloads of", end->name);
}

/*
 * A frame that the other side cannot take (interface down, queue full) is lost, as
 * on a wire; only a tap that is gone ends the loop.
 */
static void *wire_carry(void *arg)
{
	struct wire *wire = arg;
	ssize_t n;

	for (;;) {
		n = read(wire->from->fd, wire->buffer, sizeof(wire->buffer));
		if (n < 0 && (errno == EBADFD || errno == ENODEV))
			die("tap is gone:", wire->from->name);
		if (n <= 0)
			continue;
		if (write(wire->to->fd, wire->buffer, (size_t)n) == n) {
			wire->frames++;
			wire->bytes += (unsigned long long)n - sizeof(struct virtio_net_hdr_v1);
		} else {
			wire->lost++;
		}
	}
	return NULL;
}

static void usage(FILE *out)
{
	fprintf(out,
		"usage: tapwire NETNS-PATH INTERFACE NETNS-PATH INTERFACE\n"
		"Makes a tap in each namespace and carries frames between them until SIGTERM.\n");
}

int main(int argc, char **argv)
{
	static struct end ends[2];
	static struct wire wires[2];
	pthread_t thread;
	sigset_t signals;
	int signal, i;

	if (argc == 2 && !strcmp(argv[1], "--help")) {
		usage(stdout);
		return 0;
	}
	if (argc != 5) {
		usage(stderr);
		return 2;
	}
	for (i = 0; i < 2; i++) {
		ends[i].netns = argv[1 + 2 * i];
		ends[i].name = argv[2 + 2 * i];
		end_open(&ends[i]);
	}

	/* Blocked in every thread, so that sigwait() below is the one to take them. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	for (i = 0; i < 2; i++) {
		wires[i].from = &ends[i];
		wires[i].to = &ends[!i];
		errno = pthread_create(&thread, NULL, wire_carry, &wires[i]);
		if (errno)
			die("cannot start", "thread");
	}
	printf("ready\n");
	fflush(stdout);

	sigwait(&signals, &signal);
	for (i = 0; i < 2; i++)
		printf("tapwire: %s to %s: %llu frames, %llu bytes, %llu frames lost\n",
		       wires[i].from->name, wires[i].to->name, (unsigned long long)wires[i].frames,
		       (unsigned long long)wires[i].bytes, (unsigned long long)wires[i].lost);
	fflush(stdout);
	_exit(0);
}
