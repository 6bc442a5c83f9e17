/* SPDX-License-Identifier: BSD-2-Clause */
/* One at a time: it opens connections and builds a probe, and readers may ask for it. */
#include "doctor_run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../gate/probe_left.h"
#include "../lib/log.h"
#include "control_report.h"
#include "doctor.h"

#define LATE_MS	    120000
#define OUTPUT_SIZE (1 << 20)

struct doctor_run {
	struct sluiced *sluiced;
	pid_t pid; /* 0: none runs */
	int pidfd;
	int output; /* kept until the end: who reads it to its end may ask for another at once */
	struct loop_watch ended;
	struct loop_timer late;
};

void doctor_run_sweep(const char *run_dir)
{
	char path[PATH_MAX];
	int err;

	snprintf(path, sizeof(path), "%s" DOCTOR_RECORD, run_dir);
	err = probe_left_sweep(path);
	if (err > 0)
		log_info("the probe of a doctor that was killed is removed");
	else if (err < 0 && err != -EBUSY)
		log_warn("%s: what a killed doctor's probe left stays: %s", path, strerror(-err));
}

static void finish(struct doctor_run *run)
{
	loop_unwatch(&run->sluiced->loop, &run->ended);
	loop_timer_stop(&run->sluiced->loop, &run->late);
	if (run->pidfd >= 0)
		close(run->pidfd);
	run->pidfd = -1;
	run->pid = 0;
	doctor_run_sweep(run->sluiced->run_dir);
	if (run->output >= 0)
		close(run->output);
	run->output = -1;
}

static void on_ended(struct loop_watch *watch, uint32_t events)
{
	struct doctor_run *run = container_of(watch, struct doctor_run, ended);

	if (waitpid(run->pid, NULL, WNOHANG) == run->pid)
		finish(run);
}

static void kill_it(struct doctor_run *run)
{
	kill(run->pid, SIGKILL);
	waitpid(run->pid, NULL, 0);
	finish(run);
}

/* Whoever has its output and does not read keeps it waiting, too. */
static void on_late(struct loop_timer *timer)
{
	struct doctor_run *run = container_of(timer, struct doctor_run, late);

	log_warn("a doctor is ended: not done after %d s", LATE_MS / 1000);
	kill_it(run);
}

/* What the daemon knows, to be read from its beginning. */
static int write_report(struct sluiced *sluiced)
{
	json_t *report = report_doctor(sluiced);
	int fd = memfd_create("sluice-report", MFD_CLOEXEC), err = 0;

	if (fd < 0)
		err = -errno;
	else if (!report || json_dumpfd(report, fd, JSON_COMPACT) || lseek(fd, 0, SEEK_SET))
		err = -ENOMEM;
	json_decref(report);
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

static void run_child(struct sluiced *sluiced, const char *tenant, int report, int output)
	__attribute__((noreturn));
static void run_child(struct sluiced *sluiced, const char *tenant, int report, int output)
{
	char *argv[] = { (char *)"sluiced",
			 (char *)"--doctor",
			 (char *)"--instance",
			 (char *)sluiced->instance,
			 (char *)"--config",
			 (char *)sluiced->conf_path,
			 tenant ? (char *)"--tenant" : NULL,
			 (char *)tenant,
			 NULL };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	/* Out of the way of the numbers that are filled. */
	report = fcntl(report, F_DUPFD_CLOEXEC, 16);
	output = fcntl(output, F_DUPFD_CLOEXEC, 16);
	if (report < 0 || output < 0 || dup2(report, STDIN_FILENO) < 0 ||
	    dup2(output, STDOUT_FILENO) < 0)
		_exit(EXIT_FAILURE);
	execv("/proc/self/exe", argv);
	_exit(EXIT_FAILURE);
}

int doctor_run_start(struct doctor_run *run, const char *tenant)
{
	struct loop *loop = &run->sluiced->loop;
	int report, output[2], err = 0;

	if (run->pid)
		return -EBUSY;
	report = write_report(run->sluiced);
	if (report < 0)
		return report;
	if (pipe2(output, O_CLOEXEC)) {
		close(report);
		return -errno;
	}
	fcntl(output[1], F_SETPIPE_SZ, OUTPUT_SIZE); /* so that it need not wait for the reader */
	run->pid = fork();
	if (!run->pid)
		run_child(run->sluiced, tenant, report, output[1]);
	if (run->pid < 0)
		err = -errno;
	close(report);
	if (err)
		close(output[1]);
	if (!err) {
		run->output = output[1];
		run->pidfd = (int)syscall(SYS_pidfd_open, run->pid, 0);
		err = run->pidfd < 0 ? -errno
				     : loop_watch(loop, &run->ended, run->pidfd, EPOLLIN, on_ended);
		if (err)
			kill_it(run);
	}
	if (err) {
		run->pid = 0;
		close(output[0]);
		return err;
	}
	loop_timer_start(loop, &run->late, LATE_MS, on_late);
	return output[0];
}

int doctor_run_new(struct sluiced *sluiced, struct doctor_run **ret)
{
	struct doctor_run *run = calloc(1, sizeof(*run));

	if (!run)
		return -ENOMEM;
	run->sluiced = sluiced;
	run->pidfd = run->output = run->ended.fd = -1;
	*ret = run;
	return 0;
}

void doctor_run_stop(struct doctor_run *run)
{
	if (run->pid)
		kill_it(run);
}

void doctor_run_free(struct doctor_run *run)
{
	if (!run)
		return;
	doctor_run_stop(run);
	free(run);
}
