/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an agent in a VM has dpkg and apt-get do around an order, by what they say of what was found
 * half done. Both are scripts here, which note how they were called.
 */
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned waited; /* seconds */

static unsigned no_sleep(unsigned seconds)
{
	waited += seconds;
	return 0;
}

#define sleep no_sleep
#include "../../user/agent/agent_dpkg.c"
#include "../../user/agent/agent_run.c"
#include "unit.h"

volatile sig_atomic_t agent_ending;

static char directory[] = "/tmp/test_agent_run-XXXXXX";

#define CONFIGURE "dpkg --configure -a\n"
#define ARCH	  "dpkg --print-architecture\n"
#define WHOLE	  CONFIGURE ARCH LOOK "apt-get update\n"
#define AGAIN	  "apt-get install --reinstall "
#define LOOK	  "dpkg-query\n"
#define APP	  "apt-get install app\n"
#define REMOVE	  "dpkg --force-remove-reinstreq --remove "

/* As dpkg 1.21 says it, and later ones. */
#define LOCKED_BY(whom)                                                                            \
	"echo 'dpkg: error: dpkg frontend lock was locked by " whom " process with pid 7' >&2;"    \
	"echo 'Note: removing the lock file is always wrong' >&2; exit 2"
#define LOCKED	  LOCKED_BY("another")
#define LOCKED_13 LOCKED_BY("apt-get")
#define LOCKED_APT                                                                                 \
	"echo 'E: Could not get lock /lock. It is held by process 7 (dpkg)' >&2;"                  \
	"echo 'E: Unable to acquire the dpkg frontend lock (/lock), is another process using "     \
	"it?' >&2; exit 100"
#define TERM	"kill -TERM $PPID;"
#define PUT_OFF "put off"
#define HELD	"another program holds dpkg's lock"

