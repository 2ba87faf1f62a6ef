#include "hq/commands.h"

#include "hq/cmd_alloc.h"
#include "hq/cmd_deploy.h"
#include "hq/cmd_doc.h"
#include "hq/cmd_job.h"
#include "hq/cmd_journal.h"
#include "hq/cmd_misc.h"
#include "hq/cmd_outputlog.h"
#include "hq/cmd_server.h"
#include "hq/cmd_submit.h"
#include "hq/cmd_task.h"
#include "hq/cmd_wait.h"
#include "hq/cmd_worker.h"

/* All commands, in the order of the help texts. `instead` marks older spellings: they work and are not shown. */

#define OPTS(table, count, args) .opts = (table), .opt_count = (count), .args_bytes = sizeof(struct args)

static const struct hq_command server_commands[] = {
    {.name = "start",
     .help = "Starts the server in the foreground.",
     .text = "The server keeps the state of all jobs in a journal and hands tasks to workers. It ends by Ctrl-C or by\n"
             "`hq server stop`. A server that died is resumed in its own directory by the next start.",
     OPTS(hq_server_start_opts, HQ_SERVER_START_OPTS, hq_server_start_args),
     .run = cmd_server_start_run},
    {.name = "stop", .help = "Stops the server and waits until it has closed.", .run = cmd_server_stop_run},
    {.name = "info",
     .help = "Shows the server's ports, process and journal.",
     OPTS(server_info_opts, SERVER_INFO_OPTS, server_info_args),
     .run = cmd_server_info_run},
    {.name = "wait",
     .help = "Waits until the server can be reached.",
     OPTS(server_wait_opts, SERVER_WAIT_OPTS, server_wait_args),
     .run = cmd_server_wait_run},
    {.name = "generate-access",
     .help = "Writes access files for a server to be started.",
     OPTS(server_access_opts, SERVER_ACCESS_OPTS, server_access_args),
     .run = cmd_server_generate_access_run},
    {.name = "debug-dump",
     .help = "Lets the server write its state as JSON into a file.",
     OPTS(server_dump_opts, SERVER_DUMP_OPTS, server_dump_args),
     .run = cmd_server_debug_dump_run},
};

#define SUBMIT_TEXT                                                                                                    \
    "Everything behind the program belongs to the program. Lines `#HQ <options>` at the top of a script\n"             \
    "that ends with .sh are read as options, too; what stands on the command line wins."
#define SUBMIT_ROW OPTS(submit_opts, SUBMIT_OPTS, submit_args), .text = SUBMIT_TEXT, .run = cmd_submit_run

static const struct hq_command job_commands[] = {
    {.name = "list", .help = "Lists jobs.", OPTS(job_list_opts, JOB_LIST_OPTS, job_list_args), .run = cmd_job_list_run},
    {.name = "summary", .help = "Counts jobs by state.", .run = cmd_job_summary_run},
    {.name = "info",
     .help = "Shows jobs in detail.",
     OPTS(job_select_opts, JOB_SELECT_OPTS, job_select_args),
     .run = cmd_job_info_run},
    {.name = "cancel",
     .help = "Cancels all tasks of jobs that have not ended.",
     OPTS(job_cancel_opts, JOB_CANCEL_OPTS, job_cancel_args),
     .run = cmd_job_cancel_run},
    {.name = "forget",
     .help = "Drops completed jobs from the server's memory.",
     OPTS(job_forget_opts, JOB_FORGET_OPTS, job_forget_args),
     .run = cmd_job_forget_run},
    {.name = "cat",
     .help = "Prints the stored output of tasks.",
     OPTS(job_cat_opts, JOB_CAT_OPTS, job_cat_args),
     .run = cmd_job_cat_run},
    {.name = "submit", .help = "Submits a program as one task or an array of tasks.", SUBMIT_ROW},
    {.name = "submit-file",
     .help = "Submits the tasks of a job definition file.",
     OPTS(submit_file_opts, SUBMIT_FILE_OPTS, submit_file_args),
     .run = cmd_submit_file_run},
    {.name = "wait",
     .help = "Waits until jobs are completed.",
     OPTS(job_wait_opts, JOB_WAIT_OPTS, job_wait_args),
     .run = cmd_job_wait_run},
    {.name = "progress",
     .help = "Shows the progress of jobs until they are completed.",
     OPTS(job_progress_opts, JOB_PROGRESS_OPTS, job_progress_args),
     .run = cmd_job_progress_run},
    {.name = "task-ids",
     .help = "Prints task IDs of jobs as ranges.",
     OPTS(job_task_ids_opts, JOB_TASK_IDS_OPTS, job_task_ids_args),
     .run = cmd_job_task_ids_run},
    {.name = "open",
     .help = "Opens a job that tasks can be added to.",
     OPTS(job_open_opts, JOB_OPEN_OPTS, job_open_args),
     .run = cmd_job_open_run},
    {.name = "close",
     .help = "Closes open jobs.",
     OPTS(job_select_opts, JOB_SELECT_OPTS, job_select_args),
     .run = cmd_job_close_run},
    {.name = "tasks",
     .help = "Lists tasks.",
     OPTS(task_list_opts, TASK_LIST_OPTS, task_list_args),
     .run = cmd_task_list_run,
     .instead = "hq task list"},
    {.name = "resubmit",
     .help = "Submits failed tasks again.",
     .instead = "use `hq submit --array $(hq job task-ids <JOB> --filter failed)` instead"},
};

