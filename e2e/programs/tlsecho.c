/* A server of the component tests with OpenSSL inside of it: `tlsecho PORT CERTIFICATE KEY` answers
 * each request with its body, one connection after the other. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static char buffer[1 << 20];

static void fail(const char *what) {
    ERR_print_errors_fp(stderr);
    perror(what);
    exit(1);
}

/* Serves one request; 0 at the end of the connection. */
static int serve(SSL *ssl, size_t *have) {
    char *end;
    buffer[*have] = 0;
    while (!(end = strstr(buffer, "\r\n\r\n"))) {
        int got = SSL_read(ssl, buffer + *have, (int)(sizeof buffer - 1 - *have));
        if (got <= 0) return 0;
        *have += (size_t)got;
        buffer[*have] = 0;
    }
    size_t head = (size_t)(end - buffer) + 4, length = 0;
    for (char *line = strstr(buffer, "\r\n"); line && line < end; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, "Content-Length:", 15)) length = strtoul(line + 17, NULL, 10);
    if (head + length > sizeof buffer - 1) return 0;
    while (*have < head + length) {
        int got = SSL_read(ssl, buffer + *have, (int)(head + length - *have));
        if (got <= 0) return 0;
        *have += (size_t)got;
    }
    char answer[100];
    int written = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
    if (SSL_write(ssl, answer, written) <= 0) return 0;
    if (length && SSL_write(ssl, buffer + head, (int)length) <= 0) return 0;
    *have -= head + length;
    memmove(buffer, buffer + head + length, *have);
    return 1;
}

int main(int count, char **words) {
    if (count != 4) return 2;
    signal(SIGPIPE, SIG_IGN);
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_file(context, words[2], SSL_FILETYPE_PEM) != 1) fail("certificate");
    if (SSL_CTX_use_PrivateKey_file(context, words[3], SSL_FILETYPE_PEM) != 1) fail("key");
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(words[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)) fail("listen");
    for (;;) {
        int descriptor = accept(listener, NULL, NULL);
        if (descriptor < 0) continue;
        SSL *ssl = SSL_new(context);
        SSL_set_fd(ssl, descriptor);
        size_t have = 0;
        if (SSL_accept(ssl) == 1)
            while (serve(ssl, &have)) {}
        SSL_free(ssl);
        close(descriptor);
    }
}
