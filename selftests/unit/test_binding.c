/* SPDX-License-Identifier: BSD-2-Clause */
/* Port bindings: what a file of them may say, and how a machine is found in them. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include "../../user/lib/binding.h"
#include "../../user/lib/binding_table.h"
#include "unit.h"

#define B(rest)                                                                                    \
	"{\"tenant\":\"blue\",\"mac\":\"02:00:00:00:00:05\",\"instance\":\"vm-5\","                \
	"\"project\":\"p\"," rest "}"

/* One line of a file; problem: part of what is said about it, NULL: it is good. */
static const struct {
	const char *line, *problem;
} lines[] = {
	{ B("\"addresses\":[\"10.0.0.5\"]"), NULL },
	{ B("\"addresses\":[]"), NULL },
	{ B("\"addresses\":[\"10.0.0.5\",\"2001:db8::5\"],\"expires\":null"), NULL },
	{ B("\"addresses\":[],\"expires\":\"2026-11-21T22:00:00Z\""), NULL },
	{ B("\"addresses\":[],\"expires\":1795298400"), NULL },
	{ "  \t" B("\"addresses\":[]") "\r", NULL },
	{ "", NULL },
	{ "   ", NULL },
	{ "# a remark { \"", NULL },

	{ "{", "column 1" },
	{ B("\"addresses\":[]") " x", "column" },
	{ "[]", "no object" },
	{ "\"text\"", "column" },
	{ B("\"addresses\":[],\"addresses\":[]"), "duplicate" },
	{ B("\"addresses\":[],\"adresses\":[]"), "no key 'adresses'" },
	{ B("\"expires\":1"), "addresses is missing" },
	{ B("\"addresses\":\"10.0.0.5\""), "addresses is no list" },
	{ B("\"addresses\":[5]"), "is no address" },
	{ B("\"addresses\":[\"10.0.0.5/24\"]"), "'10.0.0.5/24' is no address" },
	{ B("\"addresses\":[\"10.0.0\"]"), "is no address" },
	{ B("\"addresses\":[\"::ffff:10.0.0.5\"]"), "is no address" },
	{ B("\"addresses\":[\"10.0.0.5\",\"10.0.0.5\"]"), "lists one twice" },
	{ B("\"addresses\":[\"2001:db8::5\",\"2001:DB8:0::5\"]"), "lists one twice" },
	{ B("\"addresses\":[\"0.0.0.0\"]"), "no machine's own" },
	{ B("\"addresses\":[\"127.0.0.1\"]"), "no machine's own" },
	{ B("\"addresses\":[\"224.0.0.1\"]"), "no machine's own" },
	{ B("\"addresses\":[\"255.255.255.255\"]"), "no machine's own" },
	{ B("\"addresses\":[\"169.254.169.254\"]"), "metadata address" },
	{ B("\"addresses\":[\"fe80::5\"]"), "link-local" },
	{ B("\"addresses\":[\"fe80::a9fe:a9fe\"]"), "link-local" },
	{ B("\"addresses\":[\"ff02::1\"]"), "no machine's own" },
	{ B("\"addresses\":[\"::\"]"), "no machine's own" },
	{ B("\"addresses\":[\"::1\"]"), "no machine's own" },
	{ B("\"addresses\":[\"1.0.0.1\",\"1.0.0.2\",\"1.0.0.3\",\"1.0.0.4\",\"1.0.0.5\","
	    "\"1.0.0.6\",\"1.0.0.7\",\"1.0.0.8\",\"1.0.0.9\",\"1.0.0.10\",\"1.0.0.11\","
	    "\"1.0.0.12\",\"1.0.0.13\",\"1.0.0.14\",\"1.0.0.15\",\"1.0.0.16\",\"1.0.0.17\"]"),
	  "17 entries" },
	{ B("\"addresses\":[],\"expires\":\"tomorrow\""), "expires is no time" },
	{ B("\"addresses\":[],\"expires\":\"2026-06-31T00:00:00Z\""), "expires is no time" },
	{ B("\"addresses\":[],\"expires\":\"2026-11-21T22:00:00+01:00\""), "expires is no time" },
	{ B("\"addresses\":[],\"expires\":0"), "expires is no time" },
	{ B("\"addresses\":[],\"expires\":-5"), "expires is no time" },
	{ B("\"addresses\":[],\"expires\":1.5"), "expires is no time" },
	{ B("\"addresses\":[],\"expires\":99999999999999"), "expires is no time" },
	{ "{\"mac\":\"02:00:00:00:00:05\"}", "tenant is missing" },
	{ "{\"tenant\":\"a b\"}", "tenant is no name" },
	{ "{\"tenant\":\"-a\"}", "tenant is no name" },
	{ "{\"tenant\":\"\"}", "tenant is no name" },
	{ "{\"tenant\":5}", "tenant is no name" },
	{ "{\"tenant\":\"t\",\"instance\":\"a\\r\\nX-Evil: 1\"}", "instance is no name" },
	{ "{\"tenant\":\"t\",\"instance\":\"a\\u0000b\"}", "column" },
	{ "{\"tenant\":\"t\",\"instance\":\"i\"}", "project is missing" },
	{ "{\"tenant\":\"t\",\"instance\":\"i\",\"project\":\"p\"}", "mac is missing" },
	{ "{\"tenant\":\"t\",\"instance\":\"i\",\"project\":\"p\",\"mac\":\"02:00:00:00:00\"}",
	  "no MAC" },
	{ "{\"tenant\":\"t\",\"instance\":\"i\",\"project\":\"p\",\"mac\":\"03:00:00:00:00:05\"}",
	  "no MAC" },
	{ "{\"tenant\":\"t\",\"instance\":\"i\",\"project\":\"p\",\"mac\":\"00:00:00:00:00:00\"}",
	  "no MAC" },
	{ "{\"tenant\":\"t\",\"instance\":\"i\",\"project\":\"p\",\"mac\":\"02-00-00-00-00-05\"}",
	  "no MAC" },
	{ "{\"tenant\":\"t\",\"instance\":\"i\",\"project\":\"p\",\"mac\":\"0g:00:00:00:00:05\"}",
	  "no MAC" },
};

