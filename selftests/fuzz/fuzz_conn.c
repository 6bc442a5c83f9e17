/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whole connections through relay/'s state machine: clients, origins and the parent as the input
 * has them act, over I/O (lib/fake.c) that is short, late and broken where the input says so.
 *
 * The input is a role, an engine and a list of acts; read from its end it says what goes wrong.
 * Requests carry a number in their path, and an origin's answer repeats it. Asserted: every
 * client reads the answers to its requests, in order, each the origin's or a refusal of ours; a
 * body is the origin's to the byte, and one that was cut never looks complete; an origin reads
 * sound requests, without what clients say about themselves, and none twice that could have an
 * effect twice; in the end every connection, descriptor, buffer and pipe is back.
 */
#include <stdio.h>

#include "../../user/relay/parent.c"
#include "../../user/relay/worker.c"

#include "fuzz.h"
#include "lib/fake.h"
#include "lib/fake_ring.h"
#include "lib/peer.h"

#define PEERS	 24
#define BODY_MAX 9000
#define PIPES	 2

static struct conf *conf;
static struct sl_relay stats[4];
static struct peer clients[PEERS], origins[PEERS];
static struct fake_message asked[64];
static unsigned nasked;
static int listening;

static void new_client(void)
{
	for (unsigned i = 0; i < PEERS; i++) {
		struct peer *client = &clients[i];

		if (client->fd)
			continue;
		client->fd = fake_open(FAKE_SOCKET, the_relay.role != PROTO_ROLE_BACK);
		fake_of(client->fd)->window = 100000;
		if (the_relay.role == PROTO_ROLE_BACK)
			listen_stream(&the_relay, client->fd);
		else if (!fake_accept(listening, client->fd))
			close(client->fd);
		return;
	}
}

static void parent_replies(uint8_t error)
{
	struct fake_message message;
	struct msg msg = { .head = { .type = PROTO_ORIGIN } };
	struct proto_origin about = { .error = error % 4 ? 0 : ECONNREFUSED };
	struct peer *origin = NULL;

	while (fake_take_message(&message))
		if (message.type == PROTO_CONNECT && nasked < 64)
			asked[nasked++] = message;
	for (unsigned i = 0; !origin && i < PEERS; i++)
		if (!origins[i].fd)
			origin = &origins[i];
	if (!nasked || !origin)
		return;
	msg.head.id = asked[0].id;
	memmove(asked, asked + 1, --nasked * sizeof(asked[0]));
	memcpy(msg.body, &about, sizeof(about));
	memset(msg.fds, 0xff, sizeof(msg.fds));
	if (!about.error) {
		origin->fd = fake_open(FAKE_SOCKET, true);
		fake_of(origin->fd)->window = 100000;
		msg.fds[0] = origin->fd;
		msg.head.nfds = 1;
	}
	handle_message(&the_relay, &msg);
}

/* ---- acts --------------------------------------------------------------------------------- */

static void look(void)
{
	for (unsigned i = 0; i < PEERS; i++) {
		struct peer *origin = &origins[i];

		if (clients[i].fd)
			peer_read_answers(&clients[i]);
		if (!origin->fd)
			continue;
		/* It has answered, and may be asked again. */
		if (origin->ready && origin->asked && origin->todo.taken == origin->todo.len) {
			origin->ready = origin->asked = false;
			origin->current = 0;
		}
		peer_read_requests(origin);
	}
}

static void turn(void)
{
	struct ring_event events[64];
	unsigned count = fake_complete(events, 64);

	for (unsigned i = 0; i < count; i++)
		dispatch(&the_relay, &events[i]);
	conn_run_ready(&the_relay);
	tick(&the_relay);
	look();
}

static void tell(uint8_t kind)
{
	struct msg msg = { .head = { .type = PROTO_UNLISTEN } };
	const struct proto_unlisten unlisten = { .tenant = 1, .abort = kind & 4 };
	const struct proto_drain drain_about = { .deadline_ms = (uint32_t)(kind / 4) * 100 };

	memset(msg.fds, 0xff, sizeof(msg.fds));
	if (kind % 4 == 1) {
		msg.head.type = PROTO_DRAIN;
		memcpy(msg.body, &drain_about, sizeof(drain_about));
	} else if (kind % 4 == 2) {
		memcpy(msg.body, &unlisten, sizeof(unlisten));
	} else {
		return;
	}
	handle_message(&the_relay, &msg);
}

