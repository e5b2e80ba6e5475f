/* Reads event streams and counts, in a process of its own.

   reader PORT PATH N SECONDS NAP

   Opens N streams, prints "ready" when each has begun, reads until all have ended, or
   for SECONDS, and prints one line of JSON. An event is counted by its '~', which is
   followed by the monotonic time in ns at which it was published. A cut-off time is not
   sampled. Latencies are kept in buckets of 10 us.

   It naps for NAP us before each look. A reader that sleeps until there is something to
   read makes the server's write pay for waking it, the more often the slower the server
   is: what no client elsewhere does. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUCKETS 2000000
#define SIZE (256 * 1024)

struct stream {
  int fd, begun, ended;
  long events;
  long long end;
};

static unsigned buckets[BUCKETS];
static char buffer[SIZE + 1];

static long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int opened(int port, const char *path) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  char request[512];
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
    perror("connect");
    exit(1);
  }
  int length = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n"
                        "\r\n", path);
  if (write(fd, request, length) != length) exit(1);
  return fd;
}

static void count(struct stream *stream, ssize_t length, long long at) {
  char *mark = buffer, *stop = buffer + length;
  while ((mark = memchr(mark, '~', stop - mark))) {
    char *rest;
    stream->events++;
    long long published = strtoll(++mark, &rest, 10);
    if (rest == stop || rest == mark) continue;
    long long bucket = (at - published) / 10000;
    buckets[bucket < 0 ? 0 : bucket < BUCKETS ? bucket : BUCKETS - 1]++;
  }
}

static double percentile(double part) {
  unsigned long long all = 0, sum = 0;
  for (int i = 0; i < BUCKETS; i++) all += buckets[i];
  if (!all) return 0;
  for (int i = 0; i < BUCKETS; i++)
    if ((sum += buckets[i]) >= part * all) return i * 1e-5;
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  int n = atoi(argv[3]), begun = 0, ended = 0;
  long long stop = now() + (long long)(atof(argv[4]) * 1e9), first = 0, at = 0;
  unsigned long long bytes = 0, reads = 0;
  int poll = epoll_create1(0);
  struct stream *streams = calloc(n, sizeof *streams);
  struct epoll_event ready[512];
  for (int i = 0; i < n; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &streams[i]};
    streams[i].fd = opened(atoi(argv[1]), argv[2]);
    epoll_ctl(poll, EPOLL_CTL_ADD, streams[i].fd, &event);
  }
  while (ended < n && now() < stop) {
    if (atoi(argv[5])) usleep(atoi(argv[5]));
    int many = epoll_wait(poll, ready, 512, 100);
    for (int i = 0; i < many; i++) {
      struct stream *stream = ready[i].data.ptr;
      ssize_t length = recv(stream->fd, buffer, SIZE, 0);
      at = now();
      if (length > 0) {
        buffer[length] = 0;
        bytes += length;
        reads++;
        if (!stream->begun++) begun++;
        if (begun == n && stream->begun == 1) puts("ready"), fflush(stdout);
        count(stream, length, at);
        if (!first && stream->events) first = at;
      }
      if (length <= 0 || (length >= 5 && !memcmp(buffer + length - 5, "0\r\n\r\n", 5))) {
        epoll_ctl(poll, EPOLL_CTL_DEL, stream->fd, NULL);
        close(stream->fd);
        stream->end = at;
        ended++;
      }
    }
  }
  long all = 0, fewest = streams[0].events, most = fewest;
  long long end = 0;
  for (int i = 0; i < n; i++) {
    struct stream *s = &streams[i];
    all += s->events;
    if (s->events < fewest) fewest = s->events;
    if (s->events > most) most = s->events;
    if (s->end > end) end = s->end;
  }
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec +
               (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  printf("{\"events\": %ld, \"fewest\": %ld, \"most\": %ld, \"ended\": %d, "
         "\"seconds\": %.4f, \"bytes\": %llu, \"reads\": %llu, \"cpu\": %.4f, "
         "\"p50\": %.5f, \"p99\": %.5f, \"slowest\": %.5f, \"end\": %lld}\n",
         all, fewest, most, ended, first ? (at - first) / 1e9 : 0, bytes, reads, cpu,
         percentile(0.5), percentile(0.99), percentile(1), end);
  return 0;
}
