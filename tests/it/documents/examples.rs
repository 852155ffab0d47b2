//! Every example of a configuration in the documents is one that the daemon takes.

use agentcron::config::{self, Environment};

use super::markdown::{Block, Document};
use super::of_users;
use super::shell::{NamedFile, named_file};

/// Stands for every variable and credential: it is a secret for signatures, and long enough for a key.
const VALUE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn every_example_of_a_configuration_loads() {
    let mut faults = Vec::new();
    let mut checked = 0;
    for path in of_users() {
        let blocks = Document::read(&path).blocks();
        for block in blocks.iter().filter(|block| block.language == "toml") {
            checked += 1;
            if let Err(mistakes) = load(&whole(block, &blocks)) {
                faults.push(format!("{}:{}:\n{mistakes}", path.display(), block.line));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(checked > 8, "only {checked} examples were found");
}

/// Returns an example together with what its document adds to the main file.
fn whole(block: &Block, blocks: &[Block]) -> String {
    let is_addition = |other: &&Block| matches!(named_file(other), Some(NamedFile::AtTheEndOf(_)));
    let additions = blocks.iter().filter(is_addition).map(|addition| addition.text.as_str());
    match named_file(block) {
        Some(NamedFile::New(_)) => additions.chain([block.text.as_str()]).collect(),
        Some(NamedFile::AtTheEndOf(_)) | None => block.text.clone(),
    }
}

fn load(text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("agentcron.toml");
    std::fs::write(&main, text).unwrap();
    std::fs::write(folder.path().join("langgraph.json"), "{}").unwrap();
    config::load(&main, &environment_for(text)).map(drop).map_err(|mistakes| mistakes.to_string())
}

/// Returns an environment that has a value for every placeholder of a text.
pub(super) fn environment_for(text: &str) -> Environment {
    let names = text.split("${{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim()));
    // Two keys must not be the same.
    let key = |name: &str| format!("{name}-of-an-example");
    let value = |name: &str| match name {
        name if name.ends_with("_key") => key(name),
        name if name.ends_with("_hook") => "https://hooks.example.com/of-an-example".to_owned(),
        _ => VALUE.to_owned(),
    };
    let values: Vec<(&str, String)> = names.map(|name| (name, value(name))).collect();
    Environment::of_map(values.iter().map(|(name, value)| (*name, value.as_str())))
}
