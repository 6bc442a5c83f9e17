/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The storage scheme: directories, filesystems on devices, logical volumes. A filesystem is made
 * only on what can be read and is blank by blkid's reading; anything else is refused and left
 * alone. Mounts are lines of /etc/fstab with the option x-sluice. Nothing here ever deletes data:
 * removing the scheme unmounts and takes the lines away.
 */
#include "cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/file.h"

#define FSTAB	  "/etc/fstab"
#define FSTAB_MAX (256 * 1024)
#define MARK	  "x-sluice"
#define BLANK	  ""
#define ENDS	  (1 << 20)

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* Can both ends be read, where signatures are? blkid finds nothing on what cannot be, either. */
static bool readable(int fd)
{
	off_t size = lseek(fd, 0, SEEK_END);
	size_t part = size < ENDS ? (size_t)size : ENDS;
	char *buffer = size > 0 ? malloc(part) : NULL;
	bool good = buffer && pread(fd, buffer, part, 0) == (ssize_t)part &&
		    pread(fd, buffer, part, size - (off_t)part) == (ssize_t)part;

	free(buffer);
	return good;
}

/* What blkid finds: a type, BLANK, or NULL when that is not certain. malloc'd. */
static char *ask_blkid(const char *device, struct outcome *outcome)
{
	const char *const argv[] = { "blkid",	 "--probe", "--match-tag", "TYPE",
				     "--output", "value",   device,	   NULL };
	const char *const parts[] = { "blkid",	  "--probe", "--match-tag", "PTTYPE",
				      "--output", "value",   device,	    NULL };
	struct exec exec = { .argv = argv, .timeout = 60, .input = -1 };
	int code;

	outcome->log[0] = '\0';
	code = exec_run(&exec, outcome);
	if (code == 2) {
		exec.argv = parts;
		outcome->log[0] = '\0';
		code = exec_run(&exec, outcome);
		/* 2: nothing at all is there, no partition table either */
		if (code == 2)
			return strdup(BLANK);
		outcome_fail(outcome, -EEXIST, "%s has partitions; nothing was changed", device);
		return NULL;
	}
	if (code) {
		outcome_fail(outcome, -EEXIST, "what is on %s is not clear; nothing was changed",
			     device);
		return NULL;
	}
	outcome->log[strcspn(outcome->log, "\n")] = '\0';
	return strdup(outcome->log);
}

/* What is on a device: a type, BLANK, or NULL when that is not certain. malloc'd. */
static char *probe(const char *device, struct outcome *outcome)
{
	struct stat status;
	char *found = NULL;
	int fd;

	if (stat(device, &status) || !S_ISBLK(status.st_mode)) {
		outcome_fail(outcome, -ENODEV, "there is no block device %s", device);
		return NULL;
	}
	/* Open for as long as blkid looks: it gets what was read here, from the kernel's cache. */
	fd = open(device, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && readable(fd))
		found = ask_blkid(device, outcome);
	else
		outcome_fail(outcome, -EIO, "%s cannot be read; nothing was changed", device);
	if (fd >= 0)
		close(fd);
	return found;
}

/* The group on a physical volume; a volume without one is what a kill left half-way. */
static int make_group(const char *device, const char *group, struct outcome *outcome)
{
	char *have = exec_output(4096, "pvs", "--noheadings", "--options", "vg_name", device, NULL);
	char *name = have, *end;
	int err;

	/* The answer comes last, below what LVM warns of. */
	if (name) {
		for (end = have + strlen(have); end > have && end[-1] == '\n';)
			*--end = '\0';
		name = strrchr(have, '\n') ? strrchr(have, '\n') + 1 : have;
		name += strspn(name, " \t");
		name[strcspn(name, " \t")] = '\0';
	}
	if (!name)
		err = outcome_fail(outcome, -EIO, "pvs does not know %s; nothing was changed",
				   device);
	else if (!*name)
		err = exec_long(outcome, "vgcreate", "-q", group, device, NULL);
	else if (strcmp(name, group) != 0)
		err = outcome_fail(outcome, -EEXIST,
				   "%s is of the volume group %s, not %s; nothing was changed",
				   device, name, group);
	else
		err = 0;
	free(have);
	return err;
}

/* A physical volume, a group and a logical volume, as far as they are missing. */
static int make_volume(const json_t *store, char *ret_device, size_t size, struct outcome *outcome)
{
	const char *device = text(store, "device"), *group = text(store, "group");
	const char *volume = text(store, "volume"), *want = text(store, "size");
	char name[160], *found = probe(device, outcome);
	bool percent = !want || strchr(want, '%');
	int err = found ? 0 : -EEXIST;

	if (!err && !*found) {
		err = exec_long(outcome, "pvcreate", "-q", device, NULL);
	} else if (!err && strcmp(found, "LVM2_member") != 0) {
		err = outcome_fail(outcome, -EEXIST, "%s holds %s; nothing was changed", device,
				   found);
	}
	free(found);
	if (!err)
		err = make_group(device, group, outcome);
	snprintf(name, sizeof(name), "%s/%s", group, volume);
	snprintf(ret_device, size, "/dev/%s", name);
	if (err)
		return err;
	if (!exec_words(outcome, "lvs", name, NULL))
		return exec_words(outcome, "lvchange", "-q", "-ay", name, NULL);
	return exec_long(outcome, "lvcreate", "-q", "-y", "-n", volume, percent ? "-l" : "-L",
			 want ? want : "100%FREE", group, NULL);
}

