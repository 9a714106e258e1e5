/* SPDX-License-Identifier: MIT */
/* The cases of the stranger. */
#ifndef SHIM_STRANGER_H
#define SHIM_STRANGER_H

#include "kernel.h"

#define N 64u

/* Its own, open. */
extern int pagemap;

/* stranger-scans.c */
void stranger_get_and_clear(void);
void stranger_arm_by_scan(void);
void stranger_check(void);
void stranger_limits(void);
void stranger_errors(void);
void stranger_threads(void);
void stranger_follow(void);
void stranger_another(void);
void stranger_many_regions(void);

/* stranger-descriptors.c */
void stranger_descriptors(void);
void stranger_close_many(void);
void stranger_by_number(void);
void stranger_forks(void);
void stranger_reused(void);
void stranger_waiting(void);
void stranger_device(void);
void stranger_foreign(void);

/* stranger-memory.c */
void stranger_api(void);
void stranger_registering(void);
void stranger_around(void);
void stranger_two_uffds(void);
void stranger_empty_pages(void);
void stranger_shared_memory(void);
void stranger_changing_mappings(void);
void stranger_moving_mappings(void);
void stranger_huge_pages(void);
void stranger_hugetlb(void);
void stranger_kernel_writes(void);

#endif
