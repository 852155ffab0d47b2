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
    let names = config.crons.iter().map(|definition| definition.name.as_str());
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
    check_main("", "[cron.b]\nschedul = 1", expect![[r#"
        a.toml:4:7: [cron.b] has no assistant_id (the id of an assistant, or the name of a graph)
          = cron `b` does not fire
        a.toml:4:7: [cron.b] has no schedule (five fields, such as "0 9 * * mon-fri")
          = cron `b` does not fire
        a.toml:5:1: unknown key `schedul` in [cron.b] (did you mean `schedule`?)
          = cron `b` does not fire
        fires: a"#]]);
    check_main("", "[cron.A]\nschedule = \"@daily\"\nassistant_id = \"x\"", expect![[r#"
        a.toml:1:7: cron `a` differs only by case from `A` in a.toml:4:7 (rename one of them)
          = cron `A` does not fire
          = cron `a` does not fire
        fires: "#]]);
    check_main("[cron.b]\nassistant_id = \"x\"\nassistant_id = \"y\"\nschedule = \"@daily\"\n", "", expect![[r#"
        a.toml:3:1: key `assistant_id` is given twice: the first is on line 2
          = cron `b` does not fire
        fires: a"#]]);
    check_main("", "webhook = \"https://x.example/${{ env.NOT_SET }}\"", expect![[r#"
        a.toml:4:11: webhook: env.NOT_SET is not set
          = cron `a` fires; its webhook waits for the value
        fires: a"#]]);
    check_main("[cron.b.input]\nx = 1\nx = 2\n", "[cron.b]\nassistant_id = \"x\"\nschedule = \"@daily\"", expect![[r#"
        a.toml:3:1: key `x` is given twice: the first is on line 2
          = cron `b` does not fire
        fires: a"#]]);
}

#[test]
fn a_cron_that_only_wants_a_value_is_part_of_what_several_daemons_have() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.toml");
    let in_force = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let last = LastGood::of_saved(&[], directory.path(), &environment());
        load_partly(&path, &environment()).in_force(last).unwrap()
    };
    let names = |config: &Config| config.crons.iter().map(|cron| cron.name.clone()).collect::<Vec<_>>().join(" ");
    let cron = |name: &str, lines: &str| format!("[cron.{name}]\nschedule = \"@daily\"\nassistant_id = \"x\"\n{lines}\n");
    let wants = "input = \"${{ env.NOT_SET }}\"";
    let text = [cron("b", wants), cron("a", ""), cron("c", "overlap = \"${{ env.NOT_SET }}\""), cron("d", "no = 1")].concat();
    let alone = in_force(&text);
    assert_eq!(names(&alone), "a");
    let several = alone.of_several();
    assert_eq!((names(&several).as_str(), several.is_whole()), ("a b", false));
    let said = several.describe_mistakes(&[]);
    assert!(said.contains("input: env.NOT_SET is not set\n  = the runs of cron `b` are left to daemons that have the value"), "{said}");
    assert!(said.contains("  = cron `c` does not fire"), "{said}");
    // A value in `[defaults]` is wanted by all.
    let of_defaults = in_force(&format!("[defaults]\n{wants}\n{}", cron("a", "")));
    assert_eq!(names(&of_defaults), "");
    let several = of_defaults.of_several();
    assert_eq!((names(&several).as_str(), several.is_whole()), ("a", true));
    assert!(several.describe_mistakes(&[]).ends_with("= runs are left to daemons that have the value"));
    // What is not common to all may have a mistake.
    for (section, is_whole) in [("[backend]", true), ("[log]", true), ("[http]", false), ("[webhooks]", false), ("[store]", false)] {
        let several = in_force(&format!("{section}\nno = 1\n{}", cron("a", ""))).of_several();
        assert_eq!((several.is_whole(), names(&several).as_str()), (is_whole, "a"), "{section}");
    }
}

#[test]
fn a_file_is_lost_with_its_crons() {
    let main = format!("include = [\"*.toml\"]\n{CRON}");
    check(&[("a.toml", &main), ("b.toml", "x")], expect![[r#"
        b.toml:1:2: not TOML: key with no value, expected `=` (is this the right file? no line in it is a table or a key of agentcron)
          | *
          |  ^
          = 1 cron goes on as it was
        fires: a"#]]);
    check(&[("a.toml", &main), ("b.toml", "[corn.b]")], expect![[r#"
        b.toml:1:2: unknown key `corn` at the top level (included files hold [cron.NAME] tables)
          = 1 cron goes on as it was
        fires: a"#]]);
    check(&[("a.toml", &main), ("c.toml", "x")], expect![[r#"
        c.toml:1:2: not TOML: key with no value, expected `=` (is this the right file? no line in it is a table or a key of agentcron)
          | *
          |  ^
          = only those crons of c.toml fire that are understood
        fires: a"#]]);
    check_main("include = [\"*/b.toml\"]\n", "", expect![[r#"
        a.toml:1:12: include: `*/b.toml`: `*` is only allowed in the last part of the path
          = 1 cron goes on as it was
        fires: a"#]]);
    check_main("[cron.b\n", "", expect![[r#"
        a.toml:1:8: not TOML: unclosed table, expected `]`
          | [cron.b
          |        ^
          = webhooks are held; no port is open
          = webhooks are held
          = nobody is notified
          = no run is sent
          = the store stays where it is
          = [log] has its defaults
          = shutdown_grace has its default
          = 1 cron goes on as it was
        fires: "#]]);
}

#[test]
fn a_section_is_lost_and_with_the_switch_all_webhooks_are_held() {
    check_main("shutdown_grace = \"soon\"\n", "", expect![[r#"
        a.toml:1:18: shutdown_grace: got `soon`, expected a duration such as 90s, 5m, 1h30m or 7d
          = shutdown_grace has its default
        fires: a"#]]);
    check_main("", "[backend]\nurl = \"x\"", expect![[r#"
        a.toml:5:7: url: not a URL: there is no scheme (such as http://127.0.0.1:2024)
          = no run is sent
        fires: a"#]]);
    check_main("", "[http]\nlisten = 5", expect![[r#"
        a.toml:5:10: listen: got an integer, expected text
          = webhooks are held; no port is open
        fires: a"#]]);
    check_main("", "[http]\nlisten = \"off\"\nlisten = \"off\"", expect![[r#"
        a.toml:6:1: key `listen` is given twice: the first is on line 5
          = webhooks are held; no port is open
        fires: a"#]]);
    check_main("", "[webhooks]\nallowed_feilds = []", expect![[r#"
        a.toml:5:1: unknown key `allowed_feilds` in [webhooks] (did you mean `allowed_fields`?)
          = webhooks are held
        fires: a"#]]);
    check_main("", "[store]\ndisable_webhooks = true", expect![[r#"
        a.toml:5:1: unknown key `disable_webhooks` in [store] (known: path, url, password, listen_url, ca_file, values_bytes_max, keep, keep_failures, keep_values, keep_runs_max, redact, backup)
          = webhooks are held
          = the store stays where it is
        fires: a"#]]);
    check_main("", "[defaults]\ntimezone = \"x\"", expect![[r#"
        a.toml:5:12: timezone: unknown time zone `x`, expected an IANA name such as Europe/Berlin
          = 1 cron goes on as it was
        fires: "#]]);
    check_main("langgraph_json = \"nowhere.json\"\n", "", expect![[r#"
        a.toml:1:18: langgraph_json: nowhere.json: No such file or directory (os error 2)
          = webhooks are held
        fires: a"#]]);
    let files = [("a.toml", "langgraph_json = \"l.json\""), ("l.json", r#"{"http": {"disable_webhoks": true}}"#)];
    check(&files, expect![[r#"
        l.json: `disable_webhoks` may be meant to be http.disable_webhooks
          = webhooks are held
        fires: "#]]);
    let others = r#"{"http": {"disable_threads": true, "disable_store": true, "disable_assistants": true}}"#;
    check(&[("a.toml", "langgraph_json = \"l.json\""), ("l.json", others)], expect![[r#"

        fires: "#]]);
}

#[test]
fn what_is_unknown_at_the_top_may_be_whatever_is_absent() {
    check_main("nonsense = 1\n", "", expect![[r#"
        a.toml:1:1: unknown key `nonsense` at the top level (known: include, langgraph_json, shutdown_grace, backend, store, log, http, webhooks, notify, defaults, cron)
        fires: a"#]]);
    check_main("timezone = \"Asia/Tokyo\"\n", "", expect![[r#"
        a.toml:1:1: unknown key `timezone` at the top level (it belongs under [cron.NAME] or [defaults])
          = 1 cron goes on as it was
        fires: "#]]);
    check_main("disable_webhooks = true\n", "", expect![[r#"
        a.toml:1:1: unknown key `disable_webhooks` at the top level (known: include, langgraph_json, shutdown_grace, backend, store, log, http, webhooks, notify, defaults, cron)
          = webhooks are held; no port is open
          = webhooks are held
        fires: a"#]]);
    check_main("", "[htpp]\nlisten = \"off\"\n[backend]\n[store]\n[webhooks]", expect![[r#"
        a.toml:4:2: unknown key `htpp` at the top level (did you mean `http`?)
          = webhooks are held; no port is open
          = webhooks are held
          = only those crons of a.toml fire that are understood
        fires: a"#]]);
    check_main("", "[default]\ntimezone = \"Asia/Tokyo\"\n[backend]\n[store]\n[webhooks]\n[http]", expect![[r#"
        a.toml:4:2: unknown key `default` at the top level (did you mean `defaults`?)
          = webhooks are held; no port is open
          = webhooks are held
          = 1 cron goes on as it was
          = only those crons of a.toml fire that are understood
        fires: "#]]);
}

#[test]
fn the_switch_is_safe_in_every_wrong_place_and_nothing_is_removed_for_a_misspelt_key() {
    let parts = "[http.keys.anna]\nkey = \"${{ env.TOKEN }}\"\naccess = \"read\"";
    check_main("", &format!("[htpp]\ndisable_webhooks = true\n{parts}"), expect![[r#"
        a.toml:4:2: unknown key `htpp` at the top level (did you mean `http`?)
          = webhooks are held; no port is open
          = webhooks are held
          = no run is sent
          = the store stays where it is
          = only those crons of a.toml fire that are understood
        a.toml:7:7: key: env.TOKEN is not set
          = webhooks are held; no port is open
        fires: a"#]]);
    check_main("", "[http]\n[webhooks]\n[webhook.url]\nallowed_domains = [\"a.example\"]", expect![[r#"
        a.toml:6:2: unknown key `webhook` at the top level (did you mean `webhooks`?)
          = webhooks are held; no port is open
          = webhooks are held
          = no run is sent
          = the store stays where it is
          = only those crons of a.toml fire that are understood
        fires: a"#]]);
    check_main("", "[http]\n[webhooks]\n[backend]\n[backnd.headers]\nauthorization = \"x\"", expect![[r#"
        a.toml:7:2: unknown key `backnd` at the top level (did you mean `backend`?)
          = webhooks are held; no port is open
          = webhooks are held
          = no run is sent
          = the store stays where it is
          = only those crons of a.toml fire that are understood
        fires: a"#]]);
    check_main("inclde = [\"*.toml\"]\nlangraph_json = \"l.json\"\n", "", expect![[r#"
        a.toml:1:1: unknown key `inclde` at the top level (did you mean `include`?)
          = 1 cron goes on as it was
        a.toml:2:1: unknown key `langraph_json` at the top level (did you mean `langgraph_json`?)
          = webhooks are held
        fires: a"#]]);
    let main = format!("include = [\"b.toml\"]\n{CRON}");
    let in_included = |text| [("a.toml", main.as_str()), ("b.toml", text)];
    check(&in_included("[htpp]\ndisable_webhok = true"), expect![[r#"
        b.toml:1:2: unknown key `htpp` at the top level (included files hold [cron.NAME] tables)
          = webhooks are held
          = 1 cron goes on as it was
        fires: a"#]]);
    check(&in_included("[http]\ndisable_webhooks = tru"), expect![[r#"
        b.toml:2:20: not TOML: invalid boolean, expected `true`
          | disable_webhooks = ***
          |                    ^
          = webhooks are held
          = 1 cron goes on as it was
        fires: a"#]]);
    let misplaced = r#"{"Http": {"disable_webhooks": true}, "http": {"cors": {"disable_webhooks": true}}}"#;
    check(&[("a.toml", "langgraph_json = \"l.json\""), ("l.json", misplaced)], expect![[r#"
        l.json: `disable_webhooks` may be meant to be http.disable_webhooks
          = webhooks are held
        fires: "#]]);
    // The cron `kept` may have been moved from a file that is gone to one that is not understood.
    let moved = format!("include = [\"c.toml\"]\n{CRON}");
    check(&[("a.toml", moved.as_str()), ("c.toml", "[cron.kept")], expect![[r#"
        c.toml:1:11: not TOML: unclosed table, expected `]`
          | [cron.kept
          |           ^
          = only those crons of c.toml fire that are understood
        fires: a"#]]);
    check_main("include = [\"gone/*.toml\"]\n", "", expect![[r#"

        fires: a"#]]);
}
