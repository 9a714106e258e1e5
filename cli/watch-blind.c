/* SPDX-License-Identifier: MIT */
/* What watching does not see: mappings that cannot be tracked, and pins. */
#include "watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NAMES = 3 };

static struct untracked_group *find_group(struct blind *blind, const char *reason)
{
	for (size_t i = 0; i < blind->n_groups; i++) {
		if (!strcmp(blind->groups[i].reason, reason))
			return &blind->groups[i];
	}
	if (blind->n_groups == MAX_GROUPS)
		return &blind->groups[MAX_GROUPS - 1];
	blind->groups[blind->n_groups] = (struct untracked_group){.reason = strdup(reason)};
	return blind->groups[blind->n_groups].reason ? &blind->groups[blind->n_groups++] : NULL;
}

static void add_name(struct untracked_group *group, const char *name)
{
	char *names = NULL;

	if (group->n_names >= MAX_NAMES || (group->names && strstr(group->names, name)))
		return;
	if (asprintf(&names, "%s%s%s", group->names ? group->names : "", group->names ? ", " : "",
		     name) < 0)
		return;
	free(group->names);
	group->names = names;
	group->n_names++;
}

static int add_mapping(const struct pagescan_mapping *mapping, const char *reason, void *arg)
{
	struct untracked_group *group = find_group(arg, reason);

	if (!group)
		return -ENOMEM;
	group->n_mappings++;
	group->bytes += mapping->end - mapping->start;
	add_name(group, mapping_label(mapping));
	return 0;
}

static void free_groups(struct blind *blind)
{
	for (size_t i = 0; i < blind->n_groups; i++) {
		free(blind->groups[i].reason);
		free(blind->groups[i].names);
	}
	blind->n_groups = 0;
}

static void keep_most(struct pagescan_pins *most, const struct pagescan_pins *pins)
{
	if (pins->pinned > most->pinned)
		most->pinned = pins->pinned;
	if (pins->n_direct_files > most->n_direct_files)
		most->n_direct_files = pins->n_direct_files;
	if (pins->n_uring_buffers > most->n_uring_buffers)
		most->n_uring_buffers = pins->n_uring_buffers;
	if (pins->n_userfaultfds > most->n_userfaultfds)
		most->n_userfaultfds = pins->n_userfaultfds;
}

void blind_look(struct blind *blind, struct target *target)
{
	struct blind fresh = {0};
	struct pagescan_pins pins = {0};
	int error;

	if (pagescan_tracker_visit_untracked(target->tracker, add_mapping, &fresh)) {
		free_groups(&fresh);
	} else {
		free_groups(blind);
		memcpy(blind->groups, fresh.groups, sizeof(fresh.groups));
		blind->n_groups = fresh.n_groups;
	}
	error = pagescan_process_find_pins(target->process, &pins);
	if (!error)
		keep_most(&blind->pins, &pins);
	if (error != -ESRCH)
		blind->pins_error = error;
}

void blind_done(struct blind *blind)
{
	free_groups(blind);
}
