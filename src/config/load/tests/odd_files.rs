//! What is in the place of a file without being one, and what is in a file that was never meant for us.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;
use crate::config::limits::ERRORS_MAX;

/// Every kind of thing that is no file, and what the mistake says of it.
const KINDS: [(&str, &str); 6] = [
    ("pipe", "it is a pipe"),
    ("to-pipe", "it is a pipe"),
    ("socket", "it is a socket"),
    ("folder", "it is a directory"),
    ("to-device", "it is a device"),
    ("to-nothing", "No such file"),
];

fn put(path: &Path, kind: &str) {
    let beside = path.with_file_name("the-pipe");
    match kind {
        "pipe" => assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success()),
        "to-pipe" => {
            put(&beside, "pipe");
            symlink(beside, path).unwrap();
        }
        "socket" => drop(UnixListener::bind(path).unwrap()),
        "folder" => std::fs::create_dir(path).unwrap(),
        "to-device" => symlink("/dev/zero", path).unwrap(),
        _ => symlink("/nothing", path).unwrap(),
    }
}

#[test]
fn what_is_no_file_is_a_mistake_with_its_path_wherever_it_stands() {
    for (kind, problem) in KINDS {
        for (main, place) in [
            ("", "a.toml"),
            ("include = \"crons.d/*.toml\"", "crons.d/x.toml"),
            ("include = \"crons.d/x.toml\"", "crons.d/x.toml"),
            ("langgraph_json = \"server.json\"", "server.json"),
        ] {
            let directory = tempfile::tempdir().unwrap();
            std::fs::create_dir(directory.path().join("crons.d")).unwrap();
            if place != "a.toml" {
                let other = "[cron.x]\nschedule = \"0 9 * * *\"\n";
                std::fs::write(directory.path().join("a.toml"), format!("{main}\n{other}")).unwrap();
            }
            put(&directory.path().join(place), kind);
            let shown = load(&directory.path().join("a.toml"), &environment()).unwrap_err().to_string();
            assert!(shown.contains(place) && shown.contains(problem), "{kind} as {place}: {shown}");
            assert!(place == "a.toml" || shown.contains("has no assistant_id"), "the other files count: {shown}");
        }
    }
}

