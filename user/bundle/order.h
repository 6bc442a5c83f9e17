/* SPDX-License-Identifier: BSD-2-Clause */
/* The order in which items are installed. */
#ifndef BUNDLE_ORDER_H
#define BUNDLE_ORDER_H

struct bundle_error;
struct definition;

/*
 * Sorts the definition's items: components first, the required before those that require them,
 * otherwise as they were. -EINVAL: an item is unknown or there twice, a component requires
 * software, or the requirements go round in a circle, which the error prints.
 */
int order_items(struct definition *definition, struct bundle_error *error);

#endif