static const struct {
	const char *name, *action, *package;
	const char *dpkg, *query; /* shell */
	const char *refused;	  /* what apt-get does not do */
	const char *calls, *message;
	bool failed;
} cases[] = {
	{ "all is whole", "install", "app", "", "echo install installed ok bash", "", WHOLE APP, "",
	  false },
	{ "half unpacked", "install", "app", "",
	  "echo install half-installed ok one; echo hold unpacked reinstreq two", "",
	  WHOLE AGAIN "one\n" AGAIN "two\n" LOOK APP, "", false },
	{ "one that is nowhere keeps no other back", "install", "app", "",
	  "echo install half-installed reinstreq one; echo install half-installed reinstreq two",
	  "one", WHOLE AGAIN "one\n" AGAIN "two\n" LOOK APP, "", false },
	{ "the version that is ordered", "install", "app=1.0", "",
	  "echo install half-installed reinstreq app; echo install half-installed ok app-data", "",
	  WHOLE AGAIN "app=1.0\n" AGAIN "app-data\n" LOOK "apt-get install app=1.0\n", "", false },
	{ "of another architecture", "install", "app", "",
	  "echo install half-installed reinstreq libc6:i386 i386", "",
	  WHOLE AGAIN "libc6:i386\n" LOOK APP, "", false },
	{ "what dpkg-query complains of is no package", "install", "app", "",
	  "echo install half-installed reinstreq one >&2", "", WHOLE APP, "", false },
	{ "other words", "install", "app", "",
	  "echo ok half-installed one; echo install not-half-installed ok one;"
	  "echo install installed reinstreq-no one; echo want half-installed ok one;"
	  "echo install half-installed ok; echo install half-installed ok one amd64 two;"
	  "echo install half-installed ok o/e; echo install half-installed ok -one;"
	  "echo install half-installed ok one-; echo install half-installed ok one+; echo",
	  "", WHOLE APP, "", false },
	{ "what is to go is not put there again", "install", "app", "",
	  "echo deinstall half-installed ok one; echo purge half-installed reinstreq two", "",
	  WHOLE LOOK APP, "", false },
	{ "unless that is ordered", "install", "one", "",
	  "echo deinstall half-installed ok one; echo deinstall half-installed ok two", "",
	  WHOLE AGAIN "one\n" LOOK "apt-get install one\n", "", false },
	{ "what is half unpacked is whole before it goes", "remove", "one", "",
	  "echo install half-installed reinstreq one", "",
	  WHOLE AGAIN "one\n" LOOK "apt-get remove one\n", "", false },
	{ "what cannot be whole goes as it is", "remove", "one", "",
	  "echo install half-installed reinstreq one", "one",
	  WHOLE AGAIN "one\n" LOOK "dpkg --force-remove-reinstreq --remove one\n", "", false },
	{ "and what apt-get ends well on, without having done it", "remove", "lost=1", "",
	  "echo install unpacked reinstreq lost", "",
	  WHOLE AGAIN "lost=1\n" LOOK "dpkg --force-remove-reinstreq --remove lost\n", "", false },
	{ "which is no end of what is to be there", "install", "lost=1", "",
	  "echo install unpacked reinstreq lost", "",
	  WHOLE AGAIN "lost=1\n" LOOK "apt-get install lost=1\n" LOOK,
	  "lost is still half installed", true },
	{ "but for what makes it whole after all", "install", "later", "",
	  "echo install unpacked reinstreq later", "",
	  WHOLE AGAIN "later\n" LOOK "apt-get install later\n" LOOK, "", false },
	{ "another architecture's is not what is to go", "remove", "one", "",
	  "echo deinstall half-installed reinstreq one:i386 i386", "",
	  WHOLE LOOK "apt-get remove one\n", "", false },
	{ "the machine's own architecture's is", "remove", "one", "",
	  "echo deinstall half-installed reinstreq one:amd64 amd64", "",
	  WHOLE LOOK REMOVE "one:amd64\n", "", false },
	{ "and is what is wanted after all", "install", "one", "",
	  "echo deinstall half-installed ok one:amd64 amd64", "",
	  WHOLE AGAIN "one:amd64\n" LOOK "apt-get install one\n", "", false },
	{ "what was to go before goes as it is", "remove", "one", "",
	  "echo deinstall half-installed reinstreq one; echo purge half-installed reinstreq two",
	  "", WHOLE LOOK "dpkg --force-remove-reinstreq --remove one\n", "", false },
	{ "dpkg cannot go on", "install", "app", "echo 'Errors in:'; echo ' broken'; exit 1",
	  "echo install half-installed reinstreq one", "",
	  CONFIGURE "apt-get update\n" APP ARCH LOOK, "dpkg --configure -a failed: broken", false },
	{ "which is no end, either", "install", "app", "echo ' broken'; exit 1",
	  "echo install half-installed reinstreq app", "",
	  CONFIGURE "apt-get update\n" APP ARCH LOOK,
	  "app is still half installed; dpkg --configure -a failed: broken", true },
	{ "nor can apt-get", "install", "app", "echo ' broken'; exit 1",
	  "echo install half-installed reinstreq one", "app", CONFIGURE "apt-get update\n" APP,
	  "E: no; dpkg --configure -a failed: broken", true },
	{ "another dpkg is at it", "install", "app",
	  "[ -e $d/tried ] || { touch $d/tried; " LOCKED "; }",
	  "echo install half-installed reinstreq one", "", CONFIGURE WHOLE AGAIN "one\n" LOOK APP,
	  "", false },
	{ "a later one", "install", "app", "[ -e $d/tried ] || { touch $d/tried; " LOCKED_13 "; }",
	  "", "", CONFIGURE WHOLE APP, "", false },
	/* One line for all the calls. */
	{ "for too long", "install", "app", "echo dpkg --configure -a >$d/calls; " LOCKED, "", "",
	  CONFIGURE, HELD, true },
	{ "and waits for this agent's end", "install", "app", TERM LOCKED, "", "", CONFIGURE,
	  PUT_OFF, false },
	{ "it is at it when what is torn is to be whole", "install", "late", "",
	  "echo install half-installed reinstreq late", "",
	  WHOLE AGAIN "late\n" AGAIN "late\n" LOOK "apt-get install late\n", "", false },
	{ "for too long then, and the next is not tried", "install", "app", "",
	  "echo install half-installed ok held; echo install half-installed ok two", "", "held\n",
	  HELD, true },
	{ "and waits for this agent's end then", "install", "app", "",
	  "echo install half-installed ok waits", "", WHOLE AGAIN "waits\n", PUT_OFF, false },
	{ "a script's apt-get that has no lock is no reason to wait", "install", "app", "",
	  "echo install half-installed ok calls", "", WHOLE AGAIN "calls\n" LOOK APP, "", false },
	{ "it is at it when what is torn is to go", "remove", "one",
	  "case $* in *--remove*) [ -e $d/tried ] || { touch $d/tried; " LOCKED_13 "; } ;; esac",
	  "echo deinstall half-installed reinstreq one", "",
	  WHOLE LOOK REMOVE "one\n" REMOVE "one\n", "", false },
	{ "for too long then", "remove", "one",
	  "case $* in *--remove*) echo >$d/calls; " LOCKED " ;; esac",
	  "echo deinstall half-installed reinstreq one", "", "\n", HELD, true },
	{ "and waits for this agent's end then", "remove", "one",
	  "case $* in *--remove*) " TERM LOCKED " ;; esac",
	  "echo deinstall half-installed reinstreq one", "", WHOLE LOOK REMOVE "one\n", PUT_OFF,
	  false },
	{ "the agent is to end while packages are mended", "install", "app", "",
	  "echo install half-installed ok term; echo install half-installed ok two", "",
	  WHOLE AGAIN "term\n", PUT_OFF, false },
	{ "and before the package manager is at the packages", "install", "app", "", TERM, "",
	  WHOLE, PUT_OFF, false },
	{ "dpkg-query fails", "install", "app", "", "echo no >&2; exit 2", "", WHOLE APP, "",
	  false },
};

