/* SPDX-License-Identifier: BSD-2-Clause */
/* Addresses with prefixes: text in, text out, who is inside. */
#include "../../user/lib/subnet.h"
#include "unit.h"

static const struct {
	const char *text, *back; /* NULL: refused */
	bool network;
} texts[] = {
	{ "10.0.0.0/8", "10.0.0.0/8", true },
	{ "10.0.0.1/24", "10.0.0.1/24", false },
	{ "10.0.0.1", "10.0.0.1/32", true },
	{ "0.0.0.0/0", "0.0.0.0/0", true },
	{ "fd00::1/64", "fd00::1/64", false },
	{ "fd00::/64", "fd00::/64", true },
	{ "10.0.0.1/33", NULL, false },
	{ "10.0.0.1/", NULL, false },
	{ "10.0.0.1/08", NULL, false },
	{ "10.0.0.1/-1", NULL, false },
	{ "10.0.0.1/1 ", NULL, false },
	{ "10.0.0/8", NULL, false },
	{ "fd00::1/129", NULL, false },
	{ "fd00::1%lo/64", NULL, false },
	{ "host/24", NULL, false },
	{ "", NULL, false },
	{ "/24", NULL, false },
	{ "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111/8", NULL, false },
};

static const struct {
	const char *net, *host;
	bool inside;
} insides[] = {
	{ "10.0.0.0/24", "10.0.0.255", true }, { "10.0.0.0/24", "10.0.1.0", false },
	{ "0.0.0.0/0", "1.2.3.4", true },      { "10.0.0.0/31", "10.0.0.2", false },
	{ "fd00::/64", "fd00::1", true },      { "0.0.0.0/0", "::1", false },
};

static const struct {
	const char *net;
	int64_t n;
	const char *host;
} nths[] = {
	{ "10.0.0.0/24", 1, "10.0.0.1/24" },	{ "10.0.0.0/24", -1, "10.0.0.255/24" },
	{ "10.0.0.0/24", -2, "10.0.0.254/24" }, { "10.0.255.0/23", -2, "10.0.255.254/23" },
	{ "10.0.0.77/16", 256, "10.0.1.0/16" },
};

int main(void)
{
	char text[SUBNET_TEXT_MAX];
	struct subnet net, host;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int err = subnet_parse(texts[i].text, &net);

		unit_case = texts[i].text;
		CHECK(!err == (texts[i].back != NULL));
		if (err || !texts[i].back)
			continue;
		subnet_text(&net, text);
		CHECK_THAT(!strcmp(text, texts[i].back), "became %s", text);
		CHECK(subnet_is_network(&net) == texts[i].network);
	}
	for (size_t i = 0; i < sizeof(insides) / sizeof(insides[0]); i++) {
		unit_case = insides[i].net;
		CHECK(!subnet_parse(insides[i].net, &net) && !subnet_parse(insides[i].host, &host));
		CHECK_THAT(subnet_has(&net, &host) == insides[i].inside, "%s", insides[i].host);
	}
	for (size_t i = 0; i < sizeof(nths) / sizeof(nths[0]); i++) {
		unit_case = nths[i].net;
		CHECK(!subnet_parse(nths[i].net, &net));
		host = subnet_nth(&net, nths[i].n);
		subnet_text(&host, text);
		CHECK_THAT(!strcmp(text, nths[i].host), "%lld is %s", (long long)nths[i].n, text);
	}
	return unit_end();
}
