//! Who comes in. Every request is judged here, before anything of its body is read, by these questions in this order:
//!
//! 1. Is its `Host` well-formed, and one that this listener may have? A page can point a name of its own at loopback (DNS
//!    rebinding); its requests then carry that name.
//! 2. Is it a browser's preflight? It is answered before a key is asked for, because it cannot carry one.
//! 3. Over TCP with keys set: does it show one of them? A probe needs none. On the web page, a session shows the same.
//! 4. Does it come from a web page, and may that page send it? Pages of other sites can send requests to loopback.
//! 5. May its sender do this at all (`domain/access.rs`)?

mod authority;
mod keys;
mod pages;
mod rules;
#[cfg(test)]
mod tests;

use axum::http::request::Parts;
use axum::http::{HeaderName, Method};
use axum::response::Response;

use super::error_response::ErrorResponse;
use super::page_paths::{is_entrance, is_of_page};
use crate::config::Live;
use crate::domain::access::{Access, Caller, Intent, PageAccess, Subject};

pub use rules::AccessRules;

use authority::{Authority, authorities};
use pages::{Cors, Page};

/// The agent server's own header for a key.
pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The rules for one listener.
#[derive(Clone)]
pub(super) struct Admission {
    listener: ListenerKind,
    rules: Live<AccessRules>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ListenerKind {
    UnixSocket,
    Tcp,
}

/// What is known of the sender of a request beside what the request says.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// The user at the other end of the Unix socket.
    pub(super) uid: Option<u32>,
    /// The holder of the session of the web page that it names.
    pub(super) session: Option<Caller>,
}

/// What becomes of a request.
pub(super) enum Verdict {
    /// It is handled on behalf of this caller.
    Admitted(Caller),
    /// It is answered with this, and nothing else is done.
    Answered(Response),
    /// It is for a page of ours, and nobody has shown yet who looks at it.
    MustLogIn,
}

impl Admission {
    pub(super) fn unix_socket(rules: Live<AccessRules>) -> Self {
        Self { listener: ListenerKind::UnixSocket, rules }
    }

    pub(super) fn tcp(rules: Live<AccessRules>) -> Self {
        Self { listener: ListenerKind::Tcp, rules }
    }

    /// Judges a request and removes our own keys from its headers, so that they reach neither the handlers nor the agent
    /// server. A request that is admitted has the rights that are checked here only if its path is written plainly. Also
    /// returns what browsers must be told with the response, whatever it is.
    pub(super) fn judge(&self, parts: &mut Parts, known: Known) -> (Result<Verdict, ErrorResponse>, Cors) {
        let rules = self.rules.now();
        let page = match Page::of(&parts.headers) {
            Ok(page) => page,
            Err(error) => return (Err(error), Cors::AsTheyAre),
        };
        let cors = Cors::of(&page, &rules, self.listener);
        (self.admit(parts, known, &rules, &page, &cors), cors)
    }

    fn admit(
        &self,
        parts: &mut Parts,
        known: Known,
        rules: &AccessRules,
        page: &Page,
        cors: &Cors,
    ) -> Result<Verdict, ErrorResponse> {
        let hosts = authorities(parts)?;
        self.check_hosts(&hosts, rules)?;
        if let Some(answer) = pages::preflight(parts, page, cors)? {
            return Ok(Verdict::Answered(answer));
        }
        let (intent, subject) = (intent_of(&parts.method), subject_of(parts.uri.path()));
        let is_of_page = matches!(subject, Subject::Page | Subject::PageEntrance);
        if is_of_page && rules.page == PageAccess::Off {
            return Err(ErrorResponse::not_found("the web page is off (http.page)"));
        }
        let caller = match (self.caller(parts, rules, known.uid), known.session) {
            (Err(_) | Ok(Caller::Local), Some(holder)) if is_of_page => holder,
            (Err(_), _) if rules.open_probes && subject == Subject::Health => Caller::Stranger,
            (Err(_), None) if is_of_page => Caller::Stranger,
            (caller, _) => caller?,
        };
        // Only the page itself may act as its user: a session is not for others that may call the API.
        let is_allowed_page = page.is_of(&hosts) || (!is_of_page && rules.allows(page.origin()));
        if caller == Caller::Local && !is_allowed_page && !matches!(cors, Cors::Allowed(_)) {
            page.check_on_this_machine(parts)?;
        }
        let is_acting = is_of_page || subject == Subject::Own || self.listener == ListenerKind::UnixSocket;
        if intent == Intent::Act && is_acting && !is_allowed_page {
            page.check_may_act()?;
        }
        if (intent, subject, rules.page) == (Intent::Act, Subject::Page, PageAccess::ReadOnly) {
            return Err(ErrorResponse::forbidden("the web page only shows (http.page = \"read-only\")"));
        }
        match caller.may(intent, subject) {
            true => Ok(Verdict::Admitted(caller)),
            false if caller == Caller::Stranger && subject == Subject::Page => Ok(Verdict::MustLogIn),
            false => Err(ErrorResponse::forbidden(refusal(&caller, intent, subject))),
        }
    }

