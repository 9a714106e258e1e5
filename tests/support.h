/* SPDX-License-Identifier: MIT */
/* What every test needs. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* Skip a test that cannot run here, and say why. */
#define skip_because(...)                                                                          \
	do {                                                                                       \
		printf("# skip: ");                                                                \
		printf(__VA_ARGS__);                                                               \
		printf("\n");                                                                      \
		skip();                                                                            \
	} while (0)

/* splitmix64, as published: small, and good enough to choose test cases. */
static inline uint64_t test_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* The seed of a random test: printed, and taken back from PAGESCAN_SEED. */
static inline uint64_t test_seed(void)
{
	const char *given = getenv("PAGESCAN_SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = given ? strtoull(given, NULL, 0) : (uint64_t)now.tv_sec * 1000000007u + now.tv_nsec;
	printf("# seed %llu\n", (unsigned long long)seed);
	return seed;
}

#endif
