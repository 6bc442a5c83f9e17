/* SPDX-License-Identifier: BSD-2-Clause */
/* What all tenants stand on: kernel, bpffs, pins, programs, the daemon and its workers. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"
#include "generation.h"
#include "patience.h"

static void look_at_kernel(struct doctor *doctor)
{
	json_t *features = json_object_get(doctor->report, "features"), *value;
	unsigned major = 0, minor = 0;
	struct utsname name;
	const char *feature;

	if (uname(&name) || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		snprintf(name.release, sizeof(name.release), "?");
	if (major < 6 || (major == 6 && minor < 1))
		doctor_say(doctor, NULL, "kernel", DOCTOR_FAIL,
			   "sluiced does not start below 6.1: its BPF programs need what came then",
			   "apt install linux-image-amd64 && reboot", "kernel %s", name.release);
	else
		doctor_say(doctor, NULL, "kernel", DOCTOR_OK, NULL, NULL, "kernel %s",
			   name.release);
	if (major == 6 && minor >= 1 && minor < 6)
		doctor_say(doctor, NULL, "features", DOCTOR_WARN,
			   "workers share one listener, and one of them may take most connections",
			   NULL, "kernel %s is older than 6.6", name.release);
	json_object_foreach (features, feature, value)
		if (!json_is_true(value) && strcmp(feature, "reuseport_assign"))
			doctor_say(doctor, NULL, "features", DOCTOR_WARN,
				   "sluiced does without, more slowly (see sluice status)", NULL,
				   "the kernel lacks %s", feature);
}

/* A kernel without the setting lets everybody. */
static long kernel_setting(const char *path, long preset)
{
	FILE *file = fopen(path, "re");
	long value = preset;

	if (file && fscanf(file, "%ld", &value) != 1)
		value = preset;
	if (file)
		fclose(file);
	return value;
}

/* The workers' group, their only one: the daemon's word, or the configuration's; -1: not known. */
static long worker_gid(const struct doctor *doctor, const struct conf *conf)
{
	json_t *told = json_object_get(doctor->report, "worker_gid");
	char *why = NULL;
	uid_t uid;
	gid_t gid;
	int err;

	if (told)
		return (long)json_integer_value(told);
	if (!conf)
		return -1;
	err = generation_find_user("relay.user", conf->relay.user, &uid, &gid, &why);
	free(why);
	return err ? -1 : (long)gid;
}

/* 0: for everybody; 1: for a group, and for CAP_SYS_ADMIN, which workers lack; 2: for nobody. */
static void look_at_io_uring(struct doctor *doctor, const struct conf *conf)
{
	long disabled = kernel_setting("/proc/sys/kernel/io_uring_disabled", 0);
	long group = kernel_setting("/proc/sys/kernel/io_uring_group", -1); /* -1: none */
	long gid = worker_gid(doctor, conf);
	const char *mend = "sysctl -w kernel.io_uring_disabled=0";

	if (disabled <= 0 || (disabled == 1 && gid >= 0 && gid == group)) {
		doctor_say(doctor, NULL, "io_uring", DOCTOR_OK, NULL, NULL, "%s",
			   disabled <= 0 ? "io_uring may be used"
					 : "io_uring may be used by the workers' group");
		return;
	}
	if (disabled == 1 && gid < 0 && group >= 0) {
		doctor_say(doctor, NULL, "io_uring", DOCTOR_SKIPPED, NULL, NULL,
			   "io_uring is for group %ld alone; whether the workers have it, the "
			   "configuration must tell",
			   group);
		return;
	}
	if (gid >= 0)
		mend = doctor_text("sysctl -w kernel.io_uring_group=%ld%s", gid,
				   disabled == 1 ? "" : " kernel.io_uring_disabled=1");
	doctor_say(
		doctor, NULL, "io_uring", DOCTOR_FAIL,
		"workers cannot make their event loop, and do not start", mend,
		"kernel.io_uring_disabled is %ld%s", disabled,
		disabled == 1
			? doctor_text(", and kernel.io_uring_group %ld is not the workers'", group)
			: "");
}

static const char *start_command(const struct doctor *doctor)
{
	if (!strcmp(doctor->instance, "default"))
		return access("/run/systemd/system", F_OK) ? "/etc/init.d/sluiced start"
							   : "systemctl start sluiced";
	return doctor_text("sluiced --instance %s --config %s", doctor_word(doctor->instance),
			   doctor_word(doctor->config));
}

