//! One visit of a page: who looks at it, where it is, and how its reader wants to see times.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, State};
use axum::http::header::SET_COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Form, RequestPartsExt};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::clock::{Clock, ZoneChoice};
use crate::api::Api;
use crate::api::error_response::ErrorResponse;
use crate::api::extract::StrictQuery;
use crate::api::page_paths::{below, way_up};
use crate::api::sessions::cookie_of;
use crate::api::viewer::Viewer;
use crate::domain::access::{Caller, Intent, PageAccess, Subject};
use crate::domain::act::Actor;
use crate::domain::calendar::zone_named;

/// Asks for the changing part of a page only.
const PART: HeaderName = HeaderName::from_static("x-agentcron-part");
/// Which zone times are shown in: `mine`, `utc` or `cron`.
const ZONE: &str = "agentcron_zone";
/// The reader's own zone, which a script tells.
const MINE: &str = "agentcron_mine";
const THEME: &str = "agentcron_theme";
/// Until when the reader has seen everything, in milliseconds.
const SEEN: &str = "agentcron_seen";
/// What an act came to, for the page that is shown next.
const SAID: &str = "agentcron_said";
const SAID_CHARS_MAX: usize = 500;

/// Who looks at which page, and how.
pub(super) struct Visit {
    pub(super) api: Api,
    pub(super) caller: Caller,
    pub(super) viewer: Viewer,
    /// Whether forms that act are shown.
    pub(super) may_act: bool,
    pub(super) now: Timestamp,
    pub(super) clock: Clock,
    pub(super) theme: Option<Theme>,
    pub(super) seen: Option<Timestamp>,
    /// What the last act came to.
    pub(super) said: Option<String>,
    /// What leads to the folder of all pages.
    pub(super) up: String,
    pub(super) uri: Uri,
    /// Whether only the changing part is wanted.
    pub(super) is_part: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Theme {
    Light,
    Dark,
}

impl FromRequestParts<Api> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let viewer = parts.extract::<Viewer>().await?;
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or(Caller::Stranger);
        let is_read_only = api.access.now().page == PageAccess::ReadOnly;
        let (headers, uri) = (&parts.headers, parts.uri.clone());
        let now = api.clock.now();
        Ok(Self {
            viewer,
            may_act: caller.may(Intent::Act, Subject::Page) && !is_read_only,
            caller,
            now,
            clock: Clock::new(zone(headers, &uri), zone_of_reader(headers), now),
            theme: match cookie_of(headers, THEME).as_deref() {
                Some("light") => Some(Theme::Light),
                Some("dark") => Some(Theme::Dark),
                _ => None,
            },
            seen: cookie_of(headers, SEEN)
                .and_then(|text| text.parse().ok())
                .and_then(|at| Timestamp::from_millisecond(at).ok()),
            said: cookie_of(headers, SAID).and_then(|text| decoded(&text)),
            up: way_up(uri.path()),
            uri,
            is_part: headers.contains_key(&PART),
            api: api.clone(),
        })
    }
}

fn zone(headers: &HeaderMap, uri: &Uri) -> ZoneChoice {
    let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let named = query.filter(|(name, _)| name == "zone").last().map(|(_, zone)| zone.into_owned());
    match named.or_else(|| cookie_of(headers, ZONE)).as_deref() {
        Some("utc") => ZoneChoice::Utc,
        Some("cron") => ZoneChoice::OfCron,
        Some("mine") | None => ZoneChoice::Mine,
        Some(name) => zone_named(name).map_or(ZoneChoice::Mine, ZoneChoice::Named),
    }
}

fn zone_of_reader(headers: &HeaderMap) -> TimeZone {
    let named = cookie_of(headers, MINE).and_then(|name| zone_named(&name).ok());
    named.unwrap_or_else(TimeZone::system)
}

fn decoded(text: &str) -> Option<String> {
    let text = format!("x={text}");
    url::form_urlencoded::parse(text.as_bytes()).next().map(|(_, text)| text.into_owned())
}

impl Visit {
    /// Returns who is to be recorded for what this visit changes.
    pub(super) fn actor(&self) -> Actor {
        Actor::of(&self.caller)
    }

    /// Returns the query as a handler of `/v1` takes it, without what is the page's own, and with these parameters in place of those that it has.
    pub(super) fn query_with<T: DeserializeOwned>(
        &self,
        given: &[(&str, &str)],
    ) -> Result<StrictQuery<T>, ErrorResponse> {
        StrictQuery::of(&self.query_text(given))
    }

    /// Returns the query of `/v1` that asks for the same, from its `?` on; nothing if it asks for nothing.
    pub(super) fn query_of_api(&self) -> String {
        let times = self.instants(&["since", "until"]).unwrap_or_default();
        let times: Vec<_> = times.iter().map(|(name, at)| (*name, at.as_str())).collect();
        match self.query_text(&times) {
            query if query.is_empty() => query,
            query => format!("?{query}"),
        }
    }

