//! Somebody who looks at the web page with a browser without scripts: follows links and redirects, keeps cookies, fills in
//! forms.

use std::net::SocketAddr;

use http::HeaderMap;
use url::Url;
use url::form_urlencoded::Serializer;

use super::client::{Client, ClientResponse};
use super::daemon::Daemon;
use super::html::{Element, Html};

pub(crate) const FORM: &str = "application/x-www-form-urlencoded";
const REDIRECTS_MAX: usize = 3;

#[derive(Clone)]
pub(crate) struct Visitor {
    client: Client,
    /// The folder of all pages.
    root: Url,
    cookies: Vec<(String, String)>,
}

/// A page as it was shown.
pub(crate) struct Shown {
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Shown {
    #[track_caller]
    pub(crate) fn html(&self) -> Html {
        Html::read(&self.text, self.url.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the text that a reader sees, without its first page's head.
    pub(crate) fn shown_text(&self) -> String {
        let html = self.html();
        html.all("body").map(Element::text).collect()
    }
}

impl Visitor {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let root = Url::parse(&format!("http://{address}/agentcron/")).unwrap();
        Self { client: Client::new(address), root, cookies: Vec::new() }
    }

    /// Looks at the pages below another path, or with other headers.
    pub(crate) fn below(mut self, prefix: &str) -> Self {
        self.root.set_path(&format!("{prefix}/agentcron/"));
        self
    }

    /// Sends a header with every request.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.client = self.client.with(name, value);
        self
    }

    pub(crate) async fn ready(mut self) -> Self {
        self.client = self.client.ready().await;
        self
    }

    /// Returns the URL of a page.
    pub(crate) fn at(&self, path: &str) -> Url {
        self.root.join(path).unwrap()
    }

    pub(crate) fn origin(&self) -> String {
        self.root.origin().ascii_serialization()
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.retain(|(found, _)| found != name);
        self.cookies.push((name.to_owned(), value.to_owned()));
    }

    /// Sends one request with these further headers, and follows nothing.
    pub(crate) async fn send(
        &mut self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        body: String,
    ) -> ClientResponse {
        let mut client = self.client.clone().with("content-type", FORM);
        if !self.cookies.is_empty() {
            let cookies: Vec<_> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            client = client.with("cookie", &cookies.join("; "));
        }
        client = headers.iter().fold(client, |client, (name, value)| client.with(name, value));
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let response = client.send(method, path, body).await;
        for line in response.headers.get_all("set-cookie") {
            let mut parts = line.to_str().unwrap().split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(found, _)| found != name);
            if !parts.any(|part| part == "Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        response
    }

    /// Opens a page and follows its redirects.
    pub(crate) async fn open(&mut self, url: &Url) -> Shown {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let response = self.send("GET", &url, &[], String::new()).await;
            let shown = shown(&url, response);
            match shown.status {
                303 => url = shown.url.join(shown.header("location")).unwrap(),
                _ => return shown,
            }
        }
        panic!("{url}: more than {REDIRECTS_MAX} redirects")
    }

    pub(crate) async fn open_path(&mut self, path: &str) -> Shown {
        self.open(&self.at(path)).await
    }

    /// Posts a form as a page of ours does, and returns the response itself.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> ClientResponse {
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        let origin = self.origin();
        self.send("POST", &self.at(path), &[("origin", &origin)], body).await
    }

    /// Submits the form by its button with these words, with these fields filled in, as a browser does.
    pub(crate) async fn submit(&mut self, page: &Shown, button: &str, filled: &[(&str, &str)]) -> Shown {
        let html = page.html();
        let has_button = |form: &Element<'_>| form.inside().any(|inside| is_button(inside, button));
        let form = html.all("form").find(has_button);
        let form =
            form.unwrap_or_else(|| panic!("{}: no button {button:?} in {}", page.url, page.shown_text()));
        let pressed = form.inside().find(|inside| is_button(*inside, button)).unwrap();
        let mut fields = fields_of(form);
        for (name, value) in filled {
            let field = fields.iter_mut().find(|(found, _)| found == name);
            field.unwrap_or_else(|| panic!("{}: no field {name} for {button:?}", page.url)).1 =
                (*value).to_owned();
        }
        if let Some(name) = pressed.attribute("name") {
            fields.push((name.to_owned(), pressed.attribute("value").unwrap_or_default().to_owned()));
        }
        let of =
            |own: &str, of_form: &str| pressed.attribute(own).or(form.attribute(of_form)).map(str::to_owned);
        let mut url = page.url.join(&of("formaction", "action").unwrap_or_default()).unwrap();
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        if of("formmethod", "method").as_deref() != Some("post") {
            url.set_query(Some(&body));
            return self.open(&url).await;
        }
        let origin = self.origin();
        let response = shown(&url, self.send("POST", &url, &[("origin", &origin)], body).await);
        match response.status {
            303 => self.open(&url.join(response.header("location")).unwrap()).await,
            _ => response,
        }
    }

    /// Logs in with a link of `agentcron open`.
    pub(crate) async fn log_in(&mut self, daemon: &Daemon) {
        let code = new_code(daemon);
        self.log_in_with(&code).await;
        assert!(self.cookie("agentcron_session").is_some(), "no session");
    }

    /// Fills in the form of the login, and returns what it leads to.
    pub(crate) async fn log_in_with(&mut self, secret: &str) -> Shown {
        let form = self.open_path("login").await;
        self.submit(&form, "Log in", &[("secret", secret)]).await
    }
}

/// Returns the code at the end of a new link.
pub(crate) fn new_code(daemon: &Daemon) -> String {
    let link = daemon.json(&["open"]).remove(0);
    let url = link["url"].as_str().unwrap();
    url.split_once('#').unwrap_or_else(|| panic!("no code in {url}")).1.to_owned()
}

fn shown(url: &Url, response: ClientResponse) -> Shown {
    let text = response.text();
    Shown { url: url.clone(), status: response.status, headers: response.headers, text }
}

fn is_button(element: Element<'_>, words: &str) -> bool {
    element.name() == "button" && (element.text() == words || element.attribute("aria-label") == Some(words))
}

/// Returns what a form sends as it stands.
fn fields_of(form: Element<'_>) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for field in form.inside() {
        let value = match (field.name(), field.attribute("type")) {
            ("input", Some("checkbox" | "radio")) if field.attribute("checked").is_none() => continue,
            ("input", _) => field.attribute("value").unwrap_or_default().to_owned(),
            ("textarea", _) => field.text(),
            ("select", _) => {
                let options: Vec<_> = field.inside().filter(|inside| inside.name() == "option").collect();
                let chosen = options.iter().find(|option| option.attribute("selected").is_some());
                chosen.or(options.first()).map_or_else(String::new, |option| {
                    option.attribute("value").map_or_else(|| option.text(), str::to_owned)
                })
            }
            _ => continue,
        };
        if let Some(name) = field.attribute("name") {
            fields.push((name.to_owned(), value));
        }
    }
    fields
}
