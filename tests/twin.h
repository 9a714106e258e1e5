/* SPDX-License-Identifier: MIT */
/*
 * Real memory and its model: every operation is done to both. What the kernel
 * answers is never shown to the model.
 */
#ifndef TESTS_TWIN_H
#define TESTS_TWIN_H

#include "base/system.h"
#include "scan/model.h"
#include "support.h"
#include "uapi/pagemap.h"
#include "uapi/userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <pagescan/model.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif

#define TWIN_PAGE    UINT64_C(4096)
#define TWIN_BLOCK   UINT64_C(0x200000)
#define TWIN_N_BLOCK 8
#define TWIN_SIZE    (TWIN_N_BLOCK * TWIN_BLOCK)
#define TWIN_N_PAGES (TWIN_SIZE / TWIN_PAGE)
/* Across a multiple of 1 GiB: two tables of the second level (R4.6). */
#define TWIN_BASE    (UINT64_C(0x300040000000) - TWIN_SIZE / 2)
#define TWIN_END     (TWIN_BASE + TWIN_SIZE)
#define TWIN_N_FILES 3

#define TWIN_COLLAPSED "/sys/kernel/mm/transparent_hugepage/khugepaged/pages_collapsed"

struct twin {
	uint64_t random;
	enum pagescan_era era;
	uint64_t categories; /* that the kernel knows, */
	uint64_t asked;      /* and of these, what a model can tell */
	bool has_hugetlb, has_guards, has_swap;
	bool is_spoilt;   /* the kernel could not do what the model can */
	bool has_moved;   /* something may be mapped at two places */
	bool may_be_huge; /* private memory, in this trial */
	bool is_frozen; /* shared memory is huge: how faults map a part of that, is not modelled */
	int pagemap_fd;
	int files[TWIN_N_FILES], huge_file;
	int uffds[PAGESCAN_MODEL_MISSING + 1];
	struct pagescan_model *model;
	char said[80]; /* what was done last */
};

static inline uint64_t twin_below(struct twin *t, uint64_t n)
{
	return test_random(&t->random) % n;
}

static inline bool twin_one_in(struct twin *t, uint64_t n)
{
	return twin_below(t, n) == 0;
}

