//! What people are told of differences between daemons.

use super::*;

fn said(notice: Option<NewNotice>) -> String {
    notice.map(|notice| notice.detail).unwrap_or_default()
}

#[test]
fn files_that_are_not_in_force_are_told_with_whose_are() {
    let in_force =
        Generation { number: 7, adopted_at: "2026-03-02T10:02:00.5Z".parse().unwrap(), host: "b".to_owned() };
    let whose = "in force is generation 7 (adopted on b at 2026-03-02T10:02:00Z)";
    for (own, expected) in [
        (Some(7), String::new()),
        (Some(6), format!("the files here are those of generation 6; {whose}")),
        (None, format!("the files here have mistakes and are not adopted; {whose}")),
    ] {
        assert_eq!(said(files_notice(own, &in_force)), expected);
    }
}

#[test]
fn settings_that_differ_are_told_with_both_hosts() {
    let on = |host: &str, settings: &str| Published {
        host: host.to_owned(),
        settings: settings
            .split_whitespace()
            .map(|setting| setting.split_once('=').unwrap())
            .map(|(name, mark)| (name.to_owned(), mark.to_owned()))
            .collect(),
        ..Published::default()
    };
    let own = on("a", "backend.url=1 webhooks=2");
    let differing = on("c", "backend.url=9 webhooks=8");
    for (others, expected) in [
        (vec![], ""),
        (vec![on("b", "backend.url=1 webhooks=2")], ""),
        // What another does not say, for a mistake in it, is not compared.
        (vec![on("b", "backend.url=1")], ""),
        (vec![on("b", "backend.url=1 webhooks=3")], "not the same as on b: webhooks"),
        (
            vec![on("b", "backend.url=1 webhooks=3"), differing.clone(), differing],
            "not the same as on b: webhooks; not the same as on c: backend.url, webhooks",
        ),
    ] {
        assert_eq!(said(settings_notice(&own, &others)), expected);
    }
}
