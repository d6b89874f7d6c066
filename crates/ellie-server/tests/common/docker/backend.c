/* What runs inside the containers of the tests: an HTTP server as a static binary, the only thing of its image.
 *
 *   backend          serves on $PORT (8080): /health says healthy or not, /slow answers after ?ms, all else at once
 *                    with "$NAME $HOSTNAME".
 *   backend check    asks its own /health; for HEALTHCHECK.
 *   backend help     ends well.
 *   backend sick     makes /health answer 503 from now on, backend well takes it back.
 *
 * SIGTERM: it goes on serving for $LINGER milliseconds, then accepts no more, finishes what it has begun, and ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *SICK = "/sick";
static atomic_int busy;
static atomic_int ending;

static const char *setting(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static void answer(int fd, int status, const char *type, const char *body) {
    char head[512];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %zu\r\n%s\r\n", status,
                     status == 200 ? "OK" : "Service Unavailable", type, strlen(body),
                     ending ? "connection: close\r\n" : "");
    if (send(fd, head, (size_t)n, MSG_NOSIGNAL | MSG_MORE) < 0) return;
    send(fd, body, strlen(body), MSG_NOSIGNAL);
}

static void respond(int fd, const char *path) {
    char body[512];
    if (!strncmp(path, "/health", 7)) {
        int sick = access(SICK, F_OK) == 0;
        answer(fd, sick ? 503 : 200, "application/json",
               sick ? "{\"status\":\"unhealthy\"}" : "{\"status\":\"healthy\"}");
        return;
    }
    const char *ms = strstr(path, "ms=");
    if (!strncmp(path, "/slow", 5) && ms) usleep((useconds_t)atoi(ms + 3) * 1000);
    snprintf(body, sizeof body, "%s %s\n", setting("NAME", "backend"), setting("HOSTNAME", "?"));
    answer(fd, 200, "text/plain", body);
}

static void *serve(void *argument) {
    int fd = (int)(long)argument;
    char in[8192];
    size_t have = 0;
    for (;;) {
        char *end;
        in[have] = 0;
        while (!(end = strstr(in, "\r\n\r\n"))) {
            ssize_t n = have < sizeof in - 1 ? recv(fd, in + have, sizeof in - 1 - have, 0) : 0;
            if (n <= 0) goto done;
            have += (size_t)n;
            in[have] = 0;
        }
        char path[1024] = "/";
        sscanf(in, "%*15s %1023s", path);
        atomic_fetch_add(&busy, 1);
        respond(fd, path);
        atomic_fetch_sub(&busy, 1);
        if (ending) break;
        end += 4;
        have -= (size_t)(end - in);
        memmove(in, end, have);
    }
done:
    close(fd);
    return 0;
}

static void *end_in_order(void *argument) {
    sigset_t set;
    int number, listener = (int)(long)argument;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigwait(&set, &number);
    ending = 1;
    usleep((useconds_t)atoi(setting("LINGER", "0")) * 1000);
    shutdown(listener, SHUT_RDWR);
    while (busy) usleep(1000);
    usleep(20000); /* the last answer leaves */
    _exit(0);
}

static int check(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(setting("PORT", "8080")))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char in[64] = "";
    const char *ask = "GET /health HTTP/1.1\r\nhost: self\r\n\r\n";
    if (connect(fd, (struct sockaddr *)&to, sizeof to) || write(fd, ask, strlen(ask)) < 0) return 1;
    if (read(fd, in, sizeof in - 1) <= 0) return 1;
    puts(strstr(in, " 200 ") ? "well" : "says 503");
    return strstr(in, " 200 ") ? 0 : 1;
}

int main(int argc, char **argv) {
    const char *job = argc > 1 ? argv[1] : "serve";
    if (!strcmp(job, "help")) return 0;
    if (!strcmp(job, "check")) return check();
    if (!strcmp(job, "sick")) return mknod(SICK, S_IFREG | 0644, 0) != 0;
    if (!strcmp(job, "well")) return unlink(SICK) != 0;

    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, 0);
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(setting("PORT", "8080")))};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 512)) {
        perror("bind");
        return 1;
    }
    pthread_t thread;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 * 1024);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    pthread_create(&thread, &small, end_in_order, (void *)(long)listener);
    for (;;) {
        int fd = accept(listener, 0, 0);
        if (fd < 0 && ending) pause();
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&thread, &small, serve, (void *)(long)fd)) close(fd);
    }
}
