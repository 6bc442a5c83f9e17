/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One tenant after the other, seen from inside its gateway. With a report, the tenants are the
 * daemon's; without, those the pinned maps know, whose namespaces are found by their cookies.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../gate/listen.h"
#include "../gate/netns.h"
#include "doctor.h"
#include "doctor_gate.h"

#define PROBES_MAX 16 /* tenants that are probed without being named */
#define DHCP_PORT  67

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static void from_report(const json_t *tenant, char *netns, size_t size, struct doctor_gate *ret)
{
	json_t *ns = json_object_get(tenant, "netns"), *port;
	size_t i;

	if (json_is_integer(ns))
		snprintf(netns, size, "pid:%lld", (long long)json_integer_value(ns));
	else
		snprintf(netns, size, "%s", json_string_value(ns) ? json_string_value(ns) : "");
	*ret = (struct doctor_gate){
		.name = text(tenant, "name"),
		.netns = netns,
		.key = { .netns_cookie = number(tenant, "netns_cookie"),
			 .ifindex = (uint32_t)number(tenant, "ifindex") },
		.l3_ifindex = (uint32_t)number(tenant, "l3_ifindex"),
		.ipv6 = json_is_true(json_object_get(tenant, "ipv6")),
	};
	json_array_foreach (json_object_get(tenant, "ports"), i, port)
		if (ret->nports < SL_PORTS_MAX)
			ret->ports[ret->nports++] = (uint16_t)json_integer_value(port);
}

/* Who is in the way now? The reason may be old, and in it stands a name that is anybody's. */
static long find_squatter(const struct doctor *doctor, const struct doctor_gate *gate)
{
	long daemon = (long)number(doctor->report, "pid"), pid = 0;
	struct netns_visit visit;

	if (netns_visit(&visit, gate->netns))
		return 0;
	for (unsigned i = 0; i < gate->nports && !pid; i++) {
		pid = listen_holder_pid(AF_INET, gate->ports[i], daemon);
		if (!pid && gate->ipv6)
			pid = listen_holder_pid(AF_INET6, gate->ports[i], daemon);
	}
	netns_leave(&visit);
	return pid;
}

static void explain_conflict(struct doctor *doctor, const json_t *tenant, const char *reason)
{
	struct doctor_gate gate;
	char netns[4096];
	long pid;

	from_report(tenant, netns, sizeof(netns), &gate);
	pid = find_squatter(doctor, &gate);
	doctor_say(doctor, gate.name, "listener", DOCTOR_FAIL,
		   "its packets are left to whoever has the address; sluice serves within 3 s of "
		   "their leaving",
		   pid > 0 ? doctor_text("kill %ld", pid) : NULL, "%s", reason);
}

static void explain_unattached(struct doctor *doctor, const json_t *tenant)
{
	const char *state = text(tenant, "state"), *reason = text(tenant, "reason");
	const char *name = text(tenant, "name");

	if (state && !strcmp(state, "conflict"))
		explain_conflict(doctor, tenant, reason ? reason : "the address is taken");
	else
		doctor_say(doctor, name, "attach", DOCTOR_FAIL,
			   "VMs of this tenant reach no service; sluiced tries again every 3 s",
			   doctor_text("sluice --instance %s tenant detach %s   # or mend what the "
				       "reason names",
				       doctor_word(doctor->instance), doctor_word(name)),
			   "%s", reason && *reason ? reason : "not attached");
}

/* Its gate stands, but for what the reason names. */
static void explain_wanting(struct doctor *doctor, const json_t *tenant)
{
	const char *name = text(tenant, "name"), *reason = text(tenant, "reason");

	doctor_say(doctor, name, "attach", DOCTOR_WARN,
		   "all else stands; sluiced looks again by itself",
		   doctor_text("sluice --instance %s tenant show %s   # once what the reason names "
			       "is mended: attached",
			       doctor_word(doctor->instance), doctor_word(name)),
		   "%s", reason && *reason ? reason : "not whole");
}

/* Not seen is not gone. */
static void explain_unseen(struct doctor *doctor, const struct doctor_gate *gate, int err)
{
	doctor_say(doctor, gate->name, "namespace", DOCTOR_SKIPPED, NULL, NULL,
		   "namespace %s cannot be entered: %s", gate->netns, strerror(-err));
}

static bool is_gone(int err)
{
	return err == -ENOENT || err == -ESRCH || err == -EINVAL;
}

