/* SPDX-License-Identifier: MIT */
/* What is registered, and what becomes of the memory it is. */
#include "stranger.h"

void stranger_api(void)
{
	static const uint64_t features[] = {
		0,          FEATURE_WP_ASYNC,
		1ull << 50, FEATURE_WP_ASYNC | 1ull << 50,
		1,          FEATURE_WP_ASYNC | FEATURE_WP_UNPOPULATED | 1ull << 12 | 1,
	};
	struct uffdio_api api;
	char *m = map_pages(4, true);

	for (unsigned i = 0; i < 2 * sizeof(features) / sizeof(features[0]); i++) {
		int u = make_uffd();

		tell("before", register_wp(u, m, PAGE));
		api = (struct uffdio_api){i % 2 ? 0xAA : 0xAB, features[i / 2], 5};
		for (unsigned again = 0; again < 2; again++) {
			tell("api", ioctl(u, UFFDIO_API, &api));
			printf("%llx %llx %llx\n", (unsigned long long)api.api,
			       (unsigned long long)api.features, (unsigned long long)api.ioctls);
			api = (struct uffdio_api){0xAA, features[i / 2], 5};
		}
		close(u);
	}
	tell("null", ioctl(make_uffd(), UFFDIO_API, NULL));
	tell("closed", ioctl(777, UFFDIO_API, &api));
	tell("pipe", ioctl(open("/dev/null", O_RDONLY), UFFDIO_API, &api));
}

void stranger_registering(void)
{
	char *m = map_pages(N, true), *hole = map_pages(4, true);
	struct uffdio_register r = {{(uintptr_t)m, N * PAGE}, 2, 77};
	int u = make_async(), other = make_async();

	tell("register", ioctl(u, UFFDIO_REGISTER, &r));
	printf("ioctls %llx\n", (unsigned long long)r.ioctls);
	tell("again", register_wp(u, m, N * PAGE));
	tell("busy", register_wp(other, m, PAGE));
	tell("unaligned", register_wp(u, m + 1, PAGE));
	tell("short", register_wp(u, m, PAGE - 1));
	tell("zero", register_wp(u, m, 0));
	r.mode = 8;
	tell("mode", ioctl(u, UFFDIO_REGISTER, &r));
	r.mode = 0;
	tell("mode", ioctl(u, UFFDIO_REGISTER, &r));
	tell("null", ioctl(u, UFFDIO_REGISTER, NULL));
	munmap(hole, 4 * PAGE);
	tell("nothing", register_wp(u, hole, PAGE));
	tell("protect nothing", write_protect(u, hole, PAGE, true));
	tell("protect foreign", write_protect(other, m, PAGE, true));
	tell("protect", write_protect(u, m, PAGE, true));
	tell("unaligned", write_protect(u, m + 1, PAGE, true));
	tell("unknown", ioctl(u, 0xC018AA55ul, &r));
	tell("unregister", unregister(u, m, N * PAGE));
	tell("unregister", unregister(u, m, N * PAGE));
	tell_all("all", pagemap, m, N);
}

/* A range in which something of the shim's may lie. */
void stranger_around(void)
{
	char *m = map_pages(N, true);
	int u = make_async(), v = make_async();
	struct pm_scan_arg arg = {.size = sizeof(arg), .flags = PM_WP};

	close(v);
	v = make_async();
	tell_all("before", pagemap, m, N);
	tell("register", register_wp(u, m - 512 * PAGE, (512 + N) * PAGE));
	tell("protect", write_protect(u, m, N * PAGE, true));
	m[3 * PAGE] = 2;
	tell_written("get", pagemap, m, N, PM_WP | PM_CHECK);
	/* What is there is not to be told, but may be armed. */
	arg.start = (uintptr_t)m - 512 * PAGE;
	arg.end = (uintptr_t)m;
	tell("below", ioctl(pagemap, PAGEMAP_SCAN, &arg));
	m[4 * PAGE] = 2;
	tell_written("get", pagemap, m, N, PM_WP | PM_CHECK);
	tell("free", register_wp(v, m, PAGE));
}

void stranger_two_uffds(void)
{
	char *m = map_pages(N, true), *n = map_pages(N, true);
	int u = make_async(), v = make_async(), sync = make_uffd();
	struct uffdio_api api = {0xAA, 0, 0};

	register_wp(u, m, N * PAGE);
	register_wp(v, n, N * PAGE);
	tell_written("u", pagemap, m, N, PM_WP | PM_CHECK);
	tell_written("v", pagemap, n, N, PM_WP | PM_CHECK);
	m[2 * PAGE] = n[3 * PAGE] = 2;
	tell_written("u", pagemap, m, N, PM_WP | PM_CHECK);
	tell_written("v", pagemap, n, N, PM_WP | PM_CHECK);
	close(u);
	tell_written("u", pagemap, m, N, PM_WP | PM_CHECK);
	m[2 * PAGE] = n[4 * PAGE] = 2;
	tell_written("v", pagemap, n, N, PM_WP | PM_CHECK);
	tell("sync", ioctl(sync, UFFDIO_API, &api));
	tell("sync", register_wp(sync, m, N * PAGE));
	tell_all("sync", pagemap, m, N);
	tell_written("sync", pagemap, m, N, PM_CHECK);
}

