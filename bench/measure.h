/* SPDX-License-Identifier: MIT */
/* Measuring: two sides in alternation, medians, one line a result. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

/* A side returns 0 or a negative errno; what it is handed is the comparison's context. */
typedef int (*bench_step)(void *context);

/* The same work done twice, by us and by the best that there is without us. */
struct bench_comparison {
	const char *name;
	const char *unit;
	double unit_ns;              /* nanoseconds in one unit */
	size_t n_per_call;           /* what one call does so many times; the result is for one */
	unsigned n_pairs;            /* at least BENCH_MIN_PAIRS */
	bench_step prepare;          /* before each measured call, and not counted; or NULL */
	bench_step ours;             /* counted */
	bench_step baseline;         /* counted */
	bench_step prepare_baseline; /* instead of prepare, for the baseline; or NULL */
	void *context;
};

#define BENCH_MIN_PAIRS 20

/* Measure and print. 0 or a negative errno, of whichever step failed. */
int bench_compare(const struct bench_comparison *comparison);

/* Sorts @values. */
uint64_t bench_median(uint64_t *values, size_t n);

/* One line of the table. */
void bench_print(const char *name, double ours, double baseline, const char *unit);

uint64_t bench_now_ns(void);

#endif
