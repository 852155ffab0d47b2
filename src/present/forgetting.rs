//! What agentcron cannot forget, because it is not in its database.

use crate::store::ForgetSubject;

/// Returns what may still hold something of the subject, and what to do about it, in sentences.
pub fn beyond_reach(subject: &ForgetSubject) -> Vec<String> {
    let at_server = match subject {
        ForgetSubject::Thread(thread_id) => format!(
            "the agent server: the thread and its state stay there until you delete it with `DELETE /threads/{thread_id}` \
             (in the SDK, `client.threads.delete(\"{thread_id}\")`)"
        ),
        ForgetSubject::Cron(_) => {
            "the agent server: threads that were kept stay there until you delete each with `DELETE /threads/{thread_id}` \
             (in the SDK, `client.threads.delete(thread_id)`)"
                .to_owned()
        }
    };
    let file = match subject {
        ForgetSubject::Thread(_) => None,
        ForgetSubject::Cron(_) => {
            Some("the configuration: a file that defines the cron, and its versions".to_owned())
        }
    };
    let others = [
        "traces: what the agent server has sent to a tracing service such as LangSmith",
        "receivers: whoever has received webhooks",
        "logs: the journal of the daemon, and those of proxies and of the agent server",
        "backups and copies of the database that were made before",
    ];
    [at_server].into_iter().chain(others.map(str::to_owned)).chain(file).collect()
}
