/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Request budgets: a burst, then a rate; each (tenant, address) for itself; a table that is
 * full gives way where it matters least.
 */
#include <string.h>

#include "../../user/relay/budget.h"
#include "unit.h"

static struct in6_addr address(uint32_t number)
{
	struct in6_addr in6 = { .s6_addr = { 0xfe, 0x80 } };

	memcpy(in6.s6_addr + 8, &number, sizeof(number));
	return in6;
}

static unsigned spend(struct budgets *budgets, uint32_t tenant, uint32_t number, int64_t now_ms,
		      unsigned times)
{
	const struct in6_addr who = address(number);
	unsigned paid = 0;

	while (times--)
		paid += budget_spend(budgets, tenant, &who, now_ms) == 0;
	return paid;
}

static void test_rate(void)
{
	struct in6_addr who = address(1);
	struct budgets budgets;

	CHECK(budgets_init(&budgets, 100, 10, 60) == 0);
	CHECK(spend(&budgets, 1, 1, 5000, 100) == 60);
	CHECK(budget_spend(&budgets, 1, &who, 5000) == 1);
	/* Others, and the same address elsewhere, pay for themselves. */
	CHECK(spend(&budgets, 1, 2, 5000, 100) == 60);
	CHECK(spend(&budgets, 2, 1, 5000, 100) == 60);
	/* Ten a second come back, and never more than the burst. */
	CHECK(spend(&budgets, 1, 1, 6000, 100) == 10);
	CHECK(spend(&budgets, 1, 1, 1000000, 100) == 60);
	budgets_free(&budgets);
}

static void test_slow_rate(void)
{
	struct in6_addr who = address(1);
	struct budgets budgets;

	CHECK(budgets_init(&budgets, 1, 1, 1) == 0);
	CHECK(budget_spend(&budgets, 1, &who, 1000) == 0);
	CHECK(budget_spend(&budgets, 1, &who, 1000) == 1);
	CHECK(budget_spend(&budgets, 1, &who, 1999) == 1);
	CHECK(budget_spend(&budgets, 1, &who, 2000) == 0);
	budgets_free(&budgets);
}

static void test_none(void)
{
	struct budgets budgets;

	CHECK(budgets_init(&budgets, 100, 0, 0) == 0);
	CHECK(spend(&budgets, 1, 1, 0, 1000) == 1000);
	budgets_free(&budgets);
}

/* Who makes up addresses takes nothing from others, and those over their budget are kept. */
static void test_flood(void)
{
	struct budgets budgets;

	CHECK(budgets_init(&budgets, 16, 1, 60) == 0);
	CHECK(spend(&budgets, 1, 1, 1000, 60) == 60);
	for (uint32_t i = 100; i < 20000; i++)
		CHECK(spend(&budgets, 2, i, 1000, 1) == 1);
	CHECK(spend(&budgets, 1, 1, 1000, 1) == 0);
	CHECK(spend(&budgets, 1, 2, 1000, 60) == 60);
	budgets_free(&budgets);
}

/* No sum of the largest values leaves 64 bits. */
static void test_extremes(void)
{
	struct budgets budgets;

	CHECK(budgets_init(&budgets, 1000000, 1, 1000000) == 0);
	CHECK(spend(&budgets, UINT32_MAX, UINT32_MAX, INT64_C(1) << 40, 1000000) == 1000000);
	CHECK(spend(&budgets, UINT32_MAX, UINT32_MAX, INT64_C(1) << 40, 1) == 0);
	budgets_free(&budgets);
	CHECK(budgets_init(&budgets, 1, 1000000, 1) == 0);
	CHECK(spend(&budgets, 1, 1, 1, 2) == 1);
	budgets_free(&budgets);
}

int main(void)
{
	test_rate();
	test_slow_rate();
	test_none();
	test_flood();
	test_extremes();
	return unit_end();
}
