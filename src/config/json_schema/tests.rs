//! The schema and the parser agree about shapes, and the schema refuses nothing that the parser takes.

use boon::{Compiler, SchemaIndex, Schemas};
use proptest::prelude::*;

use super::*;
use crate::config::duration::{KeepNothing, parse_duration, parse_keep};
use crate::config::fields::CronFields;
use crate::config::reference::tests::{VALUES, load_text, messages, text_with};

/// Texts that some types have and others refuse.
const TEXTS: [&str; 14] = [
    "\"1h 30m\"",
    "\"0\"",
    "\"1.5h\"",
    "\"forever\"",
    "\"HTTPS://x.example\"",
    "\"http:x.example\"",
    "\"2027-01-01T00:00Z\"",
    "\"2027-01-01 09:00:00.5+01:00[Europe/Berlin]\"",
    "2027-01-01T00:00:00Z",
    "2027-01-01 09:00:00+01:00",
    "[\"2026-12-25\", \" 2026-12-24 .. 2027-01-02 \"]",
    "[2026-12-25]",
    "\"${{ env.CUSTOMER }}\"",
    "[\"values\"]",
];

struct Validator {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Validator {
    fn new(schema: Value) -> Self {
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        compiler.add_resource("memory:///schema", schema).unwrap();
        let index = compiler.compile("memory:///schema", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn takes(&self, value: &Value) -> bool {
        self.schemas.validate(value, self.index).is_ok()
    }
}

/// Returns a file as a validator sees it.
fn json(text: &str) -> Value {
    let (table, errors) = DeTable::parse_recoverable(text);
    assert!(errors.is_empty(), "{text}: {errors:?}");
    let entries = table.get_ref().iter();
    entries.map(|(key, value)| (key.get_ref().to_string(), to_json(value, &mut Vec::new()))).collect()
}

#[test]
fn the_schema_refuses_what_has_another_shape_and_nothing_that_the_daemon_takes() {
    let schema = Validator::new(json_schema());
    for section in reference().iter().filter(|section| section.key_names == KeyNames::Fixed) {
        for (key, value) in
            section.keys.iter().flat_map(|key| VALUES.iter().chain(&TEXTS).map(move |value| (key, value)))
        {
            let text = text_with(section, key, Some(value));
            let is_taken = schema.takes(&json(&text));
            let mistakes = messages::<Map<String, Value>>(section, &format!("{} = {value}", key.name));
            if mistakes.is_empty() {
                // What the schema takes tells nothing: much is left to the parser.
                assert!(is_taken || load_text(&text).is_err(), "only the daemon takes this:\n{text}");
            } else {
                assert!(!is_taken, "only the schema takes this:\n{text}\n{mistakes}");
            }
        }
        let unknown = text_with(section, &KeyReference { name: "unknown", ..section.keys[0] }, Some("\"x\""));
        assert!(!schema.takes(&json(&unknown)), "{unknown}");
    }
}

#[test]
fn every_field_of_a_cron_that_is_filled_may_have_a_placeholder() {
    let schema = Validator::new(json_schema());
    let mut fields = CronFields::default();
    for (name, _) in fields.plain_texts_mut() {
        for table in ["defaults", "cron.a"] {
            let text = format!("[{table}]\n{name} = \"${{{{ env.X }}}}\"");
            assert!(schema.takes(&json(&text)), "{text}");
        }
    }
}

#[test]
fn a_cron_may_have_its_schedule_from_the_defaults_and_other_tables_need_their_keys() {
    let schema = Validator::new(json_schema());
    for (text, is_taken) in [
        ("", true),
        ("[cron.a]", true),
        ("[cron.\"a b\"]", false),
        ("cron = 1", false),
        ("[cron]\na = 1", false),
        ("[http.keys.ops]\nkey = \"x\"", false),
        ("[store.backup]\nschedule = \"@daily\"", false),
        ("[backend.headers]\nauthorization = \"x\"", true),
        ("[backend.headers]\nauthorization = 1", false),
        ("[cron.a]\nretry = { max = 2, backoff = \"1m\", factor = 1.5, on = \"error\" }", true),
        ("[cron.a]\nretry = { max = 2, tries = 3 }", false),
        ("[cron.a]\nretry = { backoff = \"1m\" }", false),
        ("[cron.a]\nretry = { max = 2, on = [\"errors\"] }", false),
        ("[cron.a]\nretry = { max = 2, factor = 11 }", false),
    ] {
        assert_eq!(schema.takes(&json(text)), is_taken, "{text}");
    }
}

#[test]
fn an_editor_shows_what_the_reference_says() {
    let schema = json_schema();
    let mode = &schema["definitions"]["cron"]["properties"]["mode"];
    assert_eq!(mode["default"], json!("background"));
    assert_eq!(mode["anyOf"][0]["enum"], json!(["background", "wait", "stream"]));
    let start = &schema["definitions"]["cron"]["properties"]["start_time"];
    assert_eq!(start["examples"], json!(["2027-01-01T00:00:00Z"]));
    let effect = "The cron fires at this instant at the earliest.\n\nIf absent: the cron fires from now on.";
    assert_eq!(start["description"], effect);
    let retry = schema["definitions"]["cron"]["properties"]["retry"]["description"].as_str().unwrap();
    assert!(retry.contains("; Retries describes its keys."), "{retry}");
}

proptest! {
    #[test]
    fn whatever_is_a_duration_has_its_pattern(text in "([0-9. ]{1,6} ?(ns|us|µs|ms|s|min|h|d|w|y)? ?){1,4}|forever|0") {
        let taken = |value_type| {
            let pattern = of_type(value_type)["pattern"].as_str().unwrap().to_owned();
            Validator::new(matching(&pattern)).takes(&json!(text))
        };
        prop_assert!(parse_duration(&text).is_err() || taken(ValueType::Duration));
        prop_assert!(parse_keep(&text, KeepNothing::Allowed).is_err() || taken(ValueType::Period));
    }

    #[test]
    fn whatever_is_a_time_has_its_pattern(text in "[-+]?[0-9]{4,6}-?(0[1-9]|1[0-2])-?[0-2][1-8][Tt ][0-2][0-3](:?[0-5][0-9]){0,2}([.,][0-9]{1,3})? ?([Zz]|[-+]0[0-9](:?[0-5]0)?)(\\[UTC\\])?") {
        let pattern = of_type(ValueType::Time)["pattern"].as_str().unwrap().to_owned();
        let is_taken = Validator::new(matching(&pattern)).takes(&json!(text));
        prop_assert!(text.parse::<jiff::Timestamp>().is_err() || is_taken);
    }
}
