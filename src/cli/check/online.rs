//! `agentcron check --online`: whether the agent server has what the crons name, and lets us use it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::backend::{AgentClient, CallError};
use crate::cli::terminal::{Failure, Session, backend_transport, printable};
use crate::config::CronDefinition;
use crate::domain::cron::{Cron, Target};
use crate::domain::ids::ThreadId;
use crate::present::{Tone, counted};

/// Somebody waits for the result, and a server that takes longer than this to name an assistant is in trouble.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// What a cron needs of the server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Assistant(String),
    Thread(ThreadId),
}

/// Asks for each assistant and each thread once, and prints what is wrong with it at the place of every cron that
/// needs it.
pub(super) fn check(path: &Path, session: &mut Session) -> Result<(), Failure> {
    // The server is asked under our credentials, so this time they must be here.
    let config = session.load_config(path)?;
    let backend = &config.backend;
    let wait = backend.request_timeout.min(ANSWER_WAIT);
    let client =
        AgentClient::new(backend_transport(backend)?, backend.url.clone(), backend.credentials(), wait);
    let mut needs: BTreeMap<Need, Vec<&CronDefinition>> = BTreeMap::new();
    for definition in &config.crons {
        let Some(Cron { request, .. }) = definition.cron() else { continue };
        needs.entry(Need::Assistant(request.assistant_id)).or_default().push(definition);
        let thread_id = match request.target {
            Target::Thread(thread_id) if definition.fields().thread.is_none() => thread_id,
            // Which thread it will be is not known yet; whether we may ask for one can be seen with any.
            Target::Thread(_) | Target::Stateless(_) => ThreadId::default(),
        };
        needs.entry(Need::Thread(thread_id)).or_default().push(definition);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut problems = 0;
    for (need, crons) in &needs {
        match runtime.block_on(ask(&client, need)) {
            Ok(None) => {}
            Ok(Some(problem)) => {
                for definition in crons {
                    let (place, name) = (&definition.location, &definition.name);
                    let line = format!("{place}: {name}: {}", printable(&problem));
                    session.output.line(&session.output.paint(Tone::Bad, &line))?;
                }
                problems += crons.len();
            }
            Err(error) => {
                let url = &backend.url;
                return Err(Failure::Failed(format!(
                    "the agent server at {url} could not be asked: {error}"
                )));
            }
        }
    }
    if problems > 0 {
        let problems = counted(problems as u64, "problem");
        return Err(Failure::Usage(format!("{problems} at the agent server")));
    }
    if !session.output.is_json() {
        let fine = session.output.paint(Tone::Good, "no problems");
        session
            .output
            .line(&format!("{fine} at the agent server: it has every assistant, and lets us use threads"))?;
    }
    Ok(())
}

/// Returns what is wrong, if anything is.
///
/// # Errors
/// Fails if that cannot be told, as it could not be for any other need.
async fn ask(client: &AgentClient, need: &Need) -> Result<Option<String>, CallError> {
    let answer = match need {
        Need::Assistant(name) => match client.assistant(name).await {
            Ok(None) => return Ok(Some(format!("the agent server has no assistant `{name}`"))),
            Ok(Some(_)) => Ok(()),
            Err(error) => Err(error),
        },
        // A thread that does not exist yet is made by the first run on it.
        Need::Thread(thread_id) => match client.thread(*thread_id).await {
            Ok(_)
            | Err(CallError::NotFound(_) | CallError::PlainNotFound(_) | CallError::TooLarge { .. }) => {
                Ok(())
            }
            Err(error) => Err(error),
        },
    };
    match (answer, need) {
        (Ok(()), _) => Ok(None),
        (Err(CallError::Denied(denial)), Need::Assistant(name)) => {
            Ok(Some(format!("assistant `{name}`: {denial}; see backend.api_key and backend.headers")))
        }
        (Err(CallError::Denied(denial)), Need::Thread(thread_id)) => {
            let which =
                if *thread_id == ThreadId::default() { String::new() } else { format!(" {thread_id}") };
            Ok(Some(format!("thread{which}: {denial}; see backend.api_key and backend.headers")))
        }
        (Err(error), _) => Err(error),
    }
}
