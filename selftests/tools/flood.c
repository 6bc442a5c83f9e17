/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hostile VM's packet generator: sends frames for the metadata address through an
 * AF_PACKET socket that bypasses the qdisc, bounded by time and by count, and reports
 * what it sent as one line. Kinds may be mixed; they take turns.
 *
 * Frames are well-formed unless the kind says otherwise: what a guard drops is then
 * dropped for the reason asked for. Source ports always vary; source addresses do
 * with --sources.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH	    64
#define FRAME_MAX   128
#define SECONDS_MAX 600 /* a test tool is never left running for good */

enum kind {
	KIND_SYN,
	KIND_ACK,
	KIND_UDP,
	KIND_FRAGMENT,
	KIND_OPTIONS,
	KIND_PORT,
	KIND_FLAGS,
	KIND_SHORT,
	KIND_ARP,
	KIND_ECHO,
	KIND_COUNT
};

static const char *const kind_names[] = {
	[KIND_SYN] = "syn",	      [KIND_ACK] = "ack",	  [KIND_UDP] = "udp",
	[KIND_FRAGMENT] = "fragment", [KIND_OPTIONS] = "options", [KIND_PORT] = "port",
	[KIND_FLAGS] = "flags",	      [KIND_SHORT] = "short",	  [KIND_ARP] = "arp",
	[KIND_ECHO] = "echo",
};
_Static_assert(sizeof(kind_names) / sizeof(kind_names[0]) == KIND_COUNT, "kind_names");

struct flood {
	const char *interface;
	enum kind kinds[KIND_COUNT];
	unsigned nkinds;
	uint8_t to[ETH_ALEN], from[ETH_ALEN];
	uint32_t source;  /* first source address, host order */
	uint32_t target;  /* host order */
	uint32_t sources; /* how many addresses to use */
	uint16_t port;
	double seconds;
	unsigned long long count, rate; /* 0: no limit */
	uint32_t turn;			/* number of the next frame */
};

