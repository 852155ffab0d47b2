//! The agent server that is there when a configuration is begun: which assistants it has, and what the first of them takes.

use serde_json::{Value, json};
use url::Url;

use crate::backend::{AgentClient, Assistant, CallError};
use crate::cli::terminal::Failure;
use crate::cli::toml_value::{toml_value, written};
use crate::config::{Credentials, Secret};
use crate::domain::bounds::{ASSISTANTS_LISTED, ASSISTANTS_NAMED, SERVER_FOUND_WITHIN};
use crate::domain::printable::on_one_line;
use crate::transport::Transport;

/// What the agent shall do at first.
const SAYING: &str = "Say hello. It is ${{ run.scheduled_for }}.";

/// What was found at a server.
pub(super) struct Found {
    /// The assistant of the first cron.
    pub(super) assistant: Assistant,
    /// The words of the others.
    pub(super) others: Vec<String>,
    /// The JSON Schema of its input; null if it is not known.
    input_schema: Value,
}

/// Asks a server for its assistants, within a bounded time. The error says why there is none to name.
pub(super) fn look(url: &Url, key: Option<&Secret>) -> Result<Result<Found, String>, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let credentials = match key.map(|key| http::HeaderValue::from_str(key.expose())).transpose() {
        Ok(key) => key.map(Credentials::of_api_key).unwrap_or_default(),
        Err(_) => {
            let message = "$LANGGRAPH_API_KEY has characters that a header cannot hold";
            return Err(Failure::Usage(message.to_owned()));
        }
    };
    let transport = Transport::network(None).map_err(|error| failed(&error))?;
    let client = AgentClient::new(transport, url.clone(), credentials, SERVER_FOUND_WITHIN);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(async { tokio::time::timeout(SERVER_FOUND_WITHIN, ask(&client)).await });
    // A name that is being looked up must not hold the command up.
    runtime.shutdown_background();
    Ok(match found {
        Ok(found) => found,
        Err(_) => Err(format!("it did not answer within {} s", SERVER_FOUND_WITHIN.as_secs())),
    })
}

async fn ask(client: &AgentClient) -> Result<Found, String> {
    let assistants = client.assistants(ASSISTANTS_LISTED).await.map_err(|error| match error {
        CallError::Denied(denial) => {
            format!("{denial}; with its key in $LANGGRAPH_API_KEY, use `agentcron init --url URL`")
        }
        CallError::Unreachable(why) => why,
        error => error.to_string(),
    })?;
    let of_server = assistants.iter().position(|assistant| assistant.is_of_server).unwrap_or_default();
    let mut others: Vec<String> = assistants.iter().map(|other| on_one_line(other.word())).collect();
    let Some(assistant) = assistants.into_iter().nth(of_server) else {
        return Err("it has no assistants".to_owned());
    };
    others.remove(of_server);
    // Without the schema, a cron with messages is the best guess.
    let input_schema = client.input_schema(&assistant).await.unwrap_or_default();
    Ok(Found { assistant, others, input_schema })
}

impl Found {
    /// Returns the line of a cron that names the assistant, and a comment with the others.
    pub(super) fn assistant_line(&self) -> String {
        let word = written(&toml::Value::String(self.assistant.word().to_owned()));
        match self.named_others() {
            None => format!("assistant_id = {word}"),
            Some(others) => format!("assistant_id = {word}   # this server also has {others}"),
        }
    }

    /// Returns the words of some other assistants, if there are any.
    pub(super) fn named_others(&self) -> Option<String> {
        let named = self.others.iter().take(ASSISTANTS_NAMED).cloned().collect::<Vec<_>>().join(", ");
        match self.others.len().saturating_sub(ASSISTANTS_NAMED) {
            0 => Some(named).filter(|named| !named.is_empty()),
            more => Some(format!("{named} and {more} more")),
        }
    }

    /// Returns the line with an input that has what the assistant requires; `None` if it takes messages, or if what it takes is
    /// not known.
    pub(super) fn input_line(&self) -> Option<String> {
        let properties = self.input_schema["properties"].as_object()?;
        if properties.contains_key("messages") {
            return None;
        }
        let required = self.input_schema["required"].as_array().into_iter().flatten();
        let required = required.filter_map(Value::as_str);
        let input: Value = required.map(|name| (name.to_owned(), sample(properties.get(name)))).collect();
        Some(format!("input = {}", written(&toml_value(&input)?)))
    }
}

/// Returns a value that has the type of a schema.
fn sample(schema: Option<&Value>) -> Value {
    match schema.and_then(|schema| schema["type"].as_str()) {
        Some("integer" | "number") => json!(0),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        Some("object") => json!({}),
        Some(_) | None => json!(SAYING),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_fits_the_schema_and_no_name_leaves_its_place() {
        let found = |others: &[&str], input_schema| Found {
            assistant: Assistant { id: "7".to_owned(), graph_id: "a\"b\n".to_owned(), is_of_server: true },
            others: others.iter().map(|other| on_one_line(other)).collect(),
            input_schema,
        };
        let nothing = found(&[], Value::Null);
        let parsed = |line: String| line.parse::<toml::Table>().unwrap();
        assert_eq!(parsed(nothing.assistant_line())["assistant_id"].as_str(), Some("a\"b\n"));
        assert_eq!(nothing.input_line(), None);
        let messages = json!({ "properties": { "messages": {} }, "required": ["messages"] });
        assert_eq!(found(&[], messages).input_line(), None);
        let schema = json!({
            "properties": { "topic": { "type": "string" }, "count": { "type": "integer" }, "maybe": {} },
            "required": ["topic", "count"],
        });
        let other = found(&["x\ny", "z"], schema);
        let line = other.assistant_line();
        assert!(line.ends_with("# this server also has x\\ny, z"), "{line}");
        let input = parsed(other.input_line().unwrap());
        assert_eq!(
            (input["input"]["count"].as_integer(), input["input"].as_table().unwrap().len()),
            (Some(0), 2)
        );
        let many: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(found(&many, Value::Null).named_others().unwrap().ends_with("8, 9 and 2 more"));
    }
}