static inline void *twin_at(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

/* Both must fail or succeed; how, is the kernel's own affair but for what is documented. */
static inline void twin_agree(struct twin *t, const char *what, long real, int model)
{
	if ((real < 0) != (model < 0))
		fail_msg("%s: the kernel says %ld (%s), the model %d", what, real,
			 real < 0 ? strerror(errno) : "done", model);
}

struct twin_range {
	uint64_t start, length;
};

/* Often whole huge pages, often a few pages. */
static inline struct twin_range twin_range(struct twin *t)
{
	uint64_t first = twin_below(t, TWIN_N_PAGES), n = 1 + twin_below(t, 24);

	if (twin_one_in(t, 3)) {
		first = first / 512 * 512;
		n = 512 * (1 + twin_below(t, 3));
	} else if (twin_one_in(t, 3)) {
		n = 1 + twin_below(t, 1500);
	}
	if (first + n > TWIN_N_PAGES)
		n = TWIN_N_PAGES - first;
	return (struct twin_range){TWIN_BASE + first * TWIN_PAGE, n * TWIN_PAGE};
}

/* Hugetlb has no smaller pieces. */
static inline struct twin_range twin_range_to_change(struct twin *t)
{
	struct twin_range r = twin_range(t);
	uint64_t end = r.start + r.length;

	if (t->has_hugetlb) {
		r.start = r.start / TWIN_BLOCK * TWIN_BLOCK;
		r.length = (end - r.start + TWIN_BLOCK - 1) / TWIN_BLOCK * TWIN_BLOCK;
	}
	return r;
}

static inline uint64_t twin_address(struct twin *t)
{
	return TWIN_BASE + twin_below(t, TWIN_SIZE);
}

static inline void twin_map(struct twin *t)
{
	struct twin_range r = twin_range_to_change(t);
	uint32_t memory = (uint32_t)twin_below(t, t->has_hugetlb ? 5 : 3);
	uint32_t file = (uint32_t)twin_below(t, TWIN_N_FILES);
	int flags = memory == PAGESCAN_MODEL_SHARED || memory == PAGESCAN_MODEL_HUGETLB_SHARED
			    ? MAP_SHARED
			    : MAP_PRIVATE;
	uint64_t offset = r.start - TWIN_BASE;
	int fd = memory == PAGESCAN_MODEL_ANON ? -1 : t->files[file];
	bool is_hugetlb = memory >= PAGESCAN_MODEL_HUGETLB,
	     wants_huge = t->may_be_huge && twin_one_in(t, 2);

	if (memory == PAGESCAN_MODEL_HUGETLB_SHARED) {
		file = TWIN_N_FILES;
		fd = t->huge_file;
	}
	if (memory == PAGESCAN_MODEL_HUGETLB)
		flags |= MAP_ANONYMOUS | MAP_HUGETLB | MAP_NORESERVE;
	if (memory == PAGESCAN_MODEL_ANON)
		flags |= MAP_ANONYMOUS;
	if (mmap(twin_at(r.start), r.length, PROT_READ | PROT_WRITE, flags | MAP_FIXED,
		 flags & MAP_ANONYMOUS ? -1 : fd, (off_t)offset) == MAP_FAILED)
		fail_msg("mmap: %s", strerror(errno));
	if (memory == PAGESCAN_MODEL_ANON)
		madvise(twin_at(r.start), r.length, wants_huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	else
		wants_huge = false;
	twin_agree(t, "map", 0,
		   pagescan_model_map(t->model, r.start, r.length,
				      memory | (wants_huge ? PAGESCAN_MODEL_HUGEPAGE : 0),
				      is_hugetlb ? TWIN_N_FILES : file, offset));
}

static inline void twin_unmap(struct twin *t)
{
	struct twin_range r = twin_range_to_change(t);

	twin_agree(t, "unmap", munmap(twin_at(r.start), r.length),
		   pagescan_model_unmap(t->model, r.start, r.length));
}

static inline void twin_register(struct twin *t)
{
	static const enum pagescan_model_mode modes[] = {
		PAGESCAN_MODEL_WP_ASYNC, PAGESCAN_MODEL_WP_ASYNC, PAGESCAN_MODEL_WP_ASYNC,
		PAGESCAN_MODEL_WP_SYNC, PAGESCAN_MODEL_MISSING};
	enum pagescan_model_mode mode = modes[twin_below(t, 5)];
	struct twin_range r = twin_range_to_change(t);
	struct uapi_uffdio_register arg = {
		.range = {r.start, r.length},
		.mode = mode == PAGESCAN_MODEL_MISSING ? 1 : UAPI_UFFDIO_REGISTER_MODE_WP,
	};

	twin_agree(t, "register", ioctl(t->uffds[mode], UAPI_UFFDIO_REGISTER, &arg),
		   pagescan_model_register(t->model, r.start, r.length, mode));
}

static inline void twin_unregister(struct twin *t)
{
	struct twin_range r = twin_range_to_change(t);
	struct uapi_uffdio_range arg = {r.start, r.length};

	/* From 6.17 on, only the one that registered it may. */
	for (int mode = PAGESCAN_MODEL_WP_ASYNC; mode <= PAGESCAN_MODEL_MISSING; mode++) {
		if (ioctl(t->uffds[mode], UAPI_UFFDIO_UNREGISTER, &arg) == 0) {
			twin_agree(t, "unregister", 0,
				   pagescan_model_unregister(t->model, r.start, r.length));
			return;
		}
	}
}

static inline void twin_write_protect(struct twin *t)
{
	struct twin_range r = twin_range_to_change(t);
	bool on = twin_one_in(t, 2);
	struct uapi_uffdio_writeprotect arg = {
		.range = {r.start, r.length},
		.mode = on ? UAPI_UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	/* Over one mapping that is not ours it stops midway: what it did by then is not said. */
	if (pagescan_model_write_protect(t->model, r.start, r.length, on) == 0)
		assert_int_equal(
			ioctl(t->uffds[PAGESCAN_MODEL_WP_ASYNC], UAPI_UFFDIO_WRITEPROTECT, &arg),
			0);
}

static inline void twin_access(struct twin *t)
{
	uint64_t address = twin_address(t);
	size_t n = 1 + twin_below(t, 20);

	for (size_t i = 0; i < n && address < TWIN_END; i++) {
		bool is_write = !twin_one_in(t, 3);
		int r = is_write ? pagescan_model_write(t->model, address)
				 : pagescan_model_read(t->model, address);

		if (r == 0 && is_write)
			*(volatile char *)twin_at(address) = 1;
		else if (r == 0)
			(void)*(volatile char *)twin_at(address);
		else if (r != -EFAULT && r != -EAGAIN)
			fail_msg("access: the model says %d", r);
		address += twin_one_in(t, 2) ? TWIN_PAGE : twin_below(t, 40) * TWIN_PAGE;
	}
}

static inline void twin_advise(struct twin *t)
{
	static const struct {
		int advice;
		int (*model)(struct pagescan_model *model, uint64_t start, uint64_t length);
	} advices[] = {
		{MADV_DONTNEED, pagescan_model_dontneed},
		{MADV_FREE, pagescan_model_free_lazily},
		{MADV_GUARD_INSTALL, pagescan_model_guard_install},
		{MADV_GUARD_REMOVE, pagescan_model_guard_remove},
	};
	size_t i = twin_below(t, t->has_guards ? 4 : 2);
	struct twin_range r = twin_range_to_change(t);
	int said;

	/* Hugetlb rounds, and other advice stops at it midway. */
	if (t->has_hugetlb)
		return;
	/*
	 * To free a part of a huge page, the kernel splits its memory as well, and from
	 * 6.12 on maps the zero page where that has but zeros: contents no model knows.
	 */
	if (advices[i].advice == MADV_FREE && t->may_be_huge)
		return;
	said = advices[i].model(t->model, r.start, r.length);
	/* Refused for good reason: the kernel would hang (R10.11), or do a part of it. */
	if (said < 0 && said != -EDEADLK && advices[i].advice != MADV_FREE)
		return;
	/* MADV_FREE stops at a mapping with a file, here as there. */
	if (said == 0 || advices[i].advice == MADV_FREE)
		(void)madvise(twin_at(r.start), r.length, advices[i].advice);
}

/* Whether some of [@address, @end) is @memory. */
static inline bool twin_has(struct twin *t, enum pagescan_model_memory memory, uint64_t address,
			    uint64_t end)
{
	const struct pagescan_model_mapping *m = pagescan_model_find_mapping(t->model, address);

	for (; m && m < t->model->mappings + t->model->n_mappings && m->start < end; m++) {
		if (m->memory == memory)
			return true;
	}
	return false;
}

/*
 * Reclaim takes what it likes: which pages those are, pagemap tells; what became of
 * them, only the scans.
 */
static inline void twin_page_out(struct twin *t)
{
	struct twin_range r = twin_range_to_change(t);
	uint64_t entry;

	/* As with MADV_FREE, a huge page that is taken apart has the zero page in it. */
	if (!t->has_swap || t->has_hugetlb || t->may_be_huge)
		return;
	(void)madvise(twin_at(r.start), r.length, MADV_PAGEOUT);
	for (uint64_t at = r.start; at < r.start + r.length; at += TWIN_PAGE) {
		assert_int_equal(pread(t->pagemap_fd, &entry, 8, (off_t)(at / TWIN_PAGE * 8)), 8);
		if (!(entry & UAPI_PAGEMAP_PRESENT))
			assert_int_equal(pagescan_model_swap_out(t->model, at, TWIN_PAGE), 0);
	}
}

/* Whether there is a line behind the heading. */
static inline bool twin_has_swap(void)
{
	FILE *file = fopen("/proc/swaps", "re");
	char line[256];
	int n = 0;

	while (file && fgets(line, sizeof(line), file))
		n++;
	if (file)
		fclose(file);
	return n > 1;
}

static inline void twin_collapse(struct twin *t)
{
	uint64_t start = TWIN_BASE + twin_below(t, TWIN_N_BLOCK) * TWIN_BLOCK;
	const struct pagescan_model_mapping *m = pagescan_model_find_mapping(t->model, start);
	int r;

	/* Where no mapping has all of it, the kernel is content to do nothing. */
	if (!m || m->start > start || m->end < start + TWIN_BLOCK)
		return;
	/* A file is collapsed wherever it is mapped, and a private mapping has a part in that. */
	if (t->has_hugetlb || twin_has(t, PAGESCAN_MODEL_FILE, start, start + TWIN_BLOCK))
		return;
	if (t->has_moved && twin_has(t, PAGESCAN_MODEL_SHARED, start, start + TWIN_BLOCK))
		return;
	r = madvise(twin_at(start), TWIN_BLOCK, MADV_COLLAPSE);
	/* Memory is short or in use. Of a file, pages may have been unmapped in vain. */
	if (r < 0 &&
	    (errno != EINVAL || twin_has(t, PAGESCAN_MODEL_SHARED, start, start + TWIN_BLOCK))) {
		t->is_spoilt = true;
		return;
	}
	/* What the kernel refuses, it may for more reasons than a model knows. */
	snprintf(t->said, sizeof(t->said), "collapse of %llx", (unsigned long long)start);
	if (r == 0)
		twin_agree(t, "collapse", r, pagescan_model_collapse(t->model, start));
	t->is_frozen |= r == 0 && twin_has(t, PAGESCAN_MODEL_SHARED, start, start + TWIN_BLOCK);
}

static inline void twin_move(struct twin *t)
{
	struct twin_range r = twin_range_to_change(t);
	uint64_t to = TWIN_BASE + twin_below(t, TWIN_N_PAGES) * TWIN_PAGE;

	if (t->has_hugetlb || to + r.length > TWIN_END)
		return;
	snprintf(t->said, sizeof(t->said), "move %llx+%llx to %llx", (unsigned long long)r.start,
		 (unsigned long long)r.length, (unsigned long long)to);
	t->has_moved = true;
	if (pagescan_model_move(t->model, r.start, r.length, to) == 0 &&
	    mremap(twin_at(r.start), r.length, r.length, MREMAP_MAYMOVE | MREMAP_FIXED,
		   twin_at(to)) == MAP_FAILED)
		fail_msg("mremap: %s", strerror(errno));
}

static const struct {
	const char *name;
	void (*change)(struct twin *t);
	bool faults; /* or leads to faults that are not modelled for huge shared memory */
} twin_changes[] = {
	{"map", twin_map, true},
	{"map", twin_map, true},
	{"unmap", twin_unmap, true},
	{"register", twin_register, false},
	{"register", twin_register, false},
	{"unregister", twin_unregister, false},
	{"write-protect", twin_write_protect, false},
	{"access", twin_access, true},
	{"access", twin_access, true},
	{"access", twin_access, true},
	{"access", twin_access, true},
	{"advise", twin_advise, true},
	{"advise", twin_advise, true},
	{"collapse", twin_collapse, true},
	{"page-out", twin_page_out, true},
	{"move", twin_move, true},
};

static inline void twin_change(struct twin *t)
{
	size_t i = twin_below(t, sizeof(twin_changes) / sizeof(twin_changes[0]));

	if (t->is_frozen && twin_changes[i].faults)
		return;
	snprintf(t->said, sizeof(t->said), "%s", twin_changes[i].name);
	twin_changes[i].change(t);
}

/* Of a file system of its own, where shared pages may be collapsed; else a memfd. */
static inline int twin_file(void)
{
	int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC), mount = -1, fd = -1;

	if (fs >= 0 && syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "huge", "advise", 0) == 0 &&
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		mount = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	if (mount >= 0)
		fd = openat(mount, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	close(mount);
	close(fs);
	return fd >= 0 ? fd : memfd_create("twin", MFD_CLOEXEC);
}

static inline int twin_uffd(uint64_t features)
{
	struct uapi_uffdio_api api = {.api = UAPI_UFFD_API, .features = features};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UAPI_UFFD_USER_MODE_ONLY);

	if (fd < 0)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	return fd >= 0 && ioctl(fd, UAPI_UFFDIO_API, &api) == 0 ? fd : -1;
}

#endif
