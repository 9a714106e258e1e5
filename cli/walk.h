/* SPDX-License-Identifier: MIT */
/* Which mapping an address lies in, remembering the last one: regions come in address order. */
#ifndef CLI_WALK_H
#define CLI_WALK_H

#include <pagescan/process.h>

struct walk {
	struct pagescan_process *process;
	struct pagescan_mapping mapping; /* its name is a copy; all zeros: none yet */
	char *name;
};

/*
 * Make walk->mapping the one that @address lies in. Where there is none any more,
 * it is one named "(gone)" up to the next. 0, -ESRCH, -ENOMEM.
 */
int walk_to(struct walk *walk, uint64_t address);

/* Forget the last one: the mappings may have changed. */
void walk_refresh(struct walk *walk);

void walk_done(struct walk *walk);

/* How a mapping is called: "[anon]" if it has no name. */
const char *mapping_label(const struct pagescan_mapping *mapping);

#endif
