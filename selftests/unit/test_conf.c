/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration reader: what each mistake is told, with its place; defaults; the
 * example file; secrets; the way to a worker and back.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../../user/lib/conf.h"
#include "unit.h"

#define SERVICE "services: [{name: s, origins: [{address: 'tcp:10.0.0.1:80'}]}]\n"

/* One mistake each; why is a part of the message, which begins with the place. */
static const struct bad {
	const char *name, *yaml, *why;
} bad[] = {
	/* YAML itself */
	{ "tab", "relay:\n\tworkers: 1\n", "f:2:1: found character" },
	{ "tab hint", "relay:\n\tworkers: 1\n", "spaces, not with tabs" },
	{ "open bracket", "listen: {ports: [80\n", "f:2:1: did not find expected ',' or ']'" },
	{ "not UTF-8", "log: {access: /\xff\xfe}\n", "f:1:16: invalid" },
	/* where it begins, not where its end is missed */
	{ "no blank behind a colon", "relay:\n  user: a\n  workers:1\nlog: {}\n",
	  "f:3:3: could not find expected ':'" },
	{ "quote without an end", "log:\n  access: \"/x\nrelay: {}\nlimits: {}\n",
	  "f:2:11: found un" },
	{ "two documents", "relay: {workers: 1}\n---\nrelay: {workers: 2}\n",
	  "f:2:1: a second document" },
	{ "a scalar", "sluice\n", "f:1:1: the file is a single value" },
	{ "a list", "- a\n", "f:1:1: the file is a list" },
	{ "alias",
	  "listen: {ports: &p [80]}\ntenants: [{name: a, netns: a, interface: a, "
	  "ports: *p}]\n",
	  "f:1:17: anchors and aliases are not read; write the value out" },
	{ "alias to itself", "services: &s [*s]\n", "f:1:11: anchors and aliases" },
	{ "merge key", "relay: {<<: {workers: 1}}\n", "f:1:9: relay: no key '<<'" },
	{ "alias alone", "services: *s\n", "f:1:11: anchors and aliases" },
	{ "deep", "[[[[[[[[[[[[[[[[[\n", "f:1:17: nested too deeply" },
	/* shape */
	{ "unknown key", "relay:\n  workers: 1\n  wrokers: 2\n",
	  "f:3:3: relay: no key 'wrokers' exists here; did you mean 'workers'? Known: workers, "
	  "us" },
	{ "unknown part", "\ntenant: []\n",
	  "f:2:1: no key 'tenant' exists here; did you mean 'tenants'? Known: man" },
	{ "nothing like it", "relay: {colour: red}\n",
	  "f:1:9: relay: no key 'colour' exists here; known: workers, user" },
	{ "not indented", "relay:\n  workers: 1\nengine: uring\n",
	  "f:3:1: no key 'engine' exists here; it belongs into: relay" },
	{ "not indented, of a list", "routes:\n  - {path: /, service: s}\norigins: []\n",
	  "f:3:1: no key 'origins' exists here; it belongs into: services" },
	{ "of several", "name: a\n",
	  "f:1:1: no key 'name' exists here; it belongs into: services, te" },
	{ "indented too far", "relay:\n  workers: 1\n  discover: []\n",
	  "f:3:3: relay: no key 'discover' exists here; it begins a line of its own" },
	{ "twice", "log: {}\nrelay: {}\nlog: {}\n", "f:3:1: 'log' is given twice" },
	{ "list as key", "[a]: 1\n", "f:1:1: this is no key" },
	{ "NUL in key", "\"log\\0\": {}\n", "f:1:1: this is no key" },
	{ "mapping for list", "routes: {path: /}\n", "f:1:9: routes is a mapping; write a list" },
	{ "list for mapping", "relay: [1]\n", "f:1:8: relay is a list; write 'key: value'" },
	{ "empty part", "relay:\n", "relay is empty; write 'key: value'" },
	{ "list for text", "relay: {user: [a]}\n", "f:1:15: user is a list; write a single" },
	{ "empty text", "relay: {user: ''}\n", "f:1:15: user is empty" },
	{ "control character", "relay: {user: \"a\\nb\"}\n", "f:1:15: user holds a control" },
	{ "NUL", "relay: {user: \"a\\0b\"}\n", "f:1:15: user holds a control" },
	{ "no entry", "services: []\n", "f:1:11: services is an empty list" },
	{ "missing name", "services:\n  - origins: [{address: 'unix:/a'}]\n",
	  "f:2:5: an entry of services lacks 'name'" },
	{ "missing origins", "services: [{name: s}]\n", "f:1:12: an entry of services lacks 'or" },
	{ "secret in the file", "services: [{name: s, secret: x, origins: [{address: 'unix:/a'}]}]",
	  "f:1:22: secrets do not belong into this file" },
	/* words and numbers, as libcyaml would not see them */
	{ "word", "relay: {engine: fast}\n",
	  "f:1:17: engine is 'fast'; write one of: auto, inline, uring, copy" },
	{ "word in capitals", "guard: {mode: TC}\n", "f:1:15: mode is 'TC'; write one of: auto" },
	{ "word as number", "guard: {mode: 1}\n", "f:1:15: mode is '1'; write one of" },
	{ "boolean", "listen: {ipv6: fasle}\n", "f:1:16: ipv6 is 'fasle'; write true or false" },
	{ "junk behind", "relay: {workers: 2x}\n", "f:1:18: workers is '2x'; write a whole" },
	{ "octal", "relay: {workers: 010}\n", "f:1:18: workers is '010'" },
	{ "hexadecimal", "relay: {workers: 0x2}\n", "f:1:18: workers is '0x2'" },
	{ "negative", "limits: {body_size: -1}\n", "f:1:21: body_size is '-1'" },
	{ "plus", "relay: {workers: +1}\n", "f:1:18: workers is '+1'" },
	{ "overflow", "relay: {workers: 4294967296}\n", "f:1:18: workers is '4294967296'" },
	{ "64-bit overflow", "limits: {body_size: 18446744073709551616}\n", "f:1:21: body_size" },
	{ "unit", "limits: {body_size: 1M}\n", "f:1:21: body_size is '1M'; write a whole" },
	/* ranges */
	{ "workers", "relay: {workers: 65}\n", "f:1:18: relay.workers is 65; write 0 to 64" },
	{ "hop limit", "listen: {hop_limit: 256}\n", "f:1:21: listen.hop_limit is 256" },
	{ "head size", "limits: {head_size: 1023}\n",
	  "f:1:21: limits.head_size is 1023; write 10" },
	{ "no time", "limits: {head_timeout: 0}\n", "f:1:24: limits.head_timeout is 0; write 1" },
	{ "service time",
	  "services: [{name: s, connect_timeout: 0, origins: [{address: 'unix:/a'}]}]\n",
	  "f:1:39: connect_timeout is 0" },
	{ "burst", "guard: {syn_rate: 5, syn_burst: 0}\n", "f:1:33: syn_burst is 0, which lets" },
	{ "bindings file", "bindings: {file: b}\n", "f:1:18: file is 'b'; write an absolute path" },
	{ "bindings store", "bindings: {store: ./b}\n", "f:1:19: store is './b'; write an abs" },
	{ "no bindings", "limits: {bindings: 0}\n", "f:1:20: limits.bindings is 0; write 1 to" },
	{ "many bindings", "limits: {bindings: 100001}\n", "f:1:20: limits.bindings is 100001" },
	{ "request burst", "limits: {request_burst: 0}\n", "f:1:25: request_burst is 0, which" },
	{ "log burst", "log: {burst: 0}\n", "f:1:14: burst is 0, which lets" },
	/* ports */
	{ "port 0", "listen: {ports: [80, 0]}\n", "f:1:22: port 0 cannot be opened" },
	{ "port 65536", "listen: {ports: [65536]}\n", "f:1:18: ports is '65536'" },
	{ "port twice", "listen: {ports: [80, 81, 80]}\n", "f:1:26: port 80 is listed twice" },
	{ "nine ports", "listen: {ports: [1, 2, 3, 4, 5, 6, 7, 8, 9]}\n",
	  "f:1:42: ports has 9 entries; at most 8" },
	{ "tenant's port", "tenants: [{name: a, netns: a, interface: a, ports: [0]}]\n",
	  "f:1:53: port 0" },
	/* addresses and names */
	{ "host with port", "listen: {hosts: ['a:80']}\n", "f:1:18: 'a:80' is no host" },
	{ "bare IPv6 host", "listen: {hosts: ['fd00::1']}\n", "is no host" },
	{ "half a bracket", "listen: {hosts: ['[']}\n", "is no host" },
	{ "source", "management: {source: localhost}\n",
	  "f:1:22: source is 'localhost'; write an" },
	{ "netns path", "management: {netns: run/a}\n", "f:1:21: netns is 'run/a'" },
	{ "origin name", "services: [{name: s, origins: [{address: 'tcp:host:80'}]}]\n",
	  "f:1:42: 'tcp:host:80' is no address; write tcp:10.0.0.5:8081" },
	{ "second origin", "services: [{name: s, origins: [{address: 'unix:/a'}, {address: b}]}]\n",
	  "f:1:64: 'b' is no address" },
	{ "service name", "services: [{name: a b, origins: [{address: 'unix:/a'}]}]\n",
	  "f:1:19: service 'a b' is no name" },
	{ "service twice",
	  "services:\n- {name: s, origins: [{address: 'unix:/a'}]}\n"
	  "- {name: s, origins: [{address: 'unix:/b'}]}\n",
	  "f:3:10: service 's' exists above" },
	{ "metrics address", "metrics: {listen: \"localhost:9477\"}\n",
	  "f:1:19: 'localhost:9477' is no address" },
	{ "metrics tenants", "metrics: {tenants: 65537}\n", "f:1:20: metrics.tenants is 65537" },
	{ "access log", "log: {access: access.log}\n", "f:1:15: access is 'access.log'" },
	/* identity */
	{ "nova without a key",
	  "services: [{name: s, identity: nova, origins: [{address: 'unix:/a'}]}]\n",
	  "f:1:12: service 's': identity nova signs and needs a key" },
	{ "secret unused",
	  "services: [{name: s, secret_file: /a, origins: [{address: 'unix:/a'}]}]\n",
	  "f:1:35: identity none uses no secret" },
	{ "secret relative",
	  "services: [{name: s, identity: nova, secret_file: a, origins: [{address: "
	  "'unix:/a'}]}]\n",
	  "f:1:51: secret_file is 'a'; write an absolute path" },
	/* routes */
	{ "no such service", SERVICE "routes: [{path: /, service: t}]\n",
	  "f:2:29: no service is named 't'" },
	{ "path", SERVICE "routes: [{path: a, service: s}]\n", "f:2:17: path 'a' begins without" },
	{ "path with dots", SERVICE "routes: [{path: /a/../b, service: s}]\n", "write it normal" },
	{ "path ends in dots", SERVICE "routes: [{path: /a/.., service: s}]\n", "write it normal" },
	{ "path with query", SERVICE "routes: [{path: '/a?b', service: s}]\n", "plain path" },
	{ "path encoded", SERVICE "routes: [{path: '/a%41', service: s}]\n", "plain path" },
	{ "path twice", SERVICE "routes:\n- {path: /a, service: s}\n- {path: /a/, service: s}\n",
	  "f:4:10: path '/a/' has a route above" },
	{ "TRACE", SERVICE "routes: [{path: /, service: s, methods: [GET, TRACE]}]\n",
	  "f:2:47: TRACE is never relayed" },
	{ "CONNECT", SERVICE "routes: [{path: /, service: s, methods: [CONNECT]}]\n",
	  "f:2:42: CONNECT is never relayed" },
	{ "lower case", SERVICE "routes: [{path: /, service: s, methods: [get]}]\n",
	  "f:2:42: get is no method" },
	{ "method twice", SERVICE "routes: [{path: /, service: s, methods: [GET, GET]}]\n",
	  "f:2:47: GET is listed twice" },
	{ "header", SERVICE "routes: [{path: /, service: s, require_header: 'A: b'}]\n",
	  "f:2:48: 'A: b' is no header name" },
	/* tenants */
	{ "tenant's name", "tenants: [{name: -a, netns: a, interface: a}]\n",
	  "f:1:18: tenant '-a' is no name" },
	{ "tenant twice",
	  "tenants:\n- {name: a, netns: a, interface: a}\n- {name: a, netns: b, interface: b}\n",
	  "f:3:10: tenant 'a' exists above" },
	{ "interface twice",
	  "tenants:\n- {name: a, netns: n, interface: i}\n- {name: b, netns: n, interface: i}\n",
	  "f:3:10: tenant 'a' has this netns and interface" },
	{ "interface too long", "tenants: [{name: a, netns: a, interface: abcdefghijklmnop}]\n",
	  "f:1:42: interface is 'abcdefghijklmnop'; write an interface name of at most 15" },
	{ "interface with a slash", "tenants: [{name: a, netns: a, interface: a/b}]\n", "f:1:42:" },
	{ "netns ..", "tenants: [{name: a, netns: .., interface: a}]\n", "f:1:28: netns is '..'" },
	{ "too many tenants",
	  "limits: {tenants: 1}\ntenants:\n- {name: a, netns: a, interface: a}\n"
	  "- {name: b, netns: b, interface: b}\n",
	  "f:1:19: tenants lists 2, limits.tenants allows 1" },
	/* discover */
	{ "discover without interfaces", "discover: [{namespaces: 'q-*'}]\n",
	  "f:1:12: an entry of discover lacks 'interfaces'" },
	{ "discover in a path", "discover: [{namespaces: '/run/netns/q-*', interfaces: '*'}]\n",
	  "f:1:25: namespaces is '/run/netns/q-*'; write a pattern" },
	{ "discover too many stars", "discover: [{namespaces: '*****', interfaces: '****'}]\n",
	  "the two patterns have 9 '*'" },
	{ "template without capture",
	  "discover: [{namespaces: 'a*', interfaces: '*', tenant: '{3}'}]\n",
	  "f:1:56: tenant is '{3}'; in braces" },
	{ "template of nothing",
	  "discover: [{namespaces: 'a*', interfaces: '*', network: '{net}'}]\n",
	  "f:1:57: network is '{net}'; in braces" },
	{ "discover port", "discover: [{namespaces: a, interfaces: b, ports: [0]}]\n", "port 0" },
};

