// Calls of all that is linked statically, libuv among it: -Wl,--wrap=socket,... as in CMakeLists.txt. On sockets and pipes, and
// whatever makes a descriptor; what SQLite does to its files is not among it.
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "fault.h"

namespace {

bool is_socket(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode);
}

bool is_pipe(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 && S_ISFIFO(info.st_mode);
}

bool fails(int error) {
  if (!fault::refuse()) return false;
  errno = error;
  return true;
}

}  // namespace

// A call whose first argument is a socket (or makes a descriptor), and what it fails with.
#define FAILING(result, name, error, on_it, parameters, arguments) \
  result __real_##name parameters;                                 \
  result __wrap_##name parameters { return (on_it) && fails(error) ? -1 : __real_##name arguments; }

extern "C" {
FAILING(int, socket, EMFILE, true, (int domain, int type, int protocol), (domain, type, protocol))
FAILING(int, connect, ENETUNREACH, true, (int fd, const sockaddr* to, socklen_t size), (fd, to, size))
FAILING(int, bind, EADDRNOTAVAIL, true, (int fd, const sockaddr* to, socklen_t size), (fd, to, size))
FAILING(int, listen, EADDRINUSE, true, (int fd, int backlog), (fd, backlog))
FAILING(int, accept4, ENOBUFS, true, (int fd, sockaddr* from, socklen_t* size, int flags), (fd, from, size, flags))
FAILING(int, shutdown, ENOTCONN, true, (int fd, int how), (fd, how))
FAILING(int, setsockopt, ENOBUFS, true, (int fd, int level, int name, const void* value, socklen_t size), (fd, level, name, value, size))
// SO_ERROR cannot fail, and libuv does not look.
FAILING(int, getsockopt, ENOBUFS, name != SO_ERROR, (int fd, int level, int name, void* value, socklen_t* size), (fd, level, name, value, size))
FAILING(int, ioctl, ENOMEM, is_socket(fd), (int fd, unsigned long request, void* value), (fd, request, value))
FAILING(ssize_t, read, EIO, is_socket(fd) || is_pipe(fd), (int fd, void* to, size_t size), (fd, to, size))
FAILING(ssize_t, readv, ECONNRESET, is_socket(fd), (int fd, const iovec* to, int count), (fd, to, count))
FAILING(ssize_t, recvmsg, ECONNRESET, true, (int fd, msghdr* message, int flags), (fd, message, flags))
FAILING(ssize_t, write, EPIPE, is_socket(fd), (int fd, const void* from, size_t size), (fd, from, size))
FAILING(ssize_t, writev, EPIPE, is_socket(fd), (int fd, const iovec* from, int count), (fd, from, count))
FAILING(ssize_t, sendmsg, EPIPE, true, (int fd, const msghdr* message, int flags), (fd, message, flags))
FAILING(int, pipe2, EMFILE, true, (int* ends, int flags), (ends, flags))
FAILING(int, eventfd, EMFILE, true, (unsigned value, int flags), (value, flags))
FAILING(int, timerfd_create, EMFILE, true, (int clock, int flags), (clock, flags))
FAILING(int, memfd_create, EMFILE, true, (const char* name, unsigned flags), (name, flags))
FAILING(int, epoll_create1, EMFILE, true, (int flags), (flags))
FAILING(int, poll, ENOMEM, true, (pollfd* fds, nfds_t count, int timeout), (fds, count, timeout))
// Only where libuv asks whether it can watch something at all: of a socket it does not ask, and ends the process if it cannot.
FAILING(int, epoll_ctl, ENOSPC, operation == EPOLL_CTL_ADD && event->data.fd == -1, (int fd, int operation, int on, epoll_event* event),
        (fd, operation, on, event))

int __real_getaddrinfo(const char* host, const char* service, const addrinfo* hints, addrinfo** found);
int __wrap_getaddrinfo(const char* host, const char* service, const addrinfo* hints, addrinfo** found) {
  return fault::refuse() ? EAI_AGAIN : __real_getaddrinfo(host, service, hints, found);
}
}
