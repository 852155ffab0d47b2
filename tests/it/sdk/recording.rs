//! What a script printed: the calls it made, what came of each, and which webhooks they must tell.

use serde_json::Value;

/// What HTTP changes from one exchange to the next: the hour, and how the body was framed.
const FRAMING: [&str; 5] = ["date", "content-length", "transfer-encoding", "connection", "keep-alive"];

#[derive(Default)]
pub(super) struct Recording {
    /// Texts that only one side has, such as its URL, with the name that stands for them.
    names: Vec<(String, String)>,
    /// Paths of webhooks that must each be told once.
    pub(super) tells: Vec<String>,
    /// By name, in their order.
    pub(super) calls: Vec<(String, Value)>,
}

impl Recording {
    /// `server_url` goes by the name of the side's own URL: runs know where the server that runs them is.
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
                (None, None, None) => panic!("no line of a recording: {line}"),
            }
        }
        recording
    }

    /// A value of this side with its own names replaced by those of both and without headers that are the line's own.
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
