/* SPDX-License-Identifier: BSD-2-Clause */
/* The progress line on terminals of several widths: it fits, says how far, and goes away. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "../../user/lib/progress.h"
#include "unit.h"

static int master;

/* What came to the terminal, without the return and what clears the rest of the line. */
static void seen(char *ret, size_t size)
{
	char raw[512] = "";
	ssize_t n = read(master, raw, sizeof(raw) - 1);
	char *out = ret;

	for (char *in = raw; n > 0 && *in && out < ret + size - 1; in++) {
		if (!strncmp(in, "\033[K", 3))
			in += 2;
		else if (*in != '\r')
			*out++ = *in;
	}
	*out = '\0';
}

static const struct {
	unsigned columns;
	const char *label, *rest, *line;
} lines[] = {
	{ 80, "edge", "1.5 MiB/s", "edge [##########..............]  42 %  1.5 MiB/s" },
	{ 80, "a-name-that-is-far-too-long-for-a-line-of-any-terminal", "1.5 MiB/s",
	  "a-name-that-is-far-too-long-for-a-l [##########..............]  42 %  1.5 MiB/s" },
	{ 40, "edge", "1.5 MiB/s", "edge [##.....]  42 %  1.5 MiB/s" },
	{ 30, "a-name-that-is-long", "1.5 MiB/s", "a-name-that-  42 %  1.5 MiB/s" },
	{ 12, "edge", "1.5 MiB/s", "  42 %  1.5 MiB/s" }, /* there is no room at all */
	{ 40, "\033[2Jx", "", "?[2Jx [######..........]  42 %  " },
};

static void test_lines(void)
{
	struct winsize size = { .ws_row = 24 };
	char got[512];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		unit_case = lines[i].label;
		size.ws_col = (unsigned short)lines[i].columns;
		CHECK(!ioctl(master, TIOCSWINSZ, &size));
		progress_draw(lines[i].label, 42, lines[i].rest);
		seen(got, sizeof(got));
		CHECK_THAT(!strcmp(got, lines[i].line), "%u columns: '%s'", lines[i].columns, got);
		CHECK(strlen(got) < lines[i].columns || lines[i].columns < 20);
	}
	progress_say("resolving", "a-name-that-is-longer-than-forty-columns");
	seen(got, sizeof(got));
	CHECK_THAT(!strcmp(got, "resolving a-name-that-is-longer-than-fo"), "'%s'", got);
	progress_draw("past the end", 1000, "");
	seen(got, sizeof(got));
	CHECK_THAT(strstr(got, "100 %") != NULL, "'%s'", got);
}

static void test_clear(void)
{
	char raw[16] = "";

	unit_case = "cleared";
	progress_clear();
	CHECK(read(master, raw, sizeof(raw) - 1) == 4 && !strcmp(raw, "\r\033[K"));
	progress_clear();
	CHECK(read(master, raw, sizeof(raw) - 1) < 0);
}

static void test_terminal(void)
{
	unit_case = "which terminals";
	setenv("TERM", "xterm", 1);
	CHECK(progress_terminal(STDERR_FILENO));
	setenv("TERM", "dumb", 1);
	CHECK(!progress_terminal(STDERR_FILENO));
	unsetenv("TERM");
	CHECK(!progress_terminal(STDERR_FILENO));
}

int main(void)
{
	struct termios raw;
	int terminal;

	master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (master < 0 || grantpt(master) || unlockpt(master))
		return 77;
	terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal < 0 || tcgetattr(terminal, &raw) || dup2(terminal, STDERR_FILENO) < 0)
		return 77;
	cfmakeraw(&raw);
	tcsetattr(terminal, TCSANOW, &raw);
	test_lines();
	test_clear();
	test_terminal();
	return unit_end();
}
