/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The schema: which keys exist, what type they have, which member they fill. The file and
 * the memfd a worker gets share it; "secret" alone exists only in the memfd, and
 * conf_check() refuses it in a file. Keys are named like the members of struct conf, and
 * sluice.yaml(5) documents each of them ("make lint" compares).
 */
#include "../../bpf/abi.h"
#include "conf_impl.h"

#define TEXT_MAX 4096 /* longest string; conf_check() knows each one's real limit */

/* clang-format off */
#define OPT CYAML_FLAG_OPTIONAL
#define UINT(key, type, member) CYAML_FIELD_UINT(key, OPT, type, member)
#define BOOL(key, type, member) CYAML_FIELD_BOOL(key, OPT, type, member)
#define TEXT(key, type, member) CYAML_FIELD_STRING_PTR(key, OPT | CYAML_FLAG_POINTER, type, member, 1, TEXT_MAX)
#define NEED(key, type, member) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 1, TEXT_MAX)
#define WORD(key, type, member, words) CYAML_FIELD_ENUM(key, OPT | CYAML_FLAG_STRICT, type, member, words, CYAML_ARRAY_LEN(words))
#define LIST(key, type, member, entry, most) CYAML_FIELD_SEQUENCE(key, OPT | CYAML_FLAG_POINTER, type, member, entry, 1, most)
#define PART(key, member, fields) CYAML_FIELD_MAPPING(key, OPT, struct conf, member, fields)

static const cyaml_schema_value_t port_entry = { CYAML_VALUE_UINT(CYAML_FLAG_DEFAULT, uint16_t) };
static const cyaml_schema_value_t text_entry = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, TEXT_MAX) };