static int make_filesystem(const char *device, const char *fs, struct outcome *outcome)
{
	char mkfs[16], *found = probe(device, outcome);
	int err = found ? 0 : -EEXIST;

	snprintf(mkfs, sizeof(mkfs), "mkfs.%s", fs);
	if (!err && !*found)
		err = exec_long(outcome, mkfs, "-q", device, NULL);
	else if (!err && strcmp(found, fs) != 0)
		err = outcome_fail(outcome, -EEXIST, "%s holds %s, not %s; nothing was changed",
				   device, found, fs);
	free(found);
	return err;
}

/* fstab without our line for path (all of ours: NULL), and with line at its end. */
static int edit_fstab(const char *path, const char *line, struct outcome *outcome)
{
	char *old = NULL, *new = NULL, *at, *end, mount[300], *copy;
	size_t len = 0;
	int err = file_read(FSTAB, FSTAB_MAX, &old, &len);

	if (err == -ENOENT)
		old = strdup("");
	else if (err)
		return outcome_fail(outcome, err, FSTAB ": %s", strerror(-err));
	new = old ? calloc(1, strlen(old) + strlen(line) + 2) : NULL;
	if (!new) {
		free(old);
		return -ENOMEM;
	}
	snprintf(mount, sizeof(mount), " %s ", path ? path : "");
	for (at = old; *at; at = end) {
		end = strchr(at, '\n');
		end = end ? end + 1 : at + strlen(at);
		copy = strndup(at, (size_t)(end - at));
		if (copy && !(strstr(copy, MARK) && (!path || strstr(copy, mount))))
			strcat(new, copy);
		free(copy);
	}
	if (*new &&new[strlen(new) - 1] != '\n')
		strcat(new, "\n");
	strcat(new, line);
	err = strcmp(old, new) ? file_write(FSTAB, new, strlen(new), 0644) : 0;
	free(old);
	free(new);
	return err ? outcome_fail(outcome, err, FSTAB ": %s", strerror(-err)) : 0;
}

/* What is mounted there; "" when nothing is. malloc'd. */
static char *mounted(const char *path)
{
	char *source = exec_output(512, "findmnt", "--noheadings", "--output", "SOURCE",
				   "--mountpoint", path, NULL);

	if (!source)
		return strdup("");
	source[strcspn(source, "\n")] = '\0';
	return source;
}

/* Is it the same device, also under another name (/dev/mapper)? */
static bool same_device(const char *a, const char *b)
{
	struct stat one, two;

	return !stat(a, &one) && !stat(b, &two) && S_ISBLK(one.st_mode) &&
	       one.st_rdev == two.st_rdev;
}

static int mount_store(struct work *work, const json_t *store, const char *device)
{
	char line[900], *uuid, *source = mounted(text(store, "path"));
	const char *path = text(store, "path"), *fs = text(store, "fs");
	int err = source ? 0 : -ENOMEM;

	if (!err && *source && !same_device(source, device))
		err = outcome_fail(&work->outcome, -EBUSY,
				   "%s is mounted on %s; nothing was changed", source, path);
	uuid = exec_output(64, "blkid", "--probe", "--match-tag", "UUID", "--output", "value",
			   device, NULL);
	if (!err && !uuid)
		err = outcome_fail(&work->outcome, -EIO, "%s has no UUID", device);
	if (!err) {
		uuid[strcspn(uuid, "\n")] = '\0';
		snprintf(line, sizeof(line), "UUID=%s %s %s defaults,nofail,%s 0 2\n", uuid, path,
			 fs, MARK);
		err = journal_add(work->node, DESIRED_STORAGE, "mount", path, "", 0);
	}
	if (!err)
		err = edit_fstab(path, line, &work->outcome);
	if (!err && !*source)
		err = exec_words(&work->outcome, "mount", "-t", fs, device, path, NULL);
	free(source);
	free(uuid);
	return err;
}

static int apply_store(struct work *work, const json_t *store)
{
	const char *path = text(store, "path"), *device = text(store, "device");
	char volume[200];
	int err = 0;

	if (text(store, "group")) {
		err = make_volume(store, volume, sizeof(volume), &work->outcome);
		device = volume;
	}
	if (!err && device)
		err = make_filesystem(device, text(store, "fs"), &work->outcome);
	if (err)
		return err;
	err = file_make_directories(path, 0755);
	if (err)
		return outcome_fail(&work->outcome, err, "%s: %s", path, strerror(-err));
	if (device)
		err = mount_store(work, store, device);
	if (!err && text(store, "owner"))
		err = exec_words(&work->outcome, "chown", text(store, "owner"), path, NULL);
	if (!err && text(store, "mode"))
		err = exec_words(&work->outcome, "chmod", text(store, "mode"), path, NULL);
	return err;
}

int storage_apply(struct work *work)
{
	const json_t *store;
	size_t i;
	int err = 0;

	json_array_foreach (json_object_get(work->desired, "stores"), i, store)
		if (!err)
			err = apply_store(work, store);
	return err;
}

static int remove_mount(struct node *node, const char *name, const void *value, size_t len,
			void *arg)
{
	char *source = mounted(name);
	int err = source ? 0 : -ENOMEM;

	if (!err && *source)
		err = exec_words(arg, "umount", name, NULL);
	free(source);
	return err ? err : edit_fstab(name, "", arg);
}

int storage_remove(struct node *node, struct outcome *outcome)
{
	int err = journal_undo(node, DESIRED_STORAGE, "mount", remove_mount, outcome);

	return err ? err : journal_drop(node, DESIRED_STORAGE, "mount");
}
