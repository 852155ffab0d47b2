//! Loading again: what is not parsed anew, and what is in spite of it.

use super::*;

const MAIN: (&str, &str) =
    ("a.toml", "include = [\"c/*.toml\"]\n[defaults]\nassistant_id = \"agent\"\ntimezone = \"UTC\"\n");

struct Folder {
    directory: tempfile::TempDir,
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self { directory: tempfile::tempdir().unwrap() };
        std::fs::create_dir(folder.directory.path().join("c")).unwrap();
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn load(&self, known: &CleanFiles) -> Loaded {
        load_again(&self.directory.path().join("a.toml"), &environment(), known)
    }
}

/// Returns the names of the crons that the later reading has from the earlier one.
fn shared(first: &Loaded, then: &Loaded) -> String {
    let is_shared = |cron: &&Arc<CronDefinition>| first.crons.iter().any(|other| Arc::ptr_eq(cron, other));
    then.crons.iter().filter(is_shared).map(|cron| cron.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn cron(name: &str, more: &str) -> String {
    format!("[cron.{name}]\nschedule = \"@daily\"\n{more}\n")
}

#[test]
fn only_a_file_that_has_changed_or_depends_on_more_than_its_text_is_parsed_again() {
    let filled = cron("filled", "assistant_id = \"${{ env.ASSISTANT }}\"");
    let named = cron("named", "webhook = \"https://x/${{ env.HOOK_TOKEN }}\"");
    let warned = cron("warned", "timeout = \"1h\"\nretry = { max = 1, on = [\"timeout\"] }");
    let (b, c) = (cron("b", "input = { at = \"${{ run.scheduled_for }}\" }"), cron("c", ""));
    let folder = Folder::new(&[
        MAIN,
        ("c/b.toml", &b),
        ("c/c.toml", &c),
        ("c/f.toml", &filled),
        ("c/n.toml", &named),
        ("c/w.toml", &warned),
    ]);
    let first = folder.load(&CleanFiles::default());
    assert_eq!((first.crons.len(), first.mistakes.len()), (5, 0), "{:?}", first.mistakes);
    folder.write("c/c.toml", &cron("c", "overlap = \"allow\""));
    let then = folder.load(&first.clean_files);
    assert_eq!(shared(&first, &then), "b");
    assert!(then.crons.iter().any(|cron| cron.name == "c" && cron.body.contains("allow")));
    assert_eq!(then.warnings, first.warnings);
    assert_eq!(shared(&then, &folder.load(&then.clean_files)), "b c");
    folder.write("a.toml", &MAIN.1.replace("UTC", "Asia/Tokyo"));
    let other_defaults = folder.load(&then.clean_files);
    assert_eq!(shared(&then, &other_defaults), "");
    assert!(other_defaults.crons.iter().all(|cron| cron.body.contains("Asia/Tokyo")));
}

#[test]
fn a_name_that_is_used_twice_is_found_wherever_the_second_one_appears() {
    let folder = Folder::new(&[MAIN, ("c/d.toml", &cron("d", "")), ("c/f.toml", &cron("f", ""))]);
    for (file, expected) in [("c/a.toml", "d.toml:1:7"), ("c/z.toml", "z.toml:1:7")] {
        let first = folder.load(&CleanFiles::default());
        folder.write(file, &cron("D", ""));
        let (then, anew) = (folder.load(&first.clean_files), folder.load(&CleanFiles::default()));
        assert_eq!((&then.mistakes, then.crons.len()), (&anew.mistakes, 1));
        assert!(then.mistakes[0].to_string().contains(expected), "{}", then.mistakes[0]);
        std::fs::remove_file(folder.directory.path().join(file)).unwrap();
        assert_eq!(folder.load(&then.clean_files).crons.len(), 2);
    }
}
