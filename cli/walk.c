/* SPDX-License-Identifier: MIT */
#include "walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *mapping_label(const struct pagescan_mapping *mapping)
{
	return mapping->name[0] ? mapping->name : "[anon]";
}

void walk_refresh(struct walk *walk)
{
	walk->mapping = (struct pagescan_mapping){0};
}

void walk_done(struct walk *walk)
{
	free(walk->name);
	*walk = (struct walk){0};
}

int walk_to(struct walk *walk, uint64_t address)
{
	struct pagescan_mapping found;
	char *name;
	int n;

	if (address >= walk->mapping.start && address < walk->mapping.end)
		return 0;
	n = pagescan_process_find_mapping(walk->process, address, &found);
	if (n < 0)
		return n;
	if (!n || found.start > address)
		found = (struct pagescan_mapping){
			.start = address, .end = n ? found.start : UINT64_MAX, .name = "(gone)"};
	name = strdup(found.name);
	if (!name)
		return -ENOMEM;
	free(walk->name);
	walk->name = name;
	walk->mapping = found;
	walk->mapping.name = name;
	return 0;
}
