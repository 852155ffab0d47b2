//! Crons that somebody pastes to see what they mean. Nothing is stored, and no variable of the environment is looked up: whoever
//! may try a table need not be whoever may see secrets.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::clean_files::CleanFiles;
use super::cron_definition::CronDefinition;
use super::crons::{CronParser, CronReader};
use super::document::TomlDocument;
use super::environment::Environment;
use super::errors::{ConfigError, Report};
use super::limits::STACK_BYTES;
use super::reference::{self, SectionReference};
use super::section::Section;
use super::source_file::SourceFile;

/// What stands for the name of the file.
const PASTED: &str = "pasted";
/// The top level of what is pasted.
const TOP: SectionReference = SectionReference { tables: &["cron", "defaults"], ..reference::INCLUDED_FILE };

/// What a pasted text says, as far as it is understood.
#[derive(Debug, Default)]
pub struct Pasted {
    pub crons: Vec<Arc<CronDefinition>>,
    /// Every mistake, sorted by place.
    pub mistakes: Vec<ConfigError>,
    pub warnings: Vec<ConfigError>,
}

/// Reads `[cron.NAME]` tables, and `[defaults]` for them, from a text.
pub fn read_pasted(text: &str) -> Pasted {
    let source = SourceFile::of_text(Path::new(PASTED), text.strip_prefix('\u{feff}').unwrap_or(text));
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().name("pasted".to_owned()).stack_size(STACK_BYTES);
        match reader.spawn_scoped(scope, || read(&source)) {
            Ok(reading) => reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => {
                let mistake = ConfigError::of_file(
                    Path::new(PASTED),
                    format!("cannot start a thread to read it: {error}"),
                );
                Pasted { mistakes: vec![mistake], ..Pasted::default() }
            }
        }
    })
}

fn read(source: &SourceFile) -> Pasted {
    let environment = Environment::of_map([]).for_looking();
    let mut report = Report::default();
    let crons = crons(source, &environment, &mut report).unwrap_or_default();
    let (mistakes, warnings) = report.finish();
    Pasted { crons, mistakes, warnings }
}

fn crons(
    source: &SourceFile,
    environment: &Environment,
    report: &mut Report,
) -> Option<Vec<Arc<CronDefinition>>> {
    let document = TomlDocument::parse(source, report)?;
    Section::root(&document).read::<Map<String, Value>>(&TOP, advice, report);
    let known = CleanFiles::default();
    let parser = CronParser::new(&document, None, environment, &known, None, report);
    let (crons, _) = CronReader::begin(&parser, &document, 0, report).finish(source, report);
    Some(crons)
}

fn advice(key: &str) -> Option<&'static str> {
    match key {
        "schedule" | "assistant_id" | "timezone" | "input" => Some("write [cron.NAME] above it"),
        _ => Some(
            "only [cron.NAME] tables, and [defaults] for them, are tried here; `agentcron check` reads whole files",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_is_read_like_a_file_and_no_variable_is_looked_up() {
        let text = "[defaults]\ntimezone = \"Europe/Berlin\"\n[cron.a]\nassistant_id = \"agent\"\nschedule = \"0 9 * * *\"\n\
                    input = { key = \"${{ env.PATH }}\" }\n[cron.b]\nassistant_id = \"agent\"\nschedule = \"0 25 * * *\"\n";
        let found = read_pasted(text);
        let names: Vec<&str> = found.crons.iter().map(|cron| cron.name.as_str()).collect();
        assert_eq!(names, ["a"]);
        assert_eq!(found.crons[0].cron().unwrap().calendar.timezone(), "Europe/Berlin");
        assert!(found.crons[0].body.contains("env.PATH"));
        let shown: Vec<String> = found.mistakes.iter().map(ToString::to_string).collect();
        assert!(shown[0].starts_with("pasted:9:") && shown[0].contains("hour 25"), "{shown:?}");
    }

    #[test]
    fn whatever_is_not_about_crons_is_a_mistake_with_advice() {
        for (text, expected) in [
            ("schedule = \"0 9 * * *\"", "pasted:1:1: unknown key `schedule`"),
            ("[store]\npath = \"x\"", "agentcron check"),
            ("[cron.a", "pasted:1:"),
        ] {
            let shown: Vec<String> = read_pasted(text).mistakes.iter().map(ToString::to_string).collect();
            assert!(shown.join("\n").contains(expected), "{text}: {shown:?}");
        }
        assert!(read_pasted("").mistakes.is_empty() && read_pasted("").crons.is_empty());
    }
}
