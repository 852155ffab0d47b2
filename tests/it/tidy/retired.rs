//! Names and phrases that the project has given up are not used again: in code and comments, in the documents, and in
//! what `--help` prints.

use std::path::Path;
use std::process::Command;

use super::imports::identifiers;
use super::{Source, root, sources};

/// What is retired, and what to write instead.
///
/// An entry that is one CamelCase word is a type: it is looked for among the identifiers of the code, never in prose.
/// Everything else is looked for everywhere as whole words, in any case and across line breaks; so no entry is a bare
/// English word that somebody may need.
const RETIRED: &[(&str, &str)] = &[
    // Types.
    ("Agenda", "Upcoming"),
    ("Asked", "RunBody"),
    ("ClientErrand", "ClientRun"),
    ("Door", "auth"),
    ("Doubtful", "Unconfirmed"),
    ("Errand", "RunSpec"),
    ("Front", "name it after what it is"),
    ("Gate", "BackendBreaker"),
    ("Hands", "RunningTasks"),
    ("KeepHouse", "Housekeeping"),
    ("Learnt", "RunIds"),
    ("Leash", "name it after what it is"),
    ("Origins", "OriginLimiter"),
    ("Outlook", "Upcoming"),
    ("Overheard", "tee"),
    ("Pacer", "RateLimit"),
    ("Passage", "ForwardedRun"),
    ("PatientLine", "name it after what it is"),
    ("Recall", "CancellationToken"),
    ("Refusal", "ErrorResponse"),
    ("Rush", "StartBurst"),
    ("Seal", "SignOnWrite"),
    ("Seen", "name it after what it is"),
    ("Sight", "name it after what it is"),
    ("Signs", "Health"),
    ("Standing", "CronState"),
    ("Told", "name it after what it is"),
    ("Trail", "FollowState"),
    ("Vice", "name it after what it is"),
    ("Way", "Mode, Execution: what it is"),
    ("Wire", "Dialer"),
    ("Witness", "name it after what it is"),
    // Other identifiers, columns, fields and words of commands.
    ("blot_out", "redact"),
    ("client_errands", "client_runs"),
    ("doubtful", "unconfirmed"),
    ("keep_house", "housekeeping"),
    ("not-known-yet", "unknown"),
    ("settle_cron", "validate_cron"),
    ("take_over_deliveries", "recover"),
    ("take_over_runs", "recover"),
    ("webhook arm", "webhook resume"),
    // Phrases of the program's output and of its documents.
    ("act on it", "control"),
    ("as it were", "leave it out"),
    ("as seen from here", "leave it out"),
    ("blot out", "redact"),
    ("blots out", "redacts"),
    ("blotted out", "redacted"),
    ("cannot be not sent", "invalid transition"),
    ("clear a doubt", "reconcile an unconfirmed start"),
    ("cleared of doubt", "reconciled"),
    ("clears a doubt", "reconciles an unconfirmed start"),
    ("does not count any more", "end of the range (exclusive)"),
    ("for people", "human-readable"),
    ("goes by", "say what is used: uses, follows, is judged by"),
    ("has had its turn", "is retried on the normal schedule"),
    ("in doubt", "unconfirmed"),
    ("in hand", "claimed"),
    ("is lent", "is added, is used for"),
    ("is to be had", "is available"),
    ("is to come", "is scheduled"),
    ("keep house", "do housekeeping"),
    ("keeps house", "does housekeeping"),
    ("left alone", "circuit open"),
    ("let a cron rest", "pause a cron"),
    ("nobody knows", "say what is not known"),
    ("nothing is to come", "nothing scheduled"),
    ("not known whether it started", "start not confirmed"),
    ("people wait outside", "further connections wait in the accept queue"),
    ("piled up", "backlog"),
    ("rung of", "step of"),
    ("stands in", "is in"),
    ("take over", "claim, recover"),
    ("taken over", "claimed, recovered"),
    ("taken up", "reloaded"),
    ("takes over", "claims, recovers"),
    ("tell a suspended url", "resume deliveries to a suspended URL"),
    ("tells nobody", "no webhook is sent"),
    ("the ladder", "the retry schedule"),
    ("to be troubled", "at its limit, its breaker is open"),
    ("who we are", "agentcron's own fields"),
];

#[test]
fn nothing_retired_is_used_again() {
    let mut found = Vec::new();
    for text in texts() {
        found.extend(retired_in(&text));
    }
    let shown: Vec<String> = found.iter().map(|(place, what)| format!("{place}: {what}")).collect();
    assert!(shown.is_empty(), "\n{}\n{} uses of what is retired", shown.join("\n"), shown.len());
}

