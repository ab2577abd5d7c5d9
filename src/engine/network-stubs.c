/* SPDX-License-Identifier: Apache-2.0 */
/* What is not built yet: rules, published ports, names. Each goes when its file lands. */
#include "engine/network.h"

#include "base/banned.h"

int network_rules_up(struct network *n, struct err *e)
{
	return 0;
}

void network_rules_down(struct network *n)
{
}

int ports_reserve(struct container *c, struct err *e)
{
	return 0;
}

int ports_up(struct container *c, struct err *e)
{
	return 0;
}

void ports_down(struct container *c)
{
}

int ports_moved(struct container *c, struct err *e)
{
	return 0;
}

int ports_adopt(struct container *c, struct err *e)
{
	return 0;
}

int names_up(struct container *c, int netns, struct err *e)
{
	return 0;
}

void names_changed(struct container *c)
{
}

void names_down(struct container *c)
{
}
