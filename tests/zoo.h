/* SPDX-License-Identifier: MIT */
/*
 * Memory of every kind at known places, of the own process or a child, and what
 * its pages are, read from their pagemap entries and from how it was laid out.
 */
#ifndef TESTS_ZOO_H
#define TESTS_ZOO_H

#include "child.h"
#include "process/process.h"
#include "question.h"
#include "uffd.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#define ZOO_BASE  UINT64_C(0x300000000000)
#define ZOO_PAGE  UINT64_C(4096)
#define ZOO_BLOCK UINT64_C(0x200000)
#define ZOO_CAGE  1024 /* pages of a mapping: two huge ones */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

/* Cages that follow each other touch, but for a gap after each fourth. */
enum zoo_cage {
	ZOO_ANON,
	ZOO_STRIPES, /* every other page is there */
	ZOO_HUGE,
	ZOO_SHARED,
	ZOO_FILE, /* a private mapping of one, some pages written */
	ZOO_GUARDED,
	ZOO_CLOSED, /* no access */
	ZOO_EMPTY,
	/* From here on, tracked. */
	ZOO_TRACKED,
	ZOO_TRACKED_SHARED,
	ZOO_TRACKED_HUGE,
	ZOO_TRACKED_FILE,
	ZOO_TRACKED_EMPTY,
	ZOO_N_CAGES
};
#define ZOO_N_PAGES ((size_t)ZOO_N_CAGES * ZOO_CAGE)
#define ZOO_END     (ZOO_BASE + (ZOO_N_CAGES + (ZOO_N_CAGES - 1) / 4) * ZOO_CAGE * ZOO_PAGE)

struct zoo_page {
	uint64_t categories;
	uint64_t unknown; /* what cannot be known of it from outside */
};

struct zoo {
	struct child child;
	struct pagescan_process *process;
	enum pagescan_operation operation; /* that looks at it */
	enum pagescan_era era;
	uint64_t available; /* categories that the operation knows */
	uint64_t zero_frame;
	bool is_tracking;
	bool is_huge[ZOO_N_CAGES];
	uint64_t entries[ZOO_N_PAGES]; /* as they were when they were last read */
	struct zoo_page pages[ZOO_N_PAGES];
};

static inline uint64_t zoo_address(size_t page)
{
	size_t cage = page / ZOO_CAGE;

	return ZOO_BASE + (cage + cage / 4) * ZOO_CAGE * ZOO_PAGE + page % ZOO_CAGE * ZOO_PAGE;
}

/* The page at @address, or SIZE_MAX in a gap. */
static inline size_t zoo_page_at(uint64_t address)
{
	size_t place = (address - ZOO_BASE) / ZOO_PAGE / ZOO_CAGE;

	if (place % 5 == 4)
		return SIZE_MAX;
	return (place - place / 5) * ZOO_CAGE + (address - ZOO_BASE) / ZOO_PAGE % ZOO_CAGE;
}

static inline bool zoo_is_tracked(size_t page)
{
	return page / ZOO_CAGE >= ZOO_TRACKED;
}

static inline bool zoo_is_made_huge(enum zoo_cage cage)
{
	return cage == ZOO_HUGE || cage == ZOO_TRACKED_HUGE;
}

static inline enum pagescan_memory_kind zoo_kind(enum zoo_cage cage)
{
	if (cage == ZOO_SHARED || cage == ZOO_TRACKED_SHARED)
		return PAGESCAN_MEMORY_SHARED;
	if (cage == ZOO_FILE || cage == ZOO_TRACKED_FILE)
		return PAGESCAN_MEMORY_PRIVATE_FILE;
	return PAGESCAN_MEMORY_ANON;
}

