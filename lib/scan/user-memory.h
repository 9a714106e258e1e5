/* SPDX-License-Identifier: MIT */
/* Memory that a caller names, and that need not be there: an address may be anything. */
#ifndef SCAN_USER_MEMORY_H
#define SCAN_USER_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* 0, or -EFAULT if not all of it could be copied; some of it may have been. */
int pagescan_copy_from_user(void *to, uint64_t from, size_t n);
int pagescan_copy_to_user(uint64_t to, const void *from, size_t n);

#endif
