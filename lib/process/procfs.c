/* SPDX-License-Identifier: MIT */
#include "process/procfs.h"

#include "base/system.h"
#include "uapi/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define ENTRIES_LENGTH (PAGESCAN_PROCFS_N_ENTRIES * sizeof(uint64_t))

uint64_t pagescan_find_zero_frame(void)
{
	uint64_t page_size = pagescan_page_size(), entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	char *page;

	if (fd < 0)
		return 0;
	page = mmap(NULL, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page != MAP_FAILED) {
		(void)madvise(page, page_size, MADV_NOHUGEPAGE);
		(void)*(volatile char *)page;
		if (pread(fd, &entry, sizeof(entry),
			  (off_t)((uintptr_t)page / page_size * sizeof(entry))) < 0)
			entry = 0;
		munmap(page, page_size);
	}
	close(fd);
	return entry & UAPI_PAGEMAP_PRESENT ? entry & UAPI_PAGEMAP_PFN_MASK : 0;
}

int pagescan_procfs_get(struct pagescan_procfs *procfs)
{
	void *entries;

	if (procfs->entries)
		return 0;
	/* A mapping of its own: on the heap it might lie in memory that is armed (R7.9). */
	entries = mmap(NULL, ENTRIES_LENGTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	if (entries == MAP_FAILED)
		return -ENOMEM;
	procfs->entries = entries;
	procfs->zero_frame = pagescan_find_zero_frame();
	if (procfs->zero_frame)
		procfs->kpageflags_fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	return 0;
}

void pagescan_procfs_close(struct pagescan_procfs *procfs)
{
	pagescan_smaps_close(&procfs->smaps);
	if (procfs->kpageflags_fd >= 0)
		close(procfs->kpageflags_fd);
	procfs->kpageflags_fd = -1;
	if (procfs->entries)
		munmap(procfs->entries, ENTRIES_LENGTH);
	procfs->entries = NULL;
}
