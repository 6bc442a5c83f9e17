/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a probe leaves in a tenant's gateway when its process is killed. Its namespace, and with it
 * slprobe, goes with the process; the route, the neighbour entry and the egress filter on the
 * tenant's own interface would stay. So they are written down before they are made, in a file that
 * the probe's process holds locked for as long as it lives.
 */
#ifndef SLUICE_GATE_PROBE_LEFT_H
#define SLUICE_GATE_PROBE_LEFT_H

struct probe;

/*
 * In the tenant's namespace, which netns names: writes the record, and takes away what the one that
 * was there told of. 0 or -errno: -EBUSY when that one's process lives.
 */
int probe_left_write(struct probe *probe, const char *path, const char *netns);
/* All that it told of is gone. */
void probe_left_remove(struct probe *probe);

/* Takes away what a record tells of whose process is gone. 1, 0 when there is none, or -errno. */
int probe_left_sweep(const char *path);

#endif