    fn query_text(&self, given: &[(&str, &str)]) -> String {
        let query = self.uri.query().unwrap_or_default();
        let is_given = |name: &str| given.iter().any(|(given, _)| *given == name);
        let pairs = url::form_urlencoded::parse(query.as_bytes())
            // An empty field of a form does not restrict anything.
            .filter(|(name, value)| name != "zone" && !value.is_empty() && !is_given(name));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs).extend_pairs(given).finish()
    }

    /// Returns the value of a parameter of the query; `None` if it is empty.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let query = url::form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes());
        let mut values = query.filter(|(found, value)| found == name && !value.is_empty());
        values.next().map(|(_, value)| value.into_owned())
    }

    /// Returns a link to this page with another value of a parameter, or without it.
    pub(super) fn with_parameter(&self, name: &str, value: Option<&str>) -> String {
        let query = url::form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes());
        let kept = query.filter(|(found, _)| found != name && found != "cursor");
        let kept: Vec<_> = kept.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let changed = value.map(|value| (name.to_owned(), value.to_owned()));
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        format!("?{}", query.extend_pairs(kept.into_iter().chain(changed)).finish())
    }

    /// Returns how many rows a list shows.
    pub(super) fn rows(&self, default: u32, most: u32) -> Result<u32, ErrorResponse> {
        let Some(text) = self.parameter("limit") else { return Ok(default) };
        let rows = text.parse().ok().filter(|rows| (1..=most).contains(rows));
        rows.ok_or_else(|| ErrorResponse::invalid(format!("limit: expected a number from 1 to {most}")))
    }

    /// Returns the path of this page below the folder of all pages, with its query.
    pub(super) fn here(&self) -> String {
        let path = below(self.uri.path()).unwrap_or_default().trim_start_matches('/');
        let query = self.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        // What an act that was refused came to is no page to come back to.
        if path == "act" && query.is_empty() { String::new() } else { format!("{path}{query}") }
    }
}

/// Leads to a page below the folder of all pages, wherever that is. `from` is the path of the request.
pub(super) fn to_page(from: &Uri, next: &str) -> Redirect {
    Redirect::to(&format!("./{}{}", way_up(from.path()), within(next)))
}

/// Returns a path that is below the folder of all pages: that one, unless it leads out of there.
pub(super) fn within(next: &str) -> &str {
    let next = next.trim_start_matches(['/', '\\']);
    let path = next.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".");
    let leads_up = path.split(['/', '\\']).any(|segment| segment == "..");
    // What no header may have is no path of ours either.
    if leads_up || next.contains(char::is_control) { "" } else { next }
}

/// Leads to a page that says what an act came to.
pub(super) fn said(from: &Uri, next: &str, said: &str) -> Response {
    let said: String = said.chars().take(SAID_CHARS_MAX).collect();
    let said: String = url::form_urlencoded::byte_serialize(said.as_bytes()).collect();
    set_cookie(to_page(from, next).into_response(), from, SAID, &format!("{said}; Max-Age=30"))
}

/// Returns the response with a cookie for all pages.
fn set_cookie(mut response: Response, from: &Uri, name: &str, value: &str) -> Response {
    // Without a `Path`, it is for the folder of the request: a request to a folder below would hide it from the other pages.
    debug_assert!(way_up(from.path()).len() <= "../".len());
    if let Ok(value) = HeaderValue::from_str(&format!("{name}={value}; SameSite=Strict")) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

/// How somebody wants to see the pages.
#[derive(Deserialize)]
pub(super) struct ViewForm {
    zone: Option<String>,
    theme: Option<String>,
    /// Everything until now was seen.
    seen: Option<String>,
    #[serde(default)]
    next: String,
}

/// Changes how somebody sees the pages, for browsers without scripts.
pub(super) async fn change_view(State(api): State<Api>, uri: Uri, Form(form): Form<ViewForm>) -> Response {
    let mut response = to_page(&uri, &form.next).into_response();
    let year = SignedDuration::from_hours(365 * 24).as_secs();
    let wanted = [
        (ZONE, form.zone.filter(|zone| matches!(zone.as_str(), "mine" | "utc" | "cron"))),
        (THEME, form.theme.filter(|theme| matches!(theme.as_str(), "light" | "dark" | "system"))),
        (SEEN, form.seen.map(|_| api.clock.now().as_millisecond().to_string())),
    ];
    for (name, value) in wanted {
        if let Some(value) = value {
            response = set_cookie(response, &uri, name, &format!("{value}; Max-Age={year}"));
        }
    }
    response
}
