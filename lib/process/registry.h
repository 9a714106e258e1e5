/* SPDX-License-Identifier: MIT */
/*
 * Which ranges of a process we registered with our userfaultfd, and what kind of
 * memory they are. Protection happens inside it only: a get-and-protect beyond
 * takes the writes of whoever tracks there (R9.3).
 */
#ifndef PROCESS_REGISTRY_H
#define PROCESS_REGISTRY_H

#include "base/rangeset.h"
#include <sys/types.h>

/* The kind decides which pages count as written in another process (tracker.h). */
enum pagescan_memory_kind {
	PAGESCAN_MEMORY_ANON,         /* private, no file: FILE is never set */
	PAGESCAN_MEMORY_PRIVATE_FILE, /* a page is the file's until it is written */
	PAGESCAN_MEMORY_SHARED
};

struct pagescan_registration {
	uint64_t start;
	uint64_t end;
	uint64_t page_size; /* larger than the system's for hugetlb */
	enum pagescan_memory_kind kind;
};

struct pagescan_maps_reader;

/* A process object is opened with one that has the first four set, and all else zero. */
struct pagescan_registry {
	int uffd;       /* -1: not attached */
	int pagemap_fd; /* borrowed, as is the next */
	struct pagescan_maps_reader *maps;
	bool is_own; /* it is of the own process */
	pid_t owner; /* who opened it: the copy that fork makes must not touch anything */
	struct pagescan_rangeset ranges;
	uint64_t longest_hold_ns; /* longest call that kept the target's mmap lock */
	uint64_t held_ns;         /* since others last had a chance to take it */
};

/*
 * Takes over @uffd, also on failure, and speaks UFFDIO_API with it. -EOPNOTSUPP:
 * the kernel lacks async write-protection.
 */
int pagescan_registry_open(struct pagescan_registry *registry, int uffd);

/*
 * To be called after each call that kept the target's mmap lock, with the time at
 * which it began. Bounding each call is not enough: whoever sleeps on the lock is
 * woken when we let go, and finds us there again, for 4 to 8 ms in measurements.
 * So it sleeps a little whenever enough time has been held.
 */
void pagescan_registry_note_hold(struct pagescan_registry *registry, uint64_t began_ns);

/*
 * Register [r->start, r->end) with the kernel, and note it. Registering again is
 * harmless and tells whether the range is still ours: -EBUSY if another
 * userfaultfd holds a part of it. Other errors: R10.2; -ENOMEM also when the
 * target is gone (R9.5).
 */
int pagescan_registry_add(struct pagescan_registry *registry,
			  const struct pagescan_registration *r);

/*
 * The two halves of it: tell the kernel alone, or note what it was told. One
 * kernel call may cover many mappings and the holes between them.
 */
int pagescan_registry_enlist(struct pagescan_registry *registry, uint64_t start, uint64_t end);
int pagescan_registry_note(struct pagescan_registry *registry,
			   const struct pagescan_registration *r);

/* Tell the kernel that [start, end) is no longer ours. Linux before 6.17 takes all, also another's.
 */
int pagescan_registry_dismiss(struct pagescan_registry *registry, uint64_t start, uint64_t end);

/* The first registration that ends above @address. */
bool pagescan_registry_find(const struct pagescan_registry *registry, uint64_t address,
			    struct pagescan_registration *ret);

/*
 * Take our hands off what is noted in [start, end), mapping by mapping. 0 or -ENOMEM
 * (a note had to be cut in two; nothing is done).
 */
int pagescan_registry_release(struct pagescan_registry *registry, uint64_t start, uint64_t end);

/*
 * The same for everything of another process, but its mappings stay whole: the
 * program may be about to move them.
 */
void pagescan_registry_release_all(struct pagescan_registry *registry);

/* Drop the note alone: the memory is gone, or another's. */
int pagescan_registry_forget(struct pagescan_registry *registry, uint64_t start, uint64_t end);

/*
 * Release everything and close the userfaultfd. Accepts one that never opened. In a
 * child made by fork only its descriptor is closed: the memory is still the parent's.
 */
void pagescan_registry_close(struct pagescan_registry *registry);

#endif
