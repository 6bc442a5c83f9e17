/* SPDX-License-Identifier: BSD-2-Clause */
/* The word that was probably meant: slips of a key find it, other words find none. */
#include "../../user/lib/nearest.h"
#include "unit.h"

static const char *const words[] = { "status",
				     "tenant attach",
				     "tenant detach",
				     "tenant list",
				     "top",
				     "trace",
				     "metrics",
				     "json",
				     "l3-interface",
				     "interface",
				     "connections_per_client",
				     "a" };

static const struct {
	const char *typed, *meant;
} cases[] = {
	{ "status", "status" },
	{ "statsu", "status" },
	{ "sttaus", "status" },
	{ "satus", "status" },
	{ "statuus", "status" },
	{ "STATUS", "status" },
	{ "stat", "status" },
	{ "tenant atach", "tenant attach" },
	{ "tenant dettach", "tenant detach" },
	{ "tenant lits", "tenant list" },
	{ "tpo", "top" },
	{ "jsno", "json" },
	{ "interfaces", "interface" },
	{ "l3_interface", "l3-interface" },
	{ "connections-per-clients", "connections_per_client" },
	{ "tracer", "trace" },
	{ "tenant", "tenant attach" },
	/* nothing is near */
	{ "", NULL },
	{ "xyz", NULL },
	{ "restart", NULL },
	{ "b", NULL },
	{ "st", NULL },
	{ "port list port list port list port list port list port list", NULL },
};

static void test_near(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct nearest nearest = { .typed = cases[i].typed };
		const char *meant = cases[i].meant;

		unit_case = cases[i].typed;
		for (size_t j = 0; j < sizeof(words) / sizeof(words[0]); j++)
			nearest_offer(&nearest, words[j]);
		CHECK_THAT(meant ? nearest.word && !strcmp(nearest.word, meant) : !nearest.word,
			   "gives '%s'", nearest.word ? nearest.word : "nothing");
	}
}

int main(void)
{
	test_near();
	return unit_end();
}