static void act(void)
{
	uint8_t what = peer_next(), who = peer_next();
	struct peer *client = &clients[who % PEERS], *origin = &origins[who % PEERS];

	switch (what % 16) {
	case 0:
		new_client();
		break;
	case 1:
		if (client->fd)
			peer_ask(client, peer_next());
		break;
	case 2:
		peer_push(client, peer_next_size());
		break;
	case 3:
		if (client->fd) {
			client->fin = true;
			client->rst = peer_next() & 1;
			peer_push(client, 0);
		}
		break;
	case 4:
		if (client->fd && !client->fin) {
			client->wild = true;
			peer_say_input(client);
		}
		break;
	case 5:
		if (client->fd)
			fake_of(client->fd)->window = peer_next_size();
		break;
	case 6:
		if (origin->fd)
			fake_of(origin->fd)->window = peer_next_size();
		break;
	case 7:
		parent_replies(who);
		break;
	case 8:
		peer_answer(origin, peer_next());
		break;
	case 9:
		peer_push(origin, peer_next_size());
		break;
	case 10:
		if (origin->fd) {
			struct exchange *exchange =
				origin->current ? &peer_exchanges[origin->current - 1] : NULL;

			/* What is still to be said will not be. */
			if (exchange && origin->todo.taken < origin->todo.len)
				exchange->whole = false;
			origin->todo.len = origin->todo.taken;
			origin->fin = true;
			origin->rst = peer_next() & 1;
			peer_push(origin, 0);
		}
		break;
	case 11:
		the_relay.now_ms += 1 + 40 * (int64_t)who;
		turn();
		break;
	case 12:
		tell(who);
		break;
	default:
		peer_push(client, SIZE_MAX);
		peer_push(origin, SIZE_MAX);
		turn();
		break;
	}
}

/* ---- one input ---------------------------------------------------------------------------- */

static void make_conf(void)
{
	static const char yaml[] =
		"limits: {tenants: 1, keepalive_timeout: 3000, head_timeout: 1000,\n"
		"  body_timeout: 1000, send_timeout: 1000}\n"
		"routes:\n- path: /\n  service: o\n"
		"  methods: [GET, HEAD, PUT, POST, DELETE]\n"
		"services:\n- name: o\n  response_timeout: 2000\n"
		"  idle_timeout: 2000\n  connect_timeout: 1000\n"
		"  origins:\n  - address: \"tcp:127.0.0.1:1\"\n"
		"  - address: \"tcp:127.0.0.1:2\"\n";
	char *why = NULL;

	if (conf)
		return;
	log_init("fuzz_conn", LOG_ERROR);
	if (conf_parse("fuzz", yaml, sizeof(yaml) - 1, &conf, &why) < 0) {
		fputs(why, stderr);
		abort();
	}
	conf->limits.connections = 6;
	conf->limits.connections_per_client = 4;
	conf->limits.head_size = 2048;
	conf->limits.body_size = BODY_MAX;
	conf->limits.request_rate = 0;
	conf->relay.copy_below = 200;
	conf->relay.turn_budget = 1500;
	conf->relay.pipes_small = PIPES;
	conf->relay.pipes_large = 0;
	conf->services[0].pool_size = 3;
	conf->services[0].pool_idle = 3000;
}

