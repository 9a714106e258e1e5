/* SPDX-License-Identifier: MIT */
/* What can write to memory behind every tracker's back: is it found? */
#include "child.h"
#include "process/process.h"
#include "support.h"
#include "uffd.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/mman.h>

#define FILE_NAME "/var/tmp/pagescan-test.direct"
#define BUFFER    65536

static struct pagescan_pins find(struct pagescan_process *process)
{
	struct pagescan_pins pins = {0};

	assert_int_equal(pagescan_process_find_pins(process, &pins), 0);
	return pins;
}

/* Linux 7.2 does not count io_uring's buffers here any more. */
static uint64_t read_pinned(pid_t pid)
{
	char path[64], line[256];
	unsigned long long kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) && sscanf(line, "VmPin: %llu", &kib) != 1)
		;
	fclose(file);
	return kib * 1024;
}

static int make_uring(void)
{
	struct io_uring_params params = {0};

	return (int)syscall(SYS_io_uring_setup, 4, &params);
}

static int register_buffers(int uring, unsigned n)
{
	void *memory =
		mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec buffers[3] = {{memory, BUFFER / 2}, {NULL, 0}, {memory, BUFFER}};

	return (int)syscall(SYS_io_uring_register, uring, IORING_REGISTER_BUFFERS, buffers, n);
}

static void live_and_pin(int fd, void *arg)
{
	int uring, direct, pipes[2];

	while (child_hear(fd)) {
		uffd_make();
		uffd_make();
		direct = open(FILE_NAME, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
		unlink(FILE_NAME);
		if (pipe2(pipes, O_DIRECT) < 0)
			_exit(1);
		child_say(fd, direct >= 0 ? 'd' : '-');
		uring = make_uring();
		child_say(fd, uring >= 0 && register_buffers(uring, 3) == 0 ? 'u' : '-');
	}
}

static void test_all_are_found(void **state)
{
	struct child child = child_start(live_and_pin, NULL);
	struct pagescan_process *process;
	struct pagescan_pins before, after;
	bool has_direct, has_uring;

	assert_int_equal(pagescan_process_open(child.pid, &process, NULL), 0);
	before = find(process);
	child_say(child.fd, 'p');
	has_direct = child_hear(child.fd) == 'd';
	has_uring = child_hear(child.fd) == 'u';
	after = find(process);
	assert_int_equal(after.n_userfaultfds - before.n_userfaultfds, uffd_make() >= 0 ? 2 : 0);
	assert_int_equal(after.n_direct_files - before.n_direct_files, has_direct);
	assert_int_equal(after.n_uring_buffers - before.n_uring_buffers, has_uring ? 2 : 0);
	assert_true(after.pinned == read_pinned(child.pid));
	printf("# direct file: %s, io_uring: %s\n", has_direct ? "yes" : "no",
	       has_uring ? "yes" : "no");

	assert_int_equal(pagescan_process_find_pins(process, NULL), -EINVAL);
	child_end(&child);
	assert_int_equal(pagescan_process_find_pins(process, &after), -ESRCH);
	pagescan_process_close(process);
}

static void test_own_userfaultfd_is_not_counted(void **state)
{
	struct pagescan_process *process;
	int uffd = uffd_make(), other = uffd_make();
	uint32_t before;

	if (uffd < 0)
		skip_because("no userfaultfd here");
	assert_int_equal(pagescan_process_open(0, &process, NULL), 0);
	before = find(process).n_userfaultfds;
	assert_true(before >= 2);
	if (pagescan_registry_open(&process->registry, uffd) == 0)
		assert_int_equal(find(process).n_userfaultfds, before - 1);
	pagescan_process_close(process);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_are_found),
		cmocka_unit_test(test_own_userfaultfd_is_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
