/* SPDX-License-Identifier: BSD-2-Clause */
/* Depth first along "requires"; an item that is met again while it is open closes a circle. */
#include "order.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/bundle_impl.h"
#include "definition.h"

enum mark { UNSEEN, OPEN, DONE };

struct order {
	struct definition *definition;
	struct bundle_error *error;
	enum mark *marks;
	unsigned *path, depth; /* the open items, outermost first */
	struct definition_item *sorted;
	unsigned count;
};

static int find(const struct definition *definition, const char *name)
{
	for (unsigned i = 0; i < definition->items_count; i++)
		if (!strcmp(definition->items[i].name, name))
			return (int)i;
	return -1;
}

/* "a → b → a" */
static int refuse_circle(struct order *order, unsigned again)
{
	char circle[400] = "";
	unsigned from = 0;

	while (order->path[from] != again)
		from++;
	for (; from < order->depth; from++) {
		strncat(circle, order->definition->items[order->path[from]].name,
			sizeof(circle) - strlen(circle) - 1);
		strncat(circle, " -> ", sizeof(circle) - strlen(circle) - 1);
	}
	return bundle_failed(order->error, -EINVAL, "items require each other: %s%s", circle,
			     order->definition->items[again].name);
}

static int visit(struct order *order, unsigned at)
{
	const struct definition_item *item = &order->definition->items[at];

	if (order->marks[at] == DONE)
		return 0;
	if (order->marks[at] == OPEN)
		return refuse_circle(order, at);
	order->marks[at] = OPEN;
	order->path[order->depth++] = at;
	for (unsigned i = 0; i < item->requires_count; i++) {
		int other = find(order->definition, item->requires[i]), err;

		if (other < 0)
			return bundle_failed(order->error, -EINVAL,
					     "item %s requires %s, which is not there", item->name,
					     item->requires[i]);
		if (item->role == BUNDLE_COMPONENT &&
		    order->definition->items[other].role == BUNDLE_SOFTWARE)
			return bundle_failed(order->error, -EINVAL,
					     "component %s requires %s, which is software",
					     item->name, item->requires[i]);
		err = visit(order, (unsigned)other);
		if (err)
			return err;
	}
	order->depth--;
	order->marks[at] = DONE;
	order->sorted[order->count++] = *item;
	return 0;
}

static int check_names(const struct definition *definition, struct bundle_error *error)
{
	for (unsigned i = 0; i < definition->items_count; i++) {
		const struct definition_item *item = &definition->items[i];

		if (find(definition, item->name) != (int)i)
			return bundle_failed(error, -EINVAL, "item %s is there twice", item->name);
		for (unsigned j = 0; j < item->conflicts_count; j++)
			if (find(definition, item->conflicts[j]) < 0)
				return bundle_failed(
					error, -EINVAL,
					"item %s conflicts with %s, which is not there", item->name,
					item->conflicts[j]);
	}
	return 0;
}

int order_items(struct definition *definition, struct bundle_error *error)
{
	unsigned count = definition->items_count;
	struct order order = {
		.definition = definition,
		.error = error,
		.marks = calloc(count, sizeof(*order.marks)),
		.path = calloc(count, sizeof(*order.path)),
		.sorted = calloc(count, sizeof(*order.sorted)),
	};
	int err = check_names(definition, error);

	if (!order.marks || !order.path || !order.sorted)
		err = bundle_failed(error, -ENOMEM, "out of memory");
	for (int role = BUNDLE_COMPONENT; role < BUNDLE_ROLES; role++)
		for (unsigned i = 0; !err && i < count; i++)
			if ((int)definition->items[i].role == role)
				err = visit(&order, i);
	/* A component cannot have brought software along: that is refused. */
	if (!err)
		memcpy(definition->items, order.sorted, count * sizeof(*order.sorted));
	free(order.marks);
	free(order.path);
	free(order.sorted);
	return err;
}
