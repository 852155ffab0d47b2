//! What a script printed: the calls that it made with their responses, and the webhooks that must be sent.

use serde_json::Value;

/// Headers that differ from one exchange to the next: the date, and the framing of the body.
const FRAMING: [&str; 5] = ["date", "content-length", "transfer-encoding", "connection", "keep-alive"];

#[derive(Default)]
pub(super) struct Recording {
    /// Texts that only one side has, such as its URL, with the names that replace them.
    names: Vec<(String, String)>,
    /// The paths of the webhooks, each of which must be sent once.
    pub(super) tells: Vec<String>,
    /// By name, in their order.
    pub(super) calls: Vec<(String, Value)>,
}

impl Recording {
    /// Also replaces `server_url` by the name of the side's own URL, because runs contain the URL of their server.
    pub(super) fn read(printed: &str, server_url: &str) -> Self {
        let mut recording = Self::default();
        recording.names.push((server_url.to_owned(), "<url>".to_owned()));
        for line in printed.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let text = |key: &str| line[key].as_str().map(str::to_owned);
            match (text("name"), text("tells"), text("call")) {
                (Some(name), _, _) => recording.names.push((text("text").unwrap(), name)),
                (_, Some(path), _) => recording.tells.push(path),
                (_, _, Some(call)) => recording.calls.push((call, line)),
                (None, None, None) => panic!("not a line of a recording: {line}"),
            }
        }
        recording
    }

    /// Returns a value of this side with its own texts replaced by their names and without the headers of the framing.
    pub(super) fn plain(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let named = |text: String, (own, name): &(String, String)| text.replace(own, name);
                Value::String(self.names.iter().fold(text.clone(), named))
            }
            Value::Array(items) => items.iter().map(|item| self.plain(item)).collect(),
            Value::Object(object) => {
                let pair = |(key, value): (&String, &Value)| (key.clone(), self.plain(value));
                let mut plain: serde_json::Map<_, _> = object.iter().map(pair).collect();
                if let Some(Value::Object(headers)) = plain.get_mut("headers") {
                    headers.retain(|name, _| !FRAMING.contains(&name.as_str()));
                }
                Value::Object(plain)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}
