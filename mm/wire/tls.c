// SPDX-License-Identifier: Apache-2.0
/*
 * TLS by GnuTLS, which is loaded at run time. Contract in tls.h.
 *
 * The library allows for one sender and one receiver in a session, but for what TLS 1.3 does on its
 * own, such as changing keys, which touches both directions. So a lock is held around each call. No
 * call waits, since the socket does not block; one takes as long as 64 KiB take to encrypt. Who
 * wants the lock takes a second one first, and keeps it until it has the first: otherwise a
 * sender in its loop would get the lock back before a receiver had even woken up.
 *
 * The library's bytes go through buffers of ours. It reads and writes records by themselves, three
 * system calls each; and an error of the socket in one direction ends a session for both, where
 * what the other side said last is still to be read. So it never sees one: to it, there is only
 * "not now".
 */
#include "mm/wire/tls.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIBRARY "libgnutls.so.30"
#define PACKAGE "libgnutls30"

/* The most that a record of TLS carries, and more than that is when it is encrypted. */
#define RECORD 16384
#define SEALED (RECORD + 512)

#define PRIORITY                                                                                \
	"NONE:+VERS-TLS1.3:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AEAD:+SHA256:+SHA384:" \
	"+ECDHE-PSK:+GROUP-X25519:+GROUP-SECP256R1:+SIGN-ALL"

/* clang-format off */
#define FUNCTIONS(f) \
	f(gnutls_init) f(gnutls_deinit) f(gnutls_priority_set_direct) \
	f(gnutls_credentials_set) f(gnutls_psk_allocate_client_credentials) \
	f(gnutls_psk_set_client_credentials) f(gnutls_psk_free_client_credentials) \
	f(gnutls_psk_allocate_server_credentials) \
	f(gnutls_psk_set_server_credentials_function) \
	f(gnutls_psk_free_server_credentials) f(gnutls_session_set_ptr) \
	f(gnutls_session_get_ptr) f(gnutls_transport_set_ptr) \
	f(gnutls_transport_set_push_function) f(gnutls_transport_set_pull_function) \
	f(gnutls_transport_set_errno) f(gnutls_handshake) f(gnutls_record_send) \
	f(gnutls_record_recv) f(gnutls_alert_send_appropriate) f(gnutls_error_is_fatal) \
	f(gnutls_strerror) f(gnutls_malloc)
/* clang-format on */

/* The library's functions by their own names; gnutls_malloc is a pointer to one. */
static struct {
#define MEMBER(name) __typeof__(name) *name;
	FUNCTIONS(MEMBER)
#undef MEMBER
} api;

static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static bool loaded;
static char load_error[128];

struct tls {
	gnutls_session_t session;
	gnutls_psk_client_credentials_t client; /* one of the two */
	gnutls_psk_server_credentials_t server;
	const struct tls_key *key;
	pthread_mutex_t next, lock; /* taken in this order; next only until there is lock */

	int fd;

	/* protected by lock: what came and is not decrypted yet; what is to go */
	int in_error; /* after what is in @in nothing more will come */
	size_t in_start, in_end, out_start, out_end;
	u8 in[4 * RECORD], out[5 * SEALED];
	u8 record[RECORD]; /* the sender's */
};

static void load(void)
{
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	const char *why;

	if (!library) {
		why = dlerror();
		strncat(load_error, why ? why : "?", sizeof(load_error) - 1);
		return;
	}
	loaded = true;
#define RESOLVE(name)                                         \
	*(void **)&api.name = dlsym(library, #name);          \
	if (!api.name) {                                      \
		strcpy(load_error, LIBRARY " has no " #name); \
		loaded = false;                               \
	}
	FUNCTIONS(RESOLVE)
#undef RESOLVE
}

static int load_library(struct err *err)
{
	pthread_once(&load_once, load);
	if (loaded)
		return 0;
	return err_set(err, -ENOSYS, "TLS: %s (install the package " PACKAGE ")", load_error);
}

/* ---- The key ---- */

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : isxdigit((u8)c) ? (c | 0x20) - 'a' + 10 : -1;
}

/* Returns what is wrong, or NULL. @line ends with a zero. */
static const char *parse_key(struct tls_key *key, char *line)
{
	size_t len = strcspn(line, "\n"), name = strcspn(line, ":");
	const char *hex = line + name + 1;
	int high, low;

	if (line[len] && line[len + 1])
		return "it has more than one line";
	line[len] = '\0';
	if (!name || name >= len)
		return "it is not IDENTITY:HEX";
	if (name >= sizeof(key->identity))
		return "the identity has more than 127 bytes";
	for (size_t i = 0; i < name; i++)
		if (!isgraph((u8)line[i]))
			return "the identity has other than letters, digits and signs";
	memcpy(key->identity, line, name);
	for (; *hex; hex += 2) {
		high = digit(hex[0]);
		low = high < 0 ? -1 : digit(hex[1]);
		if (low < 0)
			return "the key is not pairs of hexadecimal digits";
		if (key->size == sizeof(key->key))
			return "the key has more than 64 bytes";
		key->key[key->size++] = (u8)(high << 4 | low);
	}
	return key->size < TLS_KEY_LEAST ? "the key has less than 16 bytes" : NULL;
}

/* Returns what is wrong, or NULL; 0 or -errno is left in *@ret. */
static const char *read_key(struct tls_key *key, int fd, int *ret)
{
	char line[512];
	const char *wrong = NULL;
	struct stat st;
	ssize_t n = -1;

	*ret = 0;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode)) {
		if (st.st_mode & 077)
			wrong = "group or others have access to it (chmod 600)";
		n = read(fd, line, sizeof(line) - 1);
	}
	if (!wrong && n < 0)
		wrong = "it cannot be read";
	if (!wrong && n == sizeof(line) - 1)
		wrong = "it is too long";
	if (!wrong) {
		line[n] = '\0';
		wrong = strlen(line) < (size_t)n ? "it is no text" : parse_key(key, line);
	}
	explicit_bzero(line, sizeof(line));
	if (wrong)
		*ret = -EINVAL;
	return wrong;
}