static const struct {
	const char *name, *yaml;
} good[] = {
	{ "nothing", "" },
	{ "comments", "# nothing\n---\n" },
	{ "empty parts", "relay: {}\nlisten: {}\n" },
	{ "words of booleans", "listen: {ipv6: Yes}\n" },
	{ "no limit", "guard: {syn_rate: 0, syn_burst: 0}\n" },
	{ "IPv6 everywhere",
	  "management: {source: 'fd00::1'}\nlisten: {hosts: ['[fd00::1]', a.b-c, 10.0.0.1]}\n"
	  "services: [{name: s, origins: [{address: 'tcp:[fd00::5]:80'}]}]\n" },
	{ "flow and block", SERVICE "routes:\n  - path: /\n    service: s\n    methods: [GET]\n" },
	{ "names like other types", "tenants: [{name: \"1\", netns: null, interface: true}]\n" },
	{ "longest name",
	  "tenants: [{name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaaaaa, netns: /run/netns/a, interface: abcdefghijklmno}]\n" },
	{ "discover",
	  "discover:\n- {namespaces: 'qrouter-*', interfaces: 'qr-*', tenant: 'r{1}.{2}', "
	  "network: '{namespace}', fail: drop}\n- {namespaces: q, interfaces: '*'}\n" },
	{ "CRLF", "relay:\r\n  workers: 1\r\n" },
	{ "byte order mark", "\xef\xbb\xbfrelay: {workers: 1}\n" },
};

