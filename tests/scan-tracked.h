/* SPDX-License-Identifier: MIT */
/* Own memory that is registered by hand, for tests of scans that protect. */
#ifndef TESTS_SCAN_TRACKED_H
#define TESTS_SCAN_TRACKED_H

#include "process/process.h"
#include "support.h"
#include "uffd.h"
#include <string.h>

#include <errno.h>
#include <pagescan/scan.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE UINT64_C(4096)
#define HUGE UINT64_C(0x200000)

static const struct pagescan_filter for_written = {
	.required = PAGESCAN_IS_WRITTEN,
	.report = PAGESCAN_IS_WRITTEN,
};

/* Aligned to a huge page; neighbours have other protections, so that no mapping is joined to it. */
static inline char *tracked_map(uint64_t length, int flags)
{
	char *at = mmap(NULL, length + 3 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *inside = (char *)(((uintptr_t)at + 2 * HUGE - 1) / HUGE * HUGE);

	assert_true(at != MAP_FAILED);
	munmap(at, (size_t)(inside - at));
	munmap(inside + length, (size_t)(at + 2 * HUGE - inside));
	at = mmap(inside, length, PROT_READ | PROT_WRITE, flags | MAP_FIXED, -1, 0);
	return at == MAP_FAILED ? NULL : at;
}

/* The own process with a registry of its own, or a skip. */
static inline struct pagescan_process *tracked_open(void)
{
	struct pagescan_process *process;
	struct pagescan_capabilities can;
	int uffd;

	assert_int_equal(pagescan_scan_probe(&can), 0);
	if (!can.has_wp_async || pagescan_page_size() != PAGE)
		skip_because("no async write-protection, or other pages than of 4 KiB");
	assert_int_equal(pagescan_process_open(0, &process, NULL), 0);
	uffd = uffd_make();
	assert_true(uffd >= 0);
	assert_int_equal(pagescan_registry_open(&process->registry, uffd), 0);
	return process;
}

static inline void tracked_add(struct pagescan_process *process, const void *at, uint64_t length,
			       uint64_t page_size, enum pagescan_memory_kind kind)
{
	struct pagescan_registration r = {
		.start = (uintptr_t)at,
		.end = (uintptr_t)at + length,
		.page_size = page_size,
		.kind = kind,
	};

	assert_int_equal(pagescan_registry_add(&process->registry, &r), 0);
}

static inline void tracked_close(struct pagescan_process *process)
{
	pagescan_registry_close(&process->registry);
	pagescan_process_close(process);
}

static inline struct pagescan_scan *tracked_scan(struct pagescan_process *process,
						 const struct pagescan_filter *filter,
						 const void *at, uint64_t length, uint32_t flags,
						 uint64_t max_pages)
{
	struct pagescan_scan_opts opts = {
		.size = sizeof(opts),
		.start = (uintptr_t)at,
		.end = (uintptr_t)at + length,
		.flags = flags,
		.max_pages = max_pages,
	};
	struct pagescan_error error = {0};
	struct pagescan_scan *scan;

	if (pagescan_scan_new(process, filter, &opts, &scan, &error) < 0)
		fail_msg("%s", error.text);
	return scan;
}

/* Whether a scan of the own process can be prepared, and says why if not. */
static inline int scan_try(const struct pagescan_filter *filter,
			   const struct pagescan_scan_opts *opts, struct pagescan_error *error)
{
	struct pagescan_process *process;
	struct pagescan_scan *scan = (void *)&scan;
	int r;

	memset(error, 0, sizeof(*error));
	assert_int_equal(pagescan_process_open(0, &process, NULL), 0);
	r = pagescan_scan_new(process, filter, opts, &scan, error);
	if (r == 0)
		pagescan_scan_free(scan);
	else
		assert_ptr_equal(scan, (void *)&scan);
	assert_int_equal(error->code, r);
	assert_int_equal(error->text[0] != '\0', r < 0);
	pagescan_process_close(process);
	return r;
}

#endif