/* Of one that answers, or does not run. */
static const char *restart_command(const struct doctor *doctor)
{
	json_int_t pid = json_integer_value(json_object_get(doctor->report, "pid"));

	if (!strcmp(doctor->instance, "default"))
		return access("/run/systemd/system", F_OK) ? "/etc/init.d/sluiced restart"
							   : "systemctl restart sluiced";
	if (pid <= 0)
		return start_command(doctor);
	return doctor_text("kill %lld && tail --pid=%lld -f /dev/null; %s", (long long)pid,
			   (long long)pid, start_command(doctor));
}

static void look_at_pins(struct doctor *doctor)
{
	char *why = NULL;
	int err;

	if (!gate_load_bpffs_mounted()) {
		doctor_say(doctor, NULL, "bpffs", DOCTOR_FAIL,
			   "pins of programs and maps have no place, or are hidden from here",
			   doctor_text("mount -t bpf bpf /sys/fs/bpf && %s", start_command(doctor)),
			   "no bpffs is mounted at /sys/fs/bpf");
		return;
	}
	doctor_say(doctor, NULL, "bpffs", DOCTOR_OK, NULL, NULL, "mounted at /sys/fs/bpf");
	err = gate_load_inspect(doctor->instance, &doctor->load, &why);
	if (!err)
		doctor_say(doctor, NULL, "pins", DOCTOR_OK, NULL, NULL,
			   "maps and programs are pinned, layout %u", SL_ABI_VERSION);
	else if (err == -ENOENT && !doctor->report)
		doctor_say(doctor, NULL, "pins", DOCTOR_OK, NULL, NULL,
			   "none, as no sluiced of this instance runs");
	else if (err == -EPROTO)
		doctor_say(
			doctor, NULL, "pins", DOCTOR_FAIL,
			"program and maps are of different versions; this one would misread them",
			doctor_text("sluice --instance %s upgrade", doctor_word(doctor->instance)),
			"%s", why ? why : strerror(-err));
	else
		doctor_say(doctor, NULL, "pins", DOCTOR_FAIL,
			   "the running programs go on, but a successor, bpftool and this check "
			   "do not find them; a restart pins them anew and cuts connections",
			   restart_command(doctor), "%s", why ? why : strerror(-err));
	free(why);
}

/* The letter of /proc/PID/stat; 0: no such process. */
static char process_state(pid_t pid)
{
	char path[64], line[512], *end, state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	/* The name is in brackets and may hold anything. */
	if (fgets(line, sizeof(line), file)) {
		end = strrchr(line, ')');
		state = end && end[1] == ' ' ? end[2] : 0;
	}
	fclose(file);
	return state;
}

/* Whoever holds the instance's lock wrote his number into it; 0: nobody does. */
static pid_t lock_holder(const struct doctor *doctor)
{
	char path[96], text[16] = "";
	int fd;
	pid_t pid = 0;

	snprintf(path, sizeof(path), "/run/sluice/%s/lock", doctor->instance);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_SH | LOCK_NB) && read(fd, text, sizeof(text) - 1) > 0)
		pid = (pid_t)strtol(text, NULL, 10);
	close(fd);
	return pid;
}

static void look_at_daemon(struct doctor *doctor)
{
	pid_t pid = lock_holder(doctor);
	char state = pid > 0 ? process_state(pid) : 0;

	if (doctor->report) {
		doctor_say(doctor, NULL, "daemon", DOCTOR_OK, NULL, NULL, "sluiced answers, pid %d",
			   (int)json_integer_value(json_object_get(doctor->report, "pid")));
	} else if (state == 'T' || state == 't') {
		doctor_say(doctor, NULL, "daemon", DOCTOR_FAIL,
			   "it was stopped by a signal or a debugger: nobody mends, attaches or "
			   "connects to origins",
			   doctor_text("kill -CONT %d", pid), "sluiced, pid %d, is stopped", pid);
	} else if (state && state != 'Z') {
		doctor_say(doctor, NULL, "daemon", DOCTOR_FAIL,
			   "its loop hangs: nobody mends, attaches or connects to origins",
			   doctor_text("kill -ABRT %d   # and report the core; then: %s", pid,
				       start_command(doctor)),
			   "sluiced, pid %d, does not answer", pid);
	} else {
		doctor_say(
			doctor, NULL, "daemon", DOCTOR_FAIL,
			"workers that outlived it serve on, without new origin connections; else "
			"tenants get what their \"fail\" says",
			start_command(doctor), "no sluiced runs for instance %s", doctor->instance);
	}
}

