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
                let mistake = ConfigError::of_file(Path::new(PASTED), format!("cannot start a thread to read it: {error}"));
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
    let parser = CronParser::new(&document, None, environment, &known, report);
    let (crons, _) = CronReader::begin(&parser, &document, 0, report).finish(source, report);
    Some(crons)
}

fn advice(key: &str) -> Option<&'static str> {
    match key {
        "schedule" | "assistant_id" | "timezone" | "input" => Some("write [cron.NAME] above it"),
        _ => Some("only [cron.NAME] tables, and [defaults] for them, are tried here; `agentcron check` reads whole files"),
    }
}
