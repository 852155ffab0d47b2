//! Files as a whole: what can be read, what is TOML, and that all mistakes are reported at once.

use super::*;

#[test]
fn every_mistake_of_every_file_is_reported_at_once() {
    let main = r#"
include = ["crons.d/*.toml", "absent.toml"]
shutdwon_grace = "20s"

[backend]
url = "ftp://x"
max_concurrent_runs = "many"

[stor]
path = "x"

[cron.typo]
schedule = "0 9 * * *"
assistant_id = "agent"
timezon = "Europe/Berlin"
timeout = 90
retry = 3

[cron.bad-schedule]
schedule = "often"
assistant_id = "agent"
timezone = "Mars/X"

[cron.thread]
schedule = "0 9 * * *"
assistant_id = "agent"
thread_id = "3f0c9a52-6f0e-4c5b-9f53-0a8a5a0d7f11"
on_run_completed = "delete"

[cron.unset]
schedule = "0 9 * * *"
assistant_id = "agent"
webhook = "https://ops.example.com/?token=${{ env.UNSET }}"
input = { messages = [
  { content = "${{ env.ALSO_UNSET }}" },
] }
"#;
    let included =
        "[cron.TYPO]\nschedule = \"0 9 * * *\"\n[cron.thread]\nschedule = \"1 9 * * *\"\n[defaults]\n";
    check_files(
        &[("a.toml", main.as_bytes()), ("crons.d/b.toml", included.as_bytes())],
        expect![[r#"
            a.toml:3:1: unknown key `shutdwon_grace` at the top level (did you mean `shutdown_grace`?)
            a.toml:6:7: url: expected a URL with http or https and a host (such as http://127.0.0.1:2024)
            a.toml:7:23: max_concurrent_runs: got text, expected a whole number from 1 to 10000
            a.toml:9:2: unknown key `stor` at the top level (did you mean `store`?)
            a.toml:15:1: unknown key `timezon` in [cron.typo] (did you mean `timezone`?)
            a.toml:16:11: timeout: got an integer, expected text (a duration is written "90s", "5m", "1h30m" or "7d")
            a.toml:17:9: retry: got an integer, expected a table
            a.toml:20:12: schedule: got 1 field, expected 5 fields (minute hour day-of-month month day-of-week), 6 (and second) or 7 (and year)
              | often
              |      ^
            a.toml:22:12: timezone: unknown time zone `Mars/X`, expected an IANA name such as Europe/Berlin
            a.toml:28:20: on_run_completed: makes no sense together with a thread: the thread outlives its runs (on_run_completed is for stateless crons; remove it or the thread)
            a.toml:33:11: webhook: env.UNSET is not set
            a.toml:35:15: input: env.ALSO_UNSET is not set
            absent.toml: No such file or directory (os error 2)
            crons.d/b.toml:1:7: [cron.TYPO] has no assistant_id (the id of an assistant, or the name of a graph)
            crons.d/b.toml:1:7: cron `TYPO` differs only by case from `typo` in a.toml:12:7 (rename one of them)
            crons.d/b.toml:3:7: [cron.thread] has no assistant_id (the id of an assistant, or the name of a graph)
            crons.d/b.toml:3:7: the name `thread` is already taken in a.toml:24:7 (rename one of them)
            crons.d/b.toml:5:2: unknown key `defaults` at the top level (write [defaults] in the main file; it applies to included files too)"#]]);
}

#[test]
fn a_file_that_cannot_be_read_is_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let shown = load(directory.path(), &environment()).unwrap_err().to_string();
    assert_eq!(shown, format!("{}: it is a directory, expected a regular file", directory.path().display()));
    check_files(
        &[("a.toml", b"a = \"\xff\"")],
        expect!["a.toml: byte 5 is not UTF-8: the file must be UTF-8 text (from Latin-1: iconv -f latin1 -t utf-8)"]);
    check_files(&[("a.toml", b"\xff\xfea\0")], expect!["a.toml: the file is UTF-16, and must be UTF-8 text: iconv -f utf-16 -t utf-8"]);
    check_files(&[("a.toml", b"a = \"\0\"")], expect!["a.toml: byte 5 is NUL: the file must be UTF-8 text"]);
    let missing = load(Path::new("no/such.toml"), &environment()).unwrap_err().to_string();
    expect!["no/such.toml: No such file or directory (os error 2)"].assert_eq(&missing);
    let huge = vec![b'#'; (16 << 20) + 1];
    check_files(&[("a.toml", &huge)], expect!["a.toml: larger than 16 MiB, which is the limit for one file"]);
}

#[test]
fn a_file_without_crons_is_valid_but_gets_a_warning() {
    check("", expect![[r#"
        warning: a.toml: no cron is defined: only crons that clients make through the API will fire
        ok: "#]]);
    check("# only a comment\n", expect![[r#"
        warning: a.toml: no cron is defined: only crons that clients make through the API will fire
        ok: "#]]);
    check_files(&[("a.toml", b"\xef\xbb\xbf[cron.x]\r\nschedule = \"0 9 * * *\"\r\nassistant_id = \"a\"\r\n")], expect!["ok: x"]);
}

#[test]
fn a_syntax_error_shows_its_line_but_no_secret() {
    check("[cron.x\nschedule = \"a\"\n", expect![[r#"
        a.toml:1:8: not TOML: unclosed table, expected `]`
          | [cron.x
          |        ^"#]]);
    check("[backend]\n  api_key = \"hunter2\n", expect![[r#"
        a.toml:2:21: not TOML: invalid basic string, expected `"`
          |   api_key = "*******
          |                     ^"#]]);
    check("[cron.x]\nschedule = \"0 9 * * *\nassistant_id = \"agent\"", expect![[r#"
        a.toml:2:22: not TOML: invalid basic string, expected `"`
          | schedule = "* * * * *
          |                      ^"#]]);
    check("[cron.x]\nschedule = \"0 9 * * *\" webhook = \"https://x?token=hunter2\"", expect![[r#"
        a.toml:2:24: not TOML: unexpected key or value, expected newline, `#`
          | schedule = "* * * * *" webhook = "*****://*?token=*******"
          |                        ^"#]]);
    check("[cron.x]\nassistant_id = \"a\"\n[cron.x]\nassistant_id = \"b\"\n", expect![[r#"
        a.toml:3:7: [cron.x] has no schedule (five fields, such as "0 9 * * mon-fri")
        a.toml:3:7: key `x` is given twice: the first is on line 1
        a.toml:4:1: key `assistant_id` is given twice: the first is on line 2"#]]);
}

#[test]
fn every_example_is_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/agentcron.toml");
    let config = load(&path, &environment()).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(config.crons.len() >= 6 && config.warnings.is_empty());
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn the_starter_is_valid_as_it_is() {
    let files: Vec<(&str, &[u8])> =
        crate::config::STARTER_FILES.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    check_files(&files, expect!["ok: hello"]);
}

#[test]
fn many_crons_are_read_and_deep_tables_do_not_overflow() {
    let cron = |index| format!("[cron.c{index}]\nschedule = \"0 9 * * *\"\nassistant_id = \"agent\"\n");
    assert_eq!(loaded(&(0..2000).map(cron).collect::<String>()).crons.len(), 2000);
    let dotted = vec!["a"; 79].join(".");
    let deep = format!("{}1{}", format!("{{ {dotted} = ").repeat(70), " }".repeat(70));
    check(&format!("[cron.x]\ninput = {deep}\nschedule = \"0 9 * * *\"\nassistant_id = \"a\"\n[cron.x]\n"), expect![[r#"
        a.toml:2:137: input: nested deeper than 64 levels
        a.toml:5:7: key `x` is given twice: the first is on line 1"#]]);
}