/// Texts of files that are no configuration, each with what must not be shown of it.
const MISPLACED: &[(&str, &[&str])] = &[
    ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", &["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]),
    ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa==\n", &["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa"]),
    ("MfKQ9r8G/KYqr+TwjUPD8ILPZIo2LaLa=\n", &["MfKQ9r8G", "KYqr", "TwjUPD8ILPZIo2LaLa"]),
    ("# a comment\n\nMfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/x\n", &["root", "bash", "daemon"]),
    ("root:$6$salt$HaSh/0123:19000:0:99999:7:::\n", &["root", "salt", "HaSh", "19000"]),
    ("export TOKEN=MfKQ9r8GKYqr\n", &["TOKEN", "MfKQ9r8GKYqr"]),
    ("TOKEN=MfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("TOKEN: MfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("user hunter password 'MfKQ9r8GKYqr'\n", &["hunter", "MfKQ9r8GKYqr"]),
    ("{\"api_key\": \"MfKQ9r8GKYqr\"}\n", &["MfKQ9r8GKYqr"]),
    ("-----BEGIN PRIVATE KEY-----\nMfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("[MfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("[cron.x] MfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("[cron.x]MfKQ9r8GKYqr = 1\n", &["MfKQ9r8GKYqr"]),
    ("[cron.whsec_MfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("[cron.\"MfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("[cron.x]\ninput = [\n  MfKQ9r8GKYqr,\n]\n", &["MfKQ9r8GKYqr"]),
    ("[cron.x]\ninput = \"\"\"\nMfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("[backend]\napi_key = MfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("[backend]\napi_key MfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("[http]\nlisten=\"x\" MfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("[cron.x]\nmode = 'MfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("[cron.x]\nenabled = MfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("[cron.x]\nschedule MfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("[cron.x]\nwhsec_MfKQ9r8GKYqr\n", &["MfKQ9r8GKYqr"]),
    ("whsec_MfKQ9r8GKYqr = 1\n", &["MfKQ9r8GKYqr"]),
    ("\"WHSEC_MfKQ9r8GKYqr\" = 1\n", &["MfKQ9r8GKYqr"]),
    ("whsec_MfKQ9r8GKYqr = 1\nwhsec_MfKQ9r8GKYqr = 2\n", &["MfKQ9r8GKYqr"]),
    ("[cron.x]\noverlap = \"whsec_MfKQ9r8GKYqr\"\n", &["MfKQ9r8GKYqr"]),
    ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw = 1\n", &["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "9r8GKYqr"]),
];

#[test]
fn of_a_file_that_was_not_meant_for_us_only_the_place_is_shown() {
    for (text, hidden) in MISPLACED {
        for (files, place) in [
            (vec![("a.toml", *text)], "a.toml:"),
            (vec![("a.toml", "include = \"b.toml\""), ("b.toml", *text)], "b.toml:"),
            (vec![("a.toml", "langgraph_json = \"s.json\"\n"), ("s.json", *text)], "s.json:"),
        ] {
            let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
            let (shown, config) = load_files(&files);
            if place == "s.json:" && config.is_some() {
                continue;
            }
            assert!(shown.contains(place), "{text:?}: {shown}");
            for hidden in *hidden {
                assert!(!shown.contains(hidden), "{hidden:?} of {text:?} in {shown}");
            }
        }
    }
}

#[test]
fn a_file_with_nothing_of_ours_gets_a_hint() {
    check("root:x:0:0\n", expect![[r#"
        a.toml:1:5: not TOML: invalid unquoted key, expected letters, numbers, `-`, `_` (is this the right file? no line in it is a table or a key of agentcron)
          | ****:*:*:*
          |     ^
        a.toml:1:7: not TOML: invalid unquoted key, expected letters, numbers, `-`, `_`
          | ****:*:*:*
          |       ^
        a.toml:1:9: not TOML: invalid unquoted key, expected letters, numbers, `-`, `_`
          | ****:*:*:*
          |         ^
        a.toml:1:11: not TOML: key with no value, expected `=`
          | ****:*:*:*
          |           ^"#]]);
    check("schedule \"0 9 * * *\"\n[cron.daily]\n", expect![[r#"
        a.toml:1:10: not TOML: key with no value, expected `=`
          | schedule "* * * * *"
          |          ^"#]]);
}

#[test]
fn names_of_files_and_keys_cannot_forge_a_line() {
    let hostile = "x\nFORGED\u{202e}\u{9b}";
    let include = "include = \"d/*.toml\"\n[\"a\\nFORGED\"]\n[webhooks.headers]\n\"b\\nFORGED\\u202e\" = \"1\"\n";
    let name = format!("d/{hostile}.toml");
    let json = "{\"webhooks\": {\"headers\": {\"c\\nFORGED\": \"\\u0001\"}}}";
    let main = format!("langgraph_json = \"s.json\"\n{include}");
    let files = [("a.toml", main.as_bytes()), (&name, b"\"d\\nFORGED\" = 1".as_slice()), ("s.json", json.as_bytes())];
    let shown = load_files(&files).0;
    assert!(shown.matches("FORGED").count() >= 5, "{shown}");
    assert!(!shown.contains("\nFORGED") && !shown.contains(['\u{202e}', '\u{9b}']), "{shown}");
}

#[test]
fn of_a_file_of_mistakes_the_first_are_explained() {
    let many = |line: &dyn Fn(usize) -> String| (0..300).map(line).collect::<String>();
    let cron = |index| format!("[cron.c{index}]\nschedule = \"0 9 * * *\"\nassistant_id = \"a\"\n");
    for (text, counted_max) in [
        (many(&|index| format!("shutdown_grac{index} = 1\n")), 300),
        (many(&|index| format!("[backen{index}]\n")), 300),
        (many(&|index| format!("{}timezone = \"Europe/Berlim\"\n", cron(index))), 300),
        (many(&|index| format!("{}overlap = \"alow\"\n", cron(index))), 300),
        (many(&|index| format!("{}webhook = \"ftp://x\"\n", cron(index))), 300),
        (format!("[webhooks]\nallowed_fields = [{}]", many(&|index| format!("\"statu{index}\","))), 300),
        (format!("{}stream_mode = [{}]", cron(0), many(&|index| format!("\"value{index}\","))), 300),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        std::fs::write(&path, &text).unwrap();
        let errors = load(&path, &environment()).unwrap_err();
        assert!((ERRORS_MAX..=counted_max).contains(&errors.0.len()), "{}: {}", &text[..90], errors.0.len());
        let hints = errors.0.iter().filter(|error| error.hint.is_some()).count();
        assert!(hints <= ERRORS_MAX && errors.to_string().lines().count() <= ERRORS_MAX + 1, "{}", &text[..90]);
    }
}
