//! Finding the database, even if the rest of the configuration is wrong.

use super::*;

fn check(text: &str, expected: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("agentcron.toml");
    std::fs::write(&config, text).unwrap();
    let environment = Environment::of_map([("env.PLACE", "/var/somewhere")]);
    let expected = expected.map(|path| folder.path().join(path));
    assert_eq!(store_in_file(&config, &environment), expected.map(StoreLocation::File), "{text}");
}

#[test]
fn the_database_is_found_despite_mistakes() {
    check("[store]\npath = \"a.db\"\n[cron.a]\nschedul = 7", Some("a.db"));
    check(
        "[backend]\napi_key = \"${{ credential.key }}\"\n[store]\npath = \"${{ env.PLACE }}/a.db\"",
        Some("/var/somewhere/a.db"),
    );
    check("[backend]\nurl = \"x\"", Some("/var/lib/agentcron/agentcron.db"));
    check("[cron.a]\ninput = \"\"\"\n[store] # here\npath = \"a.db\"\n[http]\n", Some("a.db"));
    check("[store]\npath = \"a.db\"\n[http\n", Some("a.db"));
}

#[test]
fn a_path_that_cannot_be_read_on_its_own_is_not_guessed() {
    check("[store", None);
    check("[http\n", None);
    check("[store]\npath = 7", None);
    check("[store]\npth = \"a.db\"", None);
    check("[stor]\npath = \"a.db\"", None);
    check("[store]\npath = \"${{ env.NOWHERE }}/a.db\"", None);
}
