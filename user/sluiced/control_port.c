/* SPDX-License-Identifier: BSD-2-Clause */
#include "control_port.h"

#include <errno.h>
#include <string.h>

#include "../../bpf/abi.h"
#include "control_reply.h"
#include "ports.h"

const char *const control_port_set_keys[] = { "tenant",	 "mac",	    "addresses", "instance",
					      "project", "expires", NULL };
const char *const control_port_keys[] = { "tenant", "mac", NULL };

/* Tenant and MAC; both may be absent unless they are needed. NULL, or the key that is wrong. */
static const char *parse(json_t *arguments, bool needed, const char **ret_tenant, uint8_t mac[6],
			 bool *ret_has_mac)
{
	const char *bad = NULL, *text;

	*ret_tenant = control_text(arguments, "tenant", &bad);
	if (bad || (needed && !*ret_tenant))
		return "tenant";
	text = control_text(arguments, "mac", &bad);
	*ret_has_mac = text != NULL;
	if (bad || (needed && !text) || (text && binding_mac_parse(text, mac)))
		return "mac";
	return NULL;
}

static json_t *refuse(const char *bad)
{
	return control_bad_argument(bad);
}

json_t *control_port_set(struct sluiced *sluiced, json_t *arguments)
{
	char why[BINDING_WHY_MAX], tenant[SL_NAME_MAX];
	struct binding *binding;
	uint8_t mac[6];
	int err = binding_read(arguments, &binding, why);

	if (err == -EINVAL)
		return control_error("usage", "see sluice-bindings(5)", "%s", why);
	if (err)
		return control_data(NULL);
	strcpy(tenant, binding->tenant);
	memcpy(mac, binding->mac, sizeof(mac));
	err = ports_set(sluiced->ports, binding);
	if (err == -ENOSPC)
		return control_error("busy", "raise limits.bindings and restart sluiced",
				     "no room for another machine with its addresses");
	if (err)
		return control_error("system", "nothing has changed; see bindings.store",
				     "the store cannot be written: %s", strerror(-err));
	return control_data(ports_list(sluiced->ports, tenant, mac));
}

json_t *control_port_del(struct sluiced *sluiced, json_t *arguments)
{
	const char *tenant, *bad;
	uint8_t mac[6];
	bool has_mac;
	int err;

	bad = parse(arguments, true, &tenant, mac, &has_mac);
	if (bad)
		return refuse(bad);
	err = ports_del(sluiced->ports, tenant, mac);
	if (err == -ENOENT)
		return control_error("not-found", "see: sluice port list",
				     "there is no such binding");
	if (err == -EPERM)
		return control_error("conflict", "take it out of the file",
				     "it stands in bindings.file");
	if (err)
		return control_error("system", "nothing has changed; see bindings.store",
				     "the store cannot be written: %s", strerror(-err));
	return control_data(ports_list(sluiced->ports, tenant, mac));
}

json_t *control_port_list(struct sluiced *sluiced, json_t *arguments)
{
	const char *tenant, *bad;
	uint8_t mac[6];
	bool has_mac;

	bad = parse(arguments, false, &tenant, mac, &has_mac);
	if (bad)
		return refuse(bad);
	return control_data(ports_list(sluiced->ports, tenant, has_mac ? mac : NULL));
}

json_t *control_port_status(struct sluiced *sluiced, json_t *arguments)
{
	return control_data(ports_report(sluiced->ports));
}