static FILE *open_in(const char *name, const char *mode)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return fopen(path, mode);
}

static void write_script(const char *name, const char *text, const char *more)
{
	char path[64];
	FILE *file = open_in(name, "w");

	CHECK(file && fprintf(file, "#!/bin/sh\nd=%s\n%s%s\n", directory, text, more) > 0);
	if (file)
		fclose(file);
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	CHECK(!chmod(path, 0755));
}

static void remove_in(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	unlink(path);
}

static void on_term(int number)
{
	agent_ending = 1;
}

static void on_percent(unsigned percent, void *arg)
{
}

static void test_case(size_t i)
{
	const struct agent_options options = { .sources = "/nowhere", .manager = "apt" };
	json_t *operation =
		json_pack("{s:s, s:[s]}", "action", cases[i].action, "packages", cases[i].package);
	struct agent_result *result = calloc(1, sizeof(*result));
	char calls[600] = "", query[600], refuse[1200];
	FILE *file;

	write_script("dpkg",
		     "echo dpkg $(echo \"$*\" | sed 's/--force-confold //') >>$d/calls\n"
		     "case $* in --print-architecture) echo amd64; exit 0 ;; esac\n",
		     cases[i].dpkg);
	snprintf(query, sizeof(query), "{ %s\n} >$d/said\ngrep -v -f $d/whole $d/said\nexit 0\n",
		 *cases[i].query ? cases[i].query : ":");
	write_script("dpkg-query", "echo dpkg-query >>$d/calls\ntouch $d/whole\n", query);
	snprintf(refuse, sizeof(refuse),
		 "case $* in *' %s') echo E: no; exit 100 ;; *' lost=1') ;;\n"
		 "*' term') " TERM " ;;\n"
		 "*' held') echo held >$d/calls; " LOCKED_APT " ;;\n"
		 "*' waits') " TERM LOCKED_APT " ;;\n"
		 "*' calls') (" LOCKED_APT "); echo E: Sub-process; exit 100 ;;\n"
		 "*' install later') echo ' later$' >>$d/whole ;; *' later') ;;\n"
		 "*reinstall*' late') [ -e $d/tried ] || { touch $d/tried; " LOCKED_APT "; } ;;\n"
		 "esac\ncase $* in *' lost=1'|*' later') ;;\n"
		 "*reinstall*) for end in ' ' \\$; do echo \" ${4%%%%=*}$end\"; done >>$d/whole ;; "
		 "esac",
		 *cases[i].refused ? cases[i].refused : "nothing");
	write_script(
		"apt-get",
		"last=${*##*Lock::Timeout=}\n"
		"set -- $(echo \"$*\" | sed 's/-o [^ ]* *//g; s/-[qy] //g; s/ --error-on=any//')\n"
		"echo apt-get \"$@\" >>$d/calls\nset -- x \"$@\"\n"
		"case \"$last $*\" in 300*--reinstall*) echo waits for long >>$d/calls ;; esac\n",
		refuse);
	if (!CHECK(operation && result))
		return;
	waited = 0;
	agent_ending = 0;
	if (!agent_run(&options, operation, on_percent, NULL, result))
		strcpy(result->message, PUT_OFF);
	file = open_in("calls", "r");
	if (CHECK(file)) {
		calls[fread(calls, 1, sizeof(calls) - 1, file)] = '\0';
		fclose(file);
	}
	CHECK_THAT(!strcmp(calls, cases[i].calls), "what was called:\n%s%s", calls, result->log);
	CHECK_THAT(!strcmp(result->message, cases[i].message), "it says: %s", result->message);
	CHECK(result->failed == cases[i].failed || !strcmp(result->message, PUT_OFF));
	CHECK_THAT(waited == 300 || strcmp(cases[i].message, HELD) != 0, "it waited %u s", waited);
	remove_in("calls");
	remove_in("tried");
	remove_in("said");
	remove_in("whole");
	json_decref(operation);
	free(result);
}

int main(void)
{
	char path[100];

	if (!mkdtemp(directory))
		return 1;
	snprintf(path, sizeof(path), "%s:/usr/bin:/bin", directory);
	setenv("PATH", path, 1);
	signal(SIGTERM, on_term);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unit_case = cases[i].name;
		test_case(i);
	}
	remove_in("dpkg");
	remove_in("dpkg-query");
	remove_in("apt-get");
	rmdir(directory);
	return unit_end();
}