/* After a reload workers of earlier generations end when what they have to do is done. */
static bool is_leaving(const struct doctor *doctor, const json_t *worker)
{
	json_t *workers = json_object_get(doctor->report, "workers"), *other;
	json_int_t own = json_integer_value(json_object_get(worker, "generation"));
	size_t i;

	json_array_foreach (workers, i, other)
		if (json_integer_value(json_object_get(other, "generation")) > own)
			return true;
	return false;
}

static void look_at_worker(struct doctor *doctor, const json_t *worker)
{
	unsigned failed = doctor->count[DOCTOR_FAIL];
	int pid = (int)json_integer_value(json_object_get(worker, "pid"));
	int index = (int)json_integer_value(json_object_get(worker, "index"));
	long long silent = json_integer_value(json_object_get(worker, "silent_ms"));
	const char *state = json_string_value(json_object_get(worker, "state"));
	char now = process_state(pid);

	if (now == 'T' || now == 't')
		doctor_say(doctor, NULL, "worker", DOCTOR_FAIL,
			   doctor_text("its connections stand still; sluiced replaces a worker "
				       "that is silent for %d s, which cuts them",
				       PATIENCE_HANG_MS / 1000),
			   doctor_text("kill -CONT %d", pid), "worker %d, pid %d, is stopped",
			   index, pid);
	else if ((!now || now == 'Z') && is_leaving(doctor, worker))
		doctor_say(doctor, NULL, "worker", DOCTOR_OK, NULL, NULL,
			   "worker %d, pid %d, of an earlier configuration has ended", index, pid);
	else if (!now || now == 'Z')
		doctor_say(doctor, NULL, "worker", DOCTOR_FAIL,
			   "sluiced starts another one; others take its connections meanwhile",
			   doctor_text("sluice --instance %s status   # RESTARTS must not rise",
				       doctor_word(doctor->instance)),
			   "worker %d, pid %d, has ended", index, pid);
	else if (silent > PATIENCE_HANG_MS && state && strcmp(state, "starting"))
		doctor_say(doctor, NULL, "worker", DOCTOR_FAIL,
			   "its loop hangs, and sluiced has not replaced it",
			   doctor_text("kill -KILL %d", pid),
			   "worker %d, pid %d, was last heard of %lld ms ago", index, pid, silent);
	else if (silent > PATIENCE_SILENT_MS && state && strcmp(state, "starting"))
		doctor_say(
			doctor, NULL, "worker", DOCTOR_WARN,
			doctor_text("it gets no processor, or hangs; its connections stand still, "
				    "and sluiced replaces it when it is silent for %d s",
				    PATIENCE_HANG_MS / 1000),
			NULL, "worker %d, pid %d, was last heard of %lld ms ago", index, pid,
			silent);
	else if (json_integer_value(json_object_get(worker, "restarts")) > 0)
		doctor_say(doctor, NULL, "worker", DOCTOR_WARN,
			   "a worker ended that should not have; sluiced's log says how", NULL,
			   "worker %d, pid %d, is %s and was restarted %lld times", index, pid,
			   state ? state : "?",
			   (long long)json_integer_value(json_object_get(worker, "restarts")));
	else
		doctor_say(doctor, NULL, "worker", DOCTOR_OK, NULL, NULL,
			   "worker %d, pid %d, is %s", index, pid, state ? state : "?");
	doctor->hurried |= doctor->count[DOCTOR_FAIL] != failed;
}

static void look_at_workers(struct doctor *doctor)
{
	json_t *workers = json_object_get(doctor->report, "workers"), *worker;
	size_t i;

	if (doctor->report && !json_array_size(workers) &&
	    json_array_size(json_object_get(doctor->report, "tenants")))
		doctor_say(
			doctor, NULL, "worker", DOCTOR_FAIL, "nobody serves the tenants' listeners",
			doctor_text("sluice --instance %s reload", doctor_word(doctor->instance)),
			"there are no workers");
	json_array_foreach (workers, i, worker)
		look_at_worker(doctor, worker);
}

void doctor_node(struct doctor *doctor, const struct conf *conf)
{
	look_at_kernel(doctor);
	look_at_io_uring(doctor, conf);
	look_at_pins(doctor);
	look_at_daemon(doctor);
	look_at_workers(doctor);
}