static const struct hq_command task_commands[] = {
    {.name = "list",
     .help = "Lists the tasks of jobs.",
     OPTS(task_list_opts, TASK_LIST_OPTS, task_list_args),
     .run = cmd_task_list_run},
    {.name = "info",
     .help = "Shows tasks in detail.",
     OPTS(task_info_opts, TASK_INFO_OPTS, task_info_args),
     .run = cmd_task_info_run},
    {.name = "explain",
     .help = "Tells why a task runs or does not run.",
     OPTS(task_explain_opts, TASK_EXPLAIN_OPTS, task_explain_args),
     .run = cmd_task_explain_run},
    {.name = "notify",
     .help = "Sends a message to those who follow the job; run inside a task.",
     OPTS(task_notify_opts, TASK_NOTIFY_OPTS, task_notify_args),
     .run = cmd_task_notify_run},
};

static const struct hq_command worker_commands[] = {
    {.name = "start",
     .help = "Starts a worker on this node, in the foreground.",
     .text = "A worker finds its server through the server directory and runs tasks until it is stopped.",
     OPTS(hq_worker_start_opts, HQ_WORKER_START_OPTS, hq_worker_start_args),
     .run = cmd_worker_start_run},
    {.name = "stop",
     .help = "Stops workers.",
     OPTS(worker_stop_opts, WORKER_SELECT_OPTS, worker_select_args),
     .run = cmd_worker_stop_run},
    {.name = "list",
     .help = "Lists workers.",
     OPTS(worker_list_opts, WORKER_LIST_OPTS, worker_list_args),
     .run = cmd_worker_list_run},
    {.name = "info",
     .help = "Shows workers in detail.",
     OPTS(worker_info_opts, WORKER_SELECT_OPTS, worker_select_args),
     .run = cmd_worker_info_run},
    {.name = "address",
     .help = "Prints the host name of a worker.",
     OPTS(worker_address_opts, WORKER_ADDRESS_OPTS, worker_address_args),
     .run = cmd_worker_address_run},
    {.name = "wait",
     .help = "Waits until that many workers are running.",
     OPTS(worker_wait_opts, WORKER_WAIT_OPTS, worker_wait_args),
     .run = cmd_worker_wait_run},
    {.name = "hwdetect",
     .help = "Shows the resources that a worker would find on this node.",
     OPTS(hq_hwdetect_opts, HQ_HWDETECT_OPTS, hq_hwdetect_args),
     .run = cmd_worker_hwdetect_run},
    {.name = "deploy-ssh",
     .help = "Starts workers on other hosts by ssh and stays until they end.",
     .text = "Each line of the file names a host, as host or host:port. What follows the file are options of\n"
             "`hq worker start`. The same programs must be at the same place there.",
     OPTS(worker_deploy_opts, WORKER_DEPLOY_OPTS, worker_deploy_args),
     .run = cmd_worker_deploy_run},
};

#define ALLOC_ROW(K)                                                                                                   \
    OPTS(alloc_add_opts, ALLOC_ADD_OPTS, alloc_add_args), .run = cmd_alloc_add_run, .kind = (K)