static const struct {
	const char *text;
	int family;
	uint16_t port;
} addresses[] = {
	{ "tcp:10.0.0.5:8081", AF_INET, 8081 },
	{ "tcp:[fd00::5]:80", AF_INET6, 80 },
	{ "unix:/run/a b.sock", AF_UNIX, 0 },
	{ "tcp:10.0.0.5:65535", AF_INET, 65535 },
	{ "tcp:10.0.0.5:65536", 0, 0 },
	{ "tcp:10.0.0.5:0", 0, 0 },
	{ "tcp:10.0.0.5:", 0, 0 },
	{ "tcp:10.0.0.5", 0, 0 },
	{ "tcp:10.0.0.5:80 ", 0, 0 },
	{ "tcp:10.0.0:80", 0, 0 },
	{ "tcp:10.0.0.05:80", 0, 0 },
	{ "tcp:localhost:80", 0, 0 },
	{ "tcp:[fd00::5]80", 0, 0 },
	{ "tcp:[fd00::5", 0, 0 },
	{ "tcp:fd00::5:80", 0, 0 },
	{ "tcp:[::1%lo]:80", 0, 0 },
	{ "udp:10.0.0.5:80", 0, 0 },
	{ "10.0.0.5:80", 0, 0 },
	{ "unix:run/a", 0, 0 },
	{ "unix:/", 0, 0 },
	{ "unix:@a", 0, 0 },
	{ "", 0, 0 },
};

