/* A C program that hands jobs to the daemon through its socket: HTTP/1.1 on a Unix socket, no library.
 *
 *   producer SOCKET COUNT     enqueues COUNT jobs of type "measure", all or none; prints the answer
 *
 * A program that wants the queue inside itself uses libholdfast instead: examples/embed.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct sockaddr_un address;
  char request[16384], body[12288], answer[4096];
  size_t length = 0, got = 0;
  ssize_t n;
  int i, count, s;
  if (argc != 3 || (count = atoi(argv[2])) < 1 || count > 100) return 2;

  length += (size_t)snprintf(body, sizeof body, "{\"jobs\":[");
  for (i = 0; i < count; ++i) {
    length += (size_t)snprintf(body + length, sizeof body - length,
                               "%s{\"type\":\"measure\",\"payload\":{\"what\":\"memory\",\"n\":%d},\"tags\":\"from-c\"}",
                               i ? "," : "", i);
  }
  length += (size_t)snprintf(body + length, sizeof body - length, "]}");
  snprintf(request, sizeof request,
           "POST /v1/jobs HTTP/1.1\r\nHost: holdfast\r\nContent-Type: application/json\r\n"
           "Content-Length: %zu\r\nConnection: close\r\n\r\n%s", length, body);

  memset(&address, 0, sizeof address);
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
  s = socket(AF_UNIX, SOCK_STREAM, 0);
  if (s < 0 || connect(s, (struct sockaddr *)&address, sizeof address) != 0) {
    perror(argv[1]);
    return 1;
  }
  if (write(s, request, strlen(request)) != (ssize_t)strlen(request)) return 1;
  while (got < sizeof answer - 1 && (n = read(s, answer + got, sizeof answer - 1 - got)) > 0) got += (size_t)n;
  answer[got] = 0;
  close(s);
  puts(answer);
  /* A 2xx answer means: on the disk. */
  return strncmp(answer, "HTTP/1.1 2", 10) == 0 ? 0 : 1;
}
