/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a schema cannot say: ranges, addresses, names that others refer to, duplicates.
 * Every mistake is reported with the position of the value that must change.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "../../bpf/abi.h"
#include "conf_impl.h"
#include "conf_numbers.h"
#include "glob.h"

#define PATH_MAX_LEN 1024 /* a route's path */
#define HOST_MAX     253

struct check {
	struct conf_doc *doc;
	struct conf_report *report;
	char at[128]; /* path of the value looked at */
};

__attribute__((format(printf, 2, 3))) static void look_at(struct check *check, const char *format,
							  ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(check->at, sizeof(check->at), format, args);
	va_end(args);
}

__attribute__((format(printf, 2, 3))) static void complain(struct check *check, const char *format,
							   ...)
{
	size_t line, column;
	va_list args;

	conf_doc_find(check->doc, check->at, &line, &column);
	va_start(args, format);
	conf_report_vat(check->report, line, column, format, args);
	va_end(args);
}

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 9110 section 5.6.2 */
static bool is_token(const char *text)
{
	for (; *text; text++)
		if (!is_alnum(*text) && !strchr("!#$%&'*+-.^_`|~", *text))
			return false;
	return true;
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if (*text <= 0x20 || *text >= 0x7f)
			return false;
	return true;
}

static void check_name(struct check *check, const char *what, const char *name)
{
	bool ok = is_alnum(*name) && strlen(name) < SL_NAME_MAX;

	for (const char *c = name; *c && ok; c++)
		ok = is_alnum(*c) || strchr("._-", *c);
	if (!ok)
		complain(check,
			 "%s '%s' is no name; use at most %d letters, digits, '.', '_', '-', "
			 "beginning with a letter or digit",
			 what, name, SL_NAME_MAX - 1);
}

static void check_absolute(struct check *check, const char *key, const char *path)
{
	if (path && path[0] != '/')
		complain(check, "%s is '%s'; write an absolute path", key, path);
}

static void check_netns(struct check *check, const char *netns)
{
	if (netns[0] == '/')
		return;
	if (strchr(netns, '/') || !strcmp(netns, ".") || !strcmp(netns, "..") ||
	    strlen(netns) > 255)
		complain(check,
			 "netns is '%s'; write a name from 'ip netns list' or an absolute path",
			 netns);
}

/* The rules of the kernel's dev_valid_name(). */
static void check_interface(struct check *check, const char *key, const char *name)
{
	if (strlen(name) >= IFNAMSIZ || strpbrk(name, "/: \t") || !strcmp(name, ".") ||
	    !strcmp(name, ".."))
		complain(check, "%s is '%s'; write an interface name of at most %d characters", key,
			 name, IFNAMSIZ - 1);
}

static void check_ports(struct check *check, const char *prefix, const uint16_t *ports,
			unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		look_at(check, "%s[%u]", prefix, i);
		if (!ports[i])
			complain(check, "port 0 cannot be opened; write 1 to 65535");
		for (unsigned j = 0; j < i; j++)
			if (ports[j] == ports[i])
				complain(check, "port %u is listed twice; remove one", ports[i]);
	}
}

static void check_numbers(struct check *check, const void *base, const char *prefix,
			  const struct conf_number *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *at = (const char *)base + numbers[i].offset;
		uint64_t value = numbers[i].size == sizeof(uint64_t) ? *(const uint64_t *)at
								     : *(const uint32_t *)at;

		if (value >= numbers[i].least && value <= numbers[i].most)
			continue;
		look_at(check, "%s%s", prefix, numbers[i].key);
		complain(check, "%s is %llu; write %llu to %llu", numbers[i].key,
			 (unsigned long long)value, (unsigned long long)numbers[i].least,
			 (unsigned long long)numbers[i].most);
	}
}

/* what is "guard.source_", "log." and so on: what stands before rate and burst. */
static void check_burst(struct check *check, const char *what, uint32_t rate, uint32_t burst)
{
	const char *name = strchr(what, '.') + 1;

	if (!rate || burst)
		return;
	look_at(check, "%sburst", what);
	complain(check,
		 "%sburst is 0, which lets nothing pass; write at least 1, or set "
		 "%srate to 0 for no limit",
		 name, name);
}