static const struct hq_command alloc_add_commands[] = {
    {.name = "pbs", .help = "Allocations are jobs of PBS.", ALLOC_ROW(ALLOC_ADD_PBS)},
    {.name = "slurm", .help = "Allocations are jobs of Slurm.", ALLOC_ROW(ALLOC_ADD_SLURM)},
};
static const struct hq_command alloc_trial_commands[] = {
    {.name = "pbs", .help = "As a job of PBS, held.", ALLOC_ROW(ALLOC_TRIAL_PBS)},
    {.name = "slurm", .help = "As a job of Slurm.", ALLOC_ROW(ALLOC_TRIAL_SLURM)},
};
static const struct hq_command alloc_commands[] = {
    {.name = "list", .help = "Lists allocation queues.", .run = cmd_alloc_list_run},
    {.name = "info",
     .help = "Lists the allocations of a queue.",
     OPTS(alloc_info_opts, ALLOC_INFO_OPTS, alloc_queue_args),
     .run = cmd_alloc_info_run},
    {.name = "log",
     .help = "Prints the output of an allocation.",
     OPTS(alloc_log_opts, ALLOC_LOG_OPTS, alloc_log_args),
     .run = cmd_alloc_log_run},
    {.name = "add",
     .help = "Makes a queue: allocations are submitted when tasks need nodes.",
     .subs = alloc_add_commands,
     .sub_count = HQ_ARRAY_LEN(alloc_add_commands)},
    {.name = "dry-run",
     .help = "Submits one allocation with these options and cancels it.",
     .subs = alloc_trial_commands,
     .sub_count = HQ_ARRAY_LEN(alloc_trial_commands)},
    {.name = "pause",
     .help = "No new allocations for a queue.",
     OPTS(alloc_queue_opts, ALLOC_QUEUE_OPTS, alloc_queue_args),
     .run = cmd_alloc_pause_run},
    {.name = "resume",
     .help = "Lets a queue submit again.",
     OPTS(alloc_queue_opts, ALLOC_QUEUE_OPTS, alloc_queue_args),
     .run = cmd_alloc_resume_run},
    {.name = "remove",
     .help = "Cancels the allocations of a queue and forgets it.",
     OPTS(alloc_remove_opts, ALLOC_REMOVE_OPTS, alloc_queue_args),
     .run = cmd_alloc_remove_run},
    {.name = "cat",
     .help = "Prints the output of an allocation.",
     OPTS(alloc_log_opts, ALLOC_LOG_OPTS, alloc_log_args),
     .run = cmd_alloc_log_run,
     .instead = "hq alloc log"},
    {.name = "status",
     .help = "Tells what automatic allocation does, why allocations wait, and the node-hours used.",
     OPTS(alloc_status_opts, ALLOC_STATUS_OPTS, alloc_queue_args),
     .run = cmd_alloc_status_run},
};

static const char *const journal_aliases[] = {"event-log", NULL};
static const struct hq_command journal_commands[] = {
    {.name = "export",
     .help = "Prints all events of a journal file as JSON lines.",
     OPTS(journal_export_opts, JOURNAL_EXPORT_OPTS, journal_export_args),
     .run = cmd_journal_export_run},
    {.name = "stream", .help = "Prints past and live events of the server.", .run = cmd_journal_stream_run},
    {.name = "replay", .help = "Prints past events of the server.", .run = cmd_journal_replay_run},
    {.name = "prune", .help = "Drops completed jobs and gone workers from the journal.", .run = cmd_journal_prune_run},
    {.name = "flush", .help = "Makes sure that everything is on disk.", .run = cmd_journal_flush_run},
    {.name = "report",
     .help = "Writes a page of what a journal file tells: use of the workers, tasks, jobs.",
     .text = "The page is one file that needs no network.",
     OPTS(journal_report_opts, JOURNAL_REPORT_OPTS, journal_report_args),
     .run = cmd_journal_report_run},
};