static const char *said(const char *why)
{
	return why ? why : "nothing";
}

static void test_bad(void)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct conf *conf = (void *)1;
		char *why = NULL;
		size_t len = strlen(bad[i].yaml);
		int err;

		unit_case = bad[i].name;
		err = conf_parse("f", unit_guarded(bad[i].yaml, len), len, &conf, &why);
		CHECK_THAT(err == -EINVAL, "returned %d", err);
		CHECK(conf == (void *)1);
		CHECK_THAT(why && strstr(why, bad[i].why), "said: %s", said(why));
		free(why);
	}
}

static void test_good(void)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct conf *conf = NULL;
		char *why = NULL;
		size_t len = strlen(good[i].yaml);
		int err;

		unit_case = good[i].name;
		err = conf_parse("f", unit_guarded(good[i].yaml, len), len, &conf, &why);
		CHECK_THAT(!err, "returned %d: %s", err, said(why));
		if (!err)
			conf_free(conf);
		free(why);
	}
}

static void test_many_mistakes(void)
{
	static const char entry[] = "a: 1\n";
	char yaml[40 * sizeof(entry)] = "";
	struct conf *conf;
	char *why = NULL;
	int lines = 0;

	unit_case = "many mistakes";
	for (int i = 0; i < 40; i++)
		strcat(yaml, entry);
	CHECK(conf_parse("f", yaml, strlen(yaml), &conf, &why) == -EINVAL);
	for (const char *c = why; c && (c = strchr(c, '\n')); c++)
		lines++;
	CHECK_THAT(lines == 20, "%d lines", lines + 1);
	CHECK(why && strstr(why, "f: 20 more mistakes"));
	free(why);
}

