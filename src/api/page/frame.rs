//! The frame of every page: the header with what is worst, the links to the other pages, and how times are shown.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets::ASSETS;
use super::clock::ZoneChoice;
use super::shown::{prose, text};
use super::visit::{Theme, Visit};
use crate::api::error_response::ErrorResponse;
use crate::api::wire::{Attention, StatusReport};
use crate::domain::access::Caller;
use crate::domain::printable::on_one_line;
use crate::present::times;
use crate::store::Topic;

/// Which of the pages something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tab {
    Overview,
    Crons,
    Runs,
    Webhooks,
    Try,
    Status,
    /// None of them: an act, a mistake.
    Other,
}

const TABS: [(Tab, &str, &str, &str); 6] = [
    (Tab::Overview, "./", "Overview", "o"),
    (Tab::Crons, "crons", "Crons", "c"),
    (Tab::Runs, "runs", "Runs", "r"),
    (Tab::Webhooks, "webhooks", "Webhooks", "w"),
    (Tab::Try, "try", "Try", "y"),
    (Tab::Status, "status", "Status", "s"),
];

/// What a page shows in its frame.
pub(super) struct Content {
    pub(super) tab: Tab,
    pub(super) title: String,
    /// What it shows changes with these; empty if it does not change.
    pub(super) topics: &'static [Topic],
    /// It changes with this cron only.
    pub(super) cron: Option<String>,
    /// The path of `/v1` that returns the same.
    pub(super) json: Option<String>,
    /// The command that shows the same.
    pub(super) command: Option<String>,
    pub(super) main: Markup,
}

impl Content {
    /// Returns content that does not change by itself.
    pub(super) fn still(tab: Tab, title: impl Into<String>, main: Markup) -> Self {
        Self { tab, title: title.into(), topics: &[], cron: None, json: None, command: None, main }
    }
}

