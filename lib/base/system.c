/* SPDX-License-Identifier: MIT */
#include "base/system.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

uint64_t pagescan_page_size(void)
{
	static _Atomic uint64_t size;
	uint64_t known = atomic_load_explicit(&size, memory_order_relaxed);

	if (!known) {
		known = (uint64_t)sysconf(_SC_PAGESIZE);
		atomic_store_explicit(&size, known, memory_order_relaxed);
	}
	return known;
}

uint64_t pagescan_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}
