/* SPDX-License-Identifier: BSD-2-Clause */
#include "opt.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "nearest.h"

#define OPTIONS_MAX 32
#define VALUE_BASE  256 /* getopt's val: VALUE_BASE + number of the option, above any letter */
#define HELP_COLUMN 30
#define LINE_WIDTH  79
#define CHOICES_MAX 256

/* getopt_long's view of a spec, and the way back. */
struct lookup {
	const struct opt *options[OPTIONS_MAX];
	void *targets[OPTIONS_MAX];
	unsigned count;
	struct option longs[OPTIONS_MAX + 1];
	char shorts[2 * OPTIONS_MAX + 3];
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct opt_spec *spec, char **ret_why,
							const char *format, ...)
{
	char *what;
	va_list args;

	va_start(args, format);
	if (vasprintf(&what, format, args) < 0)
		what = NULL;
	va_end(args);
	if (!what || asprintf(ret_why, "%s: %s%s '%s'", spec->program, what,
			      what[strlen(what) - 1] == '?' ? " Try" : "; try", spec->help) < 0)
		*ret_why = NULL;
	free(what);
	return -EINVAL;
}

static void lookup_build(struct lookup *lookup, const struct opt_spec *spec)
{
	char *shorts = lookup->shorts;

	memset(lookup, 0, sizeof(*lookup));
	if (spec->stop_early)
		*shorts++ = '+';
	*shorts++ = ':';
	for (size_t g = 0; g < OPT_GROUPS_MAX; g++) {
		const struct opt_group *group = &spec->groups[g];

		for (size_t i = 0; i < group->count && lookup->count < OPTIONS_MAX; i++) {
			const struct opt *opt = &group->options[i];
			struct option *o = &lookup->longs[lookup->count];

			o->name = opt->name;
			o->has_arg = opt->kind == OPT_FLAG ? no_argument : required_argument;
			o->val = VALUE_BASE + (int)lookup->count;
			if (opt->letter) {
				*shorts++ = opt->letter;
				if (opt->kind != OPT_FLAG)
					*shorts++ = ':';
			}
			lookup->targets[lookup->count] = group->target;
			lookup->options[lookup->count++] = opt;
		}
	}
}

/* The option getopt means by val: a number of ours, or a letter. */
static int lookup_find(const struct lookup *lookup, int val)
{
	if (val >= VALUE_BASE)
		return val - VALUE_BASE;
	for (unsigned i = 0; i < lookup->count; i++)
		if (lookup->options[i]->letter == val)
			return (int)i;
	return -1;
}

int opt_number(const char *text, uint32_t least, uint32_t most, uint32_t *ret)
{
	uint64_t value = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		value = value * 10 + (unsigned)(*text - '0');
		if (value > UINT32_MAX)
			return -EINVAL;
	}
	if (value < least || value > most)
		return -EINVAL;
	*ret = (uint32_t)value;
	return 0;
}

static void list_words(const struct opt *opt, char *ret, size_t cap)
{
	size_t len = 0;

	*ret = '\0';
	for (const char *const *word = opt->words; *word && len < cap; word++)
		len += (size_t)snprintf(ret + len, cap - len, "%s%s", len ? ", " : "", *word);
}

static bool is_word(const struct opt *opt, const char *text)
{
	for (const char *const *word = opt->words; *word; word++)
		if (!strcmp(*word, text))
			return true;
	return false;
}

static int store(const struct opt_spec *spec, const struct opt *opt, void *target, const char *text,
		 char **ret_why)
{
	void *at = (char *)target + opt->offset;
	char choices[CHOICES_MAX];
	struct opt_numbers *numbers;
	uint32_t number;

	switch (opt->kind) {
	case OPT_FLAG:
		*(bool *)at = true;
		return 0;
	case OPT_WORD:
		list_words(opt, choices, sizeof(choices));
		if (!is_word(opt, text))
			return refuse(spec, ret_why, "--%s is '%s', not one of %s", opt->name, text,
				      choices);
		*(const char **)at = text;
		return 0;
	case OPT_TEXT:
		if (!*text)
			return refuse(spec, ret_why, "--%s is empty", opt->name);
		*(const char **)at = text;
		return 0;
	case OPT_NUMBER:
	case OPT_NUMBERS:
		if (opt_number(text, opt->least, opt->most, &number) < 0)
			return refuse(spec, ret_why, "--%s is '%s', not a number from %u to %u",
				      opt->name, text, opt->least, opt->most);
		if (opt->kind == OPT_NUMBER) {
			*(uint32_t *)at = number;
			return 0;
		}
		numbers = at;
		if (numbers->count == OPT_NUMBERS_MAX)
			return refuse(spec, ret_why, "--%s is given more than %d times", opt->name,
				      OPT_NUMBERS_MAX);
		numbers->list[numbers->count++] = number;
		return 0;
	}
	return -EINVAL;
}

