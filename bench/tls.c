/* Both ends of TLS connections over loopback in one thread: `tls CERTIFICATE KEY` reads lines
 * `BYTES CALLS` and answers each with the nanoseconds of this thread's CPU time per SSL_write and
 * per SSL_read of so many bytes (the smallest of some batches), on a connection made for it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 50 };

static char data[1 << 16], back[1 << 16];

static void fail(const char *what) {
    ERR_print_errors_fp(stderr);
    perror(what);
    exit(1);
}

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void blocking(int socket, int wanted) {
    int flags = fcntl(socket, F_GETFL);
    fcntl(socket, F_SETFL, wanted ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

static void connect_both(int ends[2]) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1)) fail("listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(ends[0], (struct sockaddr *)&address, size)) fail("connect");
    ends[1] = accept(listener, NULL, NULL);
    close(listener);
    for (int end = 0; end < 2; end++) setsockopt(ends[end], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

int main(int count, char **words) {
    if (count != 3) return 2;
    SSL_CTX *server = SSL_CTX_new(TLS_server_method()), *client = SSL_CTX_new(TLS_client_method());
    if (SSL_CTX_use_certificate_file(server, words[1], SSL_FILETYPE_PEM) != 1) fail("certificate");
    if (SSL_CTX_use_PrivateKey_file(server, words[2], SSL_FILETYPE_PEM) != 1) fail("key");
    int bytes, calls;
    while (scanf("%d %d", &bytes, &calls) == 2 && bytes > 0 && bytes <= (int)sizeof data) {
        int ends[2];
        connect_both(ends);
        SSL *ssl[2] = {SSL_new(client), SSL_new(server)};
        SSL_set_connect_state(ssl[0]);
        SSL_set_accept_state(ssl[1]);
        for (int end = 0; end < 2; end++) SSL_set_fd(ssl[end], ends[end]), blocking(ends[end], 0);
        while ((SSL_do_handshake(ssl[0]) != 1) | (SSL_do_handshake(ssl[1]) != 1)) {}
        for (int end = 0; end < 2; end++) blocking(ends[end], 1);
        long best[2] = {1L << 60, 1L << 60};
        for (int done = 0; done < calls; done += BATCH) {
            long spent[2] = {0, 0};
            for (int call = 0; call < BATCH; call++) {
                /* Requests and answers take turns, as capturing sees them. */
                SSL *from = ssl[call & 1], *to = ssl[!(call & 1)];
                long begin = now();
                if (SSL_write(from, data, bytes) != bytes) fail("write");
                long written = now();
                for (int got = 0; got < bytes;) {
                    int more = SSL_read(to, back, bytes - got);
                    if (more <= 0) fail("read");
                    got += more;
                }
                spent[0] += written - begin;
                spent[1] += now() - written;
            }
            for (int at = 0; at < 2; at++)
                if (spent[at] < best[at]) best[at] = spent[at];
            /* Whoever reads the capture keeps up. */
            usleep(2000);
        }
        printf("%ld %ld\n", best[0] / BATCH, best[1] / BATCH);
        fflush(stdout);
        for (int end = 0; end < 2; end++) SSL_free(ssl[end]), close(ends[end]);
    }
}
