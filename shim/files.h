/* SPDX-License-Identifier: MIT */
/*
 * Which descriptors of the program mean one of its asynchronous userfaultfds, and
 * which are the shim's own. Asking about one takes no lock. What changes the table
 * stands in copies.c.
 */
#ifndef SHIM_FILES_H
#define SHIM_FILES_H

#include "base/rangeset.h"
#include "process/fault-handler.h"
#include <sys/types.h>

/* Descriptors above are not known: no program comes there but by dup2(). */
#define PAGESCAN_SHIM_N_FDS 65536

/* A program's userfaultfd that is (to be taken for) asynchronous. */
struct pagescan_shim_uffd {
	unsigned n_fds; /* of the program; 0: free */
	/*
	 * The one that does the work: the handler's, and then the program's own never
	 * has anything registered, so that reading and polling it is as it should be. Or a copy
	 * of the program's, which is asynchronous itself.
	 */
	int work_fd;
	bool is_emulated;
	bool is_inherited; /* of the parent, through fork: it acts on the parent's memory */
	struct pagescan_fault_handler handler;
	struct pagescan_rangeset registered; /* what was asked for; it may be gone */
};

#define PAGESCAN_SHIM_N_UFFDS 200
extern struct pagescan_shim_uffd pagescan_shim_uffds[PAGESCAN_SHIM_N_UFFDS];

enum { PAGESCAN_SHIM_FOREIGN = 0, PAGESCAN_SHIM_OWN = 255 };

/* What a descriptor is: FOREIGN, OWN, or 1 + the index of a uffd. */
extern unsigned char pagescan_shim_fds[PAGESCAN_SHIM_N_FDS];

static inline unsigned char pagescan_shim_kind(int fd)
{
	if ((unsigned)fd >= PAGESCAN_SHIM_N_FDS)
		return PAGESCAN_SHIM_FOREIGN;
	return __atomic_load_n(&pagescan_shim_fds[fd], __ATOMIC_RELAXED);
}

/* The uffd that a descriptor means, or NULL. */
struct pagescan_shim_uffd *pagescan_shim_find_uffd(int fd);

/* Under the lock. A new uffd whose first descriptor is @fd, or NULL if there is no place. */
struct pagescan_shim_uffd *pagescan_shim_add_uffd(int fd);

/* Under the lock: @fd is a copy of what has kind @kind, or means nothing any more. */
void pagescan_shim_note(int fd, unsigned char kind);

/* Move @fd where no program looks, and hold it: the new one, or -1. */
int pagescan_shim_make_own(int fd);
void pagescan_shim_forget_own(int fd);

/*
 * The lock of all that is not a single table entry. Whether it may be taken: not in a
 * child that shares the memory of its parent (vfork), where nothing may be changed.
 */
bool pagescan_shim_lock(void);
void pagescan_shim_unlock(void);

#endif