    fn caller(
        &self,
        parts: &mut Parts,
        rules: &AccessRules,
        uid: Option<u32>,
    ) -> Result<Caller, ErrorResponse> {
        let holder = rules.keys.remove_from(&mut parts.headers);
        match (self.listener, holder) {
            (ListenerKind::UnixSocket, _) => Ok(Caller::Socket { uid }),
            (ListenerKind::Tcp, Some(caller)) => Ok(caller),
            (ListenerKind::Tcp, None) if rules.keys.is_empty() => Ok(Caller::Local),
            (ListenerKind::Tcp, None) => {
                let message = "the API key is missing or wrong: send one of the keys in [http] as x-api-key or as \
                               Authorization: Bearer";
                Err(ErrorResponse::unauthorized(message))
            }
        }
    }

    /// Refuses names that are not of this machine where no key protects it. HTTP/1.0 needs no `Host`; no browser speaks
    /// it.
    fn check_hosts(&self, hosts: &[Authority], rules: &AccessRules) -> Result<(), ErrorResponse> {
        let is_good = |host: &Authority| match self.listener {
            // Any single word will do, such as `agentcron` in `http://agentcron/v1/status`.
            ListenerKind::UnixSocket => host.is_loopback() || host.is_single_word(),
            ListenerKind::Tcp => host.is_loopback() || !rules.keys.is_empty(),
        };
        if hosts.iter().all(is_good) {
            return Ok(());
        }
        let advice = match self.listener {
            ListenerKind::UnixSocket => "write http://agentcron/… for the Unix socket",
            ListenerKind::Tcp => "without http.api_keys only programs on this machine may use the API",
        };
        Err(ErrorResponse::forbidden(format!("the Host of this request is not this machine: {advice}")))
    }
}

/// Returns the intent; an unknown method may do anything.
pub(super) fn intent_of(method: &Method) -> Intent {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE => Intent::See,
        _ => Intent::Act,
    }
}

fn subject_of(path: &str) -> Subject {
    match path {
        "/healthz" | "/readyz" => Subject::Health,
        "/metrics" | "/openapi.json" => Subject::Metrics,
        path if is_entrance(path) => Subject::PageEntrance,
        path if is_of_page(path) => Subject::Page,
        path if path == "/v1" || path.starts_with("/v1/") => Subject::Own,
        _ => Subject::AgentServer,
    }
}

/// Returns why this caller may not do it, and what to do.
fn refusal(caller: &Caller, intent: Intent, subject: Subject) -> String {
    match (caller, intent) {
        (Caller::Local, _) if subject == Subject::Page => {
            "the web page acts only for those who have shown who they are: run `agentcron open`".to_owned()
        }
        (Caller::Stranger, _) => "without a key, a probe may only ask (GET)".to_owned(),
        (Caller::Local, _) => {
            "over TCP, /v1 acts only for a key of ours: set http.api_keys or [http.keys.NAME] with \
                               access = \"act\", or use the Unix socket"
                .to_owned()
        }
        (Caller::Key { name, access: Access::Read }, Intent::Act) => {
            format!("the key {name} may only see (access = \"read\")")
        }
        (Caller::Key { name, access: Access::Read }, Intent::See) => {
            format!(
                "the key {name} may only see what is agentcron's own (access = \"read\"), not the agent server's API"
            )
        }
        (caller, _) => {
            format!("the key {} may use the agent server's API only (access = \"client\")", caller.name())
        }
    }
}