int tls_read_key(struct tls_key *key, const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), ret;
	const char *wrong;

	memset(key, 0, sizeof(*key));
	if (fd < 0)
		return err_set(err, -errno, "key file %s: %s", path, strerror(errno));
	wrong = read_key(key, fd, &ret);
	close(fd);
	if (wrong)
		err_set(err, ret, "key file %s: %s; a key is one line, IDENTITY:HEX", path, wrong);
	else
		ret = load_library(err);
	if (ret)
		tls_wipe_key(key);
	return ret;
}

void tls_wipe_key(struct tls_key *key)
{
	explicit_bzero(key, sizeof(*key));
}

/* ---- Between the library and the socket ---- */

/* The library wants the socket's next bytes. Read ahead: it asks for five, then for the rest. */
static ssize_t pull(gnutls_transport_ptr_t ptr, void *data, size_t size)
{
	struct tls *t = ptr;
	ssize_t n;

	if (t->in_start == t->in_end) {
		n = t->in_error ? 0 : recv(t->fd, t->in, sizeof(t->in), 0);
		if (!t->in_error && n <= 0 && (!n || (errno != EAGAIN && errno != EINTR)))
			t->in_error = n ? -errno : -EPIPE;
		if (n <= 0) {
			api.gnutls_transport_set_errno(t->session, EAGAIN);
			return -1;
		}
		t->in_start = 0;
		t->in_end = (size_t)n;
	}
	size = MIN(size, t->in_end - t->in_start);
	memcpy(data, t->in + t->in_start, size);
	t->in_start += size;
	return (ssize_t)size;
}

/* The library has bytes for the socket. They are sent by flush(), many at a time. */
static ssize_t push(gnutls_transport_ptr_t ptr, const void *data, size_t size)
{
	struct tls *t = ptr;

	size = MIN(size, sizeof(t->out) - t->out_end);
	if (!size) {
		api.gnutls_transport_set_errno(t->session, EAGAIN);
		return -1;
	}
	memcpy(t->out + t->out_end, data, size);
	t->out_end += size;
	return (ssize_t)size;
}

