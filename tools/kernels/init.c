/* SPDX-License-Identifier: MIT */
/*
 * The one process that check-kernels starts in a machine it boots: sets the
 * machine up as the tests expect it, runs them one after another, powers off.
 *
 * It speaks to the host on the second serial line, which nobody else uses. Its
 * own lines begin with "== "; what lies between them is a test's output. The
 * kernel's messages go to the first line; a mark in them says where a test began.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define SWAP_SIZE (512u << 20)
#define DISK_SIZE (256u << 20)

/* How long a killed test may take to go. One that does not go hangs in the kernel. */
#define KILL_SECONDS 20

static int host = STDERR_FILENO;

static void __attribute__((format(printf, 1, 2))) say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vdprintf(host, format, args);
	va_end(args);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		say("== note cannot write '%s' to %s: %s\n", text, path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static _Noreturn void power_off(void)
{
	tcdrain(host);
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void mount_all(void)
{
	static const struct {
		const char *type, *where, *options;
	} mounts[] = {
		{"devtmpfs", "/dev", ""},
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"cgroup2", "/sys/fs/cgroup", ""},
		{"tmpfs", "/dev/shm", "mode=1777"},
	};

	for (size_t i = 0; i < sizeof(mounts) / sizeof(*mounts); i++) {
		mkdir(mounts[i].where, 0755);
		if (mount(mounts[i].type, mounts[i].where, mounts[i].type, 0, mounts[i].options))
			say("== note cannot mount %s: %s\n", mounts[i].where, strerror(errno));
	}
	/* No mount of its own: what was built may lie below it. */
	chmod("/tmp", 01777);
}

static void open_host_line(void)
{
	struct termios raw;
	int fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (tcgetattr(fd, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(fd, TCSANOW, &raw);
	}
	host = fd;
}

static void start_loopback(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request))
		say("== note no loopback: %s\n", strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* The host has put the modules down in the order in which they need each other. */
static void load_modules(void)
{
	char path[64];

	for (int i = 0; snprintf(path, sizeof(path), "/modules/%d.ko", i), !access(path, R_OK);
	     i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
			say("== note module %d does not load: %s\n", i, strerror(errno));
		close(fd);
	}
}

/* The module comes with one device; reading hot_add makes another. */
static bool size_zram(int number, unsigned int bytes)
{
	char path[64], size[16];

	snprintf(path, sizeof(path), "/sys/block/zram%d/disksize", number);
	if (access(path, W_OK)) {
		int fd = open("/sys/class/zram-control/hot_add", O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, size, sizeof(size));

		close(fd);
		if (n < 0)
			return false;
	}
	snprintf(size, sizeof(size), "%u", bytes);
	write_file(path, size);
	return true;
}

/* What mkswap writes: a header page, version 1, one swap page after another behind it. */
static void start_swap(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint32_t *header = calloc(1, page);
	int fd;

	if (!header || !size_zram(0, SWAP_SIZE)) {
		say("== note no swap: no zram\n");
		return;
	}
	header[1024 / 4] = 1;
	header[1024 / 4 + 1] = (uint32_t)(SWAP_SIZE / page - 1);
	memcpy((char *)header + page - 10, "SWAPSPACE2", 10);

	fd = open("/dev/zram0", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, header, page) != (ssize_t)page || fsync(fd) ||
	    swapon("/dev/zram0", 0))
		say("== note no swap: %s\n", strerror(errno));
	close(fd);
	free(header);
}

/*
 * Regular files: what the kernel unpacked is ramfs or tmpfs, whose pages behave
 * differently. mkfs is in the archive if the host has it.
 */
static void mount_disk(void)
{
	int status = -1;
	pid_t pid;

	if (!size_zram(1, DISK_SIZE))
		return;
	pid = fork();
	if (pid == 0) {
		execl("/usr/sbin/mkfs.ext4", "mkfs.ext4", "-q", "/dev/zram1", (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	if (status || mount("/dev/zram1", "/var/tmp", "ext4", 0, ""))
		say("== note /var/tmp is no ext4 (mkfs %#x): %s\n", (unsigned int)status,
		    strerror(errno));
	chmod("/var/tmp", 01777);
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Hand on what the test says, until its last descriptor is closed or its time is up. */
static bool copy_output(int from, double until)
{
	char text[4096];

	for (;;) {
		struct pollfd ready = {.fd = from, .events = POLLIN};
		double left = until - seconds_now();
		ssize_t n;

		if (left <= 0 || poll(&ready, 1, (int)(left * 1000) + 1) <= 0)
			return false;
		n = read(from, text, sizeof(text));
		if (n <= 0)
			return true;
		if (write(host, text, (size_t)n) != n)
			return false;
	}
}

/* Reap everybody until @pid is gone; -1: it does not go. */
static int reap(pid_t pid, double until)
{
	int status;

	while (seconds_now() < until) {
		pid_t gone = waitpid(-1, &status, WNOHANG);

		if (gone == pid)
			return status;
		if (gone <= 0)
			usleep(10000);
	}
	return -1;
}

static pid_t start_test(const char *name, int *ret_output)
{
	char script[256];
	int output[2];
	pid_t pid;

	if (pipe2(output, O_CLOEXEC))
		return -1;
	snprintf(script, sizeof(script), "/tests/%s", name);
	pid = fork();
	if (pid == 0) {
		int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);

		setsid();
		dup2(nothing, STDIN_FILENO);
		dup2(output[1], STDOUT_FILENO);
		dup2(output[1], STDERR_FILENO);
		execl("/bin/sh", "sh", script, (char *)NULL);
		_exit(127);
	}
	close(output[1]);
	*ret_output = output[0];
	return pid;
}

static void run_test(const char *name, unsigned int timeout)
{
	double begin = seconds_now();
	bool in_time;
	char mark[300];
	int output, status;
	pid_t pid;

	snprintf(mark, sizeof(mark), "<5>check-kernels: test %s\n", name);
	write_file("/dev/kmsg", mark);
	say("== test %s\n", name);

	pid = start_test(name, &output);
	if (pid < 0) {
		say("\n== end %s lost 0\n", name);
		return;
	}
	in_time = copy_output(output, begin + timeout);
	status = in_time ? reap(pid, begin + timeout) : -1;
	if (status < 0)
		in_time = false;
	/* This process is spared by this, and what a test left behind is not. */
	kill(-1, SIGKILL);
	if (!in_time)
		status = reap(pid, seconds_now() + KILL_SECONDS);
	close(output);

	say("\n== end %s %s %d %.1f\n", name,
	    !in_time              ? (status < 0 ? "hung" : "timeout")
	    : WIFSIGNALED(status) ? "signal"
				  : "exit",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), seconds_now() - begin);
	/* What does not go away holds locks that a next test may need. */
	if (!in_time && status < 0)
		power_off();
}

int main(void)
{
	unsigned int timeout;
	char name[200];
	FILE *list;

	mount_all();
	open_host_line();
	setenv("PATH", "/usr/local/bin:/usr/sbin:/usr/bin", 1);
	setenv("HOME", "/root", 1);
	start_loopback();
	load_modules();
	start_swap();
	mount_disk();

	list = fopen("/tests/list", "re");
	if (!list)
		say("== note no list of tests: %s\n", strerror(errno));
	else
		while (fscanf(list, "%u %199s", &timeout, name) == 2)
			run_test(name, timeout);
	say("== done\n");
	power_off();
}
