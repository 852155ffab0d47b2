//! What each mistake takes away, from a daemon that knows nothing from before.

use super::*;
use crate::config::KeptCron;

/// Writes the files, and compares what becomes of each mistake in them.
fn check(files: &[(&str, &str)], expected: Expect) {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(directory.path().join(name), content).unwrap();
    }
    let loaded = load_partly(&directory.path().join(files[0].0), &environment());
    let last = LastGood::of_saved(&[], directory.path(), &environment());
    let config = loaded.in_force(last).unwrap();
    let kept = KeptCron { name: "kept".to_owned(), location: "./b.toml:1:1".to_owned() };
    let kept: Vec<KeptCron> = Some(kept).into_iter().filter(|cron| config.kept.keep(cron)).collect();
    let names = config.crons.iter().map(|definition| definition.cron.name.as_str());
    let names = names.collect::<Vec<_>>().join(" ");
    let shown = format!("{}\nfires: {names}", config.describe_mistakes(&kept));
    expected.assert_eq(&shown.replace(&format!("{}/", directory.path().display()), ""));
}

const CRON: &str = "[cron.a]\nschedule = \"0 9 * * *\"\nassistant_id = \"agent\"\n";

fn check_main(before: &str, after: &str, expected: Expect) {
    check(&[("a.toml", &format!("{before}{CRON}{after}"))], expected);
}

#[test]
fn a_cron_is_lost_alone() {
    check_main("", "[cron.b]\nschedul = 1", expect![""]);
    check_main("", "[cron.A]\nschedule = \"@daily\"\nassistant_id = \"x\"", expect![""]);
    check_main("[cron.b]\nassistant_id = \"x\"\nassistant_id = \"y\"\nschedule = \"@daily\"\n", "", expect![""]);
    check_main("", "webhook = \"https://x.example/${{ env.NOT_SET }}\"", expect![""]);
    check_main("[cron.b.input]\nx = 1\nx = 2\n", "[cron.b]\nassistant_id = \"x\"\nschedule = \"@daily\"", expect![""]);
}

#[test]
fn a_file_is_lost_with_its_crons() {
    let main = format!("include = [\"*.toml\"]\n{CRON}");
    check(&[("a.toml", &main), ("b.toml", "x")], expect![""]);
    check(&[("a.toml", &main), ("b.toml", "[corn.b]")], expect![""]);
    check(&[("a.toml", &main), ("c.toml", "x")], expect![""]);
    check_main("include = [\"*/b.toml\"]\n", "", expect![""]);
    check_main("[cron.b\n", "", expect![""]);
}

#[test]
fn a_section_is_lost_and_with_the_switch_all_webhooks_are_held() {
    check_main("shutdown_grace = \"soon\"\n", "", expect![""]);
    check_main("", "[backend]\nurl = \"x\"", expect![""]);
    check_main("", "[http]\nlisten = 5", expect![""]);
    check_main("", "[http]\nlisten = \"off\"\nlisten = \"off\"", expect![""]);
    check_main("", "[webhooks]\nallowed_feilds = []", expect![""]);
    check_main("", "[store]\ndisable_webhooks = true", expect![""]);
    check_main("", "[defaults]\ntimezone = \"x\"", expect![""]);
    check_main("langgraph_json = \"nowhere.json\"\n", "", expect![""]);
    let files = [("a.toml", "langgraph_json = \"l.json\""), ("l.json", r#"{"http": {"disable_webhoks": true}}"#)];
    check(&files, expect![""]);
    let others = r#"{"http": {"disable_threads": true, "disable_store": true, "disable_assistants": true}}"#;
    check(&[("a.toml", "langgraph_json = \"l.json\""), ("l.json", others)], expect![""]);
}

#[test]
fn what_is_unknown_at_the_top_may_be_whatever_is_absent() {
    check_main("nonsense = 1\n", "", expect![""]);
    check_main("timezone = \"Asia/Tokyo\"\n", "", expect![""]);
    check_main("disable_webhooks = true\n", "", expect![""]);
    check_main("", "[htpp]\nlisten = \"off\"\n[backend]\n[store]\n[webhooks]", expect![""]);
    check_main("", "[default]\ntimezone = \"Asia/Tokyo\"\n[backend]\n[store]\n[webhooks]\n[http]", expect![""]);
}