impl Visit {
    /// Returns a page that says what went wrong.
    pub(super) fn failed(&self, error: ErrorResponse) -> Response {
        let main = html! {
            main #main tabindex="-1" data-title=(error.status) {
                h1 { (called(error.status)) }
                p { (prose(&error.detail)) }
            }
        };
        let content = Content::still(Tab::Other, "Error", PreEscaped(String::new()));
        let page =
            if self.is_part { main } else { self.document(&content, "Error · agentcron", true, main) };
        (error.status, Html(page.into_string())).into_response()
    }

    /// Returns the page.
    pub(super) async fn page(self, content: Content) -> Response {
        let status = match self.api.kept.status(&self.api, self.viewer).await {
            Ok(status) => status,
            Err(error) => return self.failed(error),
        };
        let needs = status.attention.iter().filter(|one| one.needs_person).count();
        let called = on_one_line(&content.title);
        let title = match needs {
            0 => format!("{called} · agentcron"),
            needs => format!("✕{needs} · {called} · agentcron"),
        };
        let main = self.main(&content, &title, &status);
        if self.is_part {
            return Html(main.into_string()).into_response();
        }
        Html(self.document(&content, &title, needs > 0, main).into_string()).into_response()
    }

    fn document(&self, content: &Content, title: &str, is_bad: bool, main: Markup) -> Markup {
        let up = &self.up;
        html! {
            (DOCTYPE)
            html lang="en" data-theme=[self.theme.map(Theme::name)] {
                (head(up, title, is_bad))
                body data-up=(up) data-now=(self.now.as_millisecond()) data-zone=(self.zone_choice())
                    data-mine=(times::zone_name(&self.clock.mine)) {
                    a.skip href="#main" { "Skip to the content" }
                    header {
                        a.brand href={ (up) "./" } { "agentcron" }
                        nav aria-label="Pages" {
                            @for (tab, path, label, key) in TABS {
                                a href={ (up) (path) } aria-current=[(tab == content.tab).then_some("page")]
                                    data-key=(key) { (label) }
                            }
                        }
                        form.find role="search" action={ (up) "find" } {
                            input #find type="search" name="q" placeholder="find a cron or an id"
                                aria-label="Find a cron by a part of its name, or a run or webhook by its id";
                        }
                        (self.view_form())
                        span #live.dim { noscript { "as of " (self.clock.time(crate::api::wire::Time(self.now), None)) } }
                        (self.who())
                    }
                    (main)
                }
            }
        }
    }

    fn main(&self, content: &Content, title: &str, status: &StatusReport) -> Markup {
        let topics: Vec<&str> = content.topics.iter().map(|topic| topic.as_str()).collect();
        html! {
            main #main tabindex="-1" data-title=(title) data-topics=(topics.join(" "))
                data-cron=[content.cron.as_deref()] data-who=(self.actor()) {
                div #said.said role="status" { @if let Some(said) = &self.said { (text(said)) } }
                @if !matches!(content.tab, Tab::Overview | Tab::Status) { (self.alarm(status)) }
                (content.main)
                (self.same_as(content))
            }
        }
    }

    /// Returns the worst of what is wrong, if somebody is needed.
    fn alarm(&self, status: &StatusReport) -> Markup {
        let worst = status.attention.iter().find(|one| one.needs_person || one.what.0.is_of_all_webhooks());
        let more = status.attention.iter().filter(|one| one.needs_person).count().saturating_sub(1);
        html! {
            @if let Some(worst) = worst {
                p.alarm.(if worst.needs_person { "bad" } else { "attention" }) {
                    (self.attention(worst))
                    @if more > 0 { " " a href={ (self.up) "./#needs-you" } { "and " (more) " more" } }
                }
            }
        }
    }

    /// Returns one thing that is wrong, in one line.
    pub(super) fn attention(&self, one: &Attention) -> Markup {
        html! {
            strong {
                (one.what.0.called())
                @if let Some(subject) = &one.subject { " " (self.subject(one, subject)) }
            }
            ": " (text(&one.text))
            @if let Some(since) = one.since { " " span.dim { "since " (self.clock.time(since, None)) } }
        }
    }

    fn subject(&self, one: &Attention, subject: &str) -> Markup {
        let is_cron = one.what.0.called() == "cron";
        if is_cron { self.cron_link(subject) } else { text(subject) }
    }

    /// Returns where a program finds the same.
    fn same_as(&self, content: &Content) -> Markup {
        // A browser cannot show a key, and its session does not count there.
        let json = content.json.as_ref().filter(|_| !self.api.access.now().has_keys());
        html! {
            @if json.is_some() || content.command.is_some() {
                footer {
                    @if let Some(command) = &content.command { (self.command(command)) }
                    @if let Some(json) = json { a href={ (self.up) "../v1/" (json) } { "as JSON" } }
                }
            }
        }
    }

    /// Returns a command that does or shows the same.
    pub(super) fn command(&self, command: &str) -> Markup {
        html! { code.command data-copy=(command) { span.dim aria-hidden="true" { "$ " } (command) } }
    }

    fn view_form(&self) -> Markup {
        let mine = times::zone_name(&self.clock.mine);
        let zones = [
            ("mine", mine.as_str(), ZoneChoice::Mine),
            ("utc", "UTC", ZoneChoice::Utc),
            ("cron", "the cron’s own", ZoneChoice::OfCron),
        ];
        html! {
            form.view method="post" action={ (self.up) "view" } {
                input type="hidden" name="next" value=(self.here());
                span.choice role="group" aria-label="Time zone" {
                    @for (value, label, choice) in zones.into_iter().filter(|(value, ..)| *value != "utc" || mine != "UTC") {
                        button type="submit" name="zone" value=(value) aria-pressed=(if self.clock.choice == choice { "true" } else { "false" })
                            title="Show times in this zone (z)" { (label) }
                    }
                    @if let ZoneChoice::Named(zone) = &self.clock.choice { b.of-link title="The zone of this link" { (times::zone_name(zone)) } }
                }
                @let (theme, mark) = match self.theme { None => ("dark", "◐"), Some(Theme::Dark) => ("light", "●"), Some(Theme::Light) => ("system", "○") };
                button type="submit" name="theme" value=(theme) aria-label="Dark, light, or as the system (d)"
                    title="Dark, light, or as the system (d)" { (mark) }
            }
        }
    }

    fn zone_choice(&self) -> String {
        match &self.clock.choice {
            ZoneChoice::Mine => "mine".to_owned(),
            ZoneChoice::Utc => "utc".to_owned(),
            ZoneChoice::OfCron => "cron".to_owned(),
            ZoneChoice::Named(zone) => times::zone_name(zone),
        }
    }

    fn who(&self) -> Markup {
        html! {
            span.who {
                @match &self.caller {
                    Caller::Local | Caller::Stranger => {
                        a href={ (self.up) "login?next=" (super::shown::segment(&self.here())) }
                            title="Without this, the page shows states and no values, and does not act" { "Log in" }
                    }
                    caller => {
                        form method="post" action={ (self.up) "logout" } {
                            span.dim { (text(&crate::domain::act::Actor::of(caller).to_string())) }
                            @if !self.may_act { " " span.dim { "(read only)" } }
                            button type="submit" { "Log out" }
                        }
                    }
                }
            }
        }
    }
}

impl Theme {
    fn name(self) -> &'static str {
        match self {
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }
}

/// Returns what a page calls an error.
pub(super) fn called(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNPROCESSABLE_ENTITY => "Not understood",
        StatusCode::CONFLICT => "Not possible",
        status => status.canonical_reason().unwrap_or("Error"),
    }
}

fn head(up: &str, title: &str, is_bad: bool) -> Markup {
    let icon = if is_bad { &ASSETS.icon_bad } else { &ASSETS.icon };
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) }
            link rel="icon" type="image/svg+xml" href={ (up) "static/" (icon.name) };
            link rel="stylesheet" href={ (up) "static/" (ASSETS.style.name) };
            script type="module" src={ (up) "static/" (ASSETS.script.name) } {}
        }
    }
}

/// Returns a page of its own, for those of whom nothing is known.
pub(super) fn alone(status: StatusCode, up: &str, title: &str, main: Markup) -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(up, &format!("{title} · agentcron"), false))
            body.alone data-up=(up) { main #main tabindex="-1" { h1 { (title) } (main) } }
        }
    };
    (status, Html(page.into_string())).into_response()
}