static const cyaml_schema_field_t management_fields[] = {
	TEXT("netns", struct conf_management, netns),
	TEXT("source", struct conf_management, source),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t listen_fields[] = {
	LIST("ports", struct conf_listen, ports, &port_entry, SL_PORTS_MAX),
	BOOL("ipv6", struct conf_listen, ipv6),
	UINT("hop_limit", struct conf_listen, hop_limit),
	LIST("hosts", struct conf_listen, hosts, &text_entry, 64),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t relay_fields[] = {
	UINT("workers", struct conf_relay, workers),
	TEXT("user", struct conf_relay, user),
	WORD("engine", struct conf_relay, engine, conf_engine_words),
	WORD("congestion", struct conf_relay, congestion, conf_congestion_words),
	UINT("pipes_small", struct conf_relay, pipes_small),
	UINT("pipes_large", struct conf_relay, pipes_large),
	UINT("turn_budget", struct conf_relay, turn_budget),
	UINT("busy_poll", struct conf_relay, busy_poll),
	UINT("copy_below", struct conf_relay, copy_below),
	UINT("drain_timeout", struct conf_relay, drain_timeout),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t guard_fields[] = {
	WORD("mode", struct conf_guard, mode, conf_guard_mode_words),
	UINT("source_rate", struct conf_guard, source_rate),
	UINT("source_burst", struct conf_guard, source_burst),
	UINT("syn_rate", struct conf_guard, syn_rate),
	UINT("syn_burst", struct conf_guard, syn_burst),
	UINT("interface_rate", struct conf_guard, interface_rate),
	UINT("interface_burst", struct conf_guard, interface_burst),
	UINT("interface_syn_rate", struct conf_guard, interface_syn_rate),
	UINT("interface_syn_burst", struct conf_guard, interface_syn_burst),
	UINT("raise_drops", struct conf_guard, raise_drops),
	UINT("quiet_ms", struct conf_guard, quiet_ms),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t limits_fields[] = {
	UINT("tenants", struct conf_limits, tenants),
	UINT("bindings", struct conf_limits, bindings),
	UINT("head_size", struct conf_limits, head_size),
	UINT("head_count", struct conf_limits, head_count),
	UINT("body_size", struct conf_limits, body_size),
	UINT("connections", struct conf_limits, connections),
	UINT("connections_per_client", struct conf_limits, connections_per_client),
	UINT("connections_per_tenant", struct conf_limits, connections_per_tenant),
	UINT("request_rate", struct conf_limits, request_rate),
	UINT("request_burst", struct conf_limits, request_burst),
	UINT("request_timeout", struct conf_limits, request_timeout),
	UINT("head_timeout", struct conf_limits, head_timeout),
	UINT("keepalive_timeout", struct conf_limits, keepalive_timeout),
	UINT("body_timeout", struct conf_limits, body_timeout),
	UINT("send_timeout", struct conf_limits, send_timeout),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t log_fields[] = {
	TEXT("access", struct conf_log, access),
	WORD("format", struct conf_log, format, conf_log_format_words),
	UINT("rate", struct conf_log, rate),
	UINT("burst", struct conf_log, burst),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t metrics_fields[] = {
	TEXT("listen", struct conf_metrics, listen),
	TEXT("user", struct conf_metrics, user),
	UINT("tenants", struct conf_metrics, tenants),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t bindings_fields[] = {
	TEXT("file", struct conf_bindings, file),
	TEXT("store", struct conf_bindings, store),
	CYAML_FIELD_END
};

static const cyaml_schema_field_t origin_fields[] = {
	NEED("address", struct conf_origin, address),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t origin_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct conf_origin, origin_fields)
};

static const cyaml_schema_field_t service_fields[] = {
	NEED("name", struct conf_service, name),
	CYAML_FIELD_SEQUENCE("origins", CYAML_FLAG_POINTER, struct conf_service, origins, &origin_entry, 1, 16),
	WORD("identity", struct conf_service, identity, conf_identity_words),
	TEXT("secret_file", struct conf_service, secret_file),
	TEXT(CONF_SECRET_KEY, struct conf_service, secret),
	UINT("connect_timeout", struct conf_service, connect_timeout),
	UINT("response_timeout", struct conf_service, response_timeout),
	UINT("idle_timeout", struct conf_service, idle_timeout),
	UINT("total_timeout", struct conf_service, total_timeout),
	UINT("pool_size", struct conf_service, pool_size),
	UINT("pool_idle", struct conf_service, pool_idle),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t service_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct conf_service, service_fields)
};

static const cyaml_schema_field_t route_fields[] = {
	NEED("path", struct conf_route, path),
	NEED("service", struct conf_route, service),
	LIST("methods", struct conf_route, methods, &text_entry, 16),
	TEXT("require_header", struct conf_route, require_header),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t route_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct conf_route, route_fields)
};

static const cyaml_schema_field_t tenant_fields[] = {
	NEED("name", struct conf_tenant, name),
	NEED("netns", struct conf_tenant, netns),
	NEED("interface", struct conf_tenant, interface),
	TEXT("l3_interface", struct conf_tenant, l3_interface),
	WORD("bridge", struct conf_tenant, bridge, conf_bridge_words),
	WORD("fail", struct conf_tenant, fail, conf_fail_words),
	WORD("guard", struct conf_tenant, guard, conf_guard_mode_words),
	LIST("ports", struct conf_tenant, ports, &port_entry, SL_PORTS_MAX),
	BOOL("ipv6", struct conf_tenant, ipv6),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t tenant_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct conf_tenant, tenant_fields)
};

static const cyaml_schema_field_t discover_fields[] = {
	NEED("namespaces", struct conf_discover, namespaces),
	NEED("interfaces", struct conf_discover, interfaces),
	TEXT("tenant", struct conf_discover, tenant),
	TEXT("network", struct conf_discover, network),
	WORD("bridge", struct conf_discover, bridge, conf_bridge_words),
	WORD("fail", struct conf_discover, fail, conf_fail_words),
	WORD("guard", struct conf_discover, guard, conf_guard_mode_words),
	LIST("ports", struct conf_discover, ports, &port_entry, SL_PORTS_MAX),
	BOOL("ipv6", struct conf_discover, ipv6),
	CYAML_FIELD_END
};
static const cyaml_schema_value_t discover_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct conf_discover, discover_fields)
};

static const cyaml_schema_field_t conf_fields[] = {
	PART("management", management, management_fields),
	PART("listen", listen, listen_fields),
	PART("relay", relay, relay_fields),
	PART("guard", guard, guard_fields),
	PART("limits", limits, limits_fields),
	PART("log", log, log_fields),
	PART("metrics", metrics, metrics_fields),
	PART("bindings", bindings, bindings_fields),
	LIST("services", struct conf, services, &service_entry, 256),
	LIST("routes", struct conf, routes, &route_entry, 1024),
	LIST("tenants", struct conf, tenants, &tenant_entry, CONF_TENANTS_MAX),
	LIST("discover", struct conf, discover, &discover_entry, 64),
	CYAML_FIELD_END
};

const cyaml_schema_value_t conf_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct conf, conf_fields)
};
/* clang-format on */