#[test]
fn retired_phrases_are_found_across_lines_and_types_in_code_only() {
    let text = "//! A run is in\n//! hand.\n/// The Gate opens; `doubtful`, doubtfully.\nstruct Gate; // Errand\nlet s = \"taken \\\n   up\";\n";
    let source = Source { path: "src/x.rs".into(), text: text.to_owned() };
    let found: Vec<String> =
        retired_in(&source).into_iter().map(|(place, what)| format!("{place} {what}")).collect();
    let expected = [
        "src/x.rs:4 `Gate` (now: BackendBreaker)",
        "src/x.rs:3 `doubtful` (now: unconfirmed)",
        "src/x.rs:1 `in hand` (now: claimed)",
        "src/x.rs:5 `taken up` (now: reloaded)",
    ];
    assert_eq!(found, expected);
}

#[test]
fn each_retired_name_is_on_the_list_once() {
    let mut names: Vec<&str> = RETIRED.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
}

/// Returns all texts that are checked: source and schema, documents, the changelog's newest part, and the help of every
/// command.
fn texts() -> Vec<Source> {
    let mut texts = sources("src");
    for folder in ["src", "docs"] {
        for extension in ["sql", "md"] {
            super::collect(&root().join(folder), extension, &mut texts);
        }
    }
    for name in ["README.md", "CONTRIBUTING.md", "SECURITY.md"] {
        if let Ok(text) = std::fs::read_to_string(root().join(name)) {
            texts.push(Source { path: name.into(), text });
        }
    }
    let changelog = std::fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let (_, newest) = changelog.split_once("\n## Unreleased\n").expect("an Unreleased part");
    // With the last version: what is older was written before words were given up.
    let text = newest.split("\n## ").take(2).collect();
    texts.push(Source { path: "CHANGELOG.md (its newest part)".into(), text });
    help_of(&[], &mut texts);
    texts
}

/// Adds the `--help` of a command and of all commands below it.
fn help_of(verbs: &[String], texts: &mut Vec<Source>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcron"));
    let output = command.args(verbs).arg("--help").output().unwrap();
    assert!(output.status.success(), "{verbs:?} --help: {}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    let listed = text.split_once("\nCommands:\n").map_or("", |(_, listed)| listed);
    let names: Vec<String> = listed
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect();
    let path = format!("agentcron {} --help", verbs.join(" ")).replace("  ", " ").into();
    texts.push(Source { path, text });
    for name in names {
        help_of(&[verbs, &[name]].concat(), texts);
    }
}

#[test]
fn the_help_of_nested_commands_is_checked_too() {
    let mut texts = Vec::new();
    help_of(&[], &mut texts);
    for expected in ["agentcron --help", "agentcron run --help", "agentcron webhook list --help"] {
        assert!(texts.iter().any(|text| text.path == Path::new(expected)), "{expected} is missing");
    }
}

/// Returns the places in a text where something retired is used, each with what to write instead.
fn retired_in(source: &Source) -> Vec<(String, String)> {
    let path = source.path.display();
    let is_code = source.path.extension().is_some_and(|extension| extension == "rs");
    let code = if is_code { identifiers(&source.text) } else { Vec::new() };
    let prose = Prose::of(&source.text);
    let mut found = Vec::new();
    for (retired, instead) in RETIRED {
        let lines = if is_type(retired) {
            // The first use in a file is enough to find the others.
            code.iter().find(|(_, word)| word == retired).map(|(line, _)| *line).into_iter().collect()
        } else {
            prose.lines_with(retired)
        };
        let what = format!("`{retired}` (now: {instead})");
        found.extend(lines.into_iter().map(|line| (format!("{path}:{line}"), what.clone())));
    }
    found
}

fn is_type(retired: &str) -> bool {
    retired.starts_with(char::is_uppercase) && !retired.contains(' ')
}

/// A text in lower case as one line, without the marks of comments, with the line number of each byte.
struct Prose {
    text: String,
    lines: Vec<usize>,
}

impl Prose {
    fn of(text: &str) -> Self {
        let mut prose = Self { text: String::new(), lines: Vec::new() };
        for (number, line) in text.lines().enumerate() {
            let line = line.trim().trim_start_matches(['/', '!', '>', '#', '-', '*']);
            let line = line.trim_end_matches('\\');
            for word in line.split_whitespace() {
                prose.text.push_str(&word.to_lowercase());
                prose.text.push(' ');
                prose.lines.resize(prose.text.len(), number + 1);
            }
        }
        prose
    }

    /// Returns the lines where a phrase begins, as whole words.
    fn lines_with(&self, phrase: &str) -> Vec<usize> {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let phrase = phrase.to_lowercase();
        let ends = |at: &usize| {
            let (before, after) = (&self.text[..*at], &self.text[at + phrase.len()..]);
            !before.ends_with(is_part) && !after.starts_with(is_part)
        };
        self.text.match_indices(&phrase).map(|(at, _)| at).filter(ends).map(|at| self.lines[at]).collect()
    }
}