static bool is_host(const char *host)
{
	char address[INET6_ADDRSTRLEN];
	uint8_t ip[16];
	size_t len = strlen(host);

	if (host[0] == '[' && host[len - 1] == ']' && len - 2 < sizeof(address)) {
		memcpy(address, host + 1, len - 2);
		address[len - 2] = '\0';
		return inet_pton(AF_INET6, address, ip) == 1;
	}
	if (len > HOST_MAX)
		return false;
	for (; *host; host++)
		if (!is_alnum(*host) && !strchr(".-_", *host))
			return false;
	return true;
}

static void check_listen(struct check *check, const struct conf_listen *listen)
{
	check_ports(check, "listen.ports", listen->ports, listen->ports_count);
	for (unsigned i = 0; i < listen->hosts_count; i++) {
		if (is_host(listen->hosts[i]))
			continue;
		look_at(check, "listen.hosts[%u]", i);
		complain(check,
			 "'%s' is no host; write a name, an IPv4 address or an IPv6 address in "
			 "brackets, without a port",
			 listen->hosts[i]);
	}
}

static void check_management(struct check *check, const struct conf_management *management)
{
	uint8_t ip[16];

	if (management->netns) {
		look_at(check, "management.netns");
		check_netns(check, management->netns);
	}
	if (management->source && inet_pton(AF_INET, management->source, ip) != 1 &&
	    inet_pton(AF_INET6, management->source, ip) != 1) {
		look_at(check, "management.source");
		complain(check, "source is '%s'; write an IPv4 or IPv6 address",
			 management->source);
	}
}

static void check_origins(struct check *check, const struct conf_service *service, unsigned index)
{
	struct conf_address address;

	for (unsigned i = 0; i < service->origins_count; i++) {
		look_at(check, "services[%u].origins[%u].address", index, i);
		if (conf_address_parse(service->origins[i].address, &address) < 0)
			complain(check,
				 "'%s' is no address; write tcp:10.0.0.5:8081, tcp:[fd00::5]:80 "
				 "or unix:/absolute/path (numbers only, names are not looked up)",
				 service->origins[i].address);
	}
}

static void check_secret_file(struct check *check, const struct conf_service *service,
			      unsigned index)
{
	bool uses = service->identity == CONF_IDENTITY_NOVA ||
		    service->identity == CONF_IDENTITY_SLUICE;

	look_at(check, "services[%u].secret_file", index);
	if (service->identity == CONF_IDENTITY_NOVA && !service->secret_file)
		complain(check,
			 "service '%s': identity nova signs and needs a key; add 'secret_file: "
			 "/path' with nova's metadata_proxy_shared_secret",
			 service->name);
	if (service->secret_file && !uses)
		complain(check, "identity %s uses no secret; remove secret_file",
			 conf_identity_name(service->identity));
	check_absolute(check, "secret_file", service->secret_file);
}

static void check_services(struct check *check, const struct conf *conf)
{
	char prefix[32];

	for (unsigned i = 0; i < conf->services_count; i++) {
		const struct conf_service *service = &conf->services[i];

		look_at(check, "services[%u].name", i);
		check_name(check, "service", service->name);
		for (unsigned j = 0; j < i; j++)
			if (!strcmp(conf->services[j].name, service->name))
				complain(check, "service '%s' exists above; give each its own name",
					 service->name);
		check_origins(check, service, i);
		check_secret_file(check, service, i);
		snprintf(prefix, sizeof(prefix), "services[%u].", i);
		check_numbers(check, service, prefix, conf_service_numbers, CONF_SERVICE_NUMBERS);
	}
}

static const char *method_problem(const char *method)
{
	static const char *const known[] = { "GET",    "HEAD",	"POST",	  "PUT",
					     "DELETE", "PATCH", "OPTIONS" };

	if (!strcmp(method, "TRACE") || !strcmp(method, "CONNECT"))
		return "is never relayed; remove it";
	for (size_t i = 0; i < CYAML_ARRAY_LEN(known); i++)
		if (!strcmp(known[i], method))
			return NULL;
	return "is no method known here; use GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS "
	       "(in capitals)";
}