void stranger_empty_pages(void)
{
	char *m = map_pages(N, false);
	int u = make_async();

	m[0] = 1;
	register_wp(u, m, N * PAGE);
	tell_all("registered", pagemap, m, N);
	tell("protect", write_protect(u, m, N * PAGE, true));
	tell_all("markers", pagemap, m, N);
	printf("%d\n", m[3 * PAGE]);
	m[5 * PAGE] = 1;
	tell_all("read and written", pagemap, m, N);
	madvise(m + 4 * PAGE, 4 * PAGE, MADV_DONTNEED);
	tell_all("given back", pagemap, m, N);
	tell_written("get", pagemap, m, N, PM_WP | PM_CHECK);
	tell_all("armed", pagemap, m, N);
}

void stranger_shared_memory(void)
{
	char *m = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int u = make_async();

	memset(m, 1, N / 2 * PAGE);
	tell("register", register_wp(u, m, N * PAGE));
	tell_written("first", pagemap, m, N, PM_WP | PM_CHECK);
	tell_all("armed", pagemap, m, N);
	m[3 * PAGE] = m[40 * PAGE] = 1;
	tell_written("second", pagemap, m, N, PM_WP | PM_CHECK);
	madvise(m, 8 * PAGE, MADV_DONTNEED);
	tell_all("zapped", pagemap, m, N);
}

void stranger_changing_mappings(void)
{
	char *m = map_pages(N, true), *grown;
	int u = make_async();

	register_wp(u, m, N * PAGE);
	tell_written("first", pagemap, m, N, PM_WP | PM_CHECK);
	mmap(m, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	tell_all("replaced", pagemap, m, N);
	tell_written("replaced", pagemap, m, N, PM_CHECK);
	munmap(m + 8 * PAGE, 8 * PAGE);
	tell_written("unmapped", pagemap, m + 8 * PAGE, N - 8, PM_CHECK | PM_WP);
	mprotect(m + 16 * PAGE, PAGE, PROT_READ);
	tell_written("protected", pagemap, m + 16 * PAGE, 8, PM_CHECK | PM_WP);
	munmap(m + N * PAGE, PAGE);
	grown = mremap(m + 17 * PAGE, (N - 17) * PAGE, (N - 16) * PAGE, 0);
	tell("grown", grown == m + 17 * PAGE);
	m[N * PAGE] = 1;
	tell_written("grown", pagemap, m + 17 * PAGE, N - 16, PM_CHECK | PM_WP);
}

void stranger_moving_mappings(void)
{
	char *m = map_pages(N, true);
	int u = make_async();

	register_wp(u, m, N * PAGE);
	tell_written("first", pagemap, m, N, PM_WP | PM_CHECK);
	m = mremap(m, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, map_pages(N, false));
	tell_all("moved", pagemap, m, N);
}

/* Huge pages, where there are any: armed whole, written in one place, cut by limits. */
void stranger_huge_pages(void)
{
	const uint64_t huge = 512 * PAGE;
	char *m = mmap(NULL, 4 * huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int u = make_async();

	m = (char *)(((uintptr_t)m + huge - 1) / huge * huge);
	madvise(m, 2 * huge, MADV_HUGEPAGE);
	memset(m, 1, 2 * huge);
	register_wp(u, m, 2 * huge);
	tell_written("first", pagemap, m, 1024, PM_WP | PM_CHECK);
	m[5 * PAGE] = 2;
	tell_written("second", pagemap, m, 1024, PM_WP | PM_CHECK);
	tell("protect", write_protect(u, m, 2 * huge, false));
	tell_written("cut", pagemap, m + 512 * PAGE, 17, PM_WP | PM_CHECK);
	tell_all("after", pagemap, m, 1024);
}

void stranger_hugetlb(void)
{
	const uint64_t huge = 512 * PAGE;
	char *m = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	int u = make_async();

	if (m == MAP_FAILED) {
		printf("no huge pages\n");
		return;
	}
	memset(m, 1, 2 * huge);
	tell("register", register_wp(u, m, 2 * huge));
	tell_written("cut", pagemap, m + 256 * PAGE, 768, PM_WP | PM_CHECK);
	tell_written("whole", pagemap, m, 1024, PM_WP | PM_CHECK);
	m[700 * PAGE] = 2;
	tell_written("one", pagemap, m, 1024, PM_WP | PM_CHECK);
	tell_all("after", pagemap, m, 1024);
}

void stranger_kernel_writes(void)
{
	char *m = map_pages(N, true);
	int u = make_async(), ends[2];

	register_wp(u, m, N * PAGE);
	tell_written("first", pagemap, m, N, PM_WP | PM_CHECK);
	tell("pipe", pipe(ends));
	tell("write", write(ends[1], m, PAGE));
	tell("read", read(ends[0], m + 9 * PAGE, PAGE));
	tell_written("second", pagemap, m, N, PM_WP | PM_CHECK);
	/* The kernel's own answer is a write, too (R7.9). */
	{
		struct pm_scan_arg *arg = (struct pm_scan_arg *)(m + 20 * PAGE);

		*arg = (struct pm_scan_arg){
			.size = sizeof(*arg),
			.flags = PM_WP,
			.start = (uintptr_t)m,
			.end = (uintptr_t)m + N * PAGE,
			.vec = (uintptr_t)m + 30 * PAGE,
			.vec_len = 8,
			.category_mask = IS_WRITTEN,
			.return_mask = IS_WRITTEN,
		};
		tell("into itself", ioctl(pagemap, PAGEMAP_SCAN, arg));
		tell_written("dirtied", pagemap, m, N, 0);
	}
}