static void test_defaults(void)
{
	static const char yaml[] = SERVICE "routes: [{path: /, service: s}]\n"
					   "listen: {ipv6: no}\nguard: {mode: tc, source_rate: 0}\n"
					   "tenants:\n- {name: a, netns: a, interface: a}\n"
					   "- {name: b, netns: b, interface: b, ipv6: yes, "
					   "guard: auto, ports: [443]}\n";
	struct conf *conf;
	char *why = NULL;

	unit_case = "defaults";
	if (!CHECK(!conf_parse("f", yaml, strlen(yaml), &conf, &why)))
		return;
	CHECK(conf->listen.ports_count == 2 && conf->listen.ports[1] == 8080);
	CHECK(!strcmp(conf->relay.user, "sluice") && conf->relay.workers == 0);
	CHECK(conf->relay.turn_budget == 262144 && conf->limits.body_size == 1 << 20);
	CHECK(!conf->bindings.file && !conf->bindings.store && conf->limits.bindings == 16384);
	CHECK(conf->guard.source_rate == 0 && conf->guard.source_burst == 200000);
	CHECK(conf->services[0].connect_timeout == 3000 && !conf->services[0].total_timeout);
	CHECK(conf->services[0].identity == CONF_IDENTITY_NONE);
	CHECK(conf->routes[0].methods_count == 2 && !strcmp(conf->routes[0].methods[1], "HEAD"));
	CHECK(!conf->tenants[0].ipv6 && conf->tenants[0].guard == CONF_GUARD_TC);
	CHECK(!conf->tenants[0].ports && conf->tenants[0].fail == CONF_FAIL_PASS);
	CHECK(conf->tenants[1].ipv6 && conf->tenants[1].guard == CONF_GUARD_AUTO);
	CHECK(conf->tenants[1].ports_count == 1 && conf->tenants[1].ports[0] == 443);
	conf_free(conf);
}

static void test_addresses(void)
{
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		struct conf_address address = { .family = 99 };
		int err;

		unit_case = addresses[i].text;
		err = conf_address_parse(addresses[i].text, &address);
		if (!addresses[i].family) {
			CHECK(err == -EINVAL && address.family == 99);
			continue;
		}
		CHECK(!err && address.family == addresses[i].family);
		CHECK(address.port == addresses[i].port);
	}
}