static void check_methods(struct check *check, const struct conf_route *route, unsigned index)
{
	for (unsigned i = 0; i < route->methods_count; i++) {
		const char *problem = method_problem(route->methods[i]);

		look_at(check, "routes[%u].methods[%u]", index, i);
		if (problem)
			complain(check, "%s %s", route->methods[i], problem);
		for (unsigned j = 0; j < i; j++)
			if (!strcmp(route->methods[j], route->methods[i]))
				complain(check, "%s is listed twice; remove one",
					 route->methods[i]);
	}
}

/* A prefix is compared with normalised paths: one that is not would never match. */
static const char *path_problem(const char *path)
{
	size_t len = strlen(path);

	if (path[0] != '/')
		return "begins without '/'; write it as in the URL, e.g. /latest";
	if (len > PATH_MAX_LEN)
		return "is too long; 1024 characters are allowed";
	if (!is_printable(path))
		return "holds a space or a character that no URL has; write it percent-decoded "
		       "and in ASCII";
	if (strpbrk(path, "?#%"))
		return "holds '?', '#' or '%'; write the plain path without query";
	if (strstr(path, "//") || strstr(path, "/./") || strstr(path, "/../") ||
	    (len >= 2 && !strcmp(path + len - 2, "/.")) ||
	    (len >= 3 && !strcmp(path + len - 3, "/..")))
		return "holds '//', '/./' or '/../'; write it normalised";
	return NULL;
}

static bool same_prefix(const char *a, const char *b)
{
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len && a[a_len - 1] == '/')
		a_len--;
	if (b_len && b[b_len - 1] == '/')
		b_len--;
	return a_len == b_len && !memcmp(a, b, a_len);
}

static bool has_service(const struct conf *conf, const char *name)
{
	for (unsigned i = 0; i < conf->services_count; i++)
		if (!strcmp(conf->services[i].name, name))
			return true;
	return false;
}

static void check_routes(struct check *check, const struct conf *conf)
{
	for (unsigned i = 0; i < conf->routes_count; i++) {
		const struct conf_route *route = &conf->routes[i];
		const char *problem = path_problem(route->path);

		look_at(check, "routes[%u].path", i);
		if (problem)
			complain(check, "path '%s' %s", route->path, problem);
		for (unsigned j = 0; j < i; j++)
			if (same_prefix(conf->routes[j].path, route->path))
				complain(check, "path '%s' has a route above; merge the two",
					 route->path);
		look_at(check, "routes[%u].service", i);
		if (!has_service(conf, route->service))
			complain(check,
				 "no service is named '%s'; add it under services or "
				 "correct the name",
				 route->service);
		check_methods(check, route, i);
		look_at(check, "routes[%u].require_header", i);
		if (route->require_header &&
		    (!is_token(route->require_header) || strlen(route->require_header) > 128))
			complain(check,
				 "'%s' is no header name; write the name alone, e.g. "
				 "Metadata-Flavor",
				 route->require_header);
	}
}

static void check_tenants(struct check *check, const struct conf *conf)
{
	char ports[64];

	if (conf->tenants_count > conf->limits.tenants) {
		look_at(check, "limits.tenants");
		complain(check, "tenants lists %u, limits.tenants allows %u; raise the limit",
			 conf->tenants_count, conf->limits.tenants);
	}
	for (unsigned i = 0; i < conf->tenants_count; i++) {
		const struct conf_tenant *tenant = &conf->tenants[i];

		look_at(check, "tenants[%u].name", i);
		check_name(check, "tenant", tenant->name);
		for (unsigned j = 0; j < i; j++) {
			const struct conf_tenant *other = &conf->tenants[j];

			if (!strcmp(other->name, tenant->name))
				complain(check, "tenant '%s' exists above; give each its own name",
					 tenant->name);
			else if (!strcmp(other->netns, tenant->netns) &&
				 !strcmp(other->interface, tenant->interface))
				complain(check,
					 "tenant '%s' has this netns and interface already; "
					 "remove one of the two",
					 other->name);
		}
		look_at(check, "tenants[%u].netns", i);
		check_netns(check, tenant->netns);
		look_at(check, "tenants[%u].interface", i);
		check_interface(check, "interface", tenant->interface);
		look_at(check, "tenants[%u].l3_interface", i);
		if (tenant->l3_interface)
			check_interface(check, "l3_interface", tenant->l3_interface);
		snprintf(ports, sizeof(ports), "tenants[%u].ports", i);
		check_ports(check, ports, tenant->ports, tenant->ports_count);
	}
}

