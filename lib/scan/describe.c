/* SPDX-License-Identifier: MIT */
/* How far the categories can be believed that the operation in use tells (section 12). */
#include "base/error.h"
#include "base/system.h"
#include "process/procfs.h"
#include "scan/choose.h"
#include "uapi/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARD_INSTALL 102 /* MADV_GUARD_INSTALL, Linux 6.13 on */

static uint64_t read_entry(const void *page)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, &entry, sizeof(entry),
		  (off_t)((uintptr_t)page / pagescan_page_size() * sizeof(entry))) < 0)
		entry = 0;
	close(fd);
	return entry;
}

/* Guard pages do not exist, or can be seen. */
static bool tells_guards(void)
{
	size_t length = pagescan_page_size();
	char *page = mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool tells = true;

	if (page == MAP_FAILED)
		return false;
	if (madvise(page, length, GUARD_INSTALL) == 0)
		tells = read_entry(page) & UAPI_PAGEMAP_GUARD;
	munmap(page, length);
	return tells;
}

static bool tells_zero_pages(void)
{
	return pagescan_find_zero_frame() && access("/proc/kpageflags", R_OK) == 0;
}

static bool has_transparent_huge_pages(void)
{
	return access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0 ||
	       access("/sys/kernel/mm", F_OK) < 0;
}

static void describe_engine(bool has_wp_async, struct pagescan_description *d)
{
	if (has_transparent_huge_pages())
		d->unknown |= PAGESCAN_IS_HUGE;
	else
		d->over_reported |= PAGESCAN_IS_HUGE;
	if (!tells_zero_pages())
		d->unknown |= PAGESCAN_IS_PFNZERO;
	if (!tells_guards())
		d->unknown |= PAGESCAN_IS_GUARD;
	if (has_wp_async)
		d->unknown |= PAGESCAN_IS_WPALLOWED;
}

int pagescan_scan_describe(enum pagescan_operation operation, struct pagescan_description *ret,
			   struct pagescan_error *reterr)
{
	struct pagescan_choice choice;
	struct pagescan_description d = {.over_reported = 0};
	int r;

	if (!ret)
		return pagescan_error_set(reterr, -EINVAL,
					  "a description needs a place to be stored");
	r = pagescan_operation_choose(operation, &choice, reterr);
	if (r < 0)
		return r;
	d.operation = choice.operation;
	d.era = choice.can.capabilities.era;
	d.categories = choice.can.capabilities.categories;
	if (d.operation == PAGESCAN_OPERATION_ENGINE)
		describe_engine(choice.can.capabilities.has_wp_async, &d);
	d.over_reported &= d.categories;
	d.unknown &= d.categories;
	d.exact = d.categories & ~d.over_reported & ~d.unknown;
	*ret = d;
	return 0;
}