static void test_files(void)
{
	struct conf *conf;
	char *why = NULL;

	unit_case = "missing file";
	CHECK(conf_load("/nonexistent/sluice.yaml", &conf, &why) == -ENOENT);
	CHECK_THAT(why && strstr(why, "/nonexistent/sluice.yaml: cannot be read"), "%s", said(why));
	free(why);
	why = NULL;
	unit_case = "directory";
	CHECK(conf_load("/", &conf, &why) == -EISDIR);
	free(why);
	why = NULL;
	unit_case = "endless file";
	CHECK(conf_load("/dev/zero", &conf, &why) == -ENOTSUP);
	free(why);
	why = NULL;
	unit_case = "example file";
	CHECK_THAT(!conf_load("scripts/sluice.yaml", &conf, &why), "%s", said(why));
	if (!why) {
		CHECK(conf->services_count == 1 && conf->routes_count == 1);
		conf_free(conf);
	}
	free(why);
}

/* The example's promise: delete the '#' before a key and the line works. */
static void test_example_uncommented(void)
{
	FILE *file = fopen("scripts/sluice.yaml", "re");
	char *line = NULL, *yaml = NULL, *why = NULL;
	size_t cap = 0, len = 0;
	struct conf *conf;
	FILE *out;

	unit_case = "example file, everything active";
	if (!CHECK(file != NULL))
		return;
	out = open_memstream(&yaml, &len);
	while (getline(&line, &cap, file) > 0)
		fputs(line + (line[0] == '#' && (line[1] != ' ' || line[2] == ' ')), out);
	fclose(out);
	fclose(file);
	free(line);
	if (CHECK_THAT(!conf_parse("f", yaml, len, &conf, &why), "%s", said(why))) {
		CHECK(conf->services[0].origins_count == 2 && conf->tenants_count == 1);
		CHECK(conf->log.access && conf->management.source && conf->listen.hosts_count);
		conf_free(conf);
	}
	free(yaml);
	free(why);
}

static void write_secret(const char *path, const char *text, size_t len, mode_t mode)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, text, len) == (ssize_t)len && !fchmod(fd, mode));
	close(fd);
}

static void test_secrets(void)
{
	static const struct {
		const char *name, *text, *secret, *why;
		mode_t mode;
	} cases[] = {
		{ "newline", "s3cret\n", "s3cret", NULL, 0600 },
		{ "no newline", "s3cret", "s3cret", NULL, 0640 },
		{ "CRLF", "s3cret\r\n", "s3cret", NULL, 0400 },
		{ "YAML inside", "\"a\": [*b] # c\n", "\"a\": [*b] # c", NULL, 0600 },
		{ "looks like null", "~\n", "~", NULL, 0600 },
		{ "world-readable", "s3cret\n", NULL, "chmod 0600", 0644 },
		{ "world-writable", "s3cret\n", NULL, "chmod 0600", 0602 },
		{ "empty", "\n", NULL, "is empty", 0600 },
		{ "two lines", "a\nb\n", NULL, "more than one line", 0600 },
		{ "binary", "\x01\xff", NULL, "hex or base64", 0600 },
	};
	char path[64], yaml[256], *why;
	struct conf *conf, *copy;
	int fd;

	snprintf(path, sizeof(path), "/tmp/sluice-test-secret.%d", (int)getpid());
	snprintf(yaml, sizeof(yaml),
		 "services: [{name: s, identity: nova, secret_file: %s, origins: [{address: "
		 "'unix:/a'}]}]\n",
		 path);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unit_case = cases[i].name;
		write_secret(path, cases[i].text, strlen(cases[i].text), cases[i].mode);
		if (!CHECK(!conf_parse("f", yaml, strlen(yaml), &conf, &why)))
			continue;
		why = NULL;
		if (!cases[i].secret) {
			CHECK(conf_read_secrets(conf, &why) < 0);
			CHECK_THAT(why && strstr(why, cases[i].why), "%s", said(why));
			CHECK(why && !strstr(why, "s3cret\n") && !conf->services[0].secret);
		} else if (CHECK_THAT(!conf_read_secrets(conf, &why), "%s", said(why))) {
			fd = conf_send(conf);
			CHECK(fd >= 0 && !conf_recv(fd, &copy));
			CHECK_THAT(!strcmp(copy->services[0].secret, cases[i].secret), "%s",
				   copy->services[0].secret);
			conf_free(copy);
			close(fd);
			fd = conf_send_public(conf);
			CHECK(fd >= 0 && !conf_recv(fd, &copy));
			CHECK(!copy->services[0].secret && conf->services[0].secret);
			conf_free(copy);
			close(fd);
		}
		free(why);
		conf_free(conf);
	}
	unlink(path);
}