/* Enters and has a look; the namespace stays open for the probe in *ret_ns. */
static bool look_inside(struct doctor *doctor, const struct doctor_gate *gate, int *ret_ns)
{
	struct netns_visit visit;
	uint64_t cookie = 0;
	int ns = netns_open(gate->netns);
	int err = ns < 0 ? ns : netns_enter(&visit, ns);
	bool whole;

	*ret_ns = ns;
	if (err && !is_gone(err)) {
		explain_unseen(doctor, gate, err);
		return false;
	}
	if (err) {
		doctor_say(
			doctor, gate->name, "namespace", DOCTOR_FAIL,
			"the gateway is gone, or its name is; sluiced lets it go at its next look",
			doctor_text("sluice --instance %s tenant detach %s",
				    doctor_word(doctor->instance), doctor_word(gate->name)),
			"namespace %s: %s", gate->netns, strerror(-err));
		return false;
	}
	whole = !netns_cookie(&cookie) && cookie == gate->key.netns_cookie;
	if (whole)
		whole = doctor_gate(doctor, gate);
	else
		doctor_say(
			doctor, gate->name, "namespace", DOCTOR_FAIL,
			"the name belongs to another namespace than the one sluice serves",
			doctor_text("sluice --instance %s reload", doctor_word(doctor->instance)),
			"namespace %s was made anew", gate->netns);
	netns_leave(&visit);
	return whole;
}

/* Its number is in a file; the name tells whether it still is that process. */
static int dnsmasq_pid(const char *path)
{
	char comm_path[64], comm[32] = "";
	FILE *file = fopen(path, "re");
	int pid = 0;

	if (file && fscanf(file, "%d", &pid) != 1)
		pid = 0;
	if (file)
		fclose(file);
	snprintf(comm_path, sizeof(comm_path), "/proc/%d/comm", pid);
	file = pid > 0 ? fopen(comm_path, "re") : NULL;
	if (file && !fgets(comm, sizeof(comm), file))
		comm[0] = '\0';
	if (file)
		fclose(file);
	return strcmp(comm, "dnsmasq\n") ? 0 : pid;
}

static void explain_dhcp(struct doctor *doctor, const struct doctor_gate *gate, const char *conf)
{
	const char *mend = "apt install dnsmasq-base";
	struct netns_visit visit;
	char holder[64] = "";
	long pid = 0;

	if (!netns_visit(&visit, gate->netns)) {
		listen_udp_holder(DHCP_PORT, holder, sizeof(holder), &pid);
		netns_leave(&visit);
	}
	if (pid)
		mend = doctor_text("kill %ld", pid);
	else if (!access("/usr/sbin/dnsmasq", X_OK))
		mend = doctor_text("dnsmasq --test --conf-file=%s   # and see sluiced's log",
				   doctor_word(conf));
	doctor_say(doctor, gate->name, "dhcp", DOCTOR_FAIL,
		   "VMs get no address; sluiced starts it again within half a minute, unless it "
		   "cannot run",
		   mend, "dnsmasq does not run%s%s%s", pid ? ": " : "", holder,
		   pid ? " has UDP port 67" : "");
}

/* dnsmasq of a gateway that "tenant create" built: its directory is there as long as it is. */
static void look_at_dhcp(struct doctor *doctor, const struct doctor_gate *gate)
{
	char conf[256], path[256];
	int pid;

	snprintf(conf, sizeof(conf), "/run/sluice/%s/created/tenant-%s/dnsmasq.conf",
		 doctor->instance, gate->name);
	if (access(conf, F_OK))
		return;
	snprintf(path, sizeof(path), "/run/sluice/%s/created/tenant-%s/dnsmasq.pid",
		 doctor->instance, gate->name);
	pid = dnsmasq_pid(path);
	if (pid)
		doctor_say(doctor, gate->name, "dhcp", DOCTOR_OK, NULL, NULL,
			   "dnsmasq runs, pid %d", pid);
	else
		explain_dhcp(doctor, gate, conf);
}

static bool serves(const json_t *listeners, int family)
{
	json_t *listener;
	size_t i;

	json_array_foreach (listeners, i, listener)
		if (json_integer_value(json_object_get(listener, "family")) == family)
			return true;
	return false;
}

static void look_at(struct doctor *doctor, const json_t *tenant, bool probe)
{
	const char *state = text(tenant, "state");
	json_t *listeners = json_object_get(tenant, "listeners");
	struct doctor_gate gate;
	char netns[4096];
	int ns = -1;
	bool whole;

	if (!json_array_size(listeners)) {
		explain_unattached(doctor, tenant);
		return;
	}
	if (!state || strcmp(state, "attached"))
		explain_wanting(doctor, tenant);
	from_report(tenant, netns, sizeof(netns), &gate);
	gate.ipv6 = serves(listeners, 6);
	look_at_dhcp(doctor, &gate);
	if (!doctor->load) {
		doctor_say(doctor, gate.name, "filters", DOCTOR_SKIPPED, NULL, NULL,
			   "without the pins it cannot be told whose filters are there");
		return;
	}
	whole = look_inside(doctor, &gate, &ns);
	if (!whole)
		doctor_say(doctor, gate.name, "probe", DOCTOR_SKIPPED, NULL, NULL,
			   "mend first what is broken above");
	else if (probe)
		doctor_probe(doctor, tenant, netns, ns, &gate.key, gate.l3_ifindex);
	if (ns >= 0)
		close(ns);
}