#define SELECT(table, count) OPTS(table, count, output_log_select_args)
static const struct hq_command output_log_commands[] = {
    {.name = "summary", .help = "Counts files, jobs, tasks and bytes.", .run = cmd_output_log_summary_run},
    {.name = "jobs", .help = "Prints the ids of all jobs.", .run = cmd_output_log_jobs_run},
    {.name = "show",
     .help = "Prints all output in the order of its times.",
     SELECT(output_log_show_opts, OUTPUT_LOG_SHOW_OPTS),
     .run = cmd_output_log_show_run},
    {.name = "cat",
     .help = "Prints the output of tasks as it was written.",
     SELECT(output_log_cat_opts, OUTPUT_LOG_CAT_OPTS),
     .run = cmd_output_log_cat_run},
    {.name = "export",
     .help = "Prints the output of tasks as JSON.",
     SELECT(output_log_export_opts, OUTPUT_LOG_EXPORT_OPTS),
     .run = cmd_output_log_export_run},
};
static const struct hq_command old_log_commands[] = {
    {.name = "summary",
     .help = "Counts tasks and bytes.",
     .run = cmd_output_log_summary_run,
     .kind = OUTPUT_LOG_OLD},
    {.name = "show",
     .help = "Prints all output in the order of its times.",
     SELECT(old_log_show_opts, OLD_LOG_SHOW_OPTS),
     .run = cmd_output_log_show_run,
     .kind = OUTPUT_LOG_OLD},
    {.name = "cat",
     .help = "Prints the output of tasks as it was written.",
     SELECT(old_log_cat_opts, OLD_LOG_CAT_OPTS),
     .run = cmd_output_log_cat_run,
     .kind = OUTPUT_LOG_OLD},
    {.name = "export",
     .help = "Prints the output of tasks as JSON.",
     SELECT(old_log_export_opts, OLD_LOG_EXPORT_OPTS),
     .run = cmd_output_log_export_run,
     .kind = OUTPUT_LOG_OLD},
};

#define GROUP(table) .subs = (table), .sub_count = HQ_ARRAY_LEN(table)

static const struct hq_command root_commands[] = {
    {.name = "server", .help = "Starts, stops and asks the server.", GROUP(server_commands)},
    {.name = "job", .help = "Submits, shows and cancels jobs.", GROUP(job_commands)},
    {.name = "submit", .help = "Submits a program as one task or an array of tasks.", SUBMIT_ROW},
    {.name = "task", .help = "Shows tasks.", GROUP(task_commands)},
    {.name = "worker", .help = "Starts, stops and shows workers.", GROUP(worker_commands)},
    {.name = "alloc", .help = "Gets nodes from Slurm or PBS when tasks need them.", GROUP(alloc_commands)},
    {.name = "journal",
     .help = "Reads and maintains the journal.",
     .aliases = journal_aliases,
     GROUP(journal_commands)},
    {.name = "output-log",
     .help = "Reads the output of tasks that was streamed into a directory.",
     OPTS(output_log_opts, OUTPUT_LOG_OPTS, output_log_args),
     GROUP(output_log_commands)},
    {.name = "doc",
     .help = "Prints where the manual is.",
     OPTS(doc_opts, DOC_OPTS, doc_args),
     .run = cmd_doc_run},
    {.name = "generate-completion",
     .help = "Prints a completion script for a shell.",
     OPTS(completion_opts, COMPLETION_OPTS, completion_args),
     .run = cmd_generate_completion_run},
    {.name = "generate-manual",
     .help = "Prints the manual page.",
     OPTS(manual_opts, MANUAL_OPTS, manual_args),
     .run = cmd_generate_manual_run},
    {.name = "jobs",
     .help = "Lists jobs.",
     OPTS(old_jobs_opts, OLD_JOBS_OPTS, job_list_args),
     .run = cmd_job_list_run,
     .instead = "hq job list"},
    {.name = "wait",
     .help = "Waits for jobs.",
     OPTS(old_wait_opts, OLD_WAIT_OPTS, job_progress_args),
     .run = cmd_old_wait_run,
     .instead = "hq job wait"},
    {.name = "progress",
     .help = "Shows the progress of jobs.",
     OPTS(old_wait_opts, OLD_WAIT_OPTS, job_progress_args),
     .run = cmd_old_progress_run,
     .instead = "hq job progress"},
    {.name = "cancel",
     .help = "Cancels jobs.",
     OPTS(job_cancel_opts, JOB_CANCEL_OPTS, job_cancel_args),
     .run = cmd_job_cancel_run,
     .instead = "hq job cancel"},
    {.name = "log",
     .help = "Reads streamed output of one job.",
     OPTS(output_log_opts, OUTPUT_LOG_OPTS, output_log_args),
     GROUP(old_log_commands),
     .instead = "hq output-log"},
    {.name = "resubmit",
     .help = "Submits failed tasks again.",
     .instead = "use `hq submit --array $(hq job task-ids <JOB> --filter failed)` instead"},
};

const struct hq_command commands_root = {
    .name = "hq",
    .help = "Runs many tasks on the nodes of a cluster, without asking its batch system for each.",
    GROUP(root_commands),
};

const char *
commands_env(const struct hq_cli *cli, const char *name)
{
    return hq_optab_env(cli->envp, name);
}