/* What arrives must be what was sent, member for member: compared as text. */
static void test_wire(void)
{
	static const char yaml[] =
		SERVICE "routes: [{path: /, service: s, require_header: 'X-A'}]\n"
			"guard: {mode: xdp-generic, source_rate: 0}\nrelay: {congestion: dctcp}\n"
			"limits: {body_size: 5000000000}\nbindings: {file: /b}\nlog: {access: '/a: "
			"b # c', format: json}\n"
			"management: {netns: 'null'}\nlisten: {hosts: [a, '[::1]'], hop_limit: 1}\n"
			"tenants: [{name: a, netns: '~', interface: 'yes', bridge: stream, fail: "
			"drop, ipv6: no}]\n";
	struct conf *conf, *copy;
	char *why = NULL;
	struct stat st;
	int fd, again;
	void *a, *b;

	unit_case = "wire";
	if (!CHECK_THAT(!conf_parse("f", yaml, strlen(yaml), &conf, &why), "%s", said(why)))
		return;
	fd = conf_send(conf);
	if (!CHECK(fd >= 0) || !CHECK(!conf_recv(fd, &copy)))
		return;
	CHECK(!strcmp(copy->log.access, "/a: b # c") && !strcmp(copy->tenants[0].netns, "~"));
	CHECK(!strcmp(copy->bindings.file, "/b"));
	CHECK(copy->limits.body_size == 5000000000 && !copy->guard.source_rate);
	CHECK(copy->tenants[0].bridge == CONF_BRIDGE_STREAM && !copy->tenants[0].ipv6);
	CHECK(copy->listen.ports_count == 2 && copy->relay.copy_below == 32768);
	again = conf_send(copy);
	CHECK(!fstat(fd, &st) && again >= 0);
	a = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	b = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, again, 0);
	CHECK(a != MAP_FAILED && b != MAP_FAILED && !memcmp(a, b, (size_t)st.st_size));
	CHECK(pwrite(fd, "x", 1, 0) < 0 && ftruncate(fd, 0) < 0);
	munmap(a, (size_t)st.st_size);
	munmap(b, (size_t)st.st_size);
	close(again);
	close(fd);
	conf_free(copy);
	conf_free(conf);

	unit_case = "unsealed memfd";
	fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK(write(fd, "relay: {}\n", 10) == 10 && conf_recv(fd, &copy) == -EBADMSG);
	close(fd);
}

static void test_words(void)
{
	enum conf_guard_mode mode;
	enum conf_bridge bridge;
	enum conf_fail policy;

	unit_case = "words";
	CHECK(!conf_guard_mode_parse("xdp-native", &mode) && mode == CONF_GUARD_XDP_NATIVE);
	CHECK(conf_guard_mode_parse("xdp", &mode) == -EINVAL && mode == CONF_GUARD_XDP_NATIVE);
	CHECK(!conf_bridge_parse("stream", &bridge) && bridge == CONF_BRIDGE_STREAM);
	CHECK(!conf_fail_parse("drop", &policy) && policy == CONF_FAIL_DROP);
	CHECK(conf_fail_parse("", &policy) == -EINVAL);
	CHECK(!strcmp(conf_engine_name(CONF_ENGINE_URING), "uring"));
	CHECK(!strcmp(conf_identity_name(CONF_IDENTITY_NEUTRON), "neutron"));
	CHECK(!strcmp(conf_bridge_name((enum conf_bridge)77), "unknown"));
}

int main(void)
{
	test_bad();
	test_good();
	test_many_mistakes();
	test_defaults();
	test_addresses();
	test_files();
	test_example_uncommented();
	test_secrets();
	test_wire();
	test_words();
	conf_free(NULL);
	return unit_end();
}
