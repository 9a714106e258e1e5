/* SPDX-License-Identifier: MIT */
/* What the system is asked for everywhere. */
#ifndef BASE_SYSTEM_H
#define BASE_SYSTEM_H

#include <stdint.h>

/* The system's page size, read once. */
uint64_t pagescan_page_size(void);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t pagescan_now_ns(void);

#endif