static void die(const char *what)
{
	fprintf(stderr, "flood: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = value >> 8;
	at[1] = value & 0xff;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

static uint32_t sum(const uint8_t *at, size_t len, uint32_t start)
{
	for (; len > 1; at += 2, len -= 2)
		start += (uint32_t)at[0] << 8 | at[1];
	return len ? start + ((uint32_t)at[0] << 8) : start;
}

static uint16_t fold(uint32_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return ~total & 0xffff;
}

static size_t build_arp(const struct flood *flood, uint32_t source, uint8_t *frame)
{
	uint8_t *arp = frame + ETH_HLEN;

	memset(frame, 0xff, ETH_ALEN);
	put16(frame + 12, ETH_P_ARP);
	put16(arp, ARPHRD_ETHER);
	put16(arp + 2, ETH_P_IP);
	arp[4] = ETH_ALEN;
	arp[5] = 4;
	put16(arp + 6, ARPOP_REQUEST);
	memcpy(arp + 8, flood->from, ETH_ALEN);
	put32(arp + 14, source);
	memset(arp + 18, 0, ETH_ALEN);
	put32(arp + 24, flood->target);
	return ETH_HLEN + 28;
}

/* The transport header and its payload at l4; returns its length. Checksum included. */
static size_t build_l4(const struct flood *flood, enum kind kind, uint32_t source, uint8_t *l4)
{
	uint16_t sport = 1024 + flood->turn % 60000;
	uint8_t proto = kind == KIND_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	uint16_t len = 20;
	uint8_t *check = l4 + 16;
	uint32_t pseudo;

	memset(l4, 0, 40);
	if (kind == KIND_ECHO) {
		l4[0] = 8;
		put16(l4 + 4, sport);
		put16(l4 + 2, fold(sum(l4, 16, 0)));
		return 16;
	}
	put16(l4, sport);
	put16(l4 + 2, kind == KIND_PORT ? flood->port + 1000 : flood->port);
	if (kind == KIND_UDP) {
		check = l4 + 6;
		put16(l4 + 4, len);
	} else {
		put32(l4 + 4, flood->turn * 2654435761u);
		l4[12] = 5 << 4;
		/* SYN; ACK; or SYN with FIN, which no client sends. */
		l4[13] = kind == KIND_ACK ? 0x10 : kind == KIND_FLAGS ? 0x03 : 0x02;
		put32(l4 + 8, kind == KIND_ACK ? flood->turn : 0);
		put16(l4 + 14, 65535);
	}
	pseudo = (source >> 16) + (source & 0xffff) + (flood->target >> 16) +
		 (flood->target & 0xffff) + proto + len;
	put16(check, fold(sum(l4, len, pseudo)));
	return len;
}

static size_t build_ip(const struct flood *flood, enum kind kind, uint32_t source, uint8_t *frame)
{
	uint8_t *ip = frame + ETH_HLEN;
	size_t head = kind == KIND_OPTIONS ? 24 : 20;
	size_t len = head + build_l4(flood, kind, source, ip + head);

	memcpy(frame, flood->to, ETH_ALEN);
	put16(frame + 12, ETH_P_IP);
	memset(ip, 0, head);
	ip[0] = 4 << 4 | head / 4;
	put16(ip + 2, len);
	put16(ip + 4, flood->turn & 0xffff);
	put16(ip + 6, kind == KIND_FRAGMENT ? 0x2000 : 0x4000); /* more fragments; don't fragment */
	ip[8] = 64;
	ip[9] = kind == KIND_UDP ? IPPROTO_UDP : kind == KIND_ECHO ? IPPROTO_ICMP : IPPROTO_TCP;
	put32(ip + 12, source);
	put32(ip + 16, flood->target);
	if (kind == KIND_OPTIONS)
		memset(ip + 20, 1, 4); /* four no-operations */
	put16(ip + 10, fold(sum(ip, head, 0)));
	/* Cut inside the TCP header: the length field then promises more than there is. */
	return ETH_HLEN + (kind == KIND_SHORT ? head + 8 : len);
}

static size_t flood_build(struct flood *flood, uint8_t *frame)
{
	uint32_t source = flood->source + flood->turn % flood->sources;
	enum kind kind = flood->kinds[flood->turn % flood->nkinds];
	size_t len;

	memcpy(frame + ETH_ALEN, flood->from, ETH_ALEN);
	len = kind == KIND_ARP ? build_arp(flood, source, frame)
			       : build_ip(flood, kind, source, frame);
	flood->turn++;
	return len;
}

static int flood_open(struct flood *flood)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	struct ifreq request = { 0 };
	int sock, on = 1;

	sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (sock < 0)
		die("cannot open a packet socket");
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", flood->interface);
	if (ioctl(sock, SIOCGIFHWADDR, &request))
		die(flood->interface);
	memcpy(flood->from, request.ifr_hwaddr.sa_data, ETH_ALEN);
	address.sll_ifindex = (int)if_nametoindex(flood->interface);
	if (bind(sock, (struct sockaddr *)&address, sizeof(address)))
		die("cannot bind to the interface");
	if (setsockopt(sock, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)))
		die("PACKET_QDISC_BYPASS");
	return sock;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Keeps to the rate by sleeping once the sent count is ahead of it. */
static void flood_pace(const struct flood *flood, unsigned long long sent, double elapsed)
{
	double ahead = flood->rate ? (double)sent / (double)flood->rate - elapsed : 0;

	if (ahead > 0.001)
		usleep((useconds_t)(ahead * 1e6));
}

static void flood_run(struct flood *flood, int sock)
{
	static uint8_t frames[BATCH][FRAME_MAX];
	struct mmsghdr messages[BATCH] = { 0 };
	struct iovec vectors[BATCH];
	unsigned long long sent = 0, refused = 0;
	double start = now(), elapsed = 0;
	unsigned i, want;
	int n;

	while (elapsed < flood->seconds && (!flood->count || sent < flood->count)) {
		want = BATCH;
		if (flood->count && flood->count - sent < want)
			want = (unsigned)(flood->count - sent);
		for (i = 0; i < want; i++) {
			vectors[i].iov_base = frames[i];
			vectors[i].iov_len = flood_build(flood, frames[i]);
			messages[i].msg_hdr.msg_iov = &vectors[i];
			messages[i].msg_hdr.msg_iovlen = 1;
		}
		n = sendmmsg(sock, messages, want, 0);
		if (n > 0)
			sent += (unsigned)n;
		else if (errno == ENOBUFS || errno == EAGAIN || errno == EINTR)
			refused++; /* a full queue: a flood tries again */
		else
			die("sendmmsg");
		elapsed = now() - start;
		flood_pace(flood, sent, elapsed);
	}
	elapsed = now() - start;
	printf("flood: %llu frames in %.2f s, %.0f frames/s (queue full %llu times)\n", sent,
	       elapsed, (double)sent / elapsed, refused);
}

static bool parse_kinds(struct flood *flood, char *list)
{
	char *word, *rest = NULL;
	unsigned k;

	for (word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
		for (k = 0; k < KIND_COUNT && strcmp(word, kind_names[k]); k++)
			;
		if (k == KIND_COUNT || flood->nkinds == KIND_COUNT)
			return false;
		flood->kinds[flood->nkinds++] = k;
	}
	return flood->nkinds > 0;
}

static bool parse_mac(const char *text, uint8_t *mac)
{
	char end;

	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2],
		      &mac[3], &mac[4], &mac[5], &end) == ETH_ALEN;
}

