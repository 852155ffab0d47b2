//! Removes secrets from webhook URLs: values of the query, and parts of the path that look like tokens, become
//! placeholders. The values themselves are written nowhere.

use std::collections::BTreeMap;

use url::Url;

/// A part of a path this long that contains letters and digits is treated as a token.
const TOKEN_CHARS_MIN: usize = 16;

/// The variables that the file needs, by the kind of value and the value.
#[derive(Default)]
pub(super) struct Variables {
    names: BTreeMap<(String, String), String>,
}

impl Variables {
    /// Returns their names in alphabetical order.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.names.values().cloned().collect();
        names.sort();
        names
    }

    /// Returns the placeholder for a value; the same value has the same placeholder.
    fn placeholder(&mut self, kind: &str, value: &str) -> String {
        let stem: String = kind.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '_').collect();
        let stem = if stem.is_empty() { "VALUE".to_owned() } else { stem.to_uppercase() };
        let key = (stem.clone(), value.to_owned());
        if !self.names.contains_key(&key) {
            let taken = self.names.values().collect::<Vec<_>>();
            let numbered = (1..).map(|number: usize| match number {
                1 => format!("WEBHOOK_{stem}"),
                _ => format!("WEBHOOK_{stem}_{number}"),
            });
            let name = numbered.into_iter().find(|name| !taken.contains(&name)).unwrap_or_default();
            self.names.insert(key.clone(), name);
        }
        format!("${{{{ env.{} }}}}", self.names[&key])
    }
}

/// Returns the URL with placeholders for its secrets, or why it cannot be used.
pub(super) fn without_secrets(text: &str, variables: &mut Variables) -> Result<String, &'static str> {
    if text.starts_with('/') {
        return Err("it is a path of the server's own app, which only the server can call");
    }
    let Ok(url) = Url::parse(text) else { return Err("it is not a URL") };
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it contains a user or password; put the token into the query or a header");
    }
    let mut written = url.origin().ascii_serialization();
    for part in url.path_segments().into_iter().flatten() {
        written.push('/');
        if looks_like_a_token(part) {
            written.push_str(&variables.placeholder("PATH", part));
        } else {
            written.push_str(part);
        }
    }
    for (index, pair) in url.query().into_iter().flat_map(|query| query.split('&')).enumerate() {
        written.push(if index == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, "")) => written.push_str(&format!("{name}=")),
            Some((name, value)) => {
                written.push_str(&format!("{name}={}", variables.placeholder(name, value)));
            }
            None => written.push_str(&variables.placeholder("QUERY", pair)),
        }
    }
    Ok(written)
}

fn looks_like_a_token(part: &str) -> bool {
    let has = |kind: fn(&char) -> bool| part.chars().any(|char| kind(&char));
    part.len() >= TOKEN_CHARS_MIN && has(char::is_ascii_digit) && has(char::is_ascii_alphabetic)
}