static void check_lines(void)
{
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct binding_list list = { 0 };
		size_t len = strlen(lines[i].line);
		char *why;
		int err;

		unit_case = lines[i].line;
		err = bindings_parse("f", unit_guarded(lines[i].line, len), len, &list, &why);
		if (!lines[i].problem) {
			CHECK_THAT(!err, "refused: %s", why ? why : "");
		} else {
			CHECK(err == -EINVAL && !list.list);
			CHECK_THAT(why && !strncmp(why, "f:1: ", 5) &&
					   strstr(why, lines[i].problem),
				   "said: %s", why ? why : "nothing");
		}
		free(why);
		bindings_free(&list);
	}
}

static void check_file(void)
{
	static const char text[] = "# ports\n" B(
		"\"addresses\":[\"10.0.0.5\"]") "\n\n"
						"{\"tenant\":\"a\",\"mac\":\"02:00:00:00:00:09\","
						"\"instance\":\"vm-9\","
						"\"project\":\"p\",\"addresses\":[]}\n" B(
							"\"addresses\":[]") "\nrubbish";
	static const char twice[] = B("\"addresses\":[]") "\n\n" B("\"addresses\":[]");
	struct binding_list list = { 0 };
	char *why, *many = malloc(100 * 3);

	unit_case = "a file";
	CHECK(bindings_parse("f", text, sizeof(text) - 1, &list, &why) == -EINVAL);
	CHECK_THAT(why && !strncmp(why, "f:6: ", 5), "said: %s", why ? why : "nothing");
	free(why);
	CHECK(bindings_parse("f", twice, sizeof(twice) - 1, &list, &why) == -EINVAL);
	CHECK_THAT(why && !strncmp(why, "f:3: ", 5) && strstr(why, "in line 1 already"), "said: %s",
		   why ? why : "nothing");
	free(why);
	for (int i = 0; i < 100; i++)
		memcpy(many + 3 * i, "[]\n", 3);
	CHECK(bindings_parse("f", many, 300, &list, &why) == -EINVAL);
	CHECK_THAT(why && strstr(why, "f:20: ") && !strstr(why, "f:21: "), "said: %s",
		   why ? why : "nothing");
	free(why);
	free(many);
	CHECK(bindings_parse("f", text,
			     strlen("# ports\n") + sizeof(B("\"addresses\":[\"10.0.0.5\"]")), &list,
			     &why) == 0 &&
	      list.count == 1);
	bindings_free(&list);
}

/* An IPv4 or IPv6 address in 16 bytes. */
static const uint8_t *ip(const char *text)
{
	static uint8_t address[16];

	memset(address, 0, sizeof(address));
	address[10] = address[11] = 0xff;
	if (inet_pton(AF_INET, text, address + 12) != 1 && inet_pton(AF_INET6, text, address) != 1)
		abort();
	return address;
}

static const char ports[] =
	"{\"tenant\":\"red\",\"mac\":\"02:00:00:00:00:05\",\"instance\":\"red-5\",\"project\":"
	"\"r\","
	"\"addresses\":[\"10.0.0.5\"]}\n"
	"{\"tenant\":\"blue\",\"mac\":\"02:00:00:00:00:06\",\"instance\":\"blue-6\","
	"\"project\":\"b\",\"addresses\":[\"10.0.0.6\",\"10.0.0.100\"]}\n"
	"{\"tenant\":\"blue\",\"mac\":\"02:00:00:00:00:05\",\"instance\":\"blue-5\","
	"\"project\":\"b\",\"addresses\":[\"2001:db8::5\",\"10.0.0.5\",\"10.0.0.100\"]}\n";