/* ---- without a daemon --------------------------------------------------------------------- */

struct pinned {
	struct doctor *doctor;
	unsigned count;
};

/* The name of the namespace with this cookie, below /run/netns. */
static bool find_namespace(uint64_t wanted, char *ret, size_t size)
{
	DIR *dir = opendir(NETNS_DIR);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		struct netns_visit visit;
		uint64_t cookie;

		if (entry->d_name[0] == '.' || netns_visit(&visit, entry->d_name))
			continue;
		found = !netns_cookie(&cookie) && cookie == wanted;
		netns_leave(&visit);
		if (found)
			snprintf(ret, size, "%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* A gate that serves IPv6 has listeners of it; ports as in map "ifaces". */
static bool serves_ipv6(struct doctor *doctor, const struct sl_tenant *tenant,
			const struct sl_iface *iface)
{
	struct sl_listener_key key = { .netns_cookie = tenant->netns_cookie,
				       .l3_ifindex = tenant->l3_ifindex,
				       .port = iface->ports[0],
				       .family = 6 };
	struct sl_listener_info info;

	return iface->nports && !gate_load_listener_get(doctor->load, &key, &info);
}

static int look_at_pinned(uint32_t id, const struct sl_tenant *tenant, void *arg)
{
	struct pinned *pinned = arg;
	struct doctor *doctor = pinned->doctor;
	char netns[256], name[SL_NAME_MAX];
	struct doctor_gate gate = {
		.name = name,
		.netns = netns,
		.key = { .netns_cookie = tenant->netns_cookie, .ifindex = tenant->ifindex },
		.l3_ifindex = tenant->l3_ifindex,
	};
	struct sl_iface iface;
	int ns = -1;

	snprintf(name, sizeof(name), "%.*s", (int)sizeof(tenant->name) - 1, tenant->name);
	if (doctor->only && strcmp(doctor->only, name))
		return 0;
	pinned->count++;
	if (!find_namespace(tenant->netns_cookie, netns, sizeof(netns))) {
		doctor_say(doctor, name, "namespace", DOCTOR_SKIPPED, NULL, NULL,
			   "its namespace has no name below /run/netns");
		return 0;
	}
	if (!gate_load_iface_get(doctor->load, &gate.key, &iface)) {
		gate.ipv6 = serves_ipv6(doctor, tenant, &iface);
		for (; gate.nports < iface.nports && gate.nports < SL_PORTS_MAX; gate.nports++)
			gate.ports[gate.nports] = (uint16_t)(iface.ports[gate.nports] >> 8 |
							     iface.ports[gate.nports] << 8);
	}
	look_inside(doctor, &gate, &ns);
	if (ns >= 0)
		close(ns);
	doctor_say(doctor, name, "probe", DOCTOR_SKIPPED, NULL, NULL,
		   "the daemon alone knows what may be asked for");
	return 0;
}

void doctor_tenants(struct doctor *doctor)
{
	json_t *tenants = json_object_get(doctor->report, "tenants"), *tenant;
	struct pinned pinned = { .doctor = doctor };
	bool probe = doctor->only || json_array_size(tenants) <= PROBES_MAX;
	size_t i, count = 0;

	if (!doctor->report && doctor->load)
		gate_load_tenant_each(doctor->load, look_at_pinned, &pinned);
	count = pinned.count;
	json_array_foreach (tenants, i, tenant) {
		if (doctor->only && strcmp(text(tenant, "name"), doctor->only))
			continue;
		count++;
		look_at(doctor, tenant, probe);
	}
	if (!probe)
		doctor_say(doctor, NULL, "probe", DOCTOR_SKIPPED, NULL, NULL,
			   "%zu tenants are too many to probe each: sluice doctor TENANT", count);
	if (!count && doctor->only)
		doctor_say(doctor, doctor->only, "attach", DOCTOR_FAIL, "it is served by nobody",
			   doctor_text("sluice --instance %s tenant attach %s --netns NS "
				       "--interface IF",
				       doctor_word(doctor->instance), doctor_word(doctor->only)),
			   "there is no tenant %s", doctor->only);
}
