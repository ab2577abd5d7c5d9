/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive doubly linked list; an entry is embedded in its owner. A zeroed entry is not linked. */
#pragma once

#include "base/attr.h"

#include <stdbool.h>

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *head)
{
	head->next = head->prev = head;
}
static inline bool list_empty(const struct list *head)
{
	return head->next == head || !head->next;
}
static inline bool list_linked(const struct list *entry)
{
	return entry->next != NULL;
}
static inline void list_add_tail(struct list *head, struct list *entry)
{
	entry->prev = head->prev;
	entry->next = head;
	head->prev->next = entry;
	head->prev = entry;
}
static inline void list_add_head(struct list *head, struct list *entry)
{
	list_add_tail(head->next, entry);
}
static inline void list_del(struct list *entry)
{
	if (!entry->next)
		return;
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	entry->next = entry->prev = NULL;
}
#define LIST_ENTRY(ptr, type, member) CONTAINER_OF(ptr, type, member)
/* Safe against deletion of the current entry. `it` is a struct list *. */
#define LIST_FOR_EACH(it, head)                                                                    \
	for (struct list *it = (head)->next, *it##_next = it ? it->next : NULL;                    \
	     it && it != (head); it = it##_next, it##_next = it->next)
