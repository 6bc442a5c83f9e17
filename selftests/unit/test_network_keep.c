/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Networkd's files as they were before a scheme: each comes back once, also where the journal,
 * which is played here, does not take that it is back.
 */
#include "../../user/agent/cluster.h"

#undef NETWORK_DIRECTORY
#define NETWORK_DIRECTORY "net"
#include "../../user/agent/cluster_network_keep.c"
#include "unit.h"

#include <sys/stat.h>

#define A NETWORK_DIRECTORY "/10-sluice-a.network"
#define B NETWORK_DIRECTORY "/10-sluice-b.network"
#define C NETWORK_DIRECTORY "/10-sluice-c.network"

static struct row {
	char name[64], text[64];
} rows[8]; /* as added */
static unsigned count;
static bool full; /* the journal's disk */

int journal_add(struct node *node, const char *item, const char *kind, const char *name,
		const void *value, size_t len)
{
	struct row *row = &rows[count++];

	snprintf(row->name, sizeof(row->name), "%s", name);
	snprintf(row->text, sizeof(row->text), "%.*s", (int)len, (const char *)value);
	return 0;
}

bool journal_has(struct node *node, const char *item, const char *kind, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(rows[i].name, name))
			return true;
	return false;
}

int journal_undo(struct node *node, const char *item, const char *kind, journal_each *each,
		 void *arg)
{
	int err = 0;

	for (unsigned i = count; i > 0 && !err; i--)
		err = each(node, rows[i - 1].name, rows[i - 1].text, strlen(rows[i - 1].text), arg);
	return err;
}

int journal_drop(struct node *node, const char *item, const char *kind)
{
	if (full)
		return -ENOSPC;
	count = 0;
	return 0;
}

static void set(const char *path, const char *content)
{
	CHECK(!file_write(path, content, strlen(content), 0644));
}

static bool is(const char *path, const char *content)
{
	char *text = NULL;
	bool same;

	if (file_read(path, 64, &text, NULL))
		return !content;
	same = content && !strcmp(text, content);
	free(text);
	return same;
}

static void test_once(void)
{
	unit_case = "a scheme is taken back";
	set(A, "before");
	set(B, "before");
	CHECK(!network_keep(NULL) && network_kept(NULL));
	set(A, "scheme");
	unlink(B);
	set(C, "scheme");
	full = true;
	CHECK(!network_take_back(NULL));
	CHECK(is(A, "before") && is(B, "before") && is(C, NULL));

	unit_case = "the journal does not take that it is, and others change the files";
	CHECK(network_let_go(NULL) == -ENOSPC && network_kept(NULL));
	set(A, "others");
	unlink(B);
	set(C, "others");
	CHECK(!network_take_back(NULL));
	CHECK(is(A, "others") && is(B, NULL) && is(C, "others"));

	unit_case = "the next scheme finds these";
	CHECK(network_keep(NULL) == -ENOSPC);
	full = false;
	CHECK(!network_keep(NULL) && network_kept(NULL));
	set(A, "scheme");
	unlink(C);
	CHECK(!network_take_back(NULL) && !network_let_go(NULL));
	CHECK(is(A, "others") && is(B, NULL) && is(C, "others"));
}

static void test_part(void)
{
	unit_case = "one cannot be written";
	set(A, "before");
	set(B, "before");
	unlink(C);
	CHECK(!network_keep(NULL));
	set(B, "scheme");
	unlink(A);
	CHECK(!mkdir(A, 0755));
	CHECK(network_take_back(NULL) < 0);
	CHECK(is(B, "before"));

	unit_case = "it can, and others changed the one that is back";
	set(B, "others");
	set(C, "others");
	CHECK(!rmdir(A));
	CHECK(!network_take_back(NULL) && !network_let_go(NULL) && !network_kept(NULL));
	CHECK(is(A, "before") && is(B, "others") && is(C, "others"));
}

int main(void)
{
	char directory[] = "/tmp/network.XXXXXX";

	if (!mkdtemp(directory) || chdir(directory) || mkdir(NETWORK_DIRECTORY, 0755))
		return 1;
	test_once();
	test_part();
	unlink(A);
	unlink(B);
	unlink(C);
	rmdir(NETWORK_DIRECTORY);
	rmdir(directory);
	return unit_end();
}
