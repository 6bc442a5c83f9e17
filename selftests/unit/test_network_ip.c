/* SPDX-License-Identifier: BSD-2-Clause */
/* Back to the network of before, with an "ip" that is played here and fails where it is told to. */
#include <stdarg.h>

#include "../../user/agent/cluster_network_ip.c"
#include "unit.h"

static const char *fails; /* within a command */
static char said[8192];	  /* commands, a line each */

char *exec_output(size_t max, const char *word, ...)
{
	bool routes = false;
	va_list args;

	va_start(args, word);
	for (; word; word = va_arg(args, const char *))
		routes |= !strcmp(word, "route");
	va_end(args);
	return strdup(routes ? "[]"
			     : "[{\"ifname\": \"eth0\", \"mtu\": 1500, \"flags\": [\"UP\"],"
			       " \"addr_info\": []}]");
}

int exec_words(struct outcome *outcome, const char *word, ...)
{
	char line[512] = "";
	va_list args;

	va_start(args, word);
	for (; word; word = va_arg(args, const char *))
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s ", word);
	va_end(args);
	snprintf(said + strlen(said), sizeof(said) - strlen(said), "%s\n", line);
	return fails && strstr(line, fails) ? -EIO : 0;
}

static const char record_text[] =
	"{\"links\": {\"eth0\": {\"was\": {\"mtu\": 1400, \"up\": false, \"addresses\":"
	" [\"10.9.0.11/24\", \"10.8.0.11/24\"]}, \"sets\": []}},"
	" \"routes\": [{\"dst\": \"10.77.0.0/16\", \"via\": \"10.9.0.7\", \"dev\": \"eth0\","
	" \"metric\": 0}, {\"dst\": \"0.0.0.0/0\", \"via\": \"10.9.0.1\", \"dev\": \"eth0\","
	" \"metric\": 0}]}";

static const char *const steps[] = {
	"link set eth0 mtu 1400",
	"address replace 10.9.0.11/24",
	"address replace 10.8.0.11/24",
	"link set eth0 down",
	"route replace 10.77.0.0/16 via 10.9.0.7",
	"route replace 0.0.0.0/0 via 10.9.0.1",
};

/* Whichever fails, all others are done, and it is said that one was not. */
static void test_back(void)
{
	json_t *record = json_loads(record_text, 0, NULL);
	struct outcome outcome = { 0 };

	for (size_t i = 0; i <= sizeof(steps) / sizeof(steps[0]); i++) {
		fails = i < sizeof(steps) / sizeof(steps[0]) ? steps[i] : NULL;
		unit_case = fails ? fails : "nothing fails";
		*said = '\0';
		CHECK(ip_put_all_back(record, &outcome) == (fails ? -EIO : 0));
		for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++)
			CHECK_THAT(strstr(said, steps[k]), "no \"%s\" in:\n%s", steps[k], said);
	}
	json_decref(record);
}

int main(void)
{
	test_back();
	return unit_end();
}
