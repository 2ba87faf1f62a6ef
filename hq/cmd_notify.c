#include "hq/cmd_task.h"

#include "common/fs.h"
#include "common/limits.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_BYTES_MAX 512u

const struct hq_opt task_notify_opts[TASK_NOTIFY_OPTS] = {
    {.name = "message",
     .hint = "MESSAGE",
     .parse = hq_opt_str,
     .at = offsetof(struct task_notify_args, message),
     .flags = HQ_OPT_POSITIONAL | HQ_OPT_REQUIRED,
     .help = "Text for those who follow the job; at most 1024 bytes."},
};

static int
io_error(struct hq_err *err, int code)
{
    (void)hq_err_set(err, code, "%s", hq_err_os(code));
    return hq_err_wrap(err, "IO error: %s", hq_err_os(code));
}

static int
connect_to(struct hq_str path, int *ret_fd, struct hq_err *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path.len == 0 || path.len >= sizeof to.sun_path) {
        return hq_err_set(err, -EINVAL, "Value of HQ_ACCESS_KEY has a wrong format");
    }
    memcpy(to.sun_path, path.ptr, path.len);
    HQ_AUTO(hq_fs_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) < 0) {
        return io_error(err, -errno);
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

/* One request, one line as answer (the form is that of hq-workerd's local socket). */
static int
exchange(int fd, struct hq_str token, struct hq_str message, struct hq_err *err)
{
    HQ_AUTO(hq_buf_fini) struct hq_buf text = HQ_BUF_INIT;
    hq_buf_printf(&text, "notify %.*s %zu\n", HQ_STR_FMT(token), message.len);
    hq_buf_str(&text, message);
    int rc = hq_fs_write_all(fd, text.ptr, text.len);
    if (rc < 0) {
        return io_error(err, rc);
    }
    hq_buf_clear(&text);
    rc = hq_fs_read_fd(&text, fd, ANSWER_BYTES_MAX, err);
    if (rc < 0) {
        return rc;
    }
    struct hq_str answer = hq_buf_view(&text);
    if (hq_str_is(answer, "ok\n")) {
        return 0;
    }
    /* A worker that does not know the token says nothing more to strangers than the reference did. */
    return hq_err_set(err, -EACCES, "Unexpected end of stream");
}

int
cmd_task_notify_run(struct hq_cli *cli, const struct hq_parsed *p, struct hq_err *err)
{
    const struct task_notify_args *args = p->args;
    if (args->message.len > HQ_NOTIFY_BYTES_MAX) {
        return hq_err_set(err, -E2BIG, "Notify message limit exceeded, message len: %zu, limit: %u", args->message.len,
                          HQ_NOTIFY_BYTES_MAX);
    }
    const char *key = commands_env(cli, "HQ_ACCESS_KEY");
    if (key == NULL) {
        return hq_err_set(err, -ENOENT,
                          "HQ_ACCESS_KEY variable not found. Are you running this command inside a task?");
    }
    struct hq_str token = hq_str_from(key);
    struct hq_str path;
    if (!hq_str_split(&token, ':', &path) || hq_str_find_byte(token, '\n') >= 0 || hq_str_find_byte(token, ' ') >= 0) {
        return hq_err_set(err, -EINVAL, "Value of HQ_ACCESS_KEY has a wrong format");
    }
    HQ_AUTO(hq_fs_closep) int fd = -1;
    int rc = connect_to(path, &fd, err);
    return rc < 0 ? rc : exchange(fd, token, args->message, err);
}
