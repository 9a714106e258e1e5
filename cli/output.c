/* SPDX-License-Identifier: MIT */
#include "output.h"

#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* A pipe that polls as writable takes this much without blocking (PIPE_BUF). */
#define OUTPUT_PIECE 4096

static bool can_write(struct output *out)
{
	struct pollfd fds[2] = {{.fd = out->fd, .events = POLLOUT},
				{.fd = out->stop_fd, .events = POLLIN}};

	while (poll(fds, 2, -1) < 0) {
		if (errno != EINTR)
			return true;
	}
	return fds[0].revents;
}

static ssize_t output_write(void *cookie, const char *text, size_t size)
{
	struct output *out = cookie;
	size_t done = 0;

	while (done < size && !out->error) {
		size_t piece = size - done;
		ssize_t n;

		if (out->stop_fd >= 0) {
			if (!can_write(out)) {
				out->error = ECANCELED;
				break;
			}
			piece = piece < OUTPUT_PIECE ? piece : OUTPUT_PIECE;
		}
		n = write(out->fd, text + done, piece);
		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN)
			can_write(out);
		else if (errno != EINTR)
			out->error = errno;
	}
	return out->error ? 0 : (ssize_t)size;
}

static int output_close_fd(void *cookie)
{
	struct output *out = cookie;

	/* Some file systems tell of a full disk at close only. */
	if (close(out->fd) && !out->error)
		out->error = errno;
	return 0;
}

static void learn_about_terminal(struct output *out)
{
	const char *no_colour = getenv("NO_COLOR");
	const char *terminal = getenv("TERM");
	struct winsize size;

	out->is_terminal = isatty(out->fd);
	if (!out->is_terminal)
		return;
	out->has_colour = !(no_colour && no_colour[0]) && terminal && strcmp(terminal, "dumb");
	out->width = 80;
	if (!ioctl(out->fd, TIOCGWINSZ, &size) && size.ws_col)
		out->width = size.ws_col;
}

int output_open(struct output *out, const char *path, int fd, bool is_json)
{
	const cookie_io_functions_t functions = {.write = output_write, .close = output_close_fd};

	*out = (struct output){.stop_fd = -1, .is_json = is_json, .name = path};
	if (path)
		out->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	else
		out->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (out->fd < 0)
		return complain(EXIT_REFUSED, "cannot write to %s: %s", path ? path : "the output",
				strerror(errno));
	learn_about_terminal(out);
	out->file = fopencookie(out, "w", functions);
	if (!out->file) {
		close(out->fd);
		return complain(EXIT_REFUSED, "out of memory");
	}
	setvbuf(out->file, NULL, _IOFBF, 1 << 16);
	return EXIT_DONE;
}

int output_flush(struct output *out)
{
	fflush(out->file);
	return -out->error;
}

int output_close(struct output *out, int code)
{
	if (!out->file)
		return code;
	fclose(out->file);
	out->file = NULL;
	if (!out->error)
		return code;
	if (out->error == ECANCELED)
		return complain(EXIT_REFUSED, "gave up writing: nobody reads the output");
	/* Who closes the pipe has seen enough: no complaint. */
	if (out->error != EPIPE)
		complain(EXIT_REFUSED, "cannot write %s%s: %s", out->name ? "to " : "the output",
			 out->name ? out->name : "", strerror(out->error));
	return EXIT_REFUSED;
}
