/* SPDX-License-Identifier: BSD-2-Clause */
/* Options from a table: what is stored, what is refused and in which words, the usage text. */
#include <errno.h>

#include "../../user/lib/opt.h"
#include "unit.h"

static struct target {
	bool flag;
	const char *text, *word;
	uint32_t number;
	struct opt_numbers ports;
} target;

static const char *const words[] = { "auto", "tc", NULL };

static const struct opt options[] = {
	{ .kind = OPT_FLAG,
	  .letter = 'f',
	  .name = "flag",
	  .offset = offsetof(struct target, flag),
	  .help = "a flag" },
	{ .kind = OPT_TEXT,
	  .letter = 't',
	  .name = "text",
	  .value = "TEXT",
	  .offset = offsetof(struct target, text),
	  .help = "a text" },
	{ .kind = OPT_WORD,
	  .name = "word",
	  .value = "WORD",
	  .words = words,
	  .offset = offsetof(struct target, word),
	  .help = "a word" },
	{ .kind = OPT_NUMBER,
	  .letter = 'n',
	  .name = "number",
	  .value = "N",
	  .least = 1,
	  .most = 100,
	  .offset = offsetof(struct target, number),
	  .help = "a number" },
	{ .kind = OPT_NUMBERS,
	  .name = "port",
	  .value = "PORT",
	  .least = 1,
	  .most = 65535,
	  .offset = offsetof(struct target, ports),
	  .help = "ports" },
};

static struct opt_spec spec = {
	.program = "prog",
	.arguments = "NAME",
	.summary = "Does something",
	.help = "prog --help",
	.groups = { { .title = "Options", .options = options, .count = 5, .target = &target } },
	.arguments_min = 1,
	.arguments_max = 2,
};

/* A command line in one string; the words are separated by single spaces. */
static int parse(const char *line, int *ret_first, char **ret_why, char **ret_argv, int *ret_argc)
{
	static char copy[512];
	char *word;

	memset(&target, 0, sizeof(target));
	target.number = 7;
	*ret_why = NULL;
	*ret_argc = 0;
	ret_argv[(*ret_argc)++] = (char *)"prog";
	snprintf(copy, sizeof(copy), "%s", line);
	for (word = copy; word && *word && *ret_argc < 31;) {
		ret_argv[(*ret_argc)++] = strsep(&word, " ");
	}
	ret_argv[*ret_argc] = NULL;
	return opt_parse(&spec, *ret_argc, ret_argv, ret_first, ret_why);
}

static const struct {
	const char *line, *why;
} refused[] = {
	{ "", "prog: NAME is missing; try 'prog --help'" },
	{ "a b c", "prog: 'c' is one argument too many; try 'prog --help'" },
	{ "--nothing a", "prog: no option --nothing exists" },
	{ "--nothing=1 a", "prog: no option --nothing exists" },
	{ "-x a", "prog: no option -x exists" },
	{ "--numbre 1 a", "prog: no option --numbre exists; did you mean --number? Try 'prog" },
	{ "--Number=1 a", "prog: no option --Number exists; did you mean --number?" },
	{ "--flag=1 a", "prog: --flag takes no value" },
	{ "a --text", "prog: --text needs a value (TEXT)" },
	{ "a -t", "prog: --text needs a value (TEXT)" },
	{ "--text= a", "prog: --text is empty" },
	{ "--word=xdp a", "prog: --word is 'xdp', not one of auto, tc" },
	{ "-n 0 a", "prog: --number is '0', not a number from 1 to 100" },
	{ "-n 101 a", "prog: --number is '101'" },
	{ "-n 010 a", "prog: --number is '010'" },
	{ "-n 1k a", "prog: --number is '1k'" },
	{ "-n -1 a", "prog: --number is '-1'" },
	{ "-n 4294967297 a", "prog: --number is '4294967297'" },
	{ "-n 18446744073709551617 a", "prog: --number is '18446744073709551617'" },
	{ "--port 0 a", "prog: --port is '0', not a number from 1 to 65535" },
	{ "--port 1 --port 2 --port 3 --port 4 --port 5 --port 6 --port 7 --port 8 --port 9 a",
	  "prog: --port is given more than 8 times" },
};

static void test_refused(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		char *argv[32], *why;
		int first = -1, argc;

		unit_case = refused[i].line;
		CHECK(parse(refused[i].line, &first, &why, argv, &argc) == -EINVAL);
		CHECK_THAT(why && !strncmp(why, refused[i].why, strlen(refused[i].why)), "%s", why);
		CHECK(first == -1);
		free(why);
	}
}

static void test_stored(void)
{
	char *argv[32], *why;
	int first, argc;

	unit_case = "all kinds, mixed with arguments";
	CHECK(!parse("one -f --text=a --word tc -n5 --port 80 two --port 8080", &first, &why, argv,
		     &argc));
	CHECK(target.flag && !strcmp(target.text, "a") && !strcmp(target.word, "tc"));
	CHECK(target.number == 5 && target.ports.count == 2 && target.ports.list[1] == 8080);
	CHECK(argc - first == 2 && !strcmp(argv[first], "one") && !strcmp(argv[first + 1], "two"));

	unit_case = "defaults stay";
	CHECK(!parse("one", &first, &why, argv, &argc));
	CHECK(!target.flag && !target.text && target.number == 7 && !target.ports.count);

	unit_case = "after --";
	CHECK(!parse("-f -- --text", &first, &why, argv, &argc));
	CHECK(target.flag && !strcmp(argv[first], "--text"));

	unit_case = "stop early";
	spec.stop_early = true;
	CHECK(!parse("-f command --unknown -n 0 a b c", &first, &why, argv, &argc));
	CHECK(target.flag && target.number == 7 && !strcmp(argv[first], "command"));
	CHECK(argc - first == 7);
	spec.stop_early = false;
}

static void test_usage(void)
{
	static const char want[] = "Usage: prog [OPTION]... NAME\n"
				   "Does something\n"
				   "\n"
				   "Options:\n"
				   "  -f, --flag                  a flag\n"
				   "  -t, --text TEXT             a text\n"
				   "      --word WORD             a word: auto, tc\n"
				   "  -n, --number N              a number\n"
				   "      --port PORT             ports\n";
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	unit_case = "usage";
	opt_usage(&spec, out);
	fclose(out);
	CHECK_THAT(!strcmp(text, want), "%s", text);
	free(text);
}

int main(void)
{
	test_refused();
	test_stored();
	test_usage();
	return unit_end();
}