static int flush(struct tls *t)
{
	ssize_t n;

	while (t->out_start < t->out_end) {
		n = send(t->fd, t->out + t->out_start, t->out_end - t->out_start, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EINTR ? -EAGAIN : -errno;
		t->out_start += (size_t)n;
	}
	t->out_start = t->out_end = 0;
	return 0;
}

/* ---- Sessions ---- */

/* The client has named an identity: the library asks for the key, and will free it. */
static int give_key(gnutls_session_t session, const char *identity, gnutls_datum_t *out)
{
	const struct tls *t = api.gnutls_session_get_ptr(session);

	if (strcmp(identity, t->key->identity) != 0)
		return -1;
	out->data = (*api.gnutls_malloc)(t->key->size);
	if (!out->data)
		return -1;
	memcpy(out->data, t->key->key, t->key->size);
	out->size = t->key->size;
	return 0;
}

static int set_client_key(struct tls *t)
{
	/* the library copies it, but wants to be able to write there */
	struct tls_key copy = *t->key;
	const gnutls_datum_t key = {.data = copy.key, .size = copy.size};
	int ret = api.gnutls_psk_allocate_client_credentials(&t->client);

	if (!ret)
		ret = api.gnutls_psk_set_client_credentials(t->client, copy.identity, &key,
							    GNUTLS_PSK_KEY_RAW);
	if (!ret)
		ret = api.gnutls_credentials_set(t->session, GNUTLS_CRD_PSK, t->client);
	tls_wipe_key(&copy);
	return ret;
}

static int set_server_key(struct tls *t)
{
	int ret = api.gnutls_psk_allocate_server_credentials(&t->server);

	if (ret)
		return ret;
	api.gnutls_psk_set_server_credentials_function(t->server, give_key);
	return api.gnutls_credentials_set(t->session, GNUTLS_CRD_PSK, t->server);
}

int tls_create(struct tls **out, int fd, bool server, const struct tls_key *key, struct err *err)
{
	const unsigned int flags = GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS;
	struct tls *t = calloc(1, sizeof(*t));
	int ret;

	ASSERT(loaded);
	if (!t)
		return err_set(err, -ENOMEM, "TLS: no memory");
	t->fd = fd;
	t->key = key;
	pthread_mutex_init(&t->next, NULL);
	pthread_mutex_init(&t->lock, NULL);
	ret = api.gnutls_init(&t->session, flags | (server ? GNUTLS_SERVER : GNUTLS_CLIENT));
	if (!ret)
		ret = api.gnutls_priority_set_direct(t->session, PRIORITY, NULL);
	if (!ret)
		ret = server ? set_server_key(t) : set_client_key(t);
	if (ret) {
		err_set(err, -ENOSYS, "TLS: %s (is " PACKAGE " too old?)",
			api.gnutls_strerror(ret));
		tls_destroy(t);
		return -ENOSYS;
	}
	api.gnutls_session_set_ptr(t->session, t);
	api.gnutls_transport_set_ptr(t->session, t);
	api.gnutls_transport_set_pull_function(t->session, pull);
	api.gnutls_transport_set_push_function(t->session, push);
	*out = t;
	return 0;
}

void tls_destroy(struct tls *t)
{
	if (!t)
		return;
	if (t->session)
		api.gnutls_deinit(t->session);
	if (t->client)
		api.gnutls_psk_free_client_credentials(t->client);
	if (t->server)
		api.gnutls_psk_free_server_credentials(t->server);
	pthread_mutex_destroy(&t->next);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* ---- Talking ---- */

static void take_lock(struct tls *t)
{
	pthread_mutex_lock(&t->next);
	pthread_mutex_lock(&t->lock);
	pthread_mutex_unlock(&t->next);
}

/* What is not fatal is as good as nothing yet: a warning, or something that was not for us. */
static int error_of(ssize_t ret)
{
	if (ret == GNUTLS_E_MEMORY_ERROR)
		return -ENOMEM;
	return api.gnutls_error_is_fatal((int)ret) ? -EBADMSG : -EAGAIN;
}

int tls_handshake(struct tls *t, short *events, const char **why)
{
	int ret = api.gnutls_handshake(t->session), code = ret ? error_of(ret) : 0, flushed;

	*events = POLLIN;
	if (code == -EBADMSG) {
		*why = api.gnutls_strerror(ret);
		api.gnutls_alert_send_appropriate(t->session, ret);
		flush(t);
		return -EACCES;
	}
	flushed = flush(t);
	if (flushed == -EAGAIN)
		*events = POLLOUT;
	if (flushed)
		return flushed;
	return code == -EAGAIN && t->in_error ? t->in_error : code;
}

/* The next record: as it lies there if it is long enough, else put together from its parts. */
static size_t gather(struct tls *t, const struct iovec *iov, int nr, const void **data)
{
	size_t size = 0, part;

	*data = iov->iov_base;
	if (nr == 1 || iov->iov_len >= RECORD)
		return MIN(iov->iov_len, (size_t)RECORD);
	for (int i = 0; i < nr && size < RECORD; i++) {
		part = MIN(iov[i].iov_len, RECORD - size);
		if (part)
			memcpy(t->record + size, iov[i].iov_base, part);
		size += part;
	}
	*data = t->record;
	return size;
}

/* Encrypt what there is room for. Where a whole record fits the library does not stop halfway. */
static ssize_t encrypt(struct tls *t, const struct iovec *iov, int nr)
{
	const void *data;
	ssize_t done = 0, n;
	size_t size;

	do {
		if (done) { /* the rest of the first part */
			size = MIN(iov->iov_len - (size_t)done, (size_t)RECORD);
			data = (u8 *)iov->iov_base + done;
		} else {
			size = gather(t, iov, nr, &data);
		}
		n = api.gnutls_record_send(t->session, data, size);
		if (n < 0)
			return error_of(n);
		done += n;
	} while ((size_t)done < iov->iov_len && sizeof(t->out) - t->out_end >= SEALED);
	return done;
}

ssize_t tls_send(struct tls *t, const struct iovec *iov, int nr)
{
	ssize_t ret;

	take_lock(t);
	ret = flush(t);
	if (!ret)
		ret = encrypt(t, iov, nr);
	pthread_mutex_unlock(&t->lock);
	return ret;
}

int tls_flush(struct tls *t)
{
	int ret;

	take_lock(t);
	ret = flush(t);
	pthread_mutex_unlock(&t->lock);
	return ret;
}

ssize_t tls_receive(struct tls *t, void *data, size_t size)
{
	ssize_t ret;

	take_lock(t);
	do { /* what only concerns the library, as a new key does, is followed by more */
		ret = api.gnutls_record_recv(t->session, data, size);
		if (ret < 0)
			ret = error_of(ret);
	} while (ret == -EAGAIN && t->in_start < t->in_end);
	if (ret == -EAGAIN && t->in_error)
		ret = t->in_error;
	pthread_mutex_unlock(&t->lock);
	return ret;
}
