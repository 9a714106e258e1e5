/* SPDX-License-Identifier: MIT */
/* What the running kernel can do, by trying it on memory of our own. */
#include "scan/probe.h"

#include "base/system.h"
#include "process/mapping.h"
#include "scan/condition.h"
#include "scan/operation.h"
#include "uapi/userfaultfd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Two pages, the first of them written, and the means to look at them. */
struct trial {
	struct pagescan_operation_kernel operation;
	int proc_fd;
	int pagemap_fd;
	int uffd;
	uint64_t page_size;
	char *memory;
};

static int trial_scan(struct trial *t, struct uapi_pm_scan_arg arg)
{
	arg.size = sizeof(arg);
	return t->operation.handle.scan(&t->operation.handle, &arg);
}

/* A failure that says nothing of what the kernel can do. */
static bool is_shortage(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}

static int trial_open(struct trial *t)
{
	t->page_size = pagescan_page_size();
	t->proc_fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (t->proc_fd < 0)
		return -errno;
	t->pagemap_fd = openat(t->proc_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	if (t->pagemap_fd < 0)
		return -errno;
	pagescan_operation_kernel_init(&t->operation, t->pagemap_fd);
	t->memory = mmap(NULL, 2 * t->page_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t->memory == MAP_FAILED)
		return -errno;
	/* The second page stays empty, though memory be locked or filled several pages at once. */
	(void)munlock(t->memory, 2 * t->page_size);
	(void)madvise(t->memory, 2 * t->page_size, MADV_NOHUGEPAGE);
	(void)madvise(t->memory, 2 * t->page_size, MADV_DONTNEED);
	*(volatile char *)t->memory = 1;
	return 0;
}

static void trial_close(struct trial *t)
{
	if (t->memory != MAP_FAILED)
		munmap(t->memory, 2 * t->page_size);
	if (t->uffd >= 0)
		close(t->uffd);
	if (t->pagemap_fd >= 0)
		close(t->pagemap_fd);
	if (t->proc_fd >= 0)
		close(t->proc_fd);
}

/* R1.10: an empty range does nothing but check the argument. */
static uint64_t find_categories(struct trial *t)
{
	uint64_t categories = 0;

	for (uint64_t bit = 1; bit <= PAGESCAN_ALL_CATEGORIES; bit <<= 1) {
		if (trial_scan(t, (struct uapi_pm_scan_arg){.return_mask = bit}) == 0)
			categories |= bit;
	}
	return categories;
}

/* The last address at which an empty range is legal (R2.7). */
static uint64_t find_memory_end(struct trial *t)
{
	uint64_t good = 0, bad = (UINT64_C(1) << 63) / t->page_size;

	while (bad - good > 1) {
		uint64_t middle = good + (bad - good) / 2, address = middle * t->page_size;

		if (trial_scan(t, (struct uapi_pm_scan_arg){.start = address, .end = address}) < 0)
			bad = middle;
		else
			good = middle;
	}
	return good * t->page_size;
}

/* Whether a page counts as written: by the written-only path, or by the generic one. */
static bool is_written(struct trial *t, unsigned page, uint64_t mask)
{
	uint64_t address = (uintptr_t)t->memory + page * t->page_size;
	struct pagescan_region region = {0};
	int r = trial_scan(t, (struct uapi_pm_scan_arg){
				      .start = address,
				      .end = address + t->page_size,
				      .vec = (uintptr_t)&region,
				      .vec_len = 1,
				      .category_mask = mask,
				      .return_mask = PAGESCAN_IS_WRITTEN,
			      });

	return r == 1 && (region.categories & PAGESCAN_IS_WRITTEN);
}

/* R0.4, before the memory is registered. */
static enum pagescan_era find_era(struct trial *t)
{
	if (!is_written(t, 0, 0))
		return PAGESCAN_ERA_3;
	return is_written(t, 1, 0) ? PAGESCAN_ERA_2 : PAGESCAN_ERA_1;
}

static int trial_register(struct trial *t)
{
	struct uapi_uffdio_api api = {.api = UAPI_UFFD_API, .features = UAPI_UFFD_FEATURE_WP_ASYNC};
	struct uapi_uffdio_register range = {
		.range = {(uintptr_t)t->memory, 2 * t->page_size},
		.mode = UAPI_UFFDIO_REGISTER_MODE_WP,
	};

	t->uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UAPI_UFFD_USER_MODE_ONLY);
	if (t->uffd < 0 || ioctl(t->uffd, UAPI_UFFDIO_API, &api) < 0 ||
	    ioctl(t->uffd, UAPI_UFFDIO_REGISTER, &range) < 0)
		return -errno;
	return 0;
}

static int trial_arm(struct trial *t)
{
	struct pagescan_region regions[2];
	uint64_t address = (uintptr_t)t->memory;

	return trial_scan(t, (struct uapi_pm_scan_arg){
				     .flags = UAPI_PM_SCAN_WP_MATCHING | UAPI_PM_SCAN_CHECK_WPASYNC,
				     .start = address,
				     .end = address + 2 * t->page_size,
				     .vec = (uintptr_t)regions,
				     .vec_len = 2,
				     .category_mask = PAGESCAN_IS_WRITTEN,
				     .return_mask = PAGESCAN_IS_WRITTEN,
			     });
}

/* A page that has contents and one that has none: armed, not written, then written. */
static bool can_track(struct trial *t)
{
	if (trial_arm(t) < 1)
		return false;
	for (unsigned page = 0; page < 2; page++) {
		if (is_written(t, page, PAGESCAN_IS_WRITTEN))
			return false;
		*(volatile char *)(t->memory + page * t->page_size) = 2;
		if (!is_written(t, page, PAGESCAN_IS_WRITTEN))
			return false;
	}
	return true;
}

static bool can_query_mappings(struct trial *t)
{
	struct pagescan_maps_reader *reader = NULL;
	bool can = pagescan_maps_reader_open(t->proc_fd, PAGESCAN_MAPS_QUERY, &reader) == 0;

	pagescan_maps_reader_close(reader);
	return can;
}

static int probe(struct pagescan_probed *ret)
{
	struct trial t = {.proc_fd = -1, .pagemap_fd = -1, .uffd = -1, .memory = MAP_FAILED};
	struct pagescan_probed found = {.memory_end = 0};
	int r = trial_open(&t);

	/* No /proc, or none of its pagemap: nothing can be scanned, and that is an answer. */
	if (r < 0 && !is_shortage(r))
		goto out;
	if (r < 0)
		goto fail;
	found.capabilities.has_procmap_query = can_query_mappings(&t);
	found.capabilities.categories = find_categories(&t);
	if (!found.capabilities.categories)
		goto out;
	found.memory_end = find_memory_end(&t);
	found.capabilities.era = find_era(&t);
	r = trial_register(&t);
	if (is_shortage(r))
		goto fail;
	found.capabilities.has_wp_async = r == 0 && can_track(&t);
out:
	*ret = found;
	r = 0;
fail:
	trial_close(&t);
	return r;
}

int pagescan_probe(struct pagescan_probed *ret)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static struct pagescan_probed known;
	static bool is_known;
	int r = 0;

	pthread_mutex_lock(&mutex);
	if (!is_known)
		r = probe(&known);
	if (r == 0) {
		is_known = true;
		*ret = known;
	}
	pthread_mutex_unlock(&mutex);
	return r;
}

int pagescan_scan_probe(struct pagescan_capabilities *ret)
{
	struct pagescan_probed probed;
	int r;

	if (!ret)
		return -EINVAL;
	r = pagescan_probe(&probed);
	if (r == 0)
		*ret = probed.capabilities;
	return r;
}
