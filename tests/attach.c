/* SPDX-License-Identifier: MIT */
/* Attaching: to the own process. */
#include "process/attach.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>

static void test_own(void **state)
{
	struct pagescan_process *process;
	struct pagescan_error error = {0};
	int uffd;

	assert_int_equal(pagescan_process_open(0, &process, NULL), 0);
	if (pagescan_attach(process, 0, &error) == -EOPNOTSUPP) {
		pagescan_process_close(process);
		skip_because("%s", error.text);
	}
	uffd = process->registry.uffd;
	assert_true(uffd >= 0);
	assert_int_equal(fcntl(uffd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(process->stopped_ns, 0);
	/* Once is enough. */
	assert_int_equal(pagescan_attach(process, 0, &error), 0);
	assert_int_equal(process->registry.uffd, uffd);
	pagescan_registry_close(&process->registry);
	pagescan_process_close(process);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
	};

	return cmocka_run_group_tests_name("attach", tests, NULL, NULL);
}
