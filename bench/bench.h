/* SPDX-License-Identifier: MIT */
/* The benchmarks. Each prints its lines and returns 0 or a negative errno. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <pagescan/base.h>

/* What to say if a benchmark cannot run; filled by those that can be refused. */
extern struct pagescan_error bench_error;

int bench_collect_clean(void);
int bench_collect_dirty_10(void);
int bench_collect_dirty_100(void);
int bench_collect_clean_vs_pread(void);
int bench_scan_present(void);
int bench_scan_present_20k(void);
int bench_engine_procfs_scan(void);
int bench_engine_procfs_all(void);
int bench_engine_model_throughput(void);
int bench_first_write(void);
int bench_shim_passthrough(void);
int bench_attach_stop(void);
int bench_target_stall(void);

#endif
