/* SPDX-License-Identifier: MIT */
/* Scanning the whole own address space for what is present, against the bare operation. */
#include "bench.h"
#include "kernel.h"
#include "measure.h"
#include <fcntl.h>
#include <inttypes.h>
#include <pagescan/pagescan.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LENGTH     (UINT64_C(1) << 30)
#define N_MAPPINGS 20000
#define N_REGIONS  4096

struct scan {
	struct pagescan_process *process;
	struct pagescan_region *regions;
	char *memory;
	size_t n_pages; /* what the last call found */
	size_t page;
	uint64_t end; /* of the address space in use */
	int pagemap_fd;
};

/* Cut the memory into mappings, as a program with many protections has them. */
static int scan_cut(const struct scan *s)
{
	const size_t piece = LENGTH / N_MAPPINGS / s->page * s->page;

	for (size_t i = 0; i + piece <= LENGTH; i += 2 * piece)
		if (mprotect(s->memory + i, piece, PROT_READ) < 0)
			return -errno;
	return 0;
}

/* The end of the last mapping, but for the vsyscall page, which is no one's memory. */
static uint64_t scan_find_end(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	uint64_t start, end, last = 0;

	if (!maps)
		return 0;
	while (fscanf(maps, "%" SCNx64 "-%" SCNx64 "%*[^\n]", &start, &end) == 2)
		if (start >> 63 == 0)
			last = end;
	fclose(maps);
	return last;
}

static int scan_open(struct scan *s, int is_cut)
{
	int r;

	*s = (struct scan){.page = sysconf(_SC_PAGESIZE)};
	s->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	s->regions = calloc(N_REGIONS, sizeof(*s->regions));
	s->memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->pagemap_fd < 0 || !s->regions || s->memory == MAP_FAILED)
		return -ENOMEM;
	madvise(s->memory, LENGTH, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < LENGTH; i += s->page)
		s->memory[i] = 1;
	r = is_cut ? scan_cut(s) : 0;
	s->end = scan_find_end();
	return r < 0 ? r : pagescan_process_open(0, &s->process, &bench_error);
}

static void scan_close(struct scan *s)
{
	pagescan_process_close(s->process);
	if (s->memory != MAP_FAILED)
		munmap(s->memory, LENGTH);
	if (s->pagemap_fd >= 0)
		close(s->pagemap_fd);
	free(s->regions);
}

static size_t count_pages(const struct scan *s, size_t n)
{
	size_t pages = 0;

	for (size_t i = 0; i < n; i++)
		pages += (s->regions[i].end - s->regions[i].start) / s->page;
	return pages;
}

static int scan_ours(void *context)
{
	struct scan *s = context;
	const struct pagescan_filter present = {
		.required = PAGESCAN_IS_PRESENT,
		.report = PAGESCAN_IS_PRESENT,
	};
	struct pagescan_scan *scan;
	ssize_t n;
	int r = pagescan_scan_new(s->process, &present, NULL, &scan, &bench_error);

	if (r < 0)
		return r;
	s->n_pages = 0;
	while ((n = pagescan_scan_next(scan, s->regions, N_REGIONS)) > 0)
		s->n_pages += count_pages(s, n);
	pagescan_scan_free(scan);
	return n < 0 ? n : s->n_pages >= LENGTH / s->page ? 0 : -EIO;
}

static int scan_bare(void *context)
{
	struct scan *s = context;
	struct kernel_scan_arg arg = {
		.end = s->end,
		.vec = (uintptr_t)s->regions,
		.vec_len = N_REGIONS,
		.category_mask = PAGESCAN_IS_PRESENT,
		.return_mask = PAGESCAN_IS_PRESENT,
	};
	int n = kernel_scan(s->pagemap_fd, &arg);

	return n < 0 ? n : count_pages(s, n) >= LENGTH / s->page ? 0 : -EIO;
}

static int scan_compare(const char *name, int is_cut)
{
	struct scan s;
	int r = scan_open(&s, is_cut);

	if (!r)
		r = bench_compare(&(struct bench_comparison){
			.name = name,
			.unit = "us",
			.unit_ns = 1e3,
			.n_per_call = 1,
			.n_pairs = 101,
			.ours = scan_ours,
			.baseline = scan_bare,
			.context = &s,
		});
	scan_close(&s);
	return r;
}

int bench_scan_present(void)
{
	return scan_compare("scan-present", 0);
}

int bench_scan_present_20k(void)
{
	return scan_compare("scan-present-20k", 1);
}
