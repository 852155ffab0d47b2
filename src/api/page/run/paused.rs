//! The question at which a graph stopped, and where it is answered.

use maud::{Markup, html};
use serde_json::{Value, json};

use crate::api::page::shown::{copyable, quoted};
use crate::api::page::values::as_text;
use crate::api::page::visit::Visit;
use crate::api::wire::RunDetails;
use crate::domain::printable::on_lines;
use crate::domain::reason::ReasonCode;
use crate::store::DefinitionInShort;

/// Questions that are shown.
const QUESTIONS: usize = 20;

pub(super) fn paused(visit: &Visit, details: &RunDetails, definition: Option<&DefinitionInShort>) -> Markup {
    let waits = details.run.reason_code.is_some_and(|code| code.0 == ReasonCode::HumanInput);
    let questions = questions(&details.interrupts);
    html! {
        @if waits || !questions.is_empty() {
            section.question {
                h2 { "It waits for a human" }
                @if questions.is_empty() && !visit.may_see_values() { (visit.values_hidden("The question")) }
                @else if questions.is_empty() { p { "It stopped at a breakpoint, which asks nothing." } }
                @for question in questions.iter().take(QUESTIONS) { blockquote { (on_lines(question)) } }
                @if let Some(thread_id) = &details.run.thread_id { (answer(thread_id, definition)) }
            }
        }
    }
}

fn answer(thread_id: &str, definition: Option<&DefinitionInShort>) -> Markup {
    let keeps_thread = definition.is_none_or(|definition| definition.keeps_thread);
    let assistant = definition.map_or("ASSISTANT", |definition| definition.assistant_id.as_str());
    html! {
        @if keeps_thread {
            p {
                "It is answered on its thread " (copyable(thread_id)) " at the agent server: a run there with the answer as "
                code { "command.resume" } " goes on where this one stopped. It is a run of its own, and not this one any more."
            }
            p { code.command data-copy=(command(thread_id, assistant)) { (command(thread_id, assistant)) } }
        } @else {
            p {
                "Its thread was deleted when this was recorded, so there is nothing to answer any more. With "
                code { "on_run_completed = \"keep\"" } " in the cron the thread stays, and with it the question."
            }
        }
    }
}

/// Returns the command that answers. The address is that of the agent server, or our own, behind which it is.
fn command(thread_id: &str, assistant: &str) -> String {
    let body = json!({ "assistant_id": assistant, "command": { "resume": "ANSWER" } }).to_string();
    format!(
        "curl \"$AGENT_SERVER/threads/{thread_id}/runs/wait\" -H 'content-type: application/json' -d {}",
        quoted(&body)
    )
}

/// Returns what is asked. A question is an object with its `value`; anything else is shown as it is.
fn questions(interrupts: &Value) -> Vec<String> {
    let question = |one: &Value| as_text(one.get("value").unwrap_or(one));
    match interrupts {
        Value::Null => Vec::new(),
        Value::Array(several) => several.iter().map(question).collect(),
        one => vec![question(one)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_what_the_graph_asked() {
        assert_eq!(questions(&Value::Null), Vec::<String>::new());
        let asked =
            json!([{ "id": "i", "value": "go on?" }, { "id": "j", "value": { "amount": 3 } }, "plain"]);
        assert_eq!(questions(&asked), ["go on?", "{\n  \"amount\": 3\n}", "plain"]);
    }

    #[test]
    fn the_command_survives_a_shell() {
        let command = command("t", "it's");
        assert!(
            command.ends_with(r#"-d '{"assistant_id":"it'\''s","command":{"resume":"ANSWER"}}'"#),
            "{command}"
        );
    }
}