static void check_template(struct check *check, const char *key, const char *form, unsigned stars)
{
	struct glob_captures sample = { .count = stars };
	char text[GLOB_TEXT_MAX];

	for (unsigned i = 0; i < stars; i++)
		sample.list[i] = (struct glob_capture){ "x", 1 };
	if (form && glob_expand(form, "x", "x", &sample, text, sizeof(text)))
		complain(check,
			 "%s is '%s'; in braces stand namespace, interface or the number of a "
			 "'*' (namespaces and interfaces have %u of them)",
			 key, form, stars);
}

static void check_discover(struct check *check, const struct conf *conf)
{
	char ports[64];

	for (unsigned i = 0; i < conf->discover_count; i++) {
		const struct conf_discover *rule = &conf->discover[i];
		unsigned stars = glob_stars(rule->namespaces) + glob_stars(rule->interfaces);

		look_at(check, "discover[%u].namespaces", i);
		if (strchr(rule->namespaces, '/') || strlen(rule->namespaces) >= GLOB_TEXT_MAX)
			complain(check,
				 "namespaces is '%s'; write a pattern for names from 'ip netns "
				 "list', e.g. qrouter-*",
				 rule->namespaces);
		look_at(check, "discover[%u].interfaces", i);
		if (strpbrk(rule->interfaces, "/: \t") || strlen(rule->interfaces) >= GLOB_TEXT_MAX)
			complain(check,
				 "interfaces is '%s'; write a pattern for interface names, e.g. "
				 "qr-*",
				 rule->interfaces);
		if (stars > GLOB_CAPTURES)
			complain(check, "the two patterns have %u '*'; at most %d are allowed",
				 stars, GLOB_CAPTURES);
		else {
			look_at(check, "discover[%u].tenant", i);
			check_template(check, "tenant", rule->tenant, stars);
			look_at(check, "discover[%u].network", i);
			check_template(check, "network", rule->network, stars);
		}
		snprintf(ports, sizeof(ports), "discover[%u].ports", i);
		check_ports(check, ports, rule->ports, rule->ports_count);
	}
}

static void check_metrics(struct check *check, const struct conf_metrics *metrics)
{
	struct conf_address address;

	look_at(check, "metrics.listen");
	if (metrics->listen && conf_address_parse(metrics->listen, &address))
		complain(check,
			 "'%s' is no address; write tcp:10.0.0.9:9477, tcp:[fd00::9]:9477 or "
			 "unix:/run/sluice/metrics.sock (numbers only, names are not looked up)",
			 metrics->listen);
}

void conf_check(const struct conf *conf, struct conf_doc *doc, struct conf_report *report)
{
	const struct conf_guard *guard = &conf->guard;
	struct check check = { .doc = doc, .report = report };

	check_numbers(&check, conf, "", conf_numbers, CONF_NUMBERS);
	check_management(&check, &conf->management);
	check_listen(&check, &conf->listen);
	check_burst(&check, "guard.source_", guard->source_rate, guard->source_burst);
	check_burst(&check, "guard.syn_", guard->syn_rate, guard->syn_burst);
	check_burst(&check, "guard.interface_", guard->interface_rate, guard->interface_burst);
	check_burst(&check, "guard.interface_syn_", guard->interface_syn_rate,
		    guard->interface_syn_burst);
	check_burst(&check, "limits.request_", conf->limits.request_rate,
		    conf->limits.request_burst);
	check_burst(&check, "log.", conf->log.rate, conf->log.burst);
	look_at(&check, "log.access");
	check_absolute(&check, "access", conf->log.access);
	check_metrics(&check, &conf->metrics);
	look_at(&check, "bindings.file");
	check_absolute(&check, "file", conf->bindings.file);
	look_at(&check, "bindings.store");
	check_absolute(&check, "store", conf->bindings.store);
	check_services(&check, conf);
	check_routes(&check, conf);
	check_tenants(&check, conf);
	check_discover(&check, conf);
}