static inline char *zoo_map(enum zoo_cage cage)
{
	char *at = (char *)zoo_address((size_t)cage * ZOO_CAGE);
	size_t length = ZOO_CAGE * ZOO_PAGE;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, fd = -1;

	if (zoo_kind(cage) == PAGESCAN_MEMORY_SHARED)
		flags = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED;
	if (zoo_kind(cage) == PAGESCAN_MEMORY_PRIVATE_FILE) {
		flags = MAP_PRIVATE | MAP_FIXED;
		fd = memfd_create("zoo", MFD_CLOEXEC);
		if (fd < 0 || ftruncate(fd, (off_t)length) < 0)
			abort();
	}
	at = mmap(at, length, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (at == MAP_FAILED)
		abort();
	if (fd >= 0)
		close(fd);
	madvise(at, length, zoo_is_made_huge(cage) ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return at;
}

static inline void zoo_touch(char *at, enum zoo_cage cage, size_t page, uint64_t random)
{
	volatile char *byte = at + page * ZOO_PAGE;

	if (cage == ZOO_EMPTY || cage == ZOO_TRACKED_EMPTY)
		return;
	if (cage == ZOO_STRIPES)
		random = page % 2;
	if (random % 4 == 1)
		*byte = 1;
	else if (random % 4 == 2)
		(void)*byte;
	else if (random % 4 == 3 && cage == ZOO_GUARDED)
		(void)madvise(at + page * ZOO_PAGE, ZOO_PAGE, MADV_GUARD_INSTALL);
}

static inline void zoo_build(uint64_t random)
{
	for (enum zoo_cage cage = 0; cage < ZOO_N_CAGES; cage++) {
		char *at = zoo_map(cage);

		if (zoo_is_made_huge(cage))
			madvise(at, ZOO_CAGE * ZOO_PAGE, MADV_POPULATE_WRITE);
		for (size_t page = 0; page < ZOO_CAGE; page++)
			zoo_touch(at, cage, page, test_random(&random));
		if (cage == ZOO_CLOSED)
			mprotect(at, ZOO_CAGE * ZOO_PAGE, PROT_NONE);
	}
}

static inline void zoo_live(int fd, void *arg)
{
	zoo_build(*(uint64_t *)arg);
	uffd_send(fd);
	while (child_hear(fd))
		;
}

static inline void zoo_read_entries(struct zoo *zoo)
{
	for (size_t page = 0; page < ZOO_N_PAGES; page += ZOO_CAGE)
		assert_int_equal(pread(zoo->process->pagemap_fd, &zoo->entries[page],
				       ZOO_CAGE * sizeof(uint64_t),
				       (off_t)(zoo_address(page) / ZOO_PAGE * sizeof(uint64_t))),
				 ZOO_CAGE * sizeof(uint64_t));
}

/* The frame of a page that was read and never written: 0 without privilege. */
static inline uint64_t zoo_find_zero_frame(void)
{
	char *at = mmap(NULL, ZOO_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	assert_true(at != MAP_FAILED && fd >= 0);
	(void)*(volatile char *)at;
	assert_int_equal(pread(fd, &entry, 8, (off_t)((uintptr_t)at / ZOO_PAGE * 8)), 8);
	close(fd);
	munmap(at, ZOO_PAGE);
	return entry & UAPI_PAGEMAP_PFN_MASK;
}

/* Whether all of a cage is mapped by huge entries, as smaps says. */
static inline bool zoo_is_huge(const struct zoo *zoo, enum zoo_cage cage)
{
	uint64_t address = zoo_address((size_t)cage * ZOO_CAGE);
	char path[64], line[512], name[32];
	unsigned long start, end;
	bool is_here = false;
	long kib = 0, value;
	FILE *smaps;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)zoo->process->pid);
	smaps = fopen(path, "re");
	assert_non_null(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			is_here = address >= start && address < end;
		else if (is_here && sscanf(line, "%31[A-Za-z]: %ld", name, &value) == 2 &&
			 strcmp(name, "AnonHugePages") == 0)
			kib = value;
	}
	fclose(smaps);
	return kib * 1024 == (long)(ZOO_CAGE * ZOO_PAGE);
}

static inline void zoo_find_huge(struct zoo *zoo)
{
	for (enum zoo_cage cage = 0; cage < ZOO_N_CAGES; cage++)
		zoo->is_huge[cage] = zoo_is_made_huge(cage) && zoo_is_huge(zoo, cage);
}

static inline struct zoo_page zoo_read_page(const struct zoo *zoo, size_t page, bool is_fast)
{
	uint64_t entry = zoo->entries[page];
	bool is_tracked = zoo->is_tracking && zoo_is_tracked(page);
	struct zoo_page p = {0};

	if (is_tracked)
		p.categories |= PAGESCAN_IS_WPALLOWED;
	if (entry & UAPI_PAGEMAP_PRESENT)
		p.categories |= PAGESCAN_IS_PRESENT;
	if (entry & UAPI_PAGEMAP_SWAPPED)
		p.categories |= PAGESCAN_IS_SWAPPED;
	if (entry & UAPI_PAGEMAP_FILE)
		p.categories |= PAGESCAN_IS_FILE;
	if (entry & UAPI_PAGEMAP_GUARD)
		p.categories |= PAGESCAN_IS_GUARD;
	if (entry & UAPI_PAGEMAP_SOFT_DIRTY)
		p.categories |= PAGESCAN_IS_SOFT_DIRTY;
	if (zoo->is_huge[page / ZOO_CAGE])
		p.categories |= PAGESCAN_IS_HUGE;
	else if (zoo_is_made_huge(page / ZOO_CAGE))
		p.unknown |= PAGESCAN_IS_HUGE;
	if (!(entry & (UAPI_PAGEMAP_PRESENT | UAPI_PAGEMAP_SWAPPED))) {
		/* Section 0: it depends on page tables, which cannot be seen. */
		if (zoo->era == PAGESCAN_ERA_1 ? is_fast
					       : zoo->era == PAGESCAN_ERA_2 && !is_tracked)
			p.unknown |= PAGESCAN_IS_WRITTEN;
		else if (zoo->era != PAGESCAN_ERA_1 && is_tracked)
			p.categories |= PAGESCAN_IS_WRITTEN;
	} else if (!(entry & UAPI_PAGEMAP_UFFD_WP) && (zoo->era != PAGESCAN_ERA_3 || is_tracked)) {
		p.categories |= PAGESCAN_IS_WRITTEN;
	}
	if ((entry & UAPI_PAGEMAP_PRESENT) && !(entry & UAPI_PAGEMAP_FILE)) {
		if (!zoo->zero_frame && !(entry & UAPI_PAGEMAP_EXCLUSIVE))
			p.unknown |= PAGESCAN_IS_PFNZERO;
		else if (zoo->zero_frame && (entry & UAPI_PAGEMAP_PFN_MASK) == zoo->zero_frame)
			p.categories |= PAGESCAN_IS_PFNZERO;
	}
	p.categories &= zoo->available;
	p.unknown &= zoo->available;
	return p;
}

/* Look at everything. @is_fast: in era 1, as a question for written pages alone sees it. */
static inline void zoo_read(struct zoo *zoo, bool is_fast)
{
	zoo_find_huge(zoo);
	zoo_read_entries(zoo);
	for (size_t page = 0; page < ZOO_N_PAGES; page++)
		zoo->pages[page] = zoo_read_page(zoo, page, is_fast);
}

/* Arm runs of what is tracked. */
static inline void zoo_arm_some(struct zoo *zoo, uint64_t *random)
{
	struct pagescan_region regions[8];

	for (size_t page = ZOO_TRACKED * ZOO_CAGE; page < ZOO_N_PAGES;) {
		size_t n = 1 + test_random(random) % 8;
		uint64_t start = zoo_address(page);

		/* A part of a huge page would be split. */
		if (zoo_is_made_huge(page / ZOO_CAGE))
			n = ZOO_BLOCK / ZOO_PAGE;
		if (page % ZOO_CAGE + n > ZOO_CAGE)
			n = ZOO_CAGE - page % ZOO_CAGE;
		if (test_random(random) % 2)
			assert_true(uffd_scan(zoo->process->pagemap_fd, start, start + n * ZOO_PAGE,
					      PAGESCAN_IS_WRITTEN, true, regions, 8) >= 0);
		page += n;
	}
}

/* Write to a page from outside: a write like any other. */
static inline void zoo_write(struct zoo *zoo, size_t page)
{
	char byte = 2;
	struct iovec local = {&byte, 1}, remote = {(void *)(zoo_address(page) + 7), 1};

	assert_int_equal(process_vm_writev(zoo->process->pid, &local, 1, &remote, 1, 0), 1);
}

static inline void zoo_track(struct zoo *zoo, int uffd, uint64_t *random)
{
	if (uffd < 0 || pagescan_registry_open(&zoo->process->registry, uffd) < 0)
		return;
	for (enum zoo_cage cage = ZOO_TRACKED; cage < ZOO_N_CAGES; cage++) {
		struct pagescan_registration r = {
			.start = zoo_address((size_t)cage * ZOO_CAGE),
			.end = zoo_address((size_t)cage * ZOO_CAGE) + ZOO_CAGE * ZOO_PAGE,
			.page_size = ZOO_PAGE,
			.kind = zoo_kind(cage),
		};

		assert_int_equal(pagescan_registry_add(&zoo->process->registry, &r), 0);
	}
	zoo->is_tracking = true;
	zoo_arm_some(zoo, random);
}

/* Skips where the kernel has not what it takes. */
static inline struct zoo *zoo_open(bool is_own, enum pagescan_operation operation, uint64_t *random)
{
	struct zoo *zoo = calloc(1, sizeof(*zoo));
	struct pagescan_description can;
	uint64_t seed = test_random(random);
	int uffd, r = pagescan_scan_describe(operation, &can, NULL);

	if (r == -EOPNOTSUPP || pagescan_page_size() != ZOO_PAGE) {
		free(zoo);
		skip_because("no such operation here, or other pages than of 4 KiB");
	}
	assert_int_equal(r, 0);
	zoo->operation = operation;
	zoo->era = can.era;
	zoo->available = can.categories & ~PAGESCAN_IS_ACCESSED;
	zoo->zero_frame = zoo_find_zero_frame();
	if (is_own) {
		zoo_build(seed);
		uffd = uffd_make();
	} else {
		zoo->child = child_start(zoo_live, &seed);
		uffd = uffd_receive(zoo->child.fd);
	}
	assert_int_equal(pagescan_process_open(is_own ? 0 : zoo->child.pid, &zoo->process, NULL),
			 0);
	zoo_track(zoo, uffd, random);
	return zoo;
}

static inline void zoo_close(struct zoo *zoo)
{
	bool is_own = zoo->process->is_own;

	pagescan_registry_close(&zoo->process->registry);
	pagescan_process_close(zoo->process);
	if (is_own)
		munmap((void *)ZOO_BASE, ZOO_END - ZOO_BASE);
	else
		child_end(&zoo->child);
	free(zoo);
}

#endif