static bool parse_ip(const char *text, uint32_t *address)
{
	struct in_addr parsed;

	if (inet_pton(AF_INET, text, &parsed) != 1)
		return false;
	*address = ntohl(parsed.s_addr);
	return true;
}

static bool parse_number(const char *text, unsigned long long max, unsigned long long *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 10);
	return !errno && end != text && !*end && *number <= max;
}

static int usage(FILE *out)
{
	unsigned k;

	fprintf(out, "usage: flood --interface IF --to MAC [--kind KIND,…] [--from ADDRESS]\n"
		     "             [--sources N] [--target ADDRESS] [--port N]\n"
		     "             [--seconds N] [--count N] [--rate FRAMES-PER-SECOND]\n"
		     "kinds:");
	for (k = 0; k < KIND_COUNT; k++)
		fprintf(out, " %s", kind_names[k]);
	fprintf(out, "\n");
	return out == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "interface", required_argument, NULL, 'i' },
		{ "to", required_argument, NULL, 't' },
		{ "kind", required_argument, NULL, 'k' },
		{ "from", required_argument, NULL, 'f' },
		{ "sources", required_argument, NULL, 'n' },
		{ "target", required_argument, NULL, 'd' },
		{ "port", required_argument, NULL, 'p' },
		{ "seconds", required_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'c' },
		{ "rate", required_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct flood flood = {
		.source = 0xc0a8000a, .target = 0xa9fea9fe, .sources = 1, .port = 80, .seconds = 1
	};
	unsigned long long number = 0;
	bool ok = true, have_to = false;
	int option, sock;

	while (ok && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'i':
			flood.interface = optarg;
			break;
		case 't':
			ok = have_to = parse_mac(optarg, flood.to);
			break;
		case 'k':
			ok = parse_kinds(&flood, optarg);
			break;
		case 'f':
			ok = parse_ip(optarg, &flood.source);
			break;
		case 'd':
			ok = parse_ip(optarg, &flood.target);
			break;
		case 'n':
			ok = parse_number(optarg, 1u << 24, &number) && number;
			flood.sources = (uint32_t)number;
			break;
		case 'p':
			ok = parse_number(optarg, 64000, &number);
			flood.port = (uint16_t)number;
			break;
		case 's':
			ok = parse_number(optarg, SECONDS_MAX, &number) && number;
			flood.seconds = (double)number;
			break;
		case 'c':
			ok = parse_number(optarg, 1ull << 40, &flood.count);
			break;
		case 'r':
			ok = parse_number(optarg, 1ull << 40, &flood.rate);
			break;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	if (!ok || !flood.interface || !have_to || optind != argc)
		return usage(stderr);
	if (!flood.nkinds)
		flood.kinds[flood.nkinds++] = KIND_SYN;

	sock = flood_open(&flood);
	flood_run(&flood, sock);
	close(sock);
	return 0;
}