static void begin(uint8_t first)
{
	static const enum conf_engine engines[] = { CONF_ENGINE_INLINE, CONF_ENGINE_URING,
						    CONF_ENGINE_COPY };
	struct relay *relay = &the_relay;
	const struct proto_listen about = {
		.tenant = 1, .slot = 1, .port = 80, .family = 6, .name = "blue"
	};

	*relay = (struct relay){
		.parent_fd = FAKE_PARENT,
		.null_fd = FAKE_NULL,
		.now_ms = 1000,
		.role = (enum proto_role)(first % 3),
		.conf = conf,
		.stats = stats,
		.stats_count = sizeof(stats) / sizeof(stats[0]),
	};
	peer_role = relay->role;
	memset(stats, 0, sizeof(stats));
	handover_init(&relay->handover);
	conf->relay.engine = engines[first / 3 % 3];
	assert(make_tables(relay) == 0);
	for (int i = 0; i < PIPES; i++) {
		int fds[2];

		fake_open_pipe(fds);
		assert(pipe_pool_add(&relay->pipes, fds[0], fds[1]) == 0);
	}
	listening = fake_open(FAKE_LISTENER, true);
	assert(listen_add(relay, listening, &about) == 0);
}

/* Everybody says what is left; then silence, until every time limit has passed. */
static void settle(void)
{
	fake_no_faults();
	for (int round = 0; round < 60; round++) {
		for (unsigned i = 0; i < PEERS; i++) {
			peer_push(&clients[i], SIZE_MAX);
			peer_push(&origins[i], SIZE_MAX);
			if (clients[i].fd)
				fake_of(clients[i].fd)->window = SIZE_MAX / 2;
			if (origins[i].fd)
				fake_of(origins[i].fd)->window = SIZE_MAX / 2;
		}
		for (int i = 0; i < 8; i++)
			turn();
		if (!the_relay.conns.open && the_relay.pool.spares == the_relay.pool.fresh)
			break;
		the_relay.now_ms += 1000;
	}
	listen_stop(&the_relay);
	pool_close_idle(&the_relay);
	turn();
	turn();
}

static void check_end(void)
{
	struct relay *relay = &the_relay;
	size_t pipes = 0;

	assert(relay->conns.open == 0 && relay->listeners.open == 0);
	assert(relay->pool.spares == relay->pool.fresh);
	assert(relay->heads.spares == relay->heads.fresh);
	assert(relay->bulk.spares == relay->bulk.fresh);
	for (struct pipe *pipe = relay->pipes.idle[PIPE_SMALL]; pipe; pipe = pipe->next) {
		assert(pipe->held == 0);
		assert(fake_of(pipe->read_fd)->in.taken == fake_of(pipe->read_fd)->in.len);
		pipes++;
	}
	assert(pipes == PIPES && fake_count_open() == 2 * PIPES);
	for (size_t i = 0; i < relay->stats_count; i++)
		assert(stats[i].open == 0 && relay->tenant_conns[i] == 0);
	assert(stats[1].accepted == stats[1].closed_ok + stats[1].closed_client +
					    stats[1].closed_origin + stats[1].closed_timeout +
					    stats[1].closed_protocol + stats[1].closed_limit +
					    stats[1].closed_shutdown);
	for (size_t i = 0; i <= relay->clients.mask; i++)
		assert(relay->clients.entries[i].count == 0);
}

static void end(void)
{
	struct relay *relay = &the_relay;

	pool_free(&relay->pool);
	listen_free(&relay->listeners);
	conn_table_free(&relay->conns);
	budgets_free(&relay->budgets);
	clients_free(&relay->clients);
	pipe_pool_free(&relay->pipes);
	buf_pool_free(&relay->bulk);
	buf_pool_free(&relay->heads);
	route_table_free(relay->routes);
	free(relay->tenant_conns);
	free(relay->path);
	for (unsigned i = 0; i < PEERS; i++) {
		free(clients[i].todo.data);
		free(origins[i].todo.data);
	}
	memset(clients, 0, sizeof(clients));
	memset(origins, 0, sizeof(origins));
	peer_forget();
	nasked = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t backwards[4096];
	size_t nfaults;

	if (size < 3)
		return 0;
	make_conf();
	nfaults = data[1] * (size - 2) / 512;
	if (nfaults > sizeof(backwards))
		nfaults = sizeof(backwards);
	for (size_t i = 0; i < nfaults; i++)
		backwards[i] = data[size - 1 - i];
	fake_reset(backwards, nfaults);
	fake_ring_reset();
	peer_input(data + 2, size - 2 - nfaults);
	begin(data[0]);
	while (peer_input_left())
		act();
	settle();
	check_end();
	end();
	return 0;
}
