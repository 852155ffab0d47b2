//! `agentcron man`: writes the manual pages of the command line and of the configuration file, for whoever makes a package.
//! Both come from where they are defined, so they say what this binary does.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::terminal::{Failure, Session};
use crate::config::{DefaultValue, KeyReference, SectionReference, reference};

/// Write the manual pages into a directory
#[derive(Args, Debug)]
pub(super) struct Man {
    /// The directory to write to; it must exist
    dir: PathBuf,
}

/// Writes a page for `command`, the whole command line, one for each of its verbs, and one for the configuration.
pub(super) fn man(man: &Man, command: Command, session: &mut Session) -> Result<(), Failure> {
    clap_mangen::generate_to(command, &man.dir)
        .and_then(|()| std::fs::write(man.dir.join("agentcron.toml.5"), configuration_page().render()))
        .map_err(|error| Failure::Failed(format!("cannot write to {}: {error}", man.dir.display())))?;
    session.output.line(&format!("wrote the manual pages to {}", man.dir.display()))?;
    Ok(())
}

fn configuration_page() -> Roff {
    let mut page = Roff::new();
    let version = concat!("agentcron ", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["agentcron.toml", "5", "", version, ""]);
    page.control("SH", ["NAME"]);
    page.text([roman("agentcron.toml - the configuration of agentcron")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "A command takes the file of --config, else of $AGENTCRON_CONFIG, else ./agentcron.toml if there is one, else \
         /etc/agentcron/agentcron.toml. The files that it includes have crons only. ${{ env.NAME }} is an environment \
         variable, and ${{ credential.NAME }} is a credential of systemd. `agentcron check` shows every mistake at once.",
    )]);
    for section in reference().iter().copied().filter(|section| !section.keys.is_empty()) {
        describe(section, &mut page);
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("agentcron"), roman("(1), "), bold("agentcron-check"), roman("(1)")]);
    page
}

fn describe(section: &SectionReference, page: &mut Roff) {
    let title = match section.name {
        "" => "THE TOP OF THE FILE".to_owned(),
        name => format!("[{name}]"),
    };
    page.control("SH", [title.as_str()]);
    page.text([roman(section.meaning)]);
    for key in section.keys {
        page.control("TP", []);
        page.text([bold(key.name), roman(" ("), italic(key.value_type.to_string()), roman(")")]);
        page.text(meaning(key));
    }
}

fn meaning(key: &KeyReference) -> Vec<Inline> {
    let default = match key.default {
        DefaultValue::Required => "It is required.".to_owned(),
        DefaultValue::Toml(value) => format!("Default: {value}."),
        DefaultValue::Absent(effect) => format!("Without it: {effect}."),
    };
    let example = format!(" {default} Example: {} = {}", key.name, key.example);
    vec![roman(without_marks(key.meaning)), roman(example)]
}

/// Returns what a person reads of a text with marks of Markdown: the words of a link, and code without its backticks.
fn without_marks(text: &str) -> String {
    let mut parts = text.split("](");
    let first = parts.next().unwrap_or_default().to_owned();
    let whole = parts.fold(first, |mut read, rest| {
        if let Some(begin) = read.rfind('[') {
            read.remove(begin);
        }
        read + rest.split_once(')').map_or(rest, |(_, after)| after)
    });
    whole.replace('`', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_markdown_are_not_shown() {
        for (text, shown) in [
            ("plain", "plain"),
            ("`on` or `off`", "on or off"),
            ("as `[http.keys.NAME]` has it", "as [http.keys.NAME] has it"),
            ("see [one](a.md#x), and [two](b.md).", "see one, and two."),
        ] {
            assert_eq!(without_marks(text), shown);
        }
        let page = configuration_page().render();
        assert!(!page.contains(".md"), "{page}");
    }

    #[test]
    fn every_key_is_in_the_page_of_the_configuration() {
        let page = configuration_page().render();
        for section in reference() {
            for key in section.keys {
                assert!(page.contains(&format!("\\fB{}\\fR (", key.name)), "{}: {page}", key.name);
            }
        }
    }
}
