/* SPDX-License-Identifier: MIT */
#include "measure.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

static int compare_values(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

uint64_t bench_median(uint64_t *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare_values);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

void bench_print(const char *name, double ours, double baseline, const char *unit)
{
	printf("%s\t%.3f\t%.3f\t%.4f\t%s\n", name, ours, baseline,
	       baseline > 0 ? ours / baseline : 0, unit);
	fflush(stdout);
}

static int measure_side(bench_step prepare, bench_step side, void *context, uint64_t *ret)
{
	int r = prepare ? prepare(context) : 0;
	uint64_t begin;

	if (r < 0)
		return r;
	begin = bench_now_ns();
	r = side(context);
	*ret = bench_now_ns() - begin;
	return r;
}

int bench_compare(const struct bench_comparison *c)
{
	const bench_step prepare_baseline = c->prepare_baseline ? c->prepare_baseline : c->prepare;
	const unsigned n_pairs = c->n_pairs < BENCH_MIN_PAIRS ? BENCH_MIN_PAIRS : c->n_pairs;
	const double scale = c->unit_ns * c->n_per_call;
	uint64_t *ours = calloc(n_pairs, sizeof(*ours));
	uint64_t *baseline = calloc(n_pairs, sizeof(*baseline));
	uint64_t ignored;
	int r = ours && baseline ? 0 : -ENOMEM;

	/* Once each, so that neither pays for what happens only the first time. */
	if (!r)
		r = measure_side(c->prepare, c->ours, c->context, &ignored);
	if (!r)
		r = measure_side(prepare_baseline, c->baseline, c->context, &ignored);
	/* Who goes first alternates too: the second finds warmer caches. */
	for (unsigned i = 0; !r && i < n_pairs; i++) {
		if (i % 2)
			r = measure_side(prepare_baseline, c->baseline, c->context, &baseline[i]);
		if (!r)
			r = measure_side(c->prepare, c->ours, c->context, &ours[i]);
		if (!r && i % 2 == 0)
			r = measure_side(prepare_baseline, c->baseline, c->context, &baseline[i]);
	}
	if (!r)
		bench_print(c->name, bench_median(ours, n_pairs) / scale,
			    bench_median(baseline, n_pairs) / scale, c->unit);
	free(ours);
	free(baseline);
	return r;
}