static const struct {
	const char *tenant;
	uint8_t mac; /* its last byte, 0: not known */
	const char *address, *instance;
} finds[] = {
	{ "blue", 5, "10.0.0.5", "blue-5" },   { "blue", 5, "2001:db8::5", "blue-5" },
	{ "blue", 5, "10.0.0.100", "blue-5" }, { "blue", 6, "10.0.0.100", "blue-6" },
	{ "blue", 6, "10.0.0.6", "blue-6" },   { "red", 5, "10.0.0.5", "red-5" },
	{ "blue", 5, "10.0.0.6", NULL },       { "blue", 6, "10.0.0.5", NULL },
	{ "blue", 7, "10.0.0.5", NULL },       { "red", 6, "10.0.0.6", NULL },
	{ "green", 5, "10.0.0.5", NULL },      { "bluer", 5, "10.0.0.5", NULL },
	{ "blue", 5, "fe80::1234", "blue-5" }, { "blue", 6, "febf::1", "blue-6" },
	{ "blue", 7, "fe80::1234", NULL },     { "blue", 5, "fec0::1", NULL },
	{ "blue", 0, "10.0.0.5", "blue-5" },   { "blue", 0, "2001:db8::5", "blue-5" },
	{ "blue", 0, "10.0.0.100", NULL },     { "blue", 0, "fe80::1234", NULL },
	{ "blue", 0, "10.0.0.7", NULL },       { "red", 0, "10.0.0.5", "red-5" },
};

static void check_table(void)
{
	struct binding_list list = { 0 };
	struct binding_table table;
	uint8_t mac[6] = { 2 };
	char *why, *bytes, *copy;
	size_t size;

	unit_case = "table";
	CHECK(!bindings_parse("f", ports, sizeof(ports) - 1, &list, &why) && list.count == 3);
	CHECK(!strcmp(list.list[0]->instance, "blue-5") && !strcmp(list.list[2]->tenant, "red") &&
	      bindings_first(&list, "red") == 2 && bindings_first(&list, "green") == 2);
	bytes = binding_table_build(&list, &size);
	CHECK(bytes != NULL);
	copy = unit_guarded(bytes, size);
	/* The guarded copy begins where it must, not where a row may. */
	for (size_t cut = 0; cut < size && (uintptr_t)copy % 8 == 0; cut += 7)
		CHECK(binding_table_open(copy, cut, &table) == -EBADMSG);
	CHECK(!binding_table_open(bytes, size, &table) && table.size == size);
	CHECK(binding_table_bound(&table, "blue") && binding_table_bound(&table, "red") &&
	      !binding_table_bound(&table, "green") && !binding_table_bound(&table, "blu") &&
	      !binding_table_bound(&table, ""));
	for (size_t i = 0; i < sizeof(finds) / sizeof(finds[0]); i++) {
		uint32_t row;

		mac[5] = finds[i].mac;
		row = binding_table_find(&table, finds[i].tenant, finds[i].mac ? mac : NULL,
					 ip(finds[i].address));
		CHECK_THAT((row != BINDING_NONE) == (finds[i].instance != NULL),
			   "%s under %u in %s", finds[i].address, finds[i].mac, finds[i].tenant);
		if (row != BINDING_NONE && finds[i].instance)
			CHECK(!strcmp(binding_table_instance(&table, row), finds[i].instance) &&
			      binding_table_project(&table, row)[0] == finds[i].tenant[0]);
	}
	free(bytes);
	bindings_free(&list);
	bytes = binding_table_build(&list, &size);
	CHECK(bytes && !binding_table_open(bytes, size, &table) &&
	      !binding_table_bound(&table, "blue"));
	free(bytes);
}

/* What is written is read again as the same. */
static void check_store(void)
{
	char path[] = "/tmp/test_binding.XXXXXX", *why;
	struct binding_list list = { 0 }, again = { 0 };
	struct binding *taken;
	int fd = mkstemp(path);

	unit_case = "store";
	CHECK(fd >= 0 && !close(fd));
	CHECK(!bindings_parse("f", ports, sizeof(ports) - 1, &list, &why));
	list.list[1]->expires = 1795298400;
	CHECK(!bindings_save(path, &list) && !bindings_load(path, &again, &why));
	CHECK(again.count == list.count);
	for (size_t i = 0; i < again.count; i++)
		CHECK(binding_same(again.list[i], list.list[i]) &&
		      again.list[i]->naddresses == list.list[i]->naddresses &&
		      !memcmp(again.list[i]->addresses, list.list[i]->addresses,
			      16 * again.list[i]->naddresses) &&
		      again.list[i]->expires == list.list[i]->expires);
	taken = bindings_take(&again, "blue", again.list[0]->mac);
	CHECK(taken && again.count == 2 && !bindings_find(&again, "blue", taken->mac) &&
	      !bindings_take(&again, "blue", taken->mac));
	CHECK(!bindings_put(&again, taken) && again.count == 3 && again.list[0] == taken);
	bindings_free(&again);
	CHECK(!chmod(path, 0666) && bindings_load(path, &again, &why) == -EPERM);
	CHECK_THAT(strstr(why, "chmod o-w"), "said: %s", why);
	free(why);
	bindings_free(&list);
	CHECK(!bindings_save(path, &list) && access(path, F_OK) && !bindings_save(path, &list));
	CHECK(bindings_load(path, &list, &why) == -ENOENT);
	free(why);
	CHECK(bindings_load("/dev", &list, &why) < 0);
	free(why);
}

int main(void)
{
	check_lines();
	check_file();
	check_table();
	check_store();
	return unit_end();
}
