/* SPDX-License-Identifier: MIT */
/*
 * The kernel's interface as a stranger copies it from the kernel's headers, and what
 * the programs here print: nothing that differs from run to run.
 */
#ifndef SHIM_KERNEL_H
#define SHIM_KERNEL_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct page_region {
	uint64_t start, end, categories;
};

struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define PAGEMAP_SCAN 0xC0606610ul

#define PM_WP    1u
#define PM_CHECK 2u

#define IS_WPALLOWED 0x1u
#define IS_WRITTEN   0x2u
#define IS_FILE      0x4u
#define IS_PRESENT   0x8u
#define IS_SWAPPED   0x10u
#define IS_HUGE      0x40u

struct uffdio_api {
	uint64_t api, features, ioctls;
};

struct uffdio_range {
	uint64_t start, len;
};

struct uffdio_register {
	struct uffdio_range range;
	uint64_t mode, ioctls;
};

struct uffdio_writeprotect {
	struct uffdio_range range;
	uint64_t mode;
};

#define UFFDIO_API          0xC018AA3Ful
#define UFFDIO_REGISTER     0xC020AA00ul
#define UFFDIO_UNREGISTER   0x8010AA01ul
#define UFFDIO_WRITEPROTECT 0xC018AA06ul

#define FEATURE_WP_UNPOPULATED (1ull << 13)
#define FEATURE_WP_ASYNC       (1ull << 15)

#define USER_MODE_ONLY 1
#define PAGE           4096ul

static inline char *map_pages(unsigned n, bool is_filled)
{
	/* Its neighbours are its own. */
	char *m = mmap(NULL, (n + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	m = mmap(m + PAGE, n * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	madvise(m, n * PAGE, MADV_NOHUGEPAGE);
	if (is_filled)
		memset(m, 1, n * PAGE);
	return m;
}

static inline int make_uffd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);

	if (fd < 0)
		printf("userfaultfd: %s\n", strerror(errno));
	return fd;
}

static inline int ask_async(int fd)
{
	struct uffdio_api api = {0xAA, FEATURE_WP_ASYNC | FEATURE_WP_UNPOPULATED, 0};

	return ioctl(fd, UFFDIO_API, &api);
}

static inline int make_async(void)
{
	int fd = make_uffd();

	if (ask_async(fd) < 0)
		printf("api: %s\n", strerror(errno));
	return fd;
}

static inline int register_wp(int fd, void *at, size_t length)
{
	struct uffdio_register r = {{(uintptr_t)at, length}, 2, 0};

	return ioctl(fd, UFFDIO_REGISTER, &r);
}

static inline int unregister(int fd, void *at, size_t length)
{
	struct uffdio_range r = {(uintptr_t)at, length};

	return ioctl(fd, UFFDIO_UNREGISTER, &r);
}

static inline int write_protect(int fd, void *at, size_t length, bool on)
{
	struct uffdio_writeprotect r = {{(uintptr_t)at, length}, on};

	return ioctl(fd, UFFDIO_WRITEPROTECT, &r);
}

/* What is told: a result, with its errno. */
static inline void tell(const char *what, long r)
{
	if (r < 0)
		printf("%s: %ld %s\n", what, r, strerror(errno));
	else
		printf("%s: %ld\n", what, r);
}

/* Addresses as pages from @base on. */
static inline void tell_address(char *base, uint64_t at)
{
	printf("%ld", ((long)at - (long)base) / (long)PAGE);
}

/* Scan as @arg says and print everything that comes back. */
static inline int tell_scan(const char *what, int fd, char *base, struct pm_scan_arg arg)
{
	struct page_region *vec = NULL;
	int r;

	arg.size = arg.size ? arg.size : sizeof(arg);
	arg.walk_end = 0x77;
	if (arg.vec == 1)
		arg.vec = (uintptr_t)(vec = calloc(arg.vec_len + 1, sizeof(*vec)));
	r = ioctl(fd, PAGEMAP_SCAN, &arg);
	printf("%s: %d %s, walk_end ", what, r, r < 0 ? strerror(errno) : "");
	if (arg.walk_end == 0x77)
		printf("untouched");
	else
		tell_address(base, arg.walk_end);
	for (uint64_t i = 0; vec && i < arg.vec_len && vec[i].end; i++) {
		/* Of many, those at the edges of what the kernel gathers at a time (R5.6). */
		if (r > 100 && i % 512 > 2 && i % 512 < 510)
			continue;
		printf(" [");
		tell_address(base, vec[i].start);
		printf(",");
		tell_address(base, vec[i].end);
		printf(" %lx)", (unsigned long)vec[i].categories);
	}
	printf("\n");
	free(vec);
	return r;
}

/* What is written among @n pages, all that is known of it, and armed again if @flags say so. */
static inline int tell_written(const char *what, int fd, char *base, unsigned n, unsigned flags)
{
	return tell_scan(what, fd, base,
			 (struct pm_scan_arg){
				 .flags = flags,
				 .start = (uintptr_t)base,
				 .end = (uintptr_t)base + n * PAGE,
				 .vec = 1,
				 .vec_len = 600,
				 .category_mask = IS_WRITTEN,
				 .return_mask = IS_WRITTEN,
			 });
}

static inline int tell_all(const char *what, int fd, char *base, unsigned n)
{
	return tell_scan(what, fd, base,
			 (struct pm_scan_arg){
				 .start = (uintptr_t)base,
				 .end = (uintptr_t)base + n * PAGE,
				 .vec = 1,
				 .vec_len = 600,
				 .return_mask = IS_WPALLOWED | IS_WRITTEN | IS_FILE | IS_PRESENT |
						IS_SWAPPED,
			 });
}

#endif
