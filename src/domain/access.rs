//! Who may do what over HTTP: the rights of a key, what requests are about, and the one rule that joins the two.

use super::words::words;

words!(
    /// What the holder of a key may do.
    Access {
        /// See everything of agentcron's own, values of runs included, and change nothing.
        Read = "read",
        /// Everything: see, act, and use the agent server's API, also under the credentials of `backend`.
        Act = "act",
        /// Use the agent server's API, and nothing of agentcron's own. The agent server's credentials are the caller's.
        Client = "client",
    }
);
words!(
    /// Under which conditions clients may have crons on an agent server that knows users.
    ClientCrons {
        /// They may not: their crons are accepted only on an agent server without users.
        Open = "open",
        /// They may, and each run of their crons is a run of the user whose credentials `backend` has. Who may see and
        /// change a cron is decided by the agent server.
        Service = "service",
    }
);

words!(
    /// What people may do on the web page.
    PageAccess {
        /// See, and act if they have shown who they are.
        On = "on",
        /// See. Whoever they are, they change nothing.
        ReadOnly = "read-only",
        /// Nothing: there is no page.
        Off = "off",
    }
);

/// Who sent a request, as far as that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Somebody who may open the Unix socket: the operator. `uid` is the user, if it is known.
    Socket { uid: Option<u32> },
    /// The holder of a key.
    Key { name: String, access: Access },
    /// Some program on this machine. There are no keys.
    Local,
    /// Somebody who shows none of the keys.
    Stranger,
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `/healthz` and `/readyz`.
    Health,
    /// `/metrics`, and `/openapi.json`.
    Metrics,
    /// `/v1/…`: crons, runs and webhooks as agentcron knows them.
    Own,
    /// `/agentcron/…`: the same as a web page.
    Page,
    /// What the page needs before anybody has shown who they are: the login, how it looks, and how somebody wants to see it.
    PageEntrance,
    /// All other paths: the agent server's API, with the crons of clients.
    AgentServer,
}

/// What a request wants with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Only to see.
    See,
    /// To change something, or to start a run.
    Act,
}

impl Caller {
    /// Returns the name by which an operator knows the caller.
    pub fn name(&self) -> &str {
        match self {
            Caller::Socket { .. } => "socket",
            Caller::Key { name, .. } => name,
            Caller::Local => "local",
            Caller::Stranger => "stranger",
        }
    }

    /// Returns whether a request of this caller is allowed.
    pub fn may(&self, intent: Intent, subject: Subject) -> bool {
        if subject == Subject::PageEntrance {
            return true;
        }
        let access = match self {
            Caller::Socket { .. } => Access::Act,
            Caller::Key { access, .. } => *access,
            Caller::Local => {
                return !matches!((intent, subject), (Intent::Act, Subject::Own | Subject::Page));
            }
            Caller::Stranger => return (intent, subject) == (Intent::See, Subject::Health),
        };
        match access {
            Access::Act => true,
            Access::Read => intent == Intent::See && subject != Subject::AgentServer,
            Access::Client => matches!(subject, Subject::AgentServer | Subject::Health),
        }
    }

    /// Returns whether the caller may see what graphs were given, asked and returned.
    pub fn may_see_values(&self) -> bool {
        !matches!(self, Caller::Local | Caller::Stranger | Caller::Key { access: Access::Client, .. })
    }

    /// Returns whether a forwarded request may be sent under the credentials of `backend`.
    pub fn may_use_backend_credentials(&self) -> bool {
        matches!(self, Caller::Socket { .. } | Caller::Key { access: Access::Act, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_caller_may_do_this_and_no_more() {
        let key = |access| Caller::Key { name: "k".to_owned(), access };
        let callers = [
            Caller::Socket { uid: None },
            key(Access::Act),
            key(Access::Read),
            key(Access::Client),
            Caller::Local,
            Caller::Stranger,
        ];
        // By columns: socket, act, read, client, local, stranger.
        let table = [
            (Intent::See, Subject::Health, [true, true, true, true, true, true]),
            (Intent::Act, Subject::Health, [true, true, false, true, true, false]),
            (Intent::See, Subject::Metrics, [true, true, true, false, true, false]),
            (Intent::See, Subject::Own, [true, true, true, false, true, false]),
            (Intent::Act, Subject::Own, [true, true, false, false, false, false]),
            (Intent::See, Subject::Page, [true, true, true, false, true, false]),
            (Intent::Act, Subject::Page, [true, true, false, false, false, false]),
            (Intent::See, Subject::PageEntrance, [true; 6]),
            (Intent::Act, Subject::PageEntrance, [true; 6]),
            (Intent::See, Subject::AgentServer, [true, true, false, true, true, false]),
            (Intent::Act, Subject::AgentServer, [true, true, false, true, true, false]),
        ];
        for (intent, subject, expected) in table {
            assert_eq!(
                callers.each_ref().map(|caller| caller.may(intent, subject)),
                expected,
                "{intent:?} {subject:?}"
            );
        }
        assert_eq!(callers.each_ref().map(Caller::may_see_values), [true, true, true, false, false, false]);
        assert_eq!(
            callers.each_ref().map(Caller::may_use_backend_credentials),
            [true, true, false, false, false, false]
        );
    }
}