/* A long option that nothing is called: it begins several names, or is a slip. */
static int refuse_name(const struct opt_spec *spec, const struct lookup *lookup, const char *word,
		       char **ret_why)
{
	int len = (int)strcspn(word, "="), dashes = (int)strspn(word, "-");
	char typed[64], names[CHOICES_MAX] = "";
	struct nearest nearest = { .typed = typed };
	size_t used = 0;

	snprintf(typed, sizeof(typed), "%.*s", len - dashes, word + dashes);
	for (unsigned i = 0; i < lookup->count; i++) {
		const char *name = lookup->options[i]->name;

		nearest_offer(&nearest, name);
		if (*typed && !strncmp(name, typed, strlen(typed)) && used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s--%s",
						 used ? ", " : "", name);
	}
	if (*names)
		return refuse(spec, ret_why, "%.*s is short for several options: %s", len, word,
			      names);
	if (nearest.word)
		return refuse(spec, ret_why, "no option %.*s exists; did you mean --%s?", len, word,
			      nearest.word);
	return refuse(spec, ret_why, "no option %.*s exists", len, word);
}

/* getopt returned '?' or ':': say which word of argv it was about. */
static int refuse_option(const struct opt_spec *spec, const struct lookup *lookup, int result,
			 char **argv, char **ret_why)
{
	int known = optopt ? lookup_find(lookup, optopt) : -1;

	if (result == ':')
		return refuse(spec, ret_why, "--%s needs a value (%s)",
			      lookup->options[known]->name, lookup->options[known]->value);
	if (known >= 0)
		return refuse(spec, ret_why, "--%s takes no value", lookup->options[known]->name);
	if (optopt)
		return refuse(spec, ret_why, "no option -%c exists", optopt);
	return refuse_name(spec, lookup, argv[optind - 1], ret_why);
}

int opt_parse(const struct opt_spec *spec, int argc, char **argv, int *ret_first, char **ret_why)
{
	struct lookup lookup;
	unsigned given;
	int val, err;

	lookup_build(&lookup, spec);
	opterr = 0;
	optind = 0; /* glibc: start over, with these tables */
	while ((val = getopt_long(argc, argv, lookup.shorts, lookup.longs, NULL)) != -1) {
		int i;

		if (val == '?' || val == ':')
			return refuse_option(spec, &lookup, val, argv, ret_why);
		i = lookup_find(&lookup, val);
		err = store(spec, lookup.options[i], lookup.targets[i], optarg, ret_why);
		if (err < 0)
			return err;
	}
	given = (unsigned)(argc - optind);
	if (given < spec->arguments_min)
		return refuse(spec, ret_why, "%s is missing",
			      spec->arguments ? spec->arguments : "an argument");
	if (!spec->stop_early && given > spec->arguments_max)
		return refuse(spec, ret_why, "'%s' is one argument too many",
			      argv[(unsigned)optind + spec->arguments_max]);
	*ret_first = optind;
	return 0;
}

/* Words from column HELP_COLUMN on, of which the first line has begun. */
static void put_wrapped(const char *text, FILE *out)
{
	int column = HELP_COLUMN;

	while (*text) {
		int len = (int)strcspn(text, " ");

		if (column > HELP_COLUMN && column + 1 + len > LINE_WIDTH) {
			fprintf(out, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		} else if (column > HELP_COLUMN) {
			column += fprintf(out, " ");
		}
		column += fprintf(out, "%.*s", len, text);
		text += len + strspn(text + len, " ");
	}
	fputc('\n', out);
}

static void usage_option(const struct opt *opt, FILE *out)
{
	char choices[CHOICES_MAX] = "", text[2 * CHOICES_MAX];
	int width;

	width = opt->letter ? fprintf(out, "  -%c, ", opt->letter) : fprintf(out, "      ");
	width += fprintf(out, "--%s", opt->name);
	if (opt->value)
		width += fprintf(out, " %s", opt->value);
	if (width >= HELP_COLUMN) {
		fputc('\n', out);
		width = 0;
	}
	fprintf(out, "%*s", HELP_COLUMN - width, "");
	if (opt->kind == OPT_WORD)
		list_words(opt, choices, sizeof(choices));
	snprintf(text, sizeof(text), "%s%s%s", opt->help, *choices ? ": " : "", choices);
	put_wrapped(text, out);
}

void opt_usage(const struct opt_spec *spec, FILE *out)
{
	fprintf(out, "Usage: %s [OPTION]...%s%s\n", spec->program, spec->arguments ? " " : "",
		spec->arguments ? spec->arguments : "");
	if (spec->summary)
		fprintf(out, "%s\n", spec->summary);
	for (size_t g = 0; g < OPT_GROUPS_MAX; g++) {
		if (!spec->groups[g].count)
			continue;
		fprintf(out, "\n%s:\n", spec->groups[g].title);
		for (size_t i = 0; i < spec->groups[g].count; i++)
			usage_option(&spec->groups[g].options[i], out);
	}
}
