/* SPDX-License-Identifier: BSD-2-Clause */
/* What a cluster file must be beyond its shape: names, addresses, schemes that can be applied. */
#ifndef CLUSTER_CONFIG_CHECK_H
#define CLUSTER_CONFIG_CHECK_H

struct config;
struct conf_doc;
struct conf_report;

void config_check(const struct config *config, struct conf_doc *doc, struct conf_report *report);

#endif
